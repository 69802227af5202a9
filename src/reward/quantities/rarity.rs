//! How rare what a picture shows is, by a classifier that knows how common each of its classes was among the pictures it
//! was taught with:
//!
//! ```text
//! rarity(x) = Σ_outputs Σ_c q_c(x)·(−ln share_c)
//! ```
//!
//! with q_c(x) the classifier's probability of class c. The sum is over its outputs that tell classes and say how common each is,
//! as if they were independent. No Jacobian is in it: it is what the quantities of geometry can be held against.

use super::{Place, Quantity, QuantityRow, Reading};
use crate::error::{Error, Result};
use crate::generator::{Attribute, Classifier, Generator, OutputSpec, Spec, find_model};
use crate::render::Picture;
use crate::store;
use crate::tensors::{host, rows};
use std::path::PathBuf;
use std::sync::OnceLock;

pub const ROW: QuantityRow = QuantityRow {
    name: "rarity",
    about: "-ln of the share, among a classifier's training pictures, of what it sees; any model; the estimator is the classifier",
    symbol: "rarity",
    axis: "-ln of the share of what is seen (nats)",
    place: Place::Picture,
    of_spectrum: false,
    has_sigma: false,
    make,
};

struct Rarity {
    name: String,
    /// Of the classifier's card, which has the hash of its weights.
    sha256: String,
    folder: PathBuf,
    classifier: OnceLock<Classifier>,
}

fn make(_: f64, name: &str) -> Result<Box<dyn Quantity>> {
    let folder = find_model(name).map_err(|e| Error::key_found("labels.estimator", name, e.to_string()))?;
    let card = store::read_bounded(&folder.join("card.toml"), crate::limits::CONFIG_BYTES)?;
    let sha256 = store::sha256_hex(&card);
    // Its folder's name, wherever that lies, so that a run is the same one on every machine.
    let name = folder.file_name().map_or_else(|| name.to_owned(), |n| n.to_string_lossy().into_owned());
    Ok(Box::new(Rarity { name, sha256, folder, classifier: OnceLock::new() }))
}

impl Rarity {
    /// The classifier on the generator's device, loaded when it is first asked for.
    fn classifier(&self, generator: &dyn Generator) -> Result<&Classifier> {
        if let Some(known) = self.classifier.get() {
            return Ok(known);
        }
        let loaded = Classifier::load(&self.folder, generator.device())?;
        if !loaded.outputs().iter().any(|o| !o.shares.is_empty()) {
            let message =
                format!("\"{}\" has no shares in its outputs, which say how common its classes are", self.name);
            return Err(Error::key("labels.estimator", message));
        }
        Ok(self.classifier.get_or_init(|| loaded))
    }
}

/// −ln of the share of what an output sees of each picture, added to `sums`.
fn add(output: &OutputSpec, seen: &Attribute, sums: &mut [f64]) {
    let (Attribute::Classes(p), false) = (seen, output.shares.is_empty()) else { return };
    for (sum, row) in sums.iter_mut().zip(p.chunks_exact(output.width().max(1))) {
        *sum -= row.iter().zip(&output.shares).map(|(q, share)| f64::from(*q) * share.ln()).sum::<f64>();
    }
}

impl Quantity for Rarity {
    fn row(&self) -> &'static QuantityRow {
        &ROW
    }

    fn check(&self, generator: &dyn Generator) -> Result<()> {
        self.classifier(generator).map(|_| ())
    }

    fn how(&self) -> String {
        format!("{} {}", self.name, &self.sha256[..12])
    }

    fn directions(&self, _: &Spec) -> Result<usize> {
        Ok(1)
    }

    fn evaluations(&self, _: &dyn Generator) -> Result<usize> {
        Ok(1)
    }

    fn held_out(&self) -> Result<Option<Box<dyn Quantity>>> {
        Ok(None)
    }

    fn read(&self, generator: &dyn Generator, points: &[f32]) -> Result<Vec<Option<Reading>>> {
        let classifier = self.classifier(generator)?;
        let spec = generator.spec();
        let states = rows(points.to_vec(), spec.state_width(), generator.device());
        let values = host(generator.pictures_of(states))?;
        let width: usize = spec.sample_shape.iter().product();
        let picture = |v: &[f32]| Picture::from_values(v, spec.sample_shape, spec.range).ok();
        let made: Vec<Option<Picture>> = values.chunks_exact(width).map(picture).collect();
        let finite: Vec<&Picture> = made.iter().flatten().collect();
        let mut sums = vec![0.0; finite.len()];
        for (output, seen) in classifier.outputs().iter().zip(classifier.attributes(&finite)?) {
            add(output, &seen, &mut sums);
        }
        let mut sums = sums.into_iter();
        let one = |p: &Option<Picture>| p.as_ref().and_then(|_| sums.next());
        Ok(made.iter().map(one).map(|v| v.filter(|v| v.is_finite()).map(Reading::Value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::OutputKind;

    #[test]
    fn a_sum_over_outputs_of_expected_surprise() {
        let output = |shares: &[f64]| OutputSpec {
            name: "x".into(),
            kind: OutputKind::Class,
            classes: (0..shares.len()).map(|i| i.to_string()).collect(),
            shares: shares.to_vec(),
            mean: None,
            std: None,
        };
        let mut sums = [0.0; 2];
        add(&output(&[0.75, 0.25]), &Attribute::Classes(vec![1.0, 0.0, 0.5, 0.5]), &mut sums);
        add(&output(&[0.5, 0.25, 0.25]), &Attribute::Classes(vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), &mut sums);
        // Outputs without shares, and numbers, add nothing.
        add(&OutputSpec { shares: vec![], ..output(&[0.5, 0.5]) }, &Attribute::Classes(vec![1.0; 4]), &mut sums);
        add(&output(&[0.5, 0.5]), &Attribute::Numbers(vec![3.0; 2]), &mut sums);
        let wanted = [(4.0f64 / 3.0).ln() + 4f64.ln(), 0.5 * (4.0f64 / 3.0).ln() + 0.5 * 4f64.ln() + 2f64.ln()];
        for (found, wanted) in sums.iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        }
    }
}
