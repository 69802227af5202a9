//! The closed loop (15b) and the measured result (20). What is steered is the reward's quantity, ψ_k unless it says
//! otherwise.

use super::open_loop::{self, FAR, Slot, Status};
use super::{Settings, Steering, sphere};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::reward::{Reading, Reward, Score};
use crate::units::Level;

/// Readings at latents `[n, d]`, one call of the tile's fixed shape.
pub type Measure<'a> = dyn Fn(&[f32]) -> Result<Vec<Option<Reading>>> + 'a;

/// A steered sample: what was asked, predicted and measured.
#[derive(Clone, Debug)]
pub struct Steered {
    /// Sample index.
    pub sample: u64,
    /// Where it started.
    pub start: Vec<f32>,
    /// Where it ended.
    pub latent: Vec<f32>,
    /// The reward there.
    pub predicted: Score,
    /// What was measured there.
    pub reading: Option<Reading>,
    /// Steps of all loops.
    pub steps: usize,
    /// How it ended.
    pub status: Status,
}

#[derive(Clone)]
struct Point {
    latent: Vec<f32>,
    score: Score,
    /// Level of what was measured.
    level: Level,
    reading: Reading,
}

/// Distance of levels at which no correction is made: at the median a fifth of a percentile.
const CLOSE_ENOUGH: f64 = 0.005;

/// Steers the samples of one tile to the levels `targets`, measures, corrects, and keeps the point whose
/// measured level is nearest. The reward gives the direction, the measurement the truth.
///
/// # Errors
/// Of the device, or a stop by `cancel`.
#[allow(clippy::too_many_arguments)]
pub fn steer(
    method: &dyn Steering,
    samples: &[u64],
    latents: &[f32],
    targets: &[Level],
    reward: &Reward,
    settings: &Settings,
    measure: &Measure,
    cancel: &Cancel,
) -> Result<Vec<Steered>> {
    let mut slots = open_loop::start(latents, samples, targets, reward, method.is_local())?;
    open_loop::open_loop(method, &mut slots, reward, settings, cancel)?;
    let mut points: Vec<Vec<Point>> = vec![Vec::new(); slots.len()];
    let candidates: Vec<(Vec<f32>, Score)> = slots.iter().map(|s| (s.best.1.clone(), s.best.2)).collect();
    // Kept for samples whose ψ_k is nowhere defined: ψ, ν and the rank are still worth telling.
    let first = take(measure, candidates, &mut points, reward)?;
    if settings.corrections > 0 {
        // The start is the other end of the reward's path: two measured points give a slope, or a bracket.
        let scores = reward.score(latents)?;
        let starts = latents.chunks_exact(reward.width()).map(<[f32]>::to_vec).zip(scores).collect();
        take(measure, starts, &mut points, reward)?;
    }
    let mut helped = vec![true; slots.len()];
    for _ in 0..settings.corrections {
        let enough = |p: &[Point], t: Level| nearest(p, t).is_none_or(|b| b.level.distance(t) <= CLOSE_ENOUGH);
        if points.iter().zip(targets).all(|(p, t)| enough(p, *t)) {
            break;
        }
        let mut arcs: Vec<Option<Vec<f32>>> = vec![None; slots.len()];
        for (i, slot) in slots.iter_mut().enumerate() {
            let Some(best) = nearest(&points[i], targets[i]).filter(|_| !enough(&points[i], targets[i])) else {
                slot.done = true;
                continue;
            };
            arcs[i] = if method.is_local() { between(&points[i], targets[i]) } else { None };
            // The last correction led no nearer: here the reward's word is not to be followed.
            let lost = method.is_local() && !helped[i] && (best.level - targets[i]).abs() > FAR;
            let gain = if lost { 1.0 } else { gain(&points[i]) };
            let set_point = best.score.level + (targets[i] - best.level) * gain;
            slot.aim(set_point, (best.latent.clone(), best.score));
            if lost {
                slot.begin_anew();
            }
            slot.done |= arcs[i].is_some();
        }
        refresh_gradients(method, &mut slots, reward)?;
        open_loop::open_loop(method, &mut slots, reward, settings, cancel)?;
        let next: Vec<Vec<f32>> =
            slots.iter().zip(arcs).map(|(s, arc)| arc.unwrap_or_else(|| s.best.1.clone())).collect();
        let flat: Vec<f32> = next.iter().flatten().copied().collect();
        let scores = reward.score(&flat)?;
        let distances = |points: &[Vec<Point>]| -> Vec<f64> {
            let distance =
                |(p, t): (&Vec<Point>, &Level)| nearest(p, *t).map_or(f64::INFINITY, |b| b.level.distance(*t));
            points.iter().zip(targets).map(distance).collect()
        };
        let before = distances(&points);
        take(measure, next.into_iter().zip(scores).collect(), &mut points, reward)?;
        helped = distances(&points).iter().zip(before).map(|(after, before)| *after < before).collect();
    }
    Ok(slots
        .into_iter()
        .zip(points)
        .zip(targets)
        .zip(first)
        .map(|(((slot, points), target), first)| finish(slot, &points, first, *target, reward))
        .collect())
}

/// Measures one candidate per slot and adds those whose number is defined; the readings of the others are returned.
fn take(
    measure: &Measure,
    candidates: Vec<(Vec<f32>, Score)>,
    points: &mut [Vec<Point>],
    reward: &Reward,
) -> Result<Vec<Option<Reading>>> {
    let flat: Vec<f32> = candidates.iter().flat_map(|c| &c.0).copied().collect();
    let mut others = Vec::with_capacity(points.len());
    for ((found, (latent, score)), points) in measure(&flat)?.into_iter().zip(candidates).zip(points) {
        let value = found.as_ref().and_then(|r| r.value(reward.card.model_rank));
        match (found, value) {
            (Some(reading), Some(value)) if score.is_finite() => {
                let level = reward.calibration.level_of(value);
                points.push(Point { latent, score, level, reading });
                others.push(None);
            }
            (found, _) => others.push(found),
        }
    }
    Ok(others)
}

fn nearest(points: &[Point], target: Level) -> Option<&Point> {
    points.iter().min_by(|a, b| a.level.distance(target).total_cmp(&b.level.distance(target)))
}

/// How far the reward must be moved for one unit of the measured level: from the last two points, within ⅓ … 3.
fn gain(points: &[Point]) -> f64 {
    match points {
        [.., a, b] if (b.level - a.level).abs() > 1e-9 => {
            ((b.score.level - a.score.level) / (b.level - a.level)).clamp(1.0 / 3.0, 3.0)
        }
        _ => 1.0,
    }
}

/// Where two measured points bracket the target: the point between them at which a straight line
/// between their levels meets it.
fn between(points: &[Point], target: Level) -> Option<Vec<f32>> {
    let below = points.iter().filter(|p| p.level < target).max_by(|a, b| a.level.0.total_cmp(&b.level.0))?;
    let above = points.iter().filter(|p| p.level > target).min_by(|a, b| a.level.0.total_cmp(&b.level.0))?;
    let part = (target - below.level) / (above.level - below.level);
    Some(sphere::arc(&below.latent, &above.latent, part.clamp(0.05, 0.95)))
}

fn refresh_gradients(method: &dyn Steering, slots: &mut [Slot], reward: &Reward) -> Result<()> {
    if !method.is_local() {
        return Ok(());
    }
    let flat: Vec<f32> = slots.iter().flat_map(|s| &s.latent).copied().collect();
    let (_, gradients) = reward.score_and_gradient(&flat)?;
    slots.iter_mut().zip(gradients.chunks_exact(reward.width())).for_each(|(s, g)| s.gradient = g.to_vec());
    Ok(())
}

fn finish(slot: Slot, points: &[Point], first: Option<Reading>, target: Level, reward: &Reward) -> Steered {
    let Slot { sample, start, steps, non_finite, best: (_, latent, score), .. } = slot;
    let Some(best) = nearest(points, target).filter(|_| !non_finite) else {
        let status =
            if non_finite || latent.iter().any(|v| !v.is_finite()) { Status::NonFinite } else { Status::OffManifold };
        return Steered { sample, start, latent, predicted: score, reading: first, steps, status };
    };
    // (1b): below the model rank ψ_k counts directions that are rounding.
    let full = best.reading.spectrum().is_none_or(|s| s.rank() >= reward.card.model_rank);
    let inside = reward.calibration.spans(best.level) && full;
    let status = if inside && open_loop::on_manifold(&best.latent, best.score, reward) {
        Status::Ok
    } else {
        Status::OffManifold
    };
    Steered {
        sample,
        start,
        latent: best.latent.clone(),
        predicted: best.score,
        reading: Some(best.reading.clone()),
        steps,
        status,
    }
}
