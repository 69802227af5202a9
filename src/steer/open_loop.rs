//! The loop that every steering method runs in: it collects proposals, scores them, applies the guard and keeps the
//! best point so far.

use super::{Settings, Steering, sphere};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::reward::{Reward, Score};
use crate::units::{Latents, Level};

/// How a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is within the labelled range.
    Ok,
    /// ‖z‖, the reward's predicted deviation, or ψ_k is outside the labelled range (21).
    OffManifold,
    /// A value was not finite, so there is no picture.
    NonFinite,
}

/// One sample while it is being steered. It never depends on its neighbours in the tile.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Sample index, which is the key of its noise.
    pub sample: u64,
    /// Where the sample started, `[latent width]`.
    pub start: Vec<f32>,
    /// Last accepted point, `[latent width]`.
    pub latent: Vec<f32>,
    /// The reward at `latent`.
    pub score: Score,
    /// The gradient of its level at `latent`; empty unless the method is local.
    pub gradient: Vec<f32>,
    /// The level that the reward should predict; the closed loop moves it.
    pub set_point: Level,
    /// The best point so far: the distance of its level to the set-point, its latent, its score.
    pub best: (f64, Vec<f32>, Score),
    /// Scale of the next step. It shrinks when the guard refuses a step, or when a step brings no progress.
    pub step_scale: f64,
    /// Steps taken.
    pub steps: usize,
    /// Whether the loop is over for this sample.
    pub done: bool,
    /// Whether a number was not finite.
    pub non_finite: bool,
}

impl Slot {
    /// Sets a new set-point and continues from the point `from`.
    pub fn aim(&mut self, set_point: Level, from: (Vec<f32>, Score)) {
        self.set_point = set_point;
        self.best = ((from.1.level - set_point).abs(), from.0.clone(), from.1);
        (self.latent, self.score) = from;
        self.step_scale = 1.0;
        self.done = self.non_finite;
    }

    /// Makes a local method start over elsewhere at its next step.
    pub fn begin_anew(&mut self) {
        self.step_scale = 0.0;
    }

    fn stalled(&self) -> bool {
        self.step_scale < STALLED && self.best.0 > FAR
    }
}

/// Distance of levels at which a local method rests.
const REST: f64 = 0.001;
/// Step scale below which a sample counts as stalled: reached after five steps without progress.
const STALLED: f64 = 0.2;
/// Distance of levels, four percentiles at the median, beyond which a stalled sample may start over.
pub const FAR: f64 = 0.1;
/// The smallest step scale: a local sample whose step is refused below it rests where it is.
const LEAST_STEP: f64 = 1.0 / 64.0;

/// The slots of a tile at their start, scored.
///
/// # Errors
/// When the device fails.
pub fn start(
    latents: &Latents,
    samples: &[u64],
    set_points: &[Level],
    reward: &Reward,
    local: bool,
) -> Result<Vec<Slot>> {
    let (scores, gradients) = evaluate(latents, reward, local)?;
    let slots = samples.iter().zip(latents.rows()).zip(scores).zip(set_points).enumerate();
    Ok(slots
        .map(|(i, (((sample, z), score), set_point))| {
            let non_finite = !score.is_finite() || z.iter().any(|v| !v.is_finite());
            Slot {
                sample: *sample,
                start: z.to_vec(),
                latent: z.to_vec(),
                gradient: gradients.as_ref().map_or(Vec::new(), |g| g.row(i).to_vec()),
                set_point: *set_point,
                best: (score.level.distance(*set_point), z.to_vec(), score),
                score,
                step_scale: 1.0,
                steps: 0,
                done: non_finite,
                non_finite,
            }
        })
        .collect())
}

/// Recomputes the reward's gradient at each slot's latent; needed after the latents were set from outside.
///
/// # Errors
/// When the device fails.
pub fn refresh_gradients(slots: &mut [Slot], reward: &Reward) -> Result<()> {
    let values: Vec<f32> = slots.iter().flat_map(|s| &s.latent).copied().collect();
    let (_, gradients) = reward.score_and_gradient(&values)?;
    slots.iter_mut().zip(gradients.chunks_exact(reward.width())).for_each(|(s, g)| s.gradient = g.to_vec());
    Ok(())
}

/// Scores of latents, with the gradients of their levels if the method is local.
fn evaluate(latents: &Latents, reward: &Reward, local: bool) -> Result<(Vec<Score>, Option<Latents>)> {
    if !local {
        return Ok((reward.score(latents.values())?, None));
    }
    let (scores, gradients) = reward.score_and_gradient(latents.values())?;
    Ok((scores, Some(Latents::new(gradients, latents.width()))))
}

/// [`evaluate`] at each slot's proposal, or where the slot stands if it has none. Faults that a test asks for enter
/// here.
fn evaluate_proposals(
    slots: &[Slot],
    proposals: &[Option<Vec<f32>>],
    reward: &Reward,
    local: bool,
) -> Result<(Vec<Score>, Option<Latents>)> {
    failpoint!("steer.step").map_err(|e| crate::error::Error::Bug(e.to_string()))?;
    let places = slots.iter().zip(proposals).flat_map(|(s, p)| p.as_deref().unwrap_or(&s.latent));
    let (mut scores, mut gradients) =
        evaluate(&Latents::new(places.copied().collect(), reward.width()), reward, local)?;
    for (i, slot) in slots.iter().enumerate().filter(|(i, _)| proposals[*i].is_some()) {
        scores[i].level = failpoint!("reward", slot.sample).map_or(scores[i].level, |v| Level(f64::from(v)));
        if let Some(gradient) = gradients.as_mut().and_then(|g| g.rows_mut().nth(i)) {
            gradient[0] = failpoint!("gradient", slot.sample).unwrap_or(gradient[0]);
        }
    }
    Ok((scores, gradients))
}

/// Runs a method's open loop on a tile. Every call of the reward scores all slots, so its shape is fixed.
///
/// # Errors
/// When the device fails, or when `cancel` asks for a stop.
pub fn open_loop(
    method: &dyn Steering,
    slots: &mut [Slot],
    reward: &Reward,
    settings: &Settings,
    cancel: &Cancel,
) -> Result<()> {
    for step in 0..settings.steps {
        let proposals: Vec<Option<Vec<f32>>> =
            slots.iter_mut().map(|slot| next_proposal(method, slot, step, settings)).collect();
        if proposals.iter().all(Option::is_none) {
            return Ok(());
        }
        cancel.check(|| "nothing of the unfinished tile is kept".into())?;
        let (scores, gradients) = evaluate_proposals(slots, &proposals, reward, method.is_local())?;
        for (i, (slot, proposal)) in slots.iter_mut().zip(proposals).enumerate() {
            let Some(proposal) = proposal else { continue };
            let gradient = gradients.as_ref().map_or(&[][..], |g| g.row(i));
            accept(slot, proposal, scores[i], gradient, reward, settings, method.is_local());
        }
    }
    Ok(())
}

/// Where a sample looks next: a step of its method, or a fresh start after a stall; `None` when it rests.
fn next_proposal(method: &dyn Steering, slot: &mut Slot, step: usize, settings: &Settings) -> Option<Vec<f32>> {
    if slot.done || (method.is_local() && slot.best.0 <= REST) {
        return None;
    }
    if let Some(anew) = if slot.stalled() { method.restart(slot, settings) } else { None } {
        slot.step_scale = 1.0;
        return Some(anew);
    }
    method.propose(slot, step, settings)
}

fn accept(
    slot: &mut Slot,
    proposal: Vec<f32>,
    score: Score,
    gradient: &[f32],
    reward: &Reward,
    settings: &Settings,
    local: bool,
) {
    slot.steps += 1;
    let finite = score.is_finite() && gradient.iter().chain(&proposal).all(|v| v.is_finite());
    let near = !local || sphere::angle_between(&slot.start, &proposal) <= settings.drift;
    if !finite || !near || !on_manifold(&proposal, score, reward) {
        // (21): back off to the last accepted point and try a shorter step from there.
        slot.step_scale *= 0.5;
        slot.done |= local && slot.step_scale < LEAST_STEP;
        return;
    }
    let distance = (score.level - slot.set_point).abs();
    if distance < slot.best.0 {
        slot.best = (distance, proposal.clone(), score);
    } else if local {
        slot.step_scale *= 0.7;
    }
    slot.gradient = gradient.to_vec();
    (slot.latent, slot.score) = (proposal, score);
}

/// The guard's test of a point that is not measured yet (21).
pub fn on_manifold(latent: &[f32], score: Score, reward: &Reward) -> bool {
    let [low, high] = reward.card.norm_range;
    (low..=high).contains(&sphere::norm(latent)) && score.std <= reward.card.std_limit
}
