//! What is asked and measured.

use super::beside::{Beside, Training};
use super::report::AuditReport;
use crate::acts::study::dimension::{Pictures, data_set, states};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::diffusion::lid::DataDimension;
use crate::diffusion::{Denoiser, Estimate, NetworkDenoiser, State, flipd, to_f64, to_noise};
use crate::error::{Error, Result};
use crate::generator::{self, Generator, Sampler, find_model};
use crate::geometry::{estimator, spectral_dimension};
use crate::noise::{Stream, normals};
use crate::render::{Picture, png};
use crate::statistics::quantile;
use crate::steer::denoiser::sampler_of;
use crate::tensors::{host, rows};
use crate::units::Latents;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An audit that is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Audit {
    /// Model name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// What it was trained on: an IDX file, or a folder or .zip of pictures
    #[arg(long, value_name = "PATH")]
    pub train: PathBuf,
    /// Pictures of the same kind that it was not trained on: the model's dimension is low where it is below all but 1 % of theirs,
    /// of the first 200 of them [default: below half of the data's median dimension]
    #[arg(long, value_name = "PATH")]
    pub test: Option<PathBuf>,
    /// The samples.
    #[command(flatten)]
    pub pictures: Pictures,
    /// Noise level at which the model's dimension is measured
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    pub sigma: f64,
    /// Training pictures around the nearest one, copies included, by which the data's dimension is measured
    #[arg(long, value_name = "K", default_value_t = 20)]
    pub neighbours: usize,
}

/// Noise level of the detectors that denoise or add noise.
const NOISED: f64 = 1.0;
/// Draws of noise for the denoising error.
const DRAWS: u32 = 4;
/// Samples that are measured together.
const TOGETHER: usize = 16;
/// Training pictures whose median dimension is what is usual in the data.
const USUAL: usize = 200;
/// Held-out pictures at which the model's dimension is measured.
const HELD_OUT: usize = 200;
/// The share of held-out pictures below whose dimension one is low.
const LOW: f64 = 0.01;

/// What an audit says of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The model varies here as the data do, or more.
    Free,
    /// The model's dimension is below the data's: a copy that the model is to blame for.
    Overfitted,
    /// The dimension of both is low: a copy that the data lead to.
    DataDriven,
    /// One of the two dimensions is not known.
    Unknown,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Overfitted => "overfitted",
            Self::DataDriven => "data-driven",
            Self::Unknown => "unknown",
        }
    }
}

/// The verdict on a sample at which the model has the dimension `model` and the data have the dimension `data`, where `usual` is the
/// data's median dimension.
///
/// The model's dimension is low where its 95 % upper end lies below `low`. Then the sample is *data-driven* if the data's whole
/// interval lies below half of what is usual, and *overfitted* if it lies above the model's.
pub fn judge(model: Estimate, low: f64, data: DataDimension, usual: f64) -> Verdict {
    let upper = model.value + 1.96 * model.stderr;
    match () {
        () if !upper.is_finite() => Verdict::Unknown,
        () if upper >= low => Verdict::Free,
        () if data.interval[1] < 0.5 * usual => Verdict::DataDriven,
        () if upper < data.interval[0] => Verdict::Overfitted,
        () => Verdict::Free,
    }
}

/// One audited sample.
#[derive(Clone, Debug)]
pub struct Audited {
    /// Its seed, or its place in the set.
    pub seed: u64,
    /// The model's local dimension there.
    pub model: Estimate,
    /// What has to be known about that number.
    pub note: Option<String>,
    /// What lies beside it.
    pub beside: Beside,
    /// Root mean square error of denoising it at σ = 1, in values of the model's range; `None` without a denoiser.
    pub denoising: Option<f64>,
    /// The largest change of the denoised picture at σ = 1 by naming a class, root mean square over its values; `None` without
    /// classes.
    pub guidance: Option<f64>,
    /// Norm of the noise that the probability flow takes it to, over that of typical noise; `None` without a denoiser.
    pub noise: Option<f64>,
    /// Bytes of its PNG.
    pub png: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// The sample.
    pub picture: Picture,
}

/// The model's dimension at samples, and what a denoiser tells beside it.
struct Known {
    model: Vec<(Estimate, Option<String>)>,
    denoising: Vec<Option<f64>>,
    guidance: Vec<Option<f64>>,
    noise: Vec<Option<f64>>,
}

impl Audit {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        if self.neighbours < 2 {
            return Err(Error::key("neighbours", format!("expected at least 2, found {}", self.neighbours)));
        }
        if !(self.sigma > 0.0 && self.sigma.is_finite()) {
            return Err(Error::key("sigma", format!("expected a number above 0, found {}", self.sigma)));
        }
        self.pictures.seeds().map(drop)
    }

    /// Audits the samples.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, cancel: &Cancel) -> Result<AuditReport> {
        self.check()?;
        let folder = find_model(&self.model)?;
        let generator = generator::load(&folder, device)?;
        let (generator, sampler) = (&*generator, sampler_of(&*generator).ok());
        let spec = generator.spec();
        let set = data_set(&self.train, spec.sample_shape)?;
        if set.count() < 3 {
            let message = format!("{} pictures, expected at least 3 for a neighbourhood", set.count());
            return Err(Error::key("train", message));
        }
        let train_sha256 = set.sha256();
        let train = Training::new(set, spec.range, self.neighbours);
        let usual = train.usual(USUAL).ok_or_else(|| {
            Error::key("train", "the data have no dimension: fewer than four different pictures, or all of them equally far from each other")
        })?;
        let low = match (&self.test, sampler) {
            (None, _) => 0.5 * usual,
            (Some(test), Some(sampler)) => self.low(sampler, test, cancel)?,
            (Some(_), None) => {
                return Err(Error::key("test", "this model has no denoiser, and is measured at its own seeds only"));
            }
        };
        let chosen = self.pictures.chosen(generator)?;
        let mut samples = Vec::new();
        for part in chosen.seeds.chunks(TOGETHER) {
            cancel.check(|| "nothing was written".into())?;
            let (states, pixels) = chosen.both(part)?;
            let known = match sampler {
                Some(sampler) => self.by_denoiser(sampler, part, &states)?,
                None => self.by_jacobian(generator, part, usual)?,
            };
            let width = pixels.len() / part.len();
            let each: Vec<Vec<f32>> = pixels.chunks_exact(width).map(<[f32]>::to_vec).collect();
            let beside = train.beside(&each);
            for (i, (beside, own)) in beside.into_iter().zip(&each).enumerate() {
                let picture = Picture::from_values(own, spec.sample_shape, spec.range)?;
                let (model, note) = known.model[i].clone();
                // Beside held-out pictures of the same fault a number can be compared, though it is no dimension.
                let counts = note.is_none() || self.test.is_some();
                let verdict = match &beside.dimension {
                    Ok(data) if counts => judge(model, low, *data, usual),
                    _ => Verdict::Unknown,
                };
                let png = png::smallest(&picture)?.len();
                samples.push(Audited {
                    seed: part[i],
                    model,
                    note,
                    beside,
                    denoising: known.denoising[i],
                    guidance: known.guidance[i],
                    noise: known.noise[i],
                    png,
                    verdict,
                    picture,
                });
            }
        }
        let pictures = samples.iter().map(|s| train.picture(s.beside.nearest)).collect::<Result<Vec<_>>>()?;
        Ok(AuditReport {
            model: spec.id.clone(),
            model_sha256: generator.model_sha256().to_owned(),
            train_sha256,
            train: train.count(),
            sigma: self.sigma,
            neighbours: train.neighbours(),
            usual,
            low,
            samples,
            nearest: pictures,
        })
    }

    /// The 1 % quantile of the model's dimension at held-out pictures.
    fn low(&self, sampler: &Sampler, test: &Path, cancel: &Cancel) -> Result<f64> {
        sampler.check_level(self.sigma)?;
        let spec = sampler.spec();
        let set = data_set(test, spec.sample_shape)?;
        let count = set.count().min(HELD_OUT);
        let mut found = Vec::with_capacity(count);
        for first in (0..count).step_by(TOGETHER) {
            cancel.check(|| "nothing was written".into())?;
            let part = first..(first + TOGETHER).min(count);
            let states = states(sampler, part.flat_map(|i| set.values(i, spec.range)).collect())?;
            let x = rows(states, spec.state_width(), sampler.device());
            let own = flipd(sampler.posterior_mean("model")?, &x, self.sigma, self.pictures.trace())?;
            found.extend(own.iter().map(|f| f.dimension().value));
        }
        let faults = found.iter().filter(|v| !v.is_finite()).count();
        if faults > 0 {
            return Err(Error::SamplesNotFinite { count: faults, total: count });
        }
        found.sort_by(f64::total_cmp);
        quantile(&found, LOW).ok_or_else(|| Error::key("test", "no pictures found"))
    }

    fn by_denoiser(&self, sampler: &Sampler, seeds: &[u64], states: &[f32]) -> Result<Known> {
        sampler.check_level(self.sigma)?;
        let (width, device) = (sampler.spec().state_width(), sampler.device());
        let x = rows(states.to_vec(), width, device);
        let denoiser = sampler.posterior_mean("model")?;
        let found = flipd(denoiser, &x, self.sigma, self.pictures.trace())?;
        let model = found.iter().map(|f| {
            // A copy has a dimension near 0, and a network misses that by a little on both sides.
            let own = f.dimension();
            let sane = own.value > -1.0 - 3.0 * own.stderr && f.trace.value > -1.0 - 3.0 * own.stderr;
            let note = if sane && own.value.abs() < 1.0 { None } else { f.fault(width).map(|f| f.to_string()) };
            (own, note)
        });
        let noised = |draw: u32| {
            let noise: Vec<f32> = seeds.iter().flat_map(|s| normals(0, *s, Stream::Probe, 64 + draw, width)).collect();
            State::plain(x.clone() + rows(noise, width, device) * NOISED)
        };
        let mut errors = vec![0.0; seeds.len()];
        for draw in 0..DRAWS {
            let off = denoiser.denoise(&noised(draw), NOISED, None)?.value - x.clone();
            let squares = to_f64((off.clone() * off).mean_dim(1))?;
            errors.iter_mut().zip(squares).for_each(|(e, s)| *e += s / f64::from(DRAWS));
        }
        let [low, high] = sampler.config().sigma;
        let steps: Vec<f64> = (0..=10).map(|i| (low.ln() + (high / low).ln() * f64::from(i) / 10.0).exp()).collect();
        let guidance = guidance(sampler.denoiser(), &noised(0), seeds.len())?;
        let carried = host(to_noise(denoiser, x, &steps)?)?;
        let norm = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let noise = carried.chunks_exact(width).map(|row| Some(norm(row) / high / (width as f64).sqrt()));
        Ok(Known {
            model: model.collect(),
            denoising: errors.into_iter().map(|e| Some(e.sqrt())).collect(),
            guidance,
            noise: noise.collect(),
        })
    }

    fn by_jacobian(&self, generator: &dyn Generator, seeds: &[u64], usual: f64) -> Result<Known> {
        if self.pictures.pictures.is_some() {
            return Err(Error::key("pictures", "this model has no denoiser, and is measured at its own seeds only"));
        }
        let z = Latents::of_seeds(seeds, generator.spec().latent_width);
        let spectra = estimator("exact")?.spectra(generator, z.values())?;
        let width = generator.spec().latent_width;
        let thin = (2.0 * width as f64) < usual;
        let thin = thin.then(|| format!("its {width} latents are fewer than half of the data's dimension, {usual:.0}"));
        let model = spectra.iter().map(|s| match s {
            Some(s) => {
                let value = spectral_dimension(&s.singular_values, &s.rotated_latent, self.sigma);
                (Estimate { value, stderr: 0.0 }, thin.clone())
            }
            None => (Estimate { value: f64::NAN, stderr: f64::NAN }, Some("its Jacobian is not finite".to_owned())),
        });
        let none = vec![None; seeds.len()];
        Ok(Known { model: model.collect(), denoising: none.clone(), guidance: none.clone(), noise: none })
    }
}

/// The largest change of D(x; σ) over the classes of the denoiser, root mean square over the values of each of the `n` rows; `None`
/// without classes.
fn guidance(denoiser: &NetworkDenoiser, x: &State, n: usize) -> Result<Vec<Option<f64>>> {
    let mut largest: Vec<Option<f64>> = vec![None; n];
    if denoiser.classes() > 0 {
        let free = denoiser.denoise(x, NOISED, None)?.value;
        for class in 0..denoiser.classes() {
            let off = denoiser.denoise(x, NOISED, Some(&vec![class; n]))?.value - free.clone();
            let changes = to_f64((off.clone() * off).mean_dim(1))?;
            // A value that is not finite stays so.
            let larger = |l: f64, c: f64| if l >= c || l.is_nan() { l } else { c };
            largest.iter_mut().zip(changes).for_each(|(l, c)| *l = Some(l.map_or(c.sqrt(), |l| larger(l, c.sqrt()))));
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_compares_the_model_with_the_data() {
        let model = |value: f64, stderr: f64| Estimate { value, stderr };
        let data = |value: f64, low: f64, high: f64| DataDimension { value, interval: [low, high] };
        // The data vary here, the model does not.
        assert_eq!(judge(model(-0.1, 0.0), 6.0, data(12.0, 7.0, 18.0), 12.0), Verdict::Overfitted);
        // A picture that is repeated.
        assert_eq!(judge(model(0.1, 0.1), 6.0, data(0.0, 0.0, 0.0), 12.0), Verdict::DataDriven);
        // The data are thin here, the model is not.
        assert_eq!(judge(model(9.0, 0.5), 6.0, data(0.0, 0.0, 0.0), 12.0), Verdict::Free);
        // A line in data that are mostly surfaces is no copy.
        assert_eq!(judge(model(1.0, 0.0), 1.0, data(1.0, 0.6, 1.6), 2.0), Verdict::Free);
        // A model with few latents varies less than the data everywhere.
        assert_eq!(judge(model(12.2, 0.0), 10.0, data(35.0, 17.0, 63.0), 20.0), Verdict::Free);
        // Too uncertain to accuse the model.
        assert_eq!(judge(model(5.0, 2.0), 6.0, data(12.0, 7.0, 18.0), 12.0), Verdict::Free);
        assert_eq!(judge(model(f64::NAN, 0.0), 6.0, data(12.0, 7.0, 18.0), 12.0), Verdict::Unknown);
    }
}
