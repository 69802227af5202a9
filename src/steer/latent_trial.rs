//! Latents in the closed loop. Each attempt is either an open loop that follows the reward, or a point on the arc
//! between two measured latents. The reward gives the direction; the measurement tells how far the sample really got.

use super::closed_loop::{self, Attempt, Next, Trial};
use super::open_loop::{self, Slot, Status};
use super::{Settings, Steered, Steering, sphere};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::reward::{Reading, Reward, Score};
use crate::units::{Latents, Level};

/// Takes the readings at all latents of a tile, in one call of its fixed shape.
pub type Measure<'a> = dyn Fn(&Latents) -> Result<Vec<Option<Reading>>> + 'a;

/// Steers the samples of one tile, starting at `latents`, to the levels `targets` (15b). What is reported of each is
/// measured (20).
///
/// # Errors
/// When the device fails, or when `cancel` asks for a stop.
#[allow(clippy::too_many_arguments)]
pub fn steer(
    method: &dyn Steering,
    samples: &[u64],
    latents: &Latents,
    targets: &[Level],
    reward: &Reward,
    settings: &Settings,
    measure: &Measure,
    cancel: &Cancel,
) -> Result<Vec<Steered>> {
    let slots = open_loop::start(latents, samples, targets, reward, method.is_local())?;
    let mut trial = LatentTrial { method, slots, reward, settings, measure, cancel };
    let kept = closed_loop::close(&mut trial, targets, settings.corrections)?;
    Ok(trial.slots.into_iter().zip(kept).map(|(slot, attempt)| steered(slot, attempt, reward)).collect())
}

struct LatentTrial<'a> {
    method: &'a dyn Steering,
    slots: Vec<Slot>,
    reward: &'a Reward,
    settings: &'a Settings,
    measure: &'a Measure<'a>,
    cancel: &'a Cancel,
}

impl Trial for LatentTrial<'_> {
    type Place = (Vec<f32>, Score);
    type Outcome = Option<Reading>;

    /// A fifth of a percentile at the median.
    const NEAR: f64 = 0.005;

    fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
        self.walk()?;
        let mut tiles = vec![self.measured(self.slots.iter().map(|s| (s.best.1.clone(), s.best.2)).collect())?];
        if self.settings.corrections > 0 {
            // The start is the other end of the path that the reward took: two measured points give a slope, or a
            // bracket.
            tiles.push(self.scored(self.slots.iter().map(|s| s.start.clone()).collect())?);
        }
        Ok(tiles)
    }

    fn correct(&mut self, next: Vec<Next<Self::Place>>) -> Result<Vec<Attempt<Self>>> {
        let mut arcs: Vec<Option<Vec<f32>>> = vec![None; self.slots.len()];
        for ((slot, next), arc) in self.slots.iter_mut().zip(next).zip(&mut arcs) {
            match next {
                Next::Rest => slot.done = true,
                Next::Between { below, above, part } => {
                    *arc = Some(sphere::arc(&below.0, &above.0, part));
                    slot.done = true;
                }
                Next::On { from, aim, anew } => {
                    slot.aim(aim, from);
                    if anew {
                        slot.begin_anew();
                    }
                }
            }
        }
        if self.method.is_local() {
            open_loop::refresh_gradients(&mut self.slots, self.reward)?;
        }
        self.walk()?;
        let latents = self.slots.iter().zip(arcs).map(|(s, arc)| arc.unwrap_or_else(|| s.best.1.clone()));
        self.scored(latents.collect())
    }

    fn interpolates(&self) -> bool {
        self.method.is_local()
    }

    fn begins_anew(&self) -> bool {
        self.method.is_local()
    }
}

impl LatentTrial<'_> {
    fn walk(&mut self) -> Result<()> {
        open_loop::open_loop(self.method, &mut self.slots, self.reward, self.settings, self.cancel)
    }

    fn scored(&self, latents: Vec<Vec<f32>>) -> Result<Vec<Attempt<Self>>> {
        let scores = self.reward.score(&latents.concat())?;
        self.measured(latents.into_iter().zip(scores).collect())
    }

    fn measured(&self, places: Vec<(Vec<f32>, Score)>) -> Result<Vec<Attempt<Self>>> {
        let values = places.iter().flat_map(|p| &p.0).copied().collect();
        let readings = (self.measure)(&Latents::new(values, self.reward.width()))?;
        let one = |((latent, score), reading): ((Vec<f32>, Score), Option<Reading>)| {
            let value = reading.as_ref().and_then(|r| r.value(self.reward.card.model_rank));
            let level = value.filter(|_| score.is_finite()).map(|v| self.reward.calibration.level_of(v));
            Attempt { place: (latent, score), promised: score.level, level, outcome: reading }
        };
        Ok(places.into_iter().zip(readings).map(one).collect())
    }
}

fn steered(slot: Slot, attempt: Attempt<LatentTrial>, reward: &Reward) -> Steered {
    let Attempt { place: (latent, predicted), level, outcome: reading, .. } = attempt;
    // (1b): a rank below the model rank means that ψ_k counts directions which are only rounding.
    let full = reading.as_ref().and_then(Reading::spectrum).is_none_or(|s| s.rank() >= reward.card.model_rank);
    let inside = level.is_some_and(|level| reward.calibration.spans(level)) && full;
    let status = if slot.non_finite || latent.iter().any(|v| !v.is_finite()) {
        Status::NonFinite
    } else if inside && open_loop::on_manifold(&latent, predicted, reward) {
        Status::Ok
    } else {
        Status::OffManifold
    };
    Steered { sample: slot.sample, start: slot.start, latent, predicted, reading, steps: slot.steps, status }
}
