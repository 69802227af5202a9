//! How well a classifier tells reference showers from generated ones, by the challenge's protocol: a network of two hidden
//! layers with leaky ReLUs learns from 60 % of both, in equal numbers; the epoch that is best on another 20 % is taken, its
//! scores are calibrated there by isotonic regression, and the last 20 % give AUC and Jensen–Shannon divergence.
//!
//! Whatever it finds is a *lower* bound: a better classifier tells them apart better, never worse on average.

use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::calorimeter::{FeatureRows, Isotonic, Showers, auc, auc_error, jensen_shannon};
use crate::nn::adam::{AdamConfig, AdamState, gradients};
use crate::nn::{Network, Parameters, Pass};
use crate::noise::{self, Stream};
use crate::progress::Progress;
use crate::tensors::{host, rows};
use serde::Serialize;

/// Fewest showers of each side: the last fifth of both is then 200, which leaves AUC uncertain by ±0.08.
const FEWEST: usize = 500;
/// Rows in one call when nothing is learnt.
const CALL: usize = 1024;
/// Half of a 95 % interval, in standard errors.
const HALF: f64 = 1.959_963_984_540_054;

/// Which classifier tells showers apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClassifierKind {
    /// 2 × 512, standardised features, at most 20,000 showers of each side and 40 epochs, ended when validation stops falling
    #[default]
    Quick,
    /// The challenge's: 2 × 2048, features as they are, all showers, 50 epochs; minutes to hours on a processor
    Challenge,
    /// No classifier
    None,
}

/// How one learns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    hidden: usize,
    epochs: u32,
    batch: usize,
    rate: f64,
    /// Epochs without progress after which it ends.
    patience: Option<u32>,
    standardised: bool,
    most: usize,
}

impl ClassifierKind {
    /// Its protocol; `None` where there is no classifier.
    pub(super) fn protocol(self) -> Option<Protocol> {
        let quick = Protocol {
            hidden: 512,
            epochs: 40,
            batch: 500,
            rate: 1e-3,
            patience: Some(6),
            standardised: true,
            most: 20_000,
        };
        match self {
            Self::Quick => Some(quick),
            Self::Challenge => Some(Protocol {
                hidden: 2048,
                epochs: 50,
                batch: 1000,
                rate: 2e-4,
                patience: None,
                standardised: false,
                most: usize::MAX,
            }),
            Self::None => None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToldApart {
    /// The area under the curve of the last fifth, and half of its 95 % interval (DeLong).
    pub auc: [f64; 2],
    /// The Jensen–Shannon divergence there, and half of its 95 % interval.
    pub jsd: [f64; 2],
    /// What was done.
    pub how: String,
}

/// The input of the challenge's low-level classifier: log₁₀ of the incident energy in MeV, then every voxel over it.
pub(super) fn low_level(showers: &Showers) -> FeatureRows {
    let row = |i: usize| {
        let e = showers.energies[i];
        std::iter::once(e.log10()).chain(showers.row(i).iter().map(move |v| f64::from(*v) / e))
    };
    FeatureRows { values: (0..showers.len()).flat_map(row).collect(), width: showers.width + 1 }
}

/// Rows with labels, in the order of a split.
struct Part {
    values: Vec<f32>,
    labels: Vec<bool>,
    width: usize,
}

/// Learns to tell `real` from `made`, and judges.
///
/// # Errors
/// [`Error::Key`] for too few showers; [`Error::Stopped`] where the loss was never finite; [`Error::Interrupted`].
pub(super) fn told_apart(
    real: &FeatureRows,
    made: &FeatureRows,
    protocol: &Protocol,
    (seed, name): (u64, &str),
    device: &Device,
    (progress, cancel): (&Progress, &Cancel),
) -> Result<ToldApart> {
    let n = real.rows().min(made.rows()).min(protocol.most);
    if n < FEWEST {
        let message =
            format!("expected at least {FEWEST} showers of each side to learn from, found {n}; or choose none");
        return Err(Error::key("classifier", message));
    }
    let [training, validation, test] = parts(real, made, n, protocol.standardised, seed);
    let network = Network::build(layers(protocol.hidden)?, &[training.width]).map_err(|e| Error::Bug(e.to_string()))?;
    let start = network.parameters().into_iter().map(|s| (s.key.clone(), s.start(seed, None)));
    let mut parameters = Parameters::from_values(start, device);
    let (mut adam, optimiser) = (AdamState::default(), AdamConfig::default());
    let mut best: Option<(f64, u32, Parameters)> = None;
    let bar = progress.start(format!("classifier of {name}"), u64::from(protocol.epochs));
    let mut taken = 0;
    for epoch in 0..protocol.epochs {
        cancel.check(|| "nothing is written yet".into())?;
        let order = noise::permutation(seed, Stream::Shuffle, epoch, training.labels.len());
        for picked in order.chunks(protocol.batch) {
            let x = picked.iter().flat_map(|i| &training.values[i * training.width..(i + 1) * training.width]);
            let x = rows(x.copied().collect(), training.width, device);
            let y = rows(picked.iter().map(|i| f32::from(u8::from(training.labels[*i]))).collect(), 1, device);
            let tracked = parameters.tracked(|_| true);
            let score = network.forward(x, &Pass::frozen(&tracked));
            // ln(1 + eˢ) − y·s, without an overflow.
            let soft = score.clone().clamp_min(0.0) + (score.clone().abs().neg().exp() + 1.0).log();
            let grads = gradients(&tracked, (soft - y * score).mean().backward());
            optimiser.step(protocol.rate, &mut parameters, &mut adam, grads);
        }
        taken = epoch + 1;
        bar.advance(1);
        let loss = cross_entropy(&scores(&network, &parameters, &validation, device)?, &validation.labels);
        if loss.is_finite() && best.as_ref().is_none_or(|b| loss < b.0) {
            best = Some((loss, taken, parameters.clone()));
        }
        let since = taken - best.as_ref().map_or(0, |b| b.1);
        if protocol.patience.is_some_and(|p| since >= p) {
            break;
        }
    }
    bar.finish();
    let (_, epoch, parameters) =
        best.ok_or_else(|| Error::Stopped("the classifier's loss was never finite; choose another classifier".into()))?;
    let fitted = Isotonic::fit(&scores(&network, &parameters, &validation, device)?, &validation.labels)?;
    let found = scores(&network, &parameters, &test, device)?;
    let calibrated: Vec<f64> = found.iter().map(|s| fitted.probability(*s)).collect();
    let each: Vec<f64> = (0..test.labels.len())
        .map(|i| jensen_shannon(&calibrated[i..=i], &test.labels[i..=i]))
        .collect::<Result<_>>()?;
    let mean = each.iter().sum::<f64>() / each.len() as f64;
    let spread = each.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (each.len() as f64 - 1.0);
    Ok(ToldApart {
        auc: [auc(&found, &test.labels)?, HALF * auc_error(&found, &test.labels)?],
        jsd: [jensen_shannon(&calibrated, &test.labels)?, HALF * (spread / each.len() as f64).sqrt()],
        how: format!("2×{} network, {n} showers of each side, epoch {epoch} of {taken}", protocol.hidden),
    })
}

/// The network, as a card would list it: two hidden layers, and one score.
const LAYERS: &str = r#"
layers = [
    { kind = "linear", key = "a", out = HIDDEN },
    { kind = "leaky_relu" },
    { kind = "linear", key = "b", out = HIDDEN },
    { kind = "leaky_relu" },
    { kind = "linear", key = "c", out = 1 },
]
"#;

/// [`LAYERS`] with so many hidden values.
fn layers(hidden: usize) -> Result<Vec<toml::Table>> {
    #[derive(serde::Deserialize)]
    struct Text {
        layers: Vec<toml::Table>,
    }
    let text: Text = toml::from_str(&LAYERS.replace("HIDDEN", &hidden.to_string()))
        .map_err(|e| Error::Bug(format!("the classifier's layers: {e}")))?;
    Ok(text.layers)
}

/// n rows of each side, shuffled and divided 60 : 20 : 20.
fn parts(real: &FeatureRows, made: &FeatureRows, n: usize, standardised: bool, seed: u64) -> [Part; 3] {
    let order = noise::permutation(seed, Stream::Shuffle, u32::MAX, 2 * n);
    let (first, second) = (6 * 2 * n / 10, 8 * 2 * n / 10);
    let row = |i: usize| if i < n { real.row(i) } else { made.row(i - n) };
    let width = real.width;
    let (mut shift, mut scale) = (vec![0.0; width], vec![1.0; width]);
    if standardised {
        let count = first as f64;
        order[..first].iter().for_each(|i| shift.iter_mut().zip(row(*i)).for_each(|(m, v)| *m += v / count));
        let mut squares = vec![0.0; width];
        for i in &order[..first] {
            squares.iter_mut().zip(row(*i).iter().zip(&shift)).for_each(|(s, (v, m))| *s += (v - m).powi(2) / count);
        }
        // A feature that is always the same says nothing, and stays 0.
        scale = squares.iter().map(|s| if *s > 0.0 { s.sqrt() } else { 1.0 }).collect();
    }
    let part = |picked: &[usize]| {
        let one = |i: &usize| row(*i).iter().zip(shift.iter().zip(&scale)).map(|(v, (m, s))| ((v - m) / s) as f32);
        Part { values: picked.iter().flat_map(one).collect(), labels: picked.iter().map(|i| *i < n).collect(), width }
    };
    [part(&order[..first]), part(&order[first..second]), part(&order[second..])]
}

/// The network's score of every row.
fn scores(network: &Network, parameters: &Parameters, part: &Part, device: &Device) -> Result<Vec<f64>> {
    let mut all = Vec::with_capacity(part.labels.len());
    for call in part.values.chunks(CALL * part.width) {
        let found = host(network.forward(rows(call.to_vec(), part.width, device), &Pass::frozen(parameters)))?;
        all.extend(found.into_iter().map(f64::from));
    }
    Ok(all)
}

/// The mean of ln(1 + eˢ) − y·s.
fn cross_entropy(scores: &[f64], labels: &[bool]) -> f64 {
    let one = |(s, y): (&f64, &bool)| s.max(0.0) + (-s.abs()).exp().ln_1p() - if *y { *s } else { 0.0 };
    scores.iter().zip(labels).map(one).sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of `width` normals, the first shifted by δ.
    fn normals(n: usize, width: usize, shift: f64, seed: u64) -> FeatureRows {
        let mut values: Vec<f64> =
            noise::normals(seed, 0, Stream::Probe, 9, n * width).into_iter().map(f64::from).collect();
        values.iter_mut().step_by(width).for_each(|v| *v += shift);
        FeatureRows { values, width }
    }

    fn judged(shift: f64, seed: u64) -> ToldApart {
        let protocol = Protocol { hidden: 64, ..ClassifierKind::Quick.protocol().unwrap() };
        let (a, b) = (normals(4000, 3, 0.0, 2 * seed), normals(4000, 3, shift, 2 * seed + 1));
        let device = crate::device::open("cpu").unwrap().1;
        let ways = (&Progress::none(), &Cancel::never());
        told_apart(&a, &b, &protocol, (seed, "test"), &device, ways).unwrap()
    }

    /// Samples of one distribution have AUC 0.5 and no divergence, within the stated intervals.
    #[test]
    fn the_same_cannot_be_told_apart() {
        let found = judged(0.0, 1);
        // 1.5 times the half interval of 95 % is 2.9 standard errors. Calibration on another part costs a little below 0.
        assert!((found.auc[0] - 0.5).abs() < 1.5 * found.auc[1], "{found:?}");
        assert!(found.jsd[0].abs() < 0.02, "{found:?}");
        assert_eq!(found, judged(0.0, 1), "the same seed, the same bytes");
    }

    /// Two normals a distance δ apart have AUC Φ(δ/√2), and JSD 1 − E log₂(1 + e^(−δ(x + δ/2))) over x ~ N(0, 1).
    #[test]
    fn a_shift_of_normals_has_its_closed_form() {
        for (shift, seed) in [(0.5, 2), (1.5, 3)] {
            let found = judged(shift, seed);
            let expected = 0.5 * libm::erfc(-shift / 2.0);
            // Ten thousand points of the midpoint rule from −8 to 8.
            let density = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let bits = |x: f64| (-shift * (x + shift / 2.0)).exp().ln_1p() / std::f64::consts::LN_2;
            let at = |i: u32| -8.0 + (f64::from(i) + 0.5) * 1.6e-3;
            let divergence = 1.0 - (0..10_000).map(|i| density(at(i)) * bits(at(i)) * 1.6e-3).sum::<f64>();
            // A learnt classifier is at best as good: it may lie three standard errors above, and learning costs a little below.
            let room = 1.5 * found.auc[1];
            assert!(found.auc[0] < expected + room && found.auc[0] > expected - room - 0.01, "{found:?} {expected}");
            let room = 1.5 * found.jsd[1];
            assert!(
                found.jsd[0] < divergence + room && found.jsd[0] > divergence - room - 0.02,
                "{found:?} {divergence}"
            );
        }
    }

    #[test]
    fn too_few_are_refused() {
        let (a, b) = (normals(499, 3, 0.0, 0), normals(600, 3, 0.0, 1));
        let device = crate::device::open("cpu").unwrap().1;
        let protocol = ClassifierKind::Quick.protocol().unwrap();
        let ways = (&Progress::none(), &Cancel::never());
        let message = told_apart(&a, &b, &protocol, (0, "test"), &device, ways).unwrap_err().to_string();
        assert!(message.starts_with("classifier: expected at least 500 showers of each side"), "{message}");
    }
}
