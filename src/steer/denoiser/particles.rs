//! The particles of one sample (theory, 27). They have their own noise, weights and resampling, so a sample does not
//! depend on its neighbours.

use super::keys::within;
use super::walk::{Images, finished};
use super::{Finished, GuideRow, Task};
use crate::diffusion::particles::{FkPotential, POTENTIALS, Particles, SHARE, drawn};
use crate::diffusion::schedules::schedule;
use crate::diffusion::solvers::solver;
use crate::diffusion::{Classes, Sampling, State};
use crate::error::{Error, Result, did_you_mean};
use crate::generator::{Generator, spoilt};
use crate::nn::Rows;
use crate::noise::{self, Stream};
use crate::steer::OwnKeys;
use crate::tensors::{host, rows};
use crate::units::{Level, Percentile};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// Its row in the table of guides.
pub const ROW: GuideRow = GuideRow {
    name: "particles",
    about: "diffusion: several states of a sample, weighted and resampled (27); guidance is lambda",
    formula: None,
    strength: 4.0,
    trial_strengths: &[],
    draws: true,
    has_set_point: true,
    run,
};

/// Options of the method `particles`.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default)]
pub struct ParticleKeys {
    /// States of each sample, with --method particles [default: 8]
    #[arg(long, value_name = "N")]
    pub particles: Option<usize>,
    /// What particles are weighted by: diff, max, add or tempered [default: diff]
    #[arg(long, value_name = "NAME")]
    pub potential: Option<String>,
}

impl ParticleKeys {
    /// The most states of one sample; they all go into one network call.
    const MOST: usize = 256;

    /// How many states each sample has.
    pub fn count(&self) -> usize {
        self.particles.unwrap_or(8)
    }

    /// The name of what they are weighted by.
    pub fn potential(&self) -> &str {
        self.potential.as_deref().unwrap_or("diff")
    }
}

impl OwnKeys for ParticleKeys {
    fn check(&self) -> Result<()> {
        within("particles", self.particles, 1..=Self::MOST, format_args!("1 to {}", Self::MOST))?;
        let known = || POTENTIALS.iter().map(|p| p.0);
        match self.potential.as_deref().filter(|name| known().all(|p| p != *name)) {
            None => Ok(()),
            Some(name) => {
                let near = did_you_mean(name, known());
                Err(Error::key("potential", format!("no such potential \"{}\"{near}", name.escape_debug())))
            }
        }
    }

    fn check_use(&self, method: &str, _: Option<Percentile>) -> Result<()> {
        if method == ROW.name || *self == Self::default() {
            return Ok(());
        }
        let key = if self.particles.is_some() { "particles" } else { "potential" };
        Err(Error::key(key, format!("needs the method \"{}\", the method here is \"{method}\"", ROW.name)))
    }

    fn filled(&self) -> Self {
        Self { particles: Some(self.count()), potential: Some(self.potential().to_owned()) }
    }
}

/// Runs one population for each sample, one after another, so that no sample depends on another.
fn run(task: &Task, aims: Option<&[Level]>) -> Result<Vec<Finished>> {
    let mut states = Vec::with_capacity(task.samples.len() * task.start.width());
    let mut sizes = Vec::with_capacity(task.samples.len());
    let mut steps = 0;
    for (i, (sample, start)) in task.samples.iter().zip(task.start.rows()).enumerate() {
        let population = Population::new(task, *sample, aims.map(|a| a[i]))?;
        steps = population.evaluations();
        let (state, effective) = population.run(start)?;
        states.extend(state);
        sizes.push(effective);
    }
    let states = rows(states, task.start.width(), task.sampler.device());
    let steered = task.measured(task.start, &states, steps)?;
    let mut all = finished(task.sampler, steered, Images { states, calls: 0, previews: Vec::new() })?;
    all.iter_mut().zip(sizes).for_each(|(f, sizes)| f.effective_sizes = sizes);
    Ok(all)
}

/// Noised steps for each step of the model's own sampler: a stochastic solver needs more of them for the same picture.
const STEPS: usize = 3;

/// The particles of one sample, before their walk from noise to pictures.
struct Population<'a> {
    task: &'a Task<'a>,
    sample: u64,
    target: Option<Level>,
    sigmas: Vec<f64>,
    potential: FkPotential,
}

impl<'a> Population<'a> {
    /// The particles of `sample`, to be steered to `target`, or upwards if there is none.
    fn new(task: &'a Task, sample: u64, target: Option<Level>) -> Result<Self> {
        let config = task.sampler.config();
        let bug = |e: Error| Error::Bug(e.to_string());
        let schedule = schedule(&config.schedule, config.schedule_settings.clone()).map_err(bug)?;
        let (count, [low, high]) = (STEPS * config.steps, config.sigma);
        let level = |i: usize| schedule.sigma(i as f64 / (count - 1) as f64, low, high);
        let sigmas = (0..count).map(level).chain([0.0]).collect();
        let potential = POTENTIALS
            .iter()
            .find(|p| p.0 == task.asked.own.particles.potential())
            .map(|p| p.1)
            .ok_or_else(|| Error::Bug(format!("potential {}", task.asked.own.particles.potential())))?;
        Ok(Self { task, sample, target, sigmas, potential })
    }

    /// Network evaluations of one sample.
    fn evaluations(&self) -> usize {
        let class = if self.task.asked.condition.class.is_some() { 2 } else { 1 };
        class * self.count() * (self.sigmas.len() - 1)
    }

    fn count(&self) -> usize {
        self.task.asked.own.particles.count()
    }

    /// Normals, `[particles × latent width]`, row-major. In the latent stream particle 0 has the sample's own noise.
    fn noise(&self, stream: Stream, step: u32) -> Vec<f32> {
        let width = self.task.sampler.spec().latent_width;
        (0..self.count() as u64).flat_map(|p| noise::normals(p, self.sample, stream, step, width)).collect()
    }

    /// The reward r of pictures `[particles, D]`: −½(level − level*)² with a target, the level itself without one.
    fn rewards(&self, pictures: &Rows) -> Result<Vec<f64>> {
        let levels = host(self.task.engine.reward.of_pictures(pictures.clone())?)?;
        let one = |level: f32| match self.target {
            Some(target) => -0.5 * (f64::from(level) - target.0).powi(2),
            None => f64::from(level),
        };
        Ok(levels.into_iter().map(one).collect())
    }

    /// The picture of one particle, drawn by the last weights, and the effective size at each weighing. If every
    /// particle was lost, the picture is that of the first particle, which is not finite.
    fn run(&self, start: &[f32]) -> Result<(Vec<f32>, Vec<f64>)> {
        let (device, width) = (self.task.sampler.device(), self.task.sampler.spec().latent_width);
        let samples = vec![self.sample; self.count()];
        let classes = self.task.classes(self.count());
        let mut z = self.noise(Stream::Latent, 0);
        z[..width].copy_from_slice(start);
        let mut x = rows(z, width, device) * self.sigmas[0];
        let mut particles = Particles::new(self.count(), self.potential, self.task.asked.strength);
        let share = if self.potential == FkPotential::Tempered { 1.0 } else { SHARE };
        let mut sizes = Vec::new();
        let uniform = |i: usize| f64::from(noise::uniforms(0, self.sample, Stream::Sampling, 1 << 20 | i as u32, 1)[0]);
        for (i, ends) in self.sigmas.windows(2).enumerate() {
            self.task.cancel.check(|| "finished tiles are kept".into())?;
            let state = State::plain(x.clone());
            let mut answer =
                spoilt(self.task.inner.denoise(&state, ends[0], classes.as_deref() as Classes)?, &samples).value;
            if self.task.interval.holds(ends[0]) && i + 2 < self.sigmas.len() {
                particles.weigh(&self.rewards(&answer)?, false);
                sizes.push(particles.effective());
                if let Some(parents) = particles.resample(share, uniform(i)) {
                    let parents: Vec<i64> = parents.into_iter().map(|p| p as i64).collect();
                    let chosen = |x: Rows| x.select(0, Tensor::<1, Int>::from_data(parents.as_slice(), device));
                    (x, answer) = (chosen(x), chosen(answer));
                }
            }
            // The answer for this step is already computed.
            let mut made = Some(answer);
            let mut denoise = |x: &State, sigma: f64| match made.take() {
                Some(answer) => Ok(State::plain(answer)),
                None => self.task.inner.denoise(x, sigma, classes.as_deref() as Classes),
            };
            let mut noise = |_: u32, draw: u32| rows(self.noise(Stream::Sampling, 4 * i as u32 + draw), width, device);
            let ancestral = solver("ancestral", toml::Table::new()).map_err(|e| Error::Bug(e.to_string()))?;
            let step = Sampling::new(ancestral, ends.to_vec());
            x = step.run(State::plain(x), &mut denoise, &mut noise, &mut |_, _| Ok(()))?.value;
        }
        particles.weigh(&self.rewards(&x)?, true);
        sizes.push(particles.effective());
        let picked = particles.weights().map_or(0, |w| drawn(&w, uniform(self.sigmas.len())));
        Ok((host(x.slice([picked..picked + 1, 0..width]))?, sizes))
    }
}
