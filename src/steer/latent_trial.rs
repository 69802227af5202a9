//! Latents in the closed loop. An attempt is an open loop that follows the reward, or a point on the arc between two
//! measured latents. The reward gives the direction, the measurement the truth.

use super::closed_loop::{self, Attempt, Avoid, Closed, Next, Trial};
use super::guard::Watched;
use super::open_loop::{self, Slot, Status};
use super::{DRIFT, Missed, Settings, Steered, Steering, sphere};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::noise::{self, Stream};
use crate::reward::{Reading, Reward, Score};
use crate::units::{Latents, Level};

/// Readings at latents of these samples, one call.
pub type Measure<'a> = dyn Fn(&[u64], &Latents) -> Result<Vec<Option<Reading>>> + 'a;

/// What the guard says of latents, one call, and what is done about what it catches.
pub type Watch<'a> = (Avoid, &'a dyn Fn(&Latents) -> Result<Vec<Watched>>);

/// Places that one search looks at by the reward.
const CANDIDATES: usize = 64;

/// Steers the samples of one tile to the levels `targets` (15b). The level reported for each is measured (20).
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
    watch: Option<Watch>,
    cancel: &Cancel,
) -> Result<Vec<Steered>> {
    let reach = settings.drift.unwrap_or(DRIFT);
    let slots = open_loop::start(latents, samples, targets, reward, method.is_local(), reach)?;
    let mut trial = LatentTrial { method, slots, reward, settings, measure, watch, cancel };
    let stay = method.stay(settings);
    let targets = if stay > 0.0 { trial.drawn_back(targets, stay)? } else { targets.to_vec() };
    let closed = closed_loop::close(&mut trial, &targets, settings.corrections)?;
    let mut all: Vec<Steered> =
        trial.slots.into_iter().zip(closed).map(|(slot, end)| steered(slot, end, reward, settings)).collect();
    if stay > 0.0 {
        all.iter_mut().zip(targets).for_each(|(s, target)| stayed(s, target, reward, settings));
    }
    Ok(all)
}

/// Says of a sample that is where its weight of nearness lets it go that this is why it went no further.
fn stayed(s: &mut Steered, target: Level, reward: &Reward, settings: &Settings) {
    let level =
        s.reading.as_ref().and_then(|r| r.value(reward.card.model_rank)).map(|v| reward.calibration.level_of(v));
    if level.is_some_and(|level| level.distance(target) <= open_loop::FAR) {
        s.missed = Some(Missed::Stay);
    }
    // Its start was measured first, to know how far to go.
    s.attempts += usize::from(settings.corrections > 0);
}

struct LatentTrial<'a> {
    method: &'a dyn Steering,
    slots: Vec<Slot>,
    reward: &'a Reward,
    settings: &'a Settings,
    measure: &'a Measure<'a>,
    watch: Option<Watch<'a>>,
    cancel: &'a Cancel,
}

/// A latent `[d]` with what the reward says there.
type Place = (Vec<f32>, Score);

impl Trial for LatentTrial<'_> {
    type Place = Place;
    type Outcome = (Option<Reading>, Option<Watched>);

    /// Two fifths of a percentile at the median.
    const NEAR: f64 = 0.01;

    fn begin(&mut self) -> Result<Vec<Vec<Attempt<Self>>>> {
        self.walk()?;
        let all = |places: Vec<Option<Attempt<Self>>>| places.into_iter().flatten().collect::<Vec<_>>();
        let ends = self.slots.iter().map(|s| Some((s.best.1.clone(), s.best.2))).collect();
        let mut tiles = vec![all(self.measured(ends)?)];
        if self.settings.corrections > 0 {
            // The start is the other end of the reward's path: two measured points give a slope, or a bracket.
            let starts = self.slots.iter().map(|s| Some(s.start.clone())).collect();
            tiles.push(all(self.scored(starts)?));
        }
        Ok(tiles)
    }

    fn correct(&mut self, next: Vec<Next<Place>>) -> Result<Vec<Option<Attempt<Self>>>> {
        let rests: Vec<bool> = next.iter().map(|n| matches!(n, Next::Rest)).collect();
        let mut arcs: Vec<Option<Vec<f32>>> = vec![None; self.slots.len()];
        for (i, next) in next.into_iter().enumerate() {
            let slot = &mut self.slots[i];
            match next {
                Next::Rest => slot.done = true,
                Next::Between { below, above, part } => {
                    arcs[i] = Some(sphere::arc(&below.0, &above.0, part));
                    slot.done = true;
                }
                Next::Beside { from, aim, angle, round } => {
                    arcs[i] = Some(beside(slot, &from, aim, angle, round, self.settings.drift.is_some(), self.reward)?);
                    slot.done = true;
                }
                Next::On { from, aim } => {
                    if slot.limited && self.settings.drift.is_none() {
                        slot.widen();
                    }
                    slot.aim(aim, from);
                }
                Next::Elsewhere { aim, round } => {
                    if round > 0 && self.settings.drift.is_none() {
                        slot.widen();
                    }
                    let found = search(slot, aim, round, self.reward, self.settings.drift.is_none())?;
                    slot.aim(aim, found);
                }
            }
        }
        if self.method.is_local() {
            open_loop::refresh_gradients(&mut self.slots, self.reward)?;
        }
        self.walk()?;
        let latents = self.slots.iter().zip(arcs).zip(&rests);
        let latents = latents.map(|((s, arc), rests)| (!rests).then(|| arc.unwrap_or_else(|| s.best.1.clone())));
        self.scored(latents.collect())
    }

    fn avoids(&self) -> Avoid {
        self.watch.map_or(Avoid::Nothing, |w| w.0)
    }

    fn interpolates(&self) -> bool {
        self.method.is_local()
    }

    fn searches(&self) -> bool {
        self.method.is_local()
    }
}

/// The place around a sample's start whose promise is nearest to `aim`: of fresh directions by its own noise, at angles
/// up to its reach. Where it may go anywhere, so may its norm, among those that the prior gives.
fn search(slot: &mut Slot, aim: Level, round: usize, reward: &Reward, free: bool) -> Result<Place> {
    let d = slot.start.len();
    let candidates = (0..CANDIDATES).map(|j| {
        let key = (round * CANDIDATES + j) as u32;
        let direction = noise::normals(2, slot.sample, Stream::Steering, key, d);
        let part = noise::uniforms(3, slot.sample, Stream::Steering, key, 1)[0];
        let tangent = sphere::tangent(&direction, &slot.start);
        let place = sphere::walk(&slot.start, &tangent, slot.reach * f64::from(part));
        let scale = if free { sphere::norm(&direction) / sphere::norm(&place) } else { 1.0 };
        place.into_iter().map(|v| (f64::from(v) * scale) as f32).collect()
    });
    let candidates: Vec<Vec<f32>> = candidates.collect();
    let scores = reward.score(&candidates.concat())?;
    slot.scored += CANDIDATES;
    let allowed = candidates.into_iter().zip(scores).filter(|(z, s)| open_loop::on_manifold(z, *s, reward));
    let best = allowed.min_by(|(_, a), (_, b)| a.level.distance(aim).total_cmp(&b.level.distance(aim)));
    Ok(best.unwrap_or_else(|| (slot.latent.clone(), slot.score)))
}

/// Directions that are looked at by the reward for one place beside another.
const DIRECTIONS: usize = 8;

/// The place at `angle` from another whose promise is nearest to `aim`, of fresh directions by the sample's own noise.
fn beside(
    slot: &mut Slot,
    (from, _): &Place,
    aim: Level,
    angle: f64,
    round: usize,
    bounded: bool,
    reward: &Reward,
) -> Result<Vec<f32>> {
    let candidates = (0..DIRECTIONS).map(|j| {
        let key = (round * DIRECTIONS + j) as u32;
        let direction = noise::normals(4, slot.sample, Stream::Steering, key, from.len());
        sphere::walk(from, &sphere::tangent(&direction, from), angle)
    });
    let candidates: Vec<Vec<f32>> = candidates.collect();
    let scores = reward.score(&candidates.concat())?;
    slot.scored += DIRECTIONS;
    // Where the distance from the start is bounded, so it is here.
    let near = |z: &[f32]| !bounded || sphere::angle_between(&slot.start, z) <= slot.reach;
    let allowed = candidates.into_iter().zip(scores).filter(|(z, s)| near(z) && open_loop::on_manifold(z, *s, reward));
    let best = allowed.min_by(|(_, a), (_, b)| a.level.distance(aim).total_cmp(&b.level.distance(aim)));
    Ok(best.map_or_else(|| from.clone(), |(z, _)| z))
}

impl LatentTrial<'_> {
    /// The levels to steer to with the weight `stay` of nearness (15c): y₀ + (1 − stay)(y* − y₀), between the level at a
    /// sample's start and its target. The start's level is measured where the loop is closed; else, or if it has no
    /// value, it is the one that the reward predicts.
    fn drawn_back(&mut self, targets: &[Level], stay: f64) -> Result<Vec<Level>> {
        let starts = match self.settings.corrections {
            0 => self.slots.iter().map(|_| None).collect(),
            _ => self.measured(self.slots.iter().map(|s| Some((s.start.clone(), s.score))).collect())?,
        };
        let each = self.slots.iter_mut().zip(starts).zip(targets).map(|((slot, start), target)| {
            let from = start.and_then(|a| a.level).unwrap_or(slot.score.level);
            let level = from + (*target - from) * (1.0 - stay);
            slot.aim(level, (slot.latent.clone(), slot.score));
            level
        });
        Ok(each.collect())
    }

    fn walk(&mut self) -> Result<()> {
        open_loop::open_loop(self.method, &mut self.slots, self.reward, self.settings, self.cancel)
    }

    /// Attempts at latents, where there is one.
    fn scored(&mut self, latents: Vec<Option<Vec<f32>>>) -> Result<Vec<Option<Attempt<Self>>>> {
        let rows = open_loop::computed(latents.len(), self.reward, |i| latents[i].is_some());
        let places = rows.iter().flat_map(|i| latents[*i].as_ref().unwrap_or(&self.slots[*i].latent));
        let scores = self.reward.score(&places.copied().collect::<Vec<f32>>())?;
        self.slots.iter_mut().zip(&latents).for_each(|(slot, z)| slot.scored += usize::from(z.is_some()));
        let mut scored = vec![None; latents.len()];
        rows.into_iter().zip(scores).for_each(|(i, score)| scored[i] = Some(score));
        self.measured(latents.into_iter().zip(scored).map(|(z, score)| Some((z?, score?))).collect())
    }

    fn measured(&self, places: Vec<Option<Place>>) -> Result<Vec<Option<Attempt<Self>>>> {
        let rows = open_loop::computed(places.len(), self.reward, |i| places[i].is_some());
        let at = |i: &usize| places[*i].as_ref().map_or(&self.slots[*i].latent, |place| &place.0);
        let values = rows.iter().flat_map(at).copied().collect();
        let samples: Vec<u64> = rows.iter().map(|i| self.slots[*i].sample).collect();
        let latents = Latents::new(values, self.reward.width());
        let found = (self.measure)(&samples, &latents)?;
        let seen: Vec<Option<Watched>> = match self.watch {
            Some((_, watch)) => watch(&latents)?.into_iter().map(Some).collect(),
            None => vec![None; rows.len()],
        };
        let mut outcomes: Vec<(Option<Reading>, Option<Watched>)> = vec![(None, None); places.len()];
        rows.into_iter().zip(found.into_iter().zip(seen)).for_each(|(i, outcome)| outcomes[i] = outcome);
        let one = |((latent, score), (reading, watched)): (Place, (Option<Reading>, Option<Watched>))| {
            let caught = watched.is_some_and(Watched::is_unusual);
            let value = reading.as_ref().and_then(|r| r.value(self.reward.card.model_rank));
            let level = value.filter(|_| score.is_finite()).map(|v| self.reward.calibration.level_of(v));
            Attempt { place: (latent, score), promised: score.level, level, caught, outcome: (reading, watched) }
        };
        Ok(places.into_iter().zip(outcomes).map(|(place, outcome)| Some(one((place?, outcome)))).collect())
    }
}

fn steered(slot: Slot, end: Closed<LatentTrial>, reward: &Reward, settings: &Settings) -> Steered {
    let Attempt { place: (latent, predicted), level, outcome: (reading, watched), .. } = end.kept;
    // (1b): below the model rank ψ_k counts directions that are rounding.
    let full = reading.as_ref().and_then(Reading::spectrum).is_none_or(|s| s.rank() >= reward.card.model_rank);
    let inside = level.is_some_and(|level| reward.calibration.spans(level)) && full;
    let status = if slot.non_finite || latent.iter().any(|v| !v.is_finite()) {
        Status::NonFinite
    } else if inside && open_loop::on_manifold(&latent, predicted, reward) {
        Status::Ok
    } else {
        Status::OffManifold
    };
    let bound = settings.drift.is_some() && slot.limited && !matches!(end.why, Missed::Steps | Missed::Guard);
    let missed = Some(if bound { Missed::Drift } else { end.why });
    Steered {
        sample: slot.sample,
        start: slot.start,
        latent,
        predicted,
        reading,
        steps: slot.steps,
        scored: slot.scored,
        attempts: end.attempts,
        status,
        missed,
        by_way_back: false,
        watched: watched.map(|w| Watched { caught: end.caught, ..w }),
    }
}
