//! Guides in the closed loop. Each attempt is a pass through the guided sampler towards an aim, and what was measured
//! moves the aim. The reward tells where to go, the measurement how far.

use super::keys::Denoising;
use super::plain::{check_asked, sampler_of};
use super::task::Task;
use super::walk::Finished;
use super::{GuideRow, Run};
use crate::cancel::Cancel;
use crate::diffusion::Denoiser;
use crate::diffusion::guidance::{ClassifierFree, Interval};
use crate::error::{Error, Result};
use crate::generator::Sampler;
use crate::steer::closed_loop::{Attempt, Next, Trial, close};
use crate::steer::open_loop::computed;
use crate::steer::{Engine, Missed, Settings, Starts, Steered};
use crate::units::{Latents, Level, Percentile};

impl Engine {
    /// Whether this model and its reward can do what a recipe asks of the denoiser. Without a guide the recipe asks for
    /// a class only.
    ///
    /// # Errors
    /// [`Error::Key`] naming the key.
    pub fn check_denoising(&self, guide: Option<&GuideRow>, asked: &Denoising) -> Result<()> {
        self.denoised(guide, asked).map(|_| ())
    }

    /// Network evaluations of one pass through the sampler; `None` unless this is a diffusion model.
    pub fn evaluations(&self) -> Option<usize> {
        self.generator.as_sampler().map(|s| s.sampling().evaluations())
    }

    pub(super) fn denoised(&self, guide: Option<&GuideRow>, asked: &Denoising) -> Result<&Sampler> {
        let sampler = sampler_of(&*self.generator)?;
        check_asked(sampler, asked)?;
        if guide.is_some_and(|g| g.has_set_point) && self.reward.card.noised.is_none() {
            return Err(Error::config("reward", "it sees latents, not noised pictures; train one with [noised]"));
        }
        Ok(sampler)
    }

    /// The model's denoiser, pushed towards the class that a recipe asks for.
    pub(super) fn conditioned<'a>(sampler: &'a Sampler, asked: &Denoising) -> ClassifierFree<'a> {
        ClassifierFree { inner: sampler.denoiser(), scale: asked.condition.scale(), interval: Interval::ALL }
    }

    /// The noise levels at which the reward acts: those the user gave, or those where the reward is reliable enough to
    /// guide (13).
    fn interval(&self, sampler: &Sampler, asked: &Denoising) -> Interval {
        if let Some([low, high]) = asked.walk.interval {
            return Interval { low, high };
        }
        let Some(noised) = &self.reward.card.noised else { return Interval::ALL };
        let worth = || sampler.sampling().sigmas.iter().copied().filter(|s| noised.guides(*s));
        Interval { low: worth().fold(f64::INFINITY, f64::min), high: worth().fold(0.0, f64::max) }
    }

    /// Guides the samples of one tile from the noise of their seeds, see [`guide_from`](Self::guide_from).
    ///
    /// # Errors
    /// Those of [`guide_from`](Self::guide_from).
    pub fn guide(
        &self,
        guide: Option<&GuideRow>,
        asked: &Denoising,
        samples: &[u64],
        novelty: Option<Percentile>,
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Vec<Finished>> {
        self.guide_from(guide, asked, &self.starts(samples), novelty, settings, cancel)
    }

    /// Guides the samples of one tile to `novelty`, or, if that is `None`, as strongly as `asked` says. Without a guide
    /// the samples are only pushed towards their class. With a set-point, up to `corrections` measurements move the
    /// aim, and the picture that came nearest is kept.
    ///
    /// # Errors
    /// As [`check_denoising`](Self::check_denoising); of the device, or a stop.
    pub fn guide_from(
        &self,
        guide: Option<&GuideRow>,
        asked: &Denoising,
        starts: &Starts,
        novelty: Option<Percentile>,
        settings: &Settings,
        cancel: &Cancel,
    ) -> Result<Vec<Finished>> {
        let Starts { samples, noise } = starts;
        let sampler = self.denoised(guide, asked)?;
        let free = Self::conditioned(sampler, asked);
        let inner: &dyn Denoiser = if asked.condition.class.is_some() { &free } else { sampler.denoiser() };
        let interval = self.interval(sampler, asked);
        let task = Task { engine: self, sampler, inner, asked, interval, samples, start: noise, cancel };
        let run: Run = guide.map_or(|task, _| task.guided(task.inner), |g| g.run);
        let Some(novelty) = novelty.filter(|_| !asked.push) else {
            let mut finished = run(&task, None)?;
            finished.iter_mut().for_each(|f| self.settle(&mut f.steered, None, settings.tolerance));
            return Ok(finished);
        };
        let targets = vec![self.reward.calibration.level_at(novelty); samples.len()];
        let mut trial = GuideTrial { task: &task, run, aims: targets.clone() };
        let closed = close(&mut trial, &targets, settings.corrections)?;
        let finished = closed.into_iter().map(|end| {
            let mut finished = end.kept.outcome;
            finished.steered.steps *= end.attempts;
            finished.steered.attempts = end.attempts;
            finished.steered.missed = Some(end.why);
            self.settle(&mut finished.steered, Some(novelty), settings.tolerance);
            finished
        });
        Ok(finished.collect())
    }

    /// Compares a guided sample with what was asked for, where its measured value can be trusted.
    fn settle(&self, steered: &mut Steered, asked: Option<Percentile>, tolerance: f64) {
        match steered.by_way_back {
            true => steered.unmeasured(Missed::NoNoise),
            false => self.judge(steered, asked, tolerance),
        }
    }
}

struct GuideTrial<'a> {
    task: &'a Task<'a>,
    run: Run,
    /// The last aim of each sample.
    aims: Vec<Level>,
}

impl Trial for GuideTrial<'_> {
    type Place = Level;
    type Outcome = Finished;

    /// Four fifths of a percentile at the median.
    const NEAR: f64 = 0.02;

    fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
        let all: Vec<usize> = (0..self.aims.len()).collect();
        Ok(vec![self.pass(&all)?])
    }

    fn correct(&mut self, next: Vec<Next<Level>>) -> Result<Vec<Option<Attempt<Self>>>> {
        let moves: Vec<bool> = next.iter().map(|n| !matches!(n, Next::Rest)).collect();
        for (i, next) in next.into_iter().enumerate() {
            self.aims[i] = match next {
                Next::Rest => self.aims[i],
                Next::Between { below, above, part } => below + (above - below) * part,
                Next::On { aim, .. } | Next::Beside { aim, .. } | Next::Elsewhere { aim, .. } => aim,
            };
        }
        let rows = computed(moves.len(), &self.task.engine.reward, |i| moves[i]);
        let mut attempts: Vec<Option<Attempt<Self>>> = moves.iter().map(|_| None).collect();
        for (attempt, i) in self.pass(&rows)?.into_iter().zip(rows) {
            attempts[i] = Some(attempt).filter(|_| moves[i]);
        }
        Ok(attempts)
    }

    fn interpolates(&self) -> bool {
        true
    }
}

impl GuideTrial<'_> {
    /// One pass of these samples through the guide, each towards its aim.
    fn pass(&self, rows: &[usize]) -> Result<Vec<Attempt<Self>>> {
        let whole = self.task;
        let samples: Vec<u64> = rows.iter().map(|i| whole.samples[*i]).collect();
        let start = rows.iter().flat_map(|i| whole.start.row(*i)).copied().collect();
        let start = Latents::new(start, whole.start.width());
        let aims: Vec<Level> = rows.iter().map(|i| self.aims[*i]).collect();
        let task = Task { samples: &samples, start: &start, ..*whole };
        let tile = (self.run)(&task, Some(&aims))?;
        let one = |(finished, aim): (Finished, Level)| Attempt {
            place: aim,
            promised: aim,
            level: whole.engine.level(finished.steered.reading.as_ref()),
            caught: false,
            outcome: finished,
        };
        Ok(tile.into_iter().zip(aims).map(one).collect())
    }
}
