//! Guidance during denoising (theory, 24 to 28) on a diffusion model. A reward of a quantity of pictures measures the guided
//! picture itself. For one of latents, as ψ_k of the sampler is, the picture is carried back along the flow to the noise it
//! would come from, which is biased.

use super::keys::{Denoising, Guide};
use super::population::Population;
use crate::cancel::Cancel;
use crate::diffusion::guidance::{
    Backward, ClassifierFree, DensityScaled, Form, Forward, Interval, Minority, Normalisation, Recurrent,
};
use crate::diffusion::solvers::solver;
use crate::diffusion::{Classes, Denoiser, NoiseOptimisation, Sampling, State, sampling_noise, to_noise};
use crate::error::{Error, Result};
use crate::generator::{Generator, Sampler, spoilt};
use crate::nn::Rows;
use crate::reward::{Place, Reading, Score};
use crate::steer::{Engine, Status, Steered};
use crate::tensors::{host, rows};
use crate::units::{Level, Percentile};

/// A sample that has a picture.
pub struct Finished {
    /// What was asked, predicted and measured.
    pub steered: Steered,
    /// Its values.
    pub picture: Vec<f32>,
    /// Effective sizes of its particles, one for each weighing; empty where there were none.
    pub effective_sizes: Vec<f64>,
    /// Denoised estimates on the way: (step, values).
    pub previews: Vec<(usize, Vec<f32>)>,
}

/// Levels of the way back to the noise: enough that its own error is small beside what guidance does.
const BACK: usize = 24;
/// Distance of levels at which no further round is made: at the median, four fifths of a percentile.
const CLOSE_ENOUGH: f64 = 0.02;
/// Gradient steps of backward guidance in each evaluation.
const BACKWARD_STEPS: usize = 3;

/// The samples of a tile on their way through a guided sampler.
pub struct Task<'a> {
    /// Model, reward and estimator.
    pub engine: &'a Engine,
    /// The model's sampler.
    pub sampler: &'a Sampler,
    /// What is done.
    pub how: &'a Denoising,
    /// Sample indices.
    pub samples: &'a [u64],
    /// Asked before every step.
    pub cancel: &'a Cancel,
}

/// Values of a tile's pictures, and of their previews by step.
struct Walked {
    pictures: Rows,
    previews: Previews,
}

impl Engine {
    /// Whether this model and its reward can do what a recipe asks of its denoiser.
    ///
    /// # Errors
    /// [`Error::Config`] naming the flag.
    pub fn check_denoising(&self, guide: Guide, how: &Denoising) -> Result<()> {
        let Some(sampler) = self.generator.as_sampler() else {
            let message =
                format!("\"{}\" is no diffusion model and has no denoiser to guide", self.generator.spec().id);
            return Err(Error::key("method", message));
        };
        if let Some(class) = how.condition.class {
            crate::diffusion::condition_rows(&[0.0], Some(&[class]), sampler.denoiser().classes(), sampler.device())?;
        }
        let reward = matches!(guide, Guide::Forward | Guide::Backward | Guide::Particles | Guide::Noise);
        if reward && self.reward.card.noised.is_none() {
            return Err(Error::config("reward", "it sees latents, not noised pictures; train one with [noised]"));
        }
        Ok(())
    }

    /// Guides the samples of one tile to `novelty`, or as strongly as told where there is none. With a set-point the
    /// measured value moves it, `corrections` times, and the nearest picture is kept: the reward tells where to go, the
    /// measurement how far.
    ///
    /// # Errors
    /// As [`check_denoising`](Self::check_denoising); of the device, or a stop.
    pub fn guide(
        &self,
        guide: Guide,
        how: &Denoising,
        samples: &[u64],
        novelty: Option<Percentile>,
        corrections: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Finished>> {
        self.check_denoising(guide, how)?;
        let Some(sampler) = self.generator.as_sampler() else { return Err(Error::Bug("checked above".into())) };
        let task = Task { engine: self, sampler, how, samples, cancel };
        let target = novelty.filter(|_| !how.push).map(|n| self.reward.calibration.level_at(n));
        let start = self.latents(samples);
        let Some(target) = target else { return task.round(guide, &start, None) };
        let mut aims = vec![target; samples.len()];
        let mut best: Vec<Option<Finished>> = samples.iter().map(|_| None).collect();
        let mut tried: Vec<Vec<[Level; 2]>> = vec![Vec::new(); samples.len()];
        // Whether a sample takes part in the next round: by its own measurement alone, never by its neighbours'.
        let mut open = vec![true; samples.len()];
        for round in 0..=corrections {
            let found = task.round(guide, &start, Some(&aims))?;
            for (i, found) in found.into_iter().enumerate() {
                if !open[i] {
                    continue;
                }
                let level = self.level(&found.steered);
                let gap = |f: &Finished| self.level(&f.steered).map_or(f64::INFINITY, |l| l.distance(target));
                let steps = best[i].as_ref().map_or(0, |b| b.steered.steps) + found.steered.steps;
                if best[i].as_ref().is_none_or(|b| gap(&found) < gap(b)) {
                    best[i] = Some(found);
                }
                if let Some(b) = &mut best[i] {
                    b.steered.steps = steps;
                }
                match level.filter(|l| l.distance(target) > CLOSE_ENOUGH) {
                    None => open[i] = false,
                    Some(level) => {
                        tried[i].push([aims[i], level]);
                        aims[i] = aims[i] + gain(&tried[i]) * (target - level);
                    }
                }
            }
            if round == corrections || !open.contains(&true) {
                break;
            }
        }
        Ok(best.into_iter().flatten().collect())
    }

    /// The level of what was measured.
    fn level(&self, steered: &Steered) -> Option<Level> {
        let value = steered.reading.as_ref()?.value(self.reward.card.model_rank)?;
        Some(self.reward.calibration.level_of(value))
    }
}

/// How far an aim must be moved for one unit of the measured level: from the last two rounds, within ⅓ … 3.
fn gain(tried: &[[Level; 2]]) -> f64 {
    match tried {
        [.., a, b] if (b[1] - a[1]).abs() > 1e-9 => ((b[0] - a[0]) / (b[1] - a[1])).clamp(1.0 / 3.0, 3.0),
        _ => 1.0,
    }
}

impl Task<'_> {
    /// The class of each of `n` rows.
    fn classes(&self, n: usize) -> Option<Vec<usize>> {
        self.how.condition.class.map(|c| vec![c; n])
    }

    /// Push, or towards `aims`.
    fn form(&self, aims: Option<&[Level]>) -> Form {
        match aims {
            None => Form::Push,
            Some(aims) => {
                let targets = rows(aims.iter().map(|a| a.0 as f32).collect(), 1, self.sampler.device());
                Form::SetPoint { targets, scale: 1.0 }
            }
        }
    }

    /// The levels at which the reward acts: as told, or where it is worth something (13).
    pub fn interval(&self) -> Result<Interval> {
        if let Some([low, high]) = self.how.walk.interval {
            return Ok(Interval { low, high });
        }
        let Some(noised) = &self.engine.reward.card.noised else { return Ok(Interval::ALL) };
        let worth: Vec<f64> = self.sampler.sampling().sigmas.iter().copied().filter(|s| noised.guides(*s)).collect();
        let low = worth.iter().copied().fold(f64::INFINITY, f64::min);
        let high = worth.iter().copied().fold(0.0, f64::max);
        Ok(Interval { low, high })
    }

    /// Every sample once, measured.
    fn round(&self, guide: Guide, start: &[f32], aims: Option<&[Level]>) -> Result<Vec<Finished>> {
        let (sampler, strength) = (self.sampler, self.how.strength);
        let d = sampler.spec().latent_width;
        let z = rows(start.to_vec(), d, sampler.device());
        let free =
            ClassifierFree { inner: sampler.denoiser(), scale: self.how.condition.scale(), interval: Interval::ALL };
        let inner: &dyn Denoiser = if self.how.condition.class.is_some() { &free } else { sampler.denoiser() };
        let interval = self.interval()?;
        let (potential, form, normalisation) = (&self.engine.reward, self.form(aims), Normalisation::Ratio);
        let walked = match guide {
            Guide::Plain => self.walk(inner, &z)?,
            Guide::Forward => self.walk(&Forward { inner, potential, form, strength, normalisation, interval }, &z)?,
            Guide::Backward => {
                let steps = BACKWARD_STEPS;
                self.walk(&Backward { inner, potential, form, strength, steps, interval }, &z)?
            }
            Guide::Density => self.walk(&DensityScaled { inner, quantile: strength, interval: Interval::ALL }, &z)?,
            Guide::Minority => {
                let noise = sampling_noise(self.samples, 0, 3, d, sampler.device());
                let potential = Minority { inner: sampler.denoiser(), scale: 0.9, noise };
                let form = Form::Push;
                self.walk(&Forward { inner, potential: &potential, form, strength, normalisation, interval }, &z)?
            }
            Guide::Particles => return self.populations(inner, start, aims, interval),
            Guide::Noise => return self.optimised(inner, start, aims),
        };
        let steps = self.sampling()?.evaluations() * if self.how.condition.class.is_some() { 2 } else { 1 };
        let steered = self.measured(start, &walked.pictures, steps)?;
        finished(steered, walked)
    }

    /// The model's solver, repeated where that is asked.
    fn sampling(&self) -> Result<Sampling> {
        let config = self.sampler.config();
        let again = || {
            solver(&config.solver, config.solver_settings.clone())
                .map_err(|(key, m)| Error::Bug(format!("denoiser.sampler.{key}: {m}")))
        };
        let sigmas = self.sampler.sampling().sigmas.clone();
        Ok(match self.how.walk.times() {
            1 => Sampling::new(again()?, sigmas),
            times => Sampling::new(Box::new(Recurrent { inner: again()?, times }), sigmas),
        })
    }

    /// The guided sampler's pictures.
    fn walk(&self, guided: &dyn Denoiser, z: &Rows) -> Result<Walked> {
        let classes = self.classes(self.samples.len());
        let mut denoise = |x: &State, sigma: f64| guided.denoise(x, sigma, classes.as_deref() as Classes);
        let job = Walk {
            sampler: self.sampler,
            sampling: &self.sampling()?,
            samples: self.samples,
            preview_every: self.how.preview_every,
            cancel: self.cancel,
        };
        job.run(z.clone(), &mut denoise)
    }

    /// (28): the noise itself is moved; its picture is measured where it is.
    fn optimised(&self, inner: &dyn Denoiser, start: &[f32], aims: Option<&[Level]>) -> Result<Vec<Finished>> {
        let (sampler, reward) = (self.sampler, &self.engine.reward);
        let d = sampler.spec().latent_width;
        let form = self.form(aims);
        let worth = |x: Rows| -> Result<Rows> {
            let level = reward.of_pictures(x)?;
            Ok(match &form {
                Form::Push => level,
                Form::SetPoint { targets, scale } => {
                    let off = (level - targets.clone()) / *scale;
                    off.clone() * off * -0.5
                }
            })
        };
        let classes = self.classes(self.samples.len());
        let mut denoise = |x: &State, sigma: f64| {
            self.cancel.check(|| "finished tiles are kept".into())?;
            inner.denoise(x, sigma, classes.as_deref() as Classes).map(|out| spoilt(out, self.samples))
        };
        let optimisation = NoiseOptimisation { steps: OPTIMISATION_STEPS, rate: self.how.strength, regulariser: 1.0 };
        let z = rows(start.to_vec(), d, sampler.device());
        let (z, _) = optimisation.run(&z, sampler.sampling(), &mut denoise, &worth)?;
        let walked = self.walk(inner, &z)?;
        let steps = sampler.sampling().evaluations() * (OPTIMISATION_STEPS + 2);
        let steered = match (reward.quantity.row().place, self.how.condition.class) {
            (Place::Picture, _) => self.measured_pictures(start, &host(z)?, &walked.pictures, steps)?,
            (Place::Latent, None) => self.measured_at(start, &host(z)?, steps)?,
            (Place::Latent, Some(_)) => self.measured(start, &walked.pictures, steps)?,
        };
        finished(steered, walked)
    }

    /// (27): a population for each sample, one after another, so that no sample knows of another.
    fn populations(
        &self,
        inner: &dyn Denoiser,
        start: &[f32],
        aims: Option<&[Level]>,
        interval: Interval,
    ) -> Result<Vec<Finished>> {
        let d = self.sampler.spec().latent_width;
        let mut pictures = Vec::with_capacity(self.samples.len() * d);
        let mut sizes = Vec::with_capacity(self.samples.len());
        let mut steps = 0;
        for (i, (sample, start)) in self.samples.iter().zip(start.chunks_exact(d)).enumerate() {
            let population = Population::new(self, *sample, aims.map(|a| a[i]), interval)?;
            steps = population.evaluations();
            let (picture, effective) = population.run(inner, start)?;
            pictures.extend(picture);
            sizes.push(effective);
        }
        let pictures = rows(pictures, d, self.sampler.device());
        let steered = self.measured(start, &pictures, steps)?;
        let mut all = finished(steered, Walked { pictures, previews: Vec::new() })?;
        all.iter_mut().zip(sizes).for_each(|(f, sizes)| f.effective_sizes = sizes);
        Ok(all)
    }

    /// Guided pictures with what is measured of them: at the picture where the reward's quantity is one of pictures, else at
    /// the noise it would come from.
    fn measured(&self, start: &[f32], pictures: &Rows, steps: usize) -> Result<Vec<Steered>> {
        if self.engine.reward.quantity.row().place == Place::Picture {
            return self.measured_pictures(start, start, pictures, steps);
        }
        let [low, high] = self.sampler.config().sigma;
        let part = |i: usize| i as f64 / (BACK - 1) as f64;
        let levels: Vec<f64> = (0..BACK).map(|i| (low.ln() + (high / low).ln() * part(i)).exp()).collect();
        let latents = host(to_noise(self.sampler.denoiser(), pictures.clone(), &levels)? * (1.0 / high))?;
        self.measured_at(start, &latents, steps)
    }

    /// Samples at `latents`, through the sampler.
    fn measured_at(&self, start: &[f32], latents: &[f32], steps: usize) -> Result<Vec<Steered>> {
        let engine = self.engine;
        let scores = engine.reward.score(latents)?;
        Ok(self.steered(start, latents, engine.read(latents)?, scores, steps))
    }

    /// Samples as the pictures that they are; `latents` is the noise they were begun from.
    fn measured_pictures(&self, start: &[f32], latents: &[f32], pictures: &Rows, steps: usize) -> Result<Vec<Steered>> {
        let reward = &self.engine.reward;
        // A reward that sees latents has nothing to say of a picture.
        let scores = match reward.card.noised {
            Some(_) => reward.score_pictures(pictures.clone())?,
            None => vec![Score { level: Level(f64::NAN), std: f64::NAN }; self.samples.len()],
        };
        let readings = reward.quantity.read(self.sampler, &host(pictures.clone())?)?;
        Ok(self.steered(start, latents, readings, scores, steps))
    }

    fn steered(
        &self,
        start: &[f32],
        latents: &[f32],
        readings: Vec<Option<Reading>>,
        scores: Vec<Score>,
        steps: usize,
    ) -> Vec<Steered> {
        let d = self.sampler.spec().latent_width;
        let engine = self.engine;
        let one = |(i, (reading, predicted)): (usize, (Option<Reading>, Score))| {
            let latent = &latents[i * d..(i + 1) * d];
            let mut steered = Steered {
                sample: self.samples[i],
                start: start[i * d..(i + 1) * d].to_vec(),
                latent: latent.to_vec(),
                predicted,
                reading,
                steps,
                status: Status::Ok,
            };
            steered.status = match engine.level(&steered) {
                _ if latent.iter().any(|v| !v.is_finite()) => Status::NonFinite,
                Some(level) if engine.reward.calibration.spans(level) => Status::Ok,
                _ => Status::OffManifold,
            };
            steered
        };
        readings.into_iter().zip(scores).enumerate().map(one).collect()
    }
}

/// Denoised estimates on the way: (step, values of all samples).
pub type Previews = Vec<(usize, Vec<f32>)>;

/// Steps of a noise optimisation: each is a pass through the sampler and back.
const OPTIMISATION_STEPS: usize = 12;

/// Samples with their pictures and previews.
fn finished(steered: Vec<Steered>, walked: Walked) -> Result<Vec<Finished>> {
    let n = steered.len();
    let values = host(walked.pictures)?;
    let d = values.len() / n.max(1);
    let of = |i: usize, all: &[f32]| all[i * d..(i + 1) * d].to_vec();
    let one = |(i, steered): (usize, Steered)| Finished {
        picture: of(i, &values),
        previews: walked.previews.iter().map(|(step, all)| (*step, of(i, all))).collect(),
        effective_sizes: Vec::new(),
        steered,
    };
    Ok(steered.into_iter().enumerate().map(one).collect())
}

/// A run of a sampler that may be stopped, spoilt and looked at.
pub struct Walk<'a> {
    /// The model.
    pub sampler: &'a Sampler,
    /// How it goes.
    pub sampling: &'a Sampling,
    /// Keys of the noise.
    pub samples: &'a [u64],
    /// Steps between previews; 0 for none.
    pub preview_every: usize,
    /// Asked before every step.
    pub cancel: &'a Cancel,
}

impl Walk<'_> {
    fn run(&self, z: Rows, denoise: &mut dyn FnMut(&State, f64) -> Result<State>) -> Result<Walked> {
        let step = std::cell::Cell::new(None);
        let mut previews = Vec::new();
        let mut denoise = |x: &State, sigma: f64| {
            let answer = spoilt(denoise(x, sigma)?, self.samples);
            // The first answer of a step that is due.
            if let Some(step) = step.take() {
                previews.push((step, host(answer.value.clone())?));
            }
            Ok(answer)
        };
        let mut before = |i: usize, _: &State| {
            step.set(Some(i).filter(|i| self.preview_every > 0 && i % self.preview_every == 0));
            self.cancel.check(|| "finished tiles are kept".into())
        };
        let width = self.sampler.spec().latent_width;
        let mut noise = |step, draw| sampling_noise(self.samples, step, draw, width, self.sampler.device());
        let start = State::plain(z * self.sampling.sigmas[0]);
        let pictures = self.sampling.run(start, &mut denoise, &mut noise, &mut before)?.value;
        Ok(Walked { pictures, previews })
    }
}

/// Pictures of latents through the model's own sampler, with previews: (step, values of all).
///
/// # Errors
/// Of the device, or a stop.
pub fn pictures(
    sampler: &Sampler,
    samples: &[u64],
    latents: Vec<f32>,
    preview_every: usize,
    cancel: &Cancel,
) -> Result<(Vec<f32>, Previews)> {
    let z = rows(latents, sampler.spec().latent_width, sampler.device());
    let walk = Walk { sampler, sampling: sampler.sampling(), samples, preview_every, cancel };
    let mut denoise = |x: &State, sigma: f64| sampler.denoiser().denoise(x, sigma, None);
    let walked = walk.run(z, &mut denoise)?;
    Ok((host(walked.pictures)?, walked.previews))
}
