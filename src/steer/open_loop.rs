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
    /// Everything is within the labelled range, and what was asked for is reached.
    Ok,
    /// Further from the asked novelty than the recipe's tolerance; [`Missed`] says why.
    Unreached,
    /// The guard found it unusual beside the model's data, and kept it all the same.
    Flagged,
    /// There is a picture, and no number that could be trusted; [`Missed`] says why.
    Unmeasured,
    /// ‖z‖, the reward's predicted deviation, or ψ_k is outside the labelled range (21).
    OffManifold,
    /// A value was not finite, so there is no picture.
    NonFinite,
}

/// Why a sample did not reach the asked novelty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// It was steered by the reward alone, without a correction by measurement.
    Steps,
    /// The corrections were used up, or nothing was left to try.
    Corrections,
    /// It would have had to go further from its seed than the recipe allows.
    Drift,
    /// It was told to stay near its start, and went as far as that lets it.
    Stay,
    /// The guard kept it from places that are unusual beside the model's data.
    Guard,
    /// No search found a place on the far side of the target: from this seed the level may be out of the model's reach.
    Range,
    /// Nothing was measured: the reward's quantity is a number of the noise, and a guided picture is not made from a known
    /// one.
    NoNoise,
    /// Nothing was measured: the model has no reward yet.
    NoReward,
}

impl Missed {
    /// As in tables: `steps`, `corrections`, `drift`, `stay`, `guard`, `range`, `no_noise` or `no_reward`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Corrections => "corrections",
            Self::Drift => "drift",
            Self::Stay => "stay",
            Self::Guard => "guard",
            Self::Range => "range",
            Self::NoNoise => "no_noise",
            Self::NoReward => "no_reward",
        }
    }
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
    /// Times the reward was asked about it, with the gradient or without.
    pub scored: usize,
    /// Greatest angle from the start, in radians.
    pub reach: f64,
    /// Whether a step was refused because it led beyond that angle.
    pub limited: bool,
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
        self.limited = false;
        self.done = self.non_finite;
    }

    /// Lets it go half as far again from its start, up to the opposite point of the sphere.
    pub fn widen(&mut self) {
        self.reach = (self.reach * 1.5).min(std::f64::consts::PI);
    }

    fn stalled(&self) -> bool {
        self.step_scale < STALLED && self.best.0 > FAR
    }
}

/// What an angle between latents of f32 is off by.
const ROUNDING: f64 = 1e-6;
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
    reach: f64,
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
                scored: 1,
                reach,
                limited: false,
                done: non_finite,
                non_finite,
            }
        })
        .collect())
}

/// Recomputes the reward's gradient where a slot is to go on; needed after the latents were set from outside.
///
/// # Errors
/// When the device fails.
pub fn refresh_gradients(slots: &mut [Slot], reward: &Reward) -> Result<()> {
    let rows = computed(slots.len(), reward, |i| !slots[i].done);
    if rows.is_empty() {
        return Ok(());
    }
    let values: Vec<f32> = rows.iter().flat_map(|i| &slots[*i].latent).copied().collect();
    let (_, gradients) = reward.score_and_gradient(&values)?;
    rows.iter().zip(gradients.chunks_exact(reward.width())).for_each(|(i, g)| {
        slots[*i].gradient = g.to_vec();
        slots[*i].scored += usize::from(!slots[*i].done);
    });
    Ok(())
}

/// The rows of a tile of `n` that one call computes: those that are `wanted` where rows do not depend on one another,
/// all of them on a device that should see one shape.
pub fn computed(n: usize, reward: &Reward, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..n).filter(|i| !reward.is_row_by_row() || wanted(*i)).collect()
}

/// Scores of latents, with the gradients of their levels if the method is local.
fn evaluate(latents: &Latents, reward: &Reward, local: bool) -> Result<(Vec<Score>, Option<Latents>)> {
    if !local {
        return Ok((reward.score(latents.values())?, None));
    }
    let (scores, gradients) = reward.score_and_gradient(latents.values())?;
    Ok((scores, Some(Latents::new(gradients, latents.width()))))
}

/// [`evaluate`] at the proposals of the slots `rows`, or where a slot stands if it has none. Faults that a test asks for
/// enter here.
fn evaluate_proposals(
    slots: &[Slot],
    proposals: &[Option<Vec<f32>>],
    rows: &[usize],
    reward: &Reward,
    local: bool,
) -> Result<(Vec<Score>, Option<Latents>)> {
    failpoint!("steer.step").map_err(|e| crate::error::Error::Bug(e.to_string()))?;
    let places = rows.iter().flat_map(|i| proposals[*i].as_deref().unwrap_or(&slots[*i].latent));
    let (mut scores, mut gradients) =
        evaluate(&Latents::new(places.copied().collect(), reward.width()), reward, local)?;
    for (row, i) in rows.iter().enumerate().filter(|(_, i)| proposals[**i].is_some()) {
        let sample = slots[*i].sample;
        scores[row].level = failpoint!("reward", sample).map_or(scores[row].level, |v| Level(f64::from(v)));
        if let Some(gradient) = gradients.as_mut().and_then(|g| g.rows_mut().nth(row)) {
            gradient[0] = failpoint!("gradient", sample).unwrap_or(gradient[0]);
        }
    }
    Ok((scores, gradients))
}

/// Runs a method's open loop on a tile.
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
        let mut proposals: Vec<Option<Vec<f32>>> =
            slots.iter_mut().map(|slot| next_proposal(method, slot, step, settings)).collect();
        if proposals.iter().all(Option::is_none) {
            return Ok(());
        }
        cancel.check(|| "nothing of the unfinished tile is kept".into())?;
        let rows = computed(slots.len(), reward, |i| proposals[i].is_some());
        let (scores, gradients) = evaluate_proposals(slots, &proposals, &rows, reward, method.is_local())?;
        for (row, i) in rows.into_iter().enumerate() {
            let Some(proposal) = proposals[i].take() else { continue };
            let gradient = gradients.as_ref().map_or(&[][..], |g| g.row(row));
            accept(&mut slots[i], proposal, scores[row], gradient, reward, method.is_local());
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

fn accept(slot: &mut Slot, proposal: Vec<f32>, score: Score, gradient: &[f32], reward: &Reward, local: bool) {
    slot.steps += 1;
    slot.scored += 1;
    let finite = score.is_finite() && gradient.iter().chain(&proposal).all(|v| v.is_finite());
    let near = !local || sphere::angle_between(&slot.start, &proposal) <= slot.reach + ROUNDING;
    slot.limited |= !near;
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
