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
use crate::onnx::{Choices, Lowered, Model};
use crate::tensors::{host, rows};

/// Differences of pictures, as a part of the range, from which an import is refused.
const REFUSED: f64 = 1e-3;
/// Differences of pictures, as a part of the range, from which it is said.
const SUSPECT: f64 = 1e-4;
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
pub fn samples(model: &Model, choices: &Choices, d: usize, device: &Device) -> Result<String> {
    let (a, b) = (latent(0, d), latent(1, d));
    let found = mixing::check(model, choices, [&a, &b], |lowered, x| every_value(lowered, x, device))?;
    Ok(match found {
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

/// What a comparison with a reference found.
pub struct Parity {
    /// The result in words.
    pub told: String,
    /// Whether the difference is larger than rounding explains.
    pub suspect: bool,
    /// The largest difference of pictures, as a part of the largest value.
    pub outputs: f64,
}

/// Compares the pictures of a reference's latents, and the singular values of its first ones, with the model's own.
///
/// # Errors
/// [`Error::Input`] for a reference that does not fit, or from which the model differs.
pub fn parity(model: &dyn Generator, reference: &Reference) -> Result<Parity> {
    let (spec, device) = (model.spec(), model.device());
    let d = spec.latent_width;
    let latents = reference.latents(d)?;
    let expected = &reference.outputs()?.values;
    let found = host(model.generate(rows(latents.clone(), d, device)))?;
    if found.len() != expected.len() {
        let message = format!("outputs: expected {} values, found {}", found.len(), expected.len());
        return Err(Error::input(&reference.path, message));
    }
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
    let worst = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    let range = f64::from(spec.range[1] - spec.range[0]).max(largest);
    if !(worst / range <= REFUSED) {
        let message = format!(
            "outputs differ by up to {:.1e} of the range, at most {REFUSED:.0e} is rounding; the file is another model or is \
             read wrong",
            worst / range
        );
        return Err(Error::input(&reference.path, message));
    }
    let mut told = format!("{} outputs within {:.1e} of the largest", latents.len() / d, worst / largest);
    if let Some(values) = reference.singular_values().filter(|_| d <= WIDEST) {
        let count = values.shape[0].min(latents.len() / d);
        let off = spectra(model, &latents[..count * d], &values.values, values.shape[1])?;
        told += &format!("; singular values of {count} within {off:.1e}");
    }
    Ok(Parity { told, suspect: worst / range > SUSPECT, outputs: worst / largest })
}

/// The largest relative difference of the singular values above a thousandth of the first.
fn spectra(model: &dyn Generator, latents: &[f32], expected: &[f64], width: usize) -> Result<f64> {
    let exact = estimator_with("exact", &EstimatorSettings::default())?;
    let found = exact.spectra(model, latents)?;
    let mut worst = 0.0f64;
    for (found, expected) in found.iter().zip(expected.chunks_exact(width)) {
        let Some(found) = found else { return Ok(f64::INFINITY) };
        let pairs = found.singular_values.iter().zip(expected).take_while(|(_, e)| **e > 1e-3 * expected[0]);
        worst = pairs.map(|(a, b)| (a - b).abs() / b).fold(worst, f64::max);
    }
    Ok(worst)
}
