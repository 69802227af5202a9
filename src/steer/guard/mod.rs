//! The guard: every sample is measured as `isoline ood` measures pictures, and one that is unusual beside the model's data is
//! flagged, or another is made in its place (theory, 34).
//!
//! A copy of a training picture has a local dimension near 0, far below that of the data, at a likelihood that is high: *dense but
//! without mass*. A picture that has left what the model knows has an unusually low likelihood: *off the manifold*. What is unusual
//! is learnt from data ([`FitFile`]) and never set by hand.

mod fit;
mod measure;

pub use fit::{FitFile, LEAST, Place, Verdict, usual_place};
pub use measure::{Measures, Pair};

use super::denoiser::sampler_of;
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler};
use crate::noise::{Stream, normals};
use crate::store;
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is done about an unusual sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// There is no guard, not even the one in the recipe of a picture that the job begins with
    None,
    /// It is kept, and its status says so
    Flag,
    /// Steering stops before it: the best place measured before is kept
    Stop,
    /// It is made again from other noise, up to twelve times
    Resample,
    /// Steering goes around it: an unusual place is never kept where a usual one was found
    SteerAway,
}

impl Action {
    /// Whether samples are judged at every place that is measured on their way, and not only at its end.
    pub fn acts_on_the_way(self) -> bool {
        matches!(self, Self::Stop | Self::SteerAway)
    }
}

/// The guard's keys as typed.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Guard, for diffusion models")]
#[serde(default)]
pub struct GuardKeys {
    /// Measure whether each picture is a copy or off the manifold: flag those, stop before them, resample them, or steer-away;
    /// none leaves out the guard of a picture given with --from
    #[arg(long, value_name = "ACTION", num_args = 0..=1, default_missing_value = "flag", hide_possible_values = true)]
    pub guard: Option<Action>,
    /// What isoline ood fit wrote for this model [default: runs/ood-MODEL/ood.toml]
    #[arg(long, value_name = "FILE")]
    pub guard_fit: Option<PathBuf>,
    /// The share of usual pictures that may be called unusual [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    pub guard_alpha: Option<f64>,
}

/// The share of usual pictures that are called unusual, where nothing else is asked for.
const ALPHA: f64 = 0.05;

impl GuardKeys {
    /// Whether each key has a value that it can have, and means something.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        let needs = |key| Err(Error::key(key, "needs guard, which says what to do about an unusual picture"));
        match (self.guard, self.guard_alpha) {
            (None, Some(_)) => needs("guard_alpha"),
            (None, None) if self.guard_fit.is_some() => needs("guard_fit"),
            (_, Some(alpha)) if !(alpha > 0.0 && alpha < 1.0) => {
                Err(Error::key("guard_alpha", format!("expected a share between 0 and 1, found {alpha}")))
            }
            _ => Ok(()),
        }
    }

    /// The guard that they ask for on this model.
    ///
    /// # Errors
    /// [`Error::Key`] for a model without a denoiser, or a share that the fit is too small for; those of reading the fit.
    pub fn guard(&self, model: &dyn Generator) -> Result<Option<Guard>> {
        let Some(action) = self.guard.filter(|a| *a != Action::None) else { return Ok(None) };
        let id = &model.spec().id;
        let Ok(sampler) = sampler_of(model) else {
            let message =
                format!("\"{id}\" is no diffusion model, and the guard measures with a denoiser; leave it out");
            return Err(Error::key("guard", message));
        };
        let path = self.guard_fit.clone().unwrap_or_else(|| usual_place(id));
        let fit = FitFile::of_model(&path, model.model_sha256())?;
        sampler.check_level(fit.measures.sigma)?;
        let alpha = self.guard_alpha.unwrap_or(ALPHA);
        let least = fit.least(alpha).ok_or_else(|| {
            let (few, enough) = (fit.pairs.len(), (2.0 / alpha).ceil());
            Error::key("guard_alpha", format!("{alpha} needs a fit of at least {enough} pictures, found one of {few}"))
        })?;
        Ok(Some(Guard { action, measures: fit.measures.clone(), least, fit_sha256: store::sha256_file(&path)? }))
    }
}

/// The guard as a recipe records it: all that its verdicts depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// What is done about an unusual sample.
    pub action: Action,
    /// SHA-256 of the fit that the limits are from.
    pub fit_sha256: String,
    /// How samples are measured.
    pub measures: Measures,
    /// The least numbers that are usual.
    pub least: Pair,
}

/// What the guard measured of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// ln p in nats, of the picture with noise; absent if it is not finite.
    pub log_likelihood: Option<f64>,
    /// Local dimension; absent if it is not finite.
    pub dimension: Option<f64>,
    /// What is said of it.
    pub verdict: Verdict,
    /// Unusual places that were found on its way.
    pub caught: usize,
    /// Times it was made again from other noise.
    pub resampled: usize,
}

impl Watched {
    /// Whether anything but "in" is said of it.
    pub fn is_unusual(self) -> bool {
        self.verdict != Verdict::In
    }
}

/// Times that a sample is made again at most. Where half of a model's pictures are copies, one of 8,000 is left.
pub const ROUNDS: usize = 12;

impl Guard {
    /// Judges states of `sampler`, `[n × width]` row-major.
    ///
    /// # Errors
    /// Those of [`Measures::pairs`].
    pub fn watch(&self, sampler: &Sampler, states: &[f32]) -> Result<Vec<Watched>> {
        Ok(self.measures.pairs(sampler, states)?.into_iter().map(|pair| self.judge(pair)).collect())
    }

    /// Judges a picture by its numbers.
    pub fn judge(&self, pair: Pair) -> Watched {
        let number = |v: f64| Some(v).filter(|v| v.is_finite());
        Watched {
            log_likelihood: number(pair.log_likelihood),
            dimension: number(pair.dimension),
            verdict: self.least.beside(pair),
            caught: 0,
            resampled: 0,
        }
    }

    /// Whether every number is one that isoline writes.
    pub fn is_bounded(&self) -> bool {
        self.action != Action::None && self.measures.check().is_ok() && self.least.is_finite()
    }
}

/// Makes again what is caught, for as many rounds as are left: `make` is given the places of the caught and the round, from 1, and
/// returns as many. With each result comes how often it was made again.
///
/// # Errors
/// Those of `make`.
pub fn resampled<T>(
    first: Vec<T>,
    caught: impl Fn(&T) -> bool,
    mut make: impl FnMut(&[usize], usize) -> Result<Vec<T>>,
) -> Result<Vec<(T, usize)>> {
    let mut all: Vec<(T, usize)> = first.into_iter().map(|one| (one, 0)).collect();
    for round in 1..=ROUNDS {
        let places: Vec<usize> = (0..all.len()).filter(|i| caught(&all[*i].0)).collect();
        if places.is_empty() {
            break;
        }
        let made = make(&places, round)?;
        places.into_iter().zip(made).for_each(|(place, one)| all[place] = (one, round));
    }
    Ok(all)
}

/// The noise from which samples are made again in a round, `[samples.len(), width]`: a function of the sample and the round alone.
pub fn fresh(samples: &[u64], round: usize, width: usize) -> Latents {
    let of = |sample: &u64| normals(5, *sample, Stream::Steering, round as u32, width);
    Latents::new(samples.iter().flat_map(of).collect(), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_caught_is_made_again_until_it_is_free_or_the_rounds_are_used_up() {
        // Place i is free from round i on; place 99 never.
        let first: Vec<usize> = vec![0, 1, 3, 99];
        let mut asked = Vec::new();
        let found = resampled(
            first.iter().map(|need| (*need, 0)).collect(),
            |(need, round)| round < need,
            |places, round| {
                asked.push(places.to_vec());
                Ok(places.iter().map(|p| (first[*p], round)).collect())
            },
        );
        let times: Vec<usize> = found.unwrap().into_iter().map(|f| f.1).collect();
        assert_eq!(times, [0, 1, 3, ROUNDS]);
        assert_eq!(asked[..4], [vec![1, 2, 3], vec![2, 3], vec![2, 3], vec![3]]);
        assert_eq!(asked.len(), ROUNDS);
    }

    #[test]
    fn fresh_noise_belongs_to_its_sample_and_round() {
        let two = fresh(&[7, 8], 1, 4);
        assert_eq!(two.row(1), fresh(&[8], 1, 4).row(0));
        assert_ne!(two.row(0), two.row(1));
        assert_ne!(two.row(0), fresh(&[7], 2, 4).row(0));
        assert_ne!(two.row(0), &normals(0, 7, Stream::Latent, 0, 4)[..]);
    }

    #[test]
    fn keys_without_a_guard_mean_nothing() {
        let keys = |guard, alpha| GuardKeys { guard, guard_alpha: alpha, ..GuardKeys::default() };
        assert!(keys(None, None).check().is_ok() && keys(Some(Action::Flag), Some(0.1)).check().is_ok());
        for (guard, alpha) in [(None, Some(0.1)), (Some(Action::Flag), Some(0.0)), (Some(Action::Stop), Some(f64::NAN))]
        {
            assert!(keys(guard, alpha).check().unwrap_err().to_string().contains("guard_alpha"));
        }
        let fit = GuardKeys { guard_fit: Some("x".into()), ..GuardKeys::default() };
        assert!(fit.check().unwrap_err().to_string().contains("guard_fit"));
    }
}
