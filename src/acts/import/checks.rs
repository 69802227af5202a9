//! What an import measures before anything is written: whether samples are kept apart, and whether pictures and singular
//! values are those of the reference.

use super::convert::converted;
use super::reference::Reference;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::geometry::estimators::{EstimatorSettings, estimator_with};
use crate::nn::Parameters;
use crate::noise::{Stream, normals};
use crate::onnx::mixing::{self, Mixing};
use crate::onnx::{Axis, Choices, Input, Lowered, Model};
use crate::tensors::{host, rows};

/// Differences of pictures, as a part of the range, from which an import is refused.
const REFUSED: f64 = 1e-3;
/// Differences of pictures, as a part of the range, from which it is said.
const SUSPECT: f64 = 1e-4;
/// Weights above which the batch of two, which takes them in memory twice, is not tried.
const LARGE: usize = 200_000_000;
/// Largest latent for which singular values are compared.
const WIDEST: usize = 1_024;

/// The standard normal latent of a seed.
pub fn latent(seed: u64, d: usize) -> Vec<f32> {
    normals(0, seed, Stream::Latent, 0, d)
}

/// Whether the file keeps the samples of a batch of its own apart, in words.
///
/// # Errors
/// [`Error::Input`] that names the node which mixes them.
pub fn samples(model: &Model, choices: &Choices, input: &Input, device: &Device) -> Result<String> {
    let d = input.shape.iter().product();
    let declared = model.inputs.iter().find(|i| i.name == input.name).and_then(|i| i.shape.as_ref());
    if declared.is_some_and(|shape| shape.len() > 1 && shape[0] == Axis::Fixed(1)) {
        return Ok(format!("the file holds one {}; rows are kept apart by the program", choices.reads.word()));
    }
    if model.parameters > LARGE {
        return Ok("kept apart by the program; a batch of two was not tried on a model of this size".to_owned());
    }
    let (a, b) = (latent(0, d), latent(1, d));
    let found = mixing::check(model, choices, [&a, &b], |lowered, x| every_value(lowered, x, device))?;
    Ok(match found {
        Mixing::Independent(0.0) => "independent: a batch of two equals two rows".to_owned(),
        Mixing::Independent(off) => format!("independent: a batch of two equals two rows ({off:.0e})"),
        Mixing::Unknown(why) => format!("kept apart by the engine; the file's own batch of two cannot be read ({why})"),
    })
}

/// All values of a lowered graph for one input, the input first.
fn every_value(lowered: &Lowered, x: &[f32], device: &Device) -> Result<Vec<Vec<f32>>> {
    let found = converted(lowered)?;
    let each = lowered.tensors.iter().map(|(name, (_, values))| (name.clone(), values.clone()));
    let parameters = Parameters::from_values(each, device);
    let made = found.file.every_value(rows(x.to_vec(), x.len(), device), &parameters)?;
    let all = made.into_iter().map(host).collect::<Result<Vec<_>>>()?;
    Ok(found.values.iter().map(|v| all[*v].clone()).collect())
}

/// How a model compares with a reference.
#[derive(Clone, Debug)]
pub struct Parity {
    /// Number of pictures that were compared.
    pub pictures: usize,
    /// Their largest difference, as a part of the largest value.
    pub outputs: f64,
    /// The same as a part of the range.
    of_range: f64,
    /// Number of latents whose singular values were compared; 0 if there are none.
    pub latents: usize,
    /// The largest relative difference of the singular values above a thousandth of the first.
    pub singular_values: f64,
    /// The largest difference of the sums of their logarithms, ψ_k.
    pub psi_k: f64,
}

impl Parity {
    /// Whether the pictures differ by more than rounding explains.
    pub fn is_suspect(&self) -> bool {
        self.of_range > SUSPECT
    }

    /// The comparison in words.
    pub fn told(&self) -> String {
        let pictures = format!("{} outputs within {:.1e} of the largest", self.pictures, self.outputs);
        match self.latents {
            0 => pictures,
            n => format!(
                "{pictures}; singular values of {n} within {:.1e}, psi_k within {:.1e}",
                self.singular_values, self.psi_k
            ),
        }
    }
}

/// Compares the pictures of a reference's latents, and the singular values of its first ones, with the model's own.
///
/// # Errors
/// [`Error::Input`] for a reference that does not fit, or from which the model differs.
pub fn parity(model: &dyn Generator, reference: &Reference) -> Result<Parity> {
    let (spec, device) = (model.spec(), model.device());
    let d = spec.latent_width;
    let latents = reference.latents(d)?;
    let found = host(model.generate(rows(latents.clone(), d, device)))?;
    let (outputs, of_range) = outputs_off(&found, reference, f64::from(spec.range[1] - spec.range[0]))?;
    let mut parity =
        Parity { pictures: latents.len() / d, outputs, of_range, latents: 0, singular_values: 0.0, psi_k: 0.0 };
    if let Some(values) = reference.singular_values().filter(|_| d <= WIDEST) {
        parity.latents = values.shape[0].min(latents.len() / d);
        parity.spectra(model, &latents[..parity.latents * d], &values.values, values.shape[1])?;
    }
    Ok(parity)
}

/// The largest difference from a reference's outputs: as a part of the largest of them, and as a part of that or of `range`,
/// whichever is larger.
///
/// # Errors
/// [`Error::Input`] for outputs of another number, or that differ by more than rounding does.
pub fn outputs_off(found: &[f32], reference: &Reference, range: f64) -> Result<(f64, f64)> {
    let expected = &reference.outputs()?.values;
    if found.len() != expected.len() {
        let message = format!("outputs: expected {} values, found {}", found.len(), expected.len());
        return Err(Error::input(&reference.path, message));
    }
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    let worst = worst.fold(0.0, |a, v| if v.is_nan() { f64::INFINITY } else { f64::max(a, v) });
    let of_range = worst / range.max(largest);
    if of_range > REFUSED {
        let message = format!(
            "outputs differ by up to {of_range:.1e} of the range, at most {REFUSED:.0e} is rounding; the file is another \
             model or is read wrong"
        );
        return Err(Error::input(&reference.path, message));
    }
    Ok((worst / largest, of_range))
}

impl Parity {
    fn spectra(&mut self, model: &dyn Generator, latents: &[f32], expected: &[f64], width: usize) -> Result<()> {
        let exact = estimator_with("exact", &EstimatorSettings::default())?;
        let found = exact.spectra(model, latents)?;
        for (found, expected) in found.iter().zip(expected.chunks_exact(width)) {
            let values = found.as_ref().map_or(&[][..], |found| &found.singular_values);
            let large: Vec<f64> = expected.iter().copied().take_while(|e| *e > 1e-3 * expected[0]).collect();
            let pairs = || (0..large.len()).map(|i| (values.get(i).copied().unwrap_or(f64::NAN), large[i]));
            let off = |v: f64| if v.is_nan() { f64::INFINITY } else { v.abs() };
            self.singular_values = pairs().map(|(a, b)| off((a - b) / b)).fold(self.singular_values, f64::max);
            self.psi_k = self.psi_k.max(off(pairs().map(|(a, b)| a.ln() - b.ln()).sum()));
        }
        Ok(())
    }
}
