//! Showers as *scores*: rows of numbers that are standard normal, each by itself, at every incident energy. A generator learns
//! how they hang together; what a voxel holds by itself, five orders of magnitude and many zeros, is in tables.
//!
//! A shower of L layers and V voxels has L + V variables x, each 0 ("off") or more:
//!
//! ```text
//! u_0 = E_tot/E_inc,   u_l = E_l/(E_0 + … + E_l) for the layers l = L − 1 … 1,   then E of every voxel
//! ```
//!
//! For each variable and each *level* of incident energy the tables hold π, the share of showers in which it is off, κ, the
//! share in which a layer has all that is left (u_l = 1), and quantiles of t(x) of the others, at standard normal quantiles
//! s_m from −3 to 3; t is u_0 itself, the logit of u_l, the logarithm of a voxel's energy over the cut. Then with Φ the
//! standard normal distribution and U uniform in (0, 1)
//!
//! ```text
//! off: z = Φ⁻¹(π U)      all: z = −Φ⁻¹(κ U)      else: z = −Φ⁻¹(κ + (1 − π − κ) Φ(−s)), s where the quantiles pass t(x)
//! ```
//!
//! Between levels tables are linear in ln E_inc; beyond the last quantile they go on straight.
//!
//! Backwards, x follows from z, and three things hold whatever z is: E_tot and the energies of the layers are those of the u,
//! no voxel is negative, and none is below the cut. For that the voxels of a layer are scaled to its energy, and the smallest
//! are left out until the rest is above the cut; a layer whose energy is below the cut is empty.

use super::{Geometry, Showers};
use crate::error::{Error, Result, shown};
use crate::noise::{self, Stream};
use crate::statistics::{normal_quantile, quantile};
use crate::store::{WeightTensor, Weights};
use rand::RngExt;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Quantiles of one variable at one level.
const KNOTS: usize = 13;
/// The outermost standard normal quantile of the tables.
const REACH: f64 = 3.0;
/// The largest score.
const FARTHEST: f64 = 6.0;
/// The largest logit.
const LOGIT: f64 = 16.0;
/// Fewest showers of a level.
const FEWEST: usize = 100;
/// More different energies than this are a continuous spectrum.
const LEVELS: usize = 64;
/// Levels of a continuous spectrum.
const CONTINUOUS: usize = 16;
/// Step of the address of what is drawn for variables that are off.
const STEP: u32 = 2;
/// What the names of the tables begin with in a file of weights.
const SCORES_PREFIX: &str = "scores.";

/// The tables of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    geometry: Geometry,
    /// Energies in MeV, ascending, in f32 as they are stored.
    levels: Vec<f32>,
    /// π, `[levels, width]`.
    off: Vec<f32>,
    /// κ, `[levels, width]`; 0 for all but shares of layers.
    full: Vec<f32>,
    /// Quantiles, `[levels, width, KNOTS]`, ascending in each row.
    knots: Vec<f32>,
}

/// The tables at one energy: two levels and the weight of the second.
#[derive(Clone, Copy)]
struct At {
    levels: [usize; 2],
    second: f64,
}

/// Φ.
fn below(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ⁻¹ within ±[`FARTHEST`].
fn score(p: f64) -> f64 {
    normal_quantile(p).map_or(if p < 0.5 { -FARTHEST } else { FARTHEST }, |z| z.clamp(-FARTHEST, FARTHEST))
}

/// s_m.
fn grid(m: usize) -> f64 {
    REACH * (2.0 * m as f64 / (KNOTS - 1) as f64 - 1.0)
}

/// t of a variable that is on. `kind` counts the variables.
fn stretched(x: f64, kind: usize, layers: usize, cut: f64) -> f32 {
    let t = match kind {
        0 => x,
        l if l < layers => (x / (1.0 - x)).ln().clamp(-LOGIT, LOGIT),
        _ => (x / cut).ln(),
    };
    t as f32
}

/// Whether a variable is a layer's share of 1.
fn is_all(x: f64, kind: usize, layers: usize) -> bool {
    x >= 1.0 && (1..layers).contains(&kind)
}

/// The variable of t.
fn back(t: f64, kind: usize, layers: usize, cut: f64) -> f64 {
    match kind {
        0 => t.max(0.0),
        l if l < layers => 1.0 / (1.0 + (-t).exp()),
        _ => cut * t.max(0.0).exp(),
    }
}

impl Scores {
    /// How many values a row of scores has in a detector: one for each layer and each voxel.
    pub fn width(geometry: &Geometry) -> usize {
        geometry.layers.len() + geometry.voxels()
    }

    /// Tables for showers like these. Up to 64 different energies are a level each; of more, every level is the middle of a
    /// sixteenth of the spectrum in ln E.
    ///
    /// # Errors
    /// [`Error::Key`] where the voxels do not fit the geometry, or a level has fewer than 100 showers.
    pub fn fit(showers: &Showers, geometry: &Geometry) -> Result<Self> {
        if let Some(message) = geometry.misfit(showers.width) {
            return Err(Error::key("geometry", message));
        }
        let (levels, members) = levels(&showers.energies);
        if let Some(i) = members.iter().position(|m| m.len() < FEWEST) {
            let (e, n) = (levels.get(i).copied().unwrap_or_default(), members[i].len());
            let message =
                format!("expected at least {FEWEST} showers at each energy, found {n} at {e} MeV; simulate more");
            return Err(Error::key("showers", message));
        }
        let (width, count, cut) = (Self::width(geometry), geometry.layers.len(), geometry.voxel_cut);
        let (mut off, mut full, mut knots) = (Vec::new(), Vec::new(), Vec::new());
        for members in &members {
            let rows: Vec<Vec<f32>> = members.par_iter().map(|i| variables(showers, *i, geometry)).collect();
            let columns: Vec<([f32; 2], Vec<f32>)> = (0..width)
                .into_par_iter()
                .map(|c| {
                    let all = |x: f64| is_all(x, c, count);
                    let on = || rows.iter().map(|r| f64::from(r[c])).filter(|x| *x > 0.0);
                    let part = on().filter(|x| !all(*x)).map(|x| f64::from(stretched(x, c, count, cut)));
                    let mut part: Vec<f64> = part.collect();
                    part.sort_by(f64::total_cmp);
                    let (n, on) = (rows.len() as f64, on().count());
                    let shares = [1.0 - on as f64 / n, (on - part.len()) as f64 / n];
                    let knot = |m: usize| quantile(&part, below(grid(m))).unwrap_or(0.0) as f32;
                    (shares.map(|s| s as f32), (0..KNOTS).map(knot).collect())
                })
                .collect();
            for (shares, row) in columns {
                off.push(shares[0]);
                full.push(shares[1]);
                knots.extend(row);
            }
        }
        let levels = levels.iter().map(|e| *e as f32).collect();
        Ok(Self { geometry: geometry.clone(), levels, off, full, knots })
    }

    /// The detector.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The least and the greatest incident energy in MeV.
    pub fn range(&self) -> [f64; 2] {
        [self.levels.first(), self.levels.last()].map(|e| e.map_or(0.0, |e| f64::from(*e)))
    }

    /// Checks that the tables reach to an incident energy.
    ///
    /// # Errors
    /// [`Error::Key`] for `energy`.
    pub fn check(&self, energy: f64) -> Result<()> {
        let [low, high] = self.range();
        match energy >= low * (1.0 - 1e-6) && energy <= high * (1.0 + 1e-6) {
            true => Ok(()),
            false => Err(Error::key("energy", format!("the model knows {low} to {high} MeV, found {energy}"))),
        }
    }

    /// What a network is given for an incident energy: its place in the range, in ln E, from −1 to 1.
    pub fn place(&self, energy: f64) -> f32 {
        let [low, high] = self.range().map(f64::ln);
        if high > low { (2.0 * (energy.ln() - low) / (high - low) - 1.0) as f32 } else { 0.0 }
    }

    fn at(&self, energy: f64) -> At {
        let last = self.levels.len() - 1;
        let above = self.levels.partition_point(|e| f64::from(*e) <= energy).clamp(1, last.max(1)).min(last);
        let below = above.saturating_sub(1);
        let [a, b] = [below, above].map(|i| f64::from(self.levels[i]).ln());
        let second = if b > a { ((energy.ln() - a) / (b - a)).clamp(0.0, 1.0) } else { 0.0 };
        At { levels: [below, above], second }
    }

    fn mixed(&self, table: &[f32], at: At, place: usize, stride: usize) -> f64 {
        let [a, b] = at.levels.map(|l| f64::from(table[l * stride + place]));
        if at.second == 0.0 { a } else { a + at.second * (b - a) }
    }

    fn width_of(&self) -> usize {
        Self::width(&self.geometry)
    }

    /// π and κ of variable c.
    fn shares(&self, at: At, c: usize) -> [f64; 2] {
        [&self.off, &self.full].map(|table| self.mixed(table, at, c, self.width_of()))
    }

    fn knot(&self, at: At, c: usize, m: usize) -> f64 {
        self.mixed(&self.knots, at, c * KNOTS + m, self.width_of() * KNOTS)
    }

    /// The scores of showers, `[N, L + V]`. Shower i draws by `seed` and `first` + i where a variable is off.
    ///
    /// # Errors
    /// [`Error::Key`] where the voxels do not fit, or an energy is outside the tables.
    pub fn of(&self, showers: &Showers, first: u64, seed: u64) -> Result<Vec<f32>> {
        if let Some(message) = self.geometry.misfit(showers.width) {
            return Err(Error::key("geometry", message));
        }
        showers.energies.iter().try_for_each(|e| self.check(*e))?;
        let (width, layers, cut) = (self.width_of(), self.geometry.layers.len(), self.geometry.voxel_cut);
        let mut scores = vec![0.0; width * showers.len()];
        scores.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
            let at = self.at(showers.energies[i]);
            let mut rng = noise::generator(seed, first + i as u64, Stream::Training, STEP);
            for (c, (z, x)) in row.iter_mut().zip(variables(showers, i, &self.geometry)).enumerate() {
                let ([off, full], draw, x) = (self.shares(at, c), rng.random::<f64>(), f64::from(x));
                *z = match x > 0.0 {
                    false => score(off * draw),
                    true if is_all(x, c, layers) => -score(full * draw),
                    true => {
                        let s = self.passed(at, c, f64::from(stretched(x, c, layers, cut)), draw);
                        // The upper tail, where the difference to 1 counts.
                        if off + full > 0.0 { -score(full + (1.0 - off - full) * below(-s)) } else { s }
                    }
                } as f32;
            }
        });
        Ok(scores)
    }

    /// Where the quantiles of variable c pass t; somewhere between where several of them are t.
    fn passed(&self, at: At, c: usize, t: f64, draw: f64) -> f64 {
        let knots: [f64; KNOTS] = std::array::from_fn(|m| self.knot(at, c, m));
        let [from, to] = [knots.partition_point(|k| *k < t), knots.partition_point(|k| *k <= t)];
        if to > from + 1 {
            let ends = [(from > 0).then(|| below(grid(from))), (to < KNOTS).then(|| below(grid(to - 1)))];
            let [low, high] = [ends[0].unwrap_or(0.0), ends[1].unwrap_or(1.0)];
            return score(low + (high - low) * draw);
        }
        let m = from.clamp(1, KNOTS - 1);
        let (low, high) = (knots[m - 1], knots[m]);
        let part = if high > low { (t - low) / (high - low) } else { f64::from(u8::from(t > high)) };
        (grid(m - 1) + part * (grid(m) - grid(m - 1))).clamp(-FARTHEST, FARTHEST)
    }

    /// The showers of scores `[N, L + V]` at these incident energies.
    ///
    /// # Errors
    /// [`Error::Key`] for an energy outside the tables; [`Error::Bug`] where the lengths do not belong together.
    pub fn showers(&self, scores: &[f32], energies: &[f64]) -> Result<Showers> {
        energies.iter().try_for_each(|e| self.check(*e))?;
        let (width, voxels) = (self.width_of(), self.geometry.voxels());
        if scores.len() != energies.len() * width {
            return Err(Error::Bug(format!("{} scores for {} showers of {width}", scores.len(), energies.len())));
        }
        let mut all = vec![0.0; energies.len() * voxels];
        let spans = self.geometry.spans();
        all.par_chunks_mut(voxels).zip(scores.par_chunks(width)).zip(energies).for_each(|((row, z), energy)| {
            self.shower(z, *energy, &spans, row);
        });
        Ok(Showers { energies: energies.to_vec(), voxels: all, width: voxels })
    }

    /// Variable c of a score, 0 where it is off; and how far from being on it is, as the share of
    /// the scores above it among those that are on, 1 at the edge.
    fn variable(&self, at: At, c: usize, z: f64) -> (f64, f64) {
        let [off, full] = self.shares(at, c);
        let above = below(-z);
        if above < full {
            return (1.0, 0.0);
        }
        let above = (above - full) / (1.0 - off - full).max(1e-12);
        if above >= 1.0 {
            return (0.0, above);
        }
        let s = if off + full > 0.0 { -score(above) } else { z.clamp(-FARTHEST, FARTHEST) };
        let m = (((s + REACH) / (2.0 * REACH) * (KNOTS - 1) as f64).floor().max(0.0) as usize).min(KNOTS - 2);
        let (low, high) = (self.knot(at, c, m), self.knot(at, c, m + 1));
        let t = low + (high - low) * (s - grid(m)) / (grid(m + 1) - grid(m));
        (back(t, c, self.geometry.layers.len(), self.geometry.voxel_cut), above)
    }

    /// One shower into `row`.
    fn shower(&self, z: &[f32], energy: f64, spans: &[std::ops::Range<usize>], row: &mut [f32]) {
        let (at, layers, cut) = (self.at(energy), spans.len(), self.geometry.voxel_cut);
        let mut rest = energy * self.variable(at, 0, f64::from(z[0])).0;
        for (l, span) in spans.iter().enumerate().rev() {
            // Layers are counted from the last one: variable 1 is the last layer's share.
            let own = if l == 0 { rest } else { rest * self.variable(at, layers - l, f64::from(z[layers - l])).0 };
            if own < cut {
                continue;
            }
            rest -= own;
            let found: Vec<(f64, f64)> =
                span.clone().map(|v| self.variable(at, layers + v, f64::from(z[layers + v]))).collect();
            fill(&found, own, cut, &mut row[span.clone()]);
        }
    }

    /// The tables as tensors.
    pub fn tensors(&self) -> BTreeMap<String, WeightTensor> {
        let (n, width) = (self.levels.len(), self.width_of());
        [
            ("levels", vec![n], &self.levels),
            ("off", vec![n, width], &self.off),
            ("full", vec![n, width], &self.full),
            ("quantiles", vec![n, width, KNOTS], &self.knots),
        ]
        .into_iter()
        .map(|(name, shape, values)| (format!("{SCORES_PREFIX}{name}"), WeightTensor { shape, values: values.clone() }))
        .collect()
    }

    /// The tables of a file of weights.
    ///
    /// # Errors
    /// [`Error::Input`] for tables that are missing, or not those of the detector.
    pub fn read(weights: &Weights, geometry: &Geometry) -> Result<Self> {
        let (file, width) = (weights.file(), Self::width(geometry));
        let n = weights.require(&format!("{SCORES_PREFIX}levels"))?.values.len();
        let table = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let name = format!("{SCORES_PREFIX}{name}");
            let found = weights.require(&name)?;
            if found.shape == shape {
                return Ok(found.values.clone());
            }
            let (detector, is) = (&geometry.name, &found.shape);
            let message =
                format!("tensor \"{name}\": expected the shape {shape:?} for the detector {detector}, found {is:?}");
            Err(Error::input(file, message))
        };
        let levels = table("levels", &[n])?;
        let (off, full) = (table("off", &[n, width])?, table("full", &[n, width])?);
        let knots = table("quantiles", &[n, width, KNOTS])?;
        let wrong = match () {
            () if n == 0 || levels[0] <= 0.0 || !levels.is_sorted_by(|a, b| a < b) => "levels",
            () if off.iter().any(|p| !(0.0..=1.0).contains(p)) => "off",
            () if full.iter().zip(&off).any(|(k, p)| !(0.0..=1.0 - p + 1e-6).contains(k)) => "full",
            () if knots.chunks_exact(KNOTS).any(|k| !k.is_sorted()) => "quantiles",
            () => return Ok(Self { geometry: geometry.clone(), levels, off, full, knots }),
        };
        let rule = "expected energies that rise, shares from 0 to 1, quantiles that do not fall";
        Err(Error::input(file, format!("tensor \"{SCORES_PREFIX}{wrong}\": {rule}; the file is damaged")))
    }

    /// Reads showers of a file and cuts what the read-out would not keep.
    ///
    /// # Errors
    /// Those of [`Showers::read`].
    pub fn cut_showers(path: &Path, geometry: &Geometry) -> Result<Showers> {
        let mut showers = Showers::read(path, geometry)?;
        let found = showers.cut(geometry.voxel_cut);
        if found.negative > 0 {
            let message = format!(
                "expected voxels of 0 or more to learn from, found {} below; is {} made by a detector?",
                found.negative,
                shown(path)
            );
            return Err(Error::input(path, message));
        }
        Ok(showers)
    }
}

/// Energies of the levels, and which showers each of them has.
fn levels(energies: &[f64]) -> (Vec<f64>, Vec<Vec<usize>>) {
    let mut order: Vec<usize> = (0..energies.len()).collect();
    order.sort_by(|a, b| energies[*a].total_cmp(&energies[*b]));
    let groups: Vec<&[usize]> = order.chunk_by(|a, b| energies[*a] == energies[*b]).collect();
    if groups.len() <= LEVELS {
        return groups.iter().map(|g| (energies[g[0]], g.to_vec())).unzip();
    }
    let [low, high] = [order.first(), order.last()].map(|i| i.map_or(0.0, |i| energies[*i].ln()));
    let step = (high - low) / (CONTINUOUS - 1) as f64;
    let mut members = vec![Vec::new(); CONTINUOUS];
    for i in order {
        let nearest = ((energies[i].ln() - low) / step).round() as usize;
        members[nearest.min(CONTINUOUS - 1)].push(i);
    }
    ((0..CONTINUOUS).map(|k| (low + k as f64 * step).exp()).collect(), members)
}

/// The variables of shower i, `[L + V]`.
fn variables(showers: &Showers, i: usize, geometry: &Geometry) -> Vec<f32> {
    let (row, spans) = (showers.row(i), geometry.spans());
    let sum = |span: &std::ops::Range<usize>| row[span.clone()].iter().map(|v| f64::from(*v)).sum::<f64>();
    let own: Vec<f64> = spans.iter().map(sum).collect();
    let mut rest: f64 = own.iter().sum();
    let mut all = vec![(rest / showers.energies[i]) as f32];
    for e in own.iter().skip(1).rev() {
        // Where nothing but this layer is left, its share is 1 whatever the rounding of the sums.
        let share = if rest > 0.0 { (e / rest).min(1.0) } else { 0.0 };
        all.push(share as f32);
        rest = (rest - e).max(0.0);
    }
    all.extend(row);
    all
}

/// The voxels of a layer that has `energy`, in the proportions of what was `found`: energies, and distances from being on.
fn fill(found: &[(f64, f64)], energy: f64, cut: f64, into: &mut [f32]) {
    let mut on: Vec<usize> = (0..found.len()).filter(|i| found[*i].0 > 0.0).collect();
    on.sort_by(|a, b| found[*b].0.total_cmp(&found[*a].0));
    let mut sum: f64 = on.iter().map(|i| found[*i].0).sum();
    while let Some(last) = on.last().filter(|_| on.len() > 1) {
        if energy * found[*last].0 >= cut * sum {
            break;
        }
        sum -= found[*last].0;
        on.pop();
    }
    match on[..] {
        // All of it where it would come first.
        [] => {
            let nearest = (0..found.len()).min_by(|a, b| found[*a].1.total_cmp(&found[*b].1));
            nearest.into_iter().for_each(|i| into[i] = energy as f32);
        }
        [one] => into[one] = energy as f32,
        _ => {
            let sum: f64 = on.iter().map(|i| found[*i].0).sum();
            on.iter().for_each(|i| into[*i] = (energy * found[*i].0 / sum) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HighLevel, Simulator, Spectrum, check, geometry};
    use super::*;

    fn photons(n: usize, first: u64) -> (Simulator, Showers) {
        let simulator = Simulator::new(geometry("photons").unwrap()).unwrap();
        let energies: Vec<f64> = (0..n).map(|i| [1024.0, 65_536.0, 1_048_576.0][i % 3]).collect();
        let showers = simulator.showers(&energies, first, 1).unwrap();
        (simulator, showers)
    }

    #[test]
    fn scores_are_standard_normal_one_by_one() {
        let (simulator, showers) = photons(3000, 0);
        let scores = Scores::fit(&showers, &simulator.geometry).unwrap();
        let (_, others) = photons(3000, 100_000);
        let z = scores.of(&others, 0, 5).unwrap();
        let width = Scores::width(&simulator.geometry);
        assert_eq!((width, z.len()), (373, 3000 * 373));
        // Mean and variance of each variable over fresh showers of one energy: six standard errors of 1,000 draws each, of the
        // fit and of the fresh ones, so √2 times 6/√1000 and 6·√(2/1000). 13 quantiles cost a little of the variance.
        for level in 0..3 {
            for c in 0..width {
                let of = (level..3000).step_by(3).map(|i| f64::from(z[i * width + c]));
                let mean = of.clone().sum::<f64>() / 1000.0;
                let variance = of.map(|v| (v - mean).powi(2)).sum::<f64>() / 999.0;
                assert!(mean.abs() < 0.27, "{level} {c}: mean {mean}");
                assert!((variance - 1.0).abs() < 0.45, "{level} {c}: variance {variance}");
            }
        }
    }

    /// At 512 MeV the first layer is empty in about half of the showers, and then the second has all that is left: three kinds of
    /// share, and no gap between their scores. Kolmogorov and Smirnov's distance, 99 % of two samples of 3,000.
    #[test]
    fn shares_of_nothing_and_of_all_leave_no_gap() {
        let simulator = Simulator::new(geometry("photons").unwrap()).unwrap();
        let made = |first: u64| simulator.showers(&[512.0; 3000], first, 1).unwrap();
        let scores = Scores::fit(&made(0), &simulator.geometry).unwrap();
        assert!(scores.full[4] > 0.2 && scores.off[1] > 0.5, "{:?} {:?}", &scores.full[..5], &scores.off[..5]);
        let z = scores.of(&made(100_000), 0, 5).unwrap();
        for c in 0..5 {
            let mut column: Vec<f64> = z.chunks_exact(373).map(|row| below(f64::from(row[c]))).collect();
            column.sort_by(f64::total_cmp);
            let apart = |(i, p): (usize, &f64)| (p - i as f64 / 3000.0).abs();
            let distance = column.iter().enumerate().map(apart).fold(0.0, f64::max);
            assert!(distance < 1.63 * (2.0f64 / 3000.0).sqrt(), "variable {c}: {distance}");
        }
    }

    #[test]
    fn showers_come_back_from_their_scores() {
        let (simulator, showers) = photons(1500, 0);
        let scores = Scores::fit(&showers, &simulator.geometry).unwrap();
        let z = scores.of(&showers, 0, 5).unwrap();
        let back = scores.showers(&z, &showers.energies).unwrap();
        let [a, b] = [&showers, &back].map(|s| HighLevel::of(s, &simulator.geometry).unwrap());
        // E_tot is a quantile and its inverse, in f32. Layers whose energy is near the cut may lose it to another layer.
        let near = |x: f64, y: f64| (x - y).abs() <= 2e-4 * x.abs() + 2.0;
        let off = (0..1500).filter(|i| !near(a.total[*i], b.total[*i])).count();
        assert_eq!(off, 0, "E_tot of {off} showers");
        for (x, y) in a.layers.iter().zip(&b.layers) {
            let off = (0..1500).filter(|i| !near(x.energy[*i], y.energy[*i])).count();
            assert!(off <= 15, "layer {}: {off} showers", x.id);
        }
        // And voxels: of those above 10 MeV, all within 1 % where scores do not reach their bound.
        let (mut many, mut wrong) = (0, 0);
        for (x, y) in showers.voxels.iter().zip(&back.voxels).filter(|(x, _)| **x > 10.0) {
            many += 1;
            wrong += usize::from((x - y).abs() > 0.01 * x);
        }
        assert!(many > 50_000 && wrong * 500 < many, "{wrong} of {many}");
    }

    #[test]
    fn whatever_the_scores_physics_holds() {
        let (simulator, showers) = photons(1500, 0);
        let scores = Scores::fit(&showers, &simulator.geometry).unwrap();
        let width = Scores::width(&simulator.geometry);
        // Scores much wilder than any that were learnt, at energies between the levels too.
        let z: Vec<f32> = noise::normals(3, 0, Stream::Probe, 0, 600 * width).iter().map(|v| 3.0 * v).collect();
        let energies: Vec<f64> = (0..600).map(|i| 1024.0 * (1.0 + 1.7 * f64::from(i))).collect();
        let made = scores.showers(&z, &energies).unwrap();
        let band = super::super::Band { centre: 1.0, margin: 10.0, sigmas: 0.0, stochastic: 0.0, constant: 0.0 };
        let found = check(&made, &simulator.geometry, &band).unwrap();
        assert_eq!((found.showers, found.sound), (600, 600), "{found:?}");
        // E_tot is what its score says: the rest of a layer below the cut is all that can be missing.
        let at = |i: usize| energies[i] * scores.variable(scores.at(energies[i]), 0, f64::from(z[i * width])).0;
        for (i, row) in made.voxels.chunks_exact(368).enumerate() {
            let total: f64 = row.iter().map(|v| f64::from(*v)).sum();
            assert!((total - at(i)).abs() <= 1e-6 * at(i) + 1.0, "{i}: {total} and not {}", at(i));
        }
        // Not finite scores are off or at a bound, and never a panic.
        let mad = vec![f32::NAN; width];
        assert!(scores.showers(&mad, &[2048.0]).is_ok());
    }

    #[test]
    fn tables_go_into_a_file_and_come_back() {
        let (simulator, showers) = photons(600, 0);
        let g = &simulator.geometry;
        let scores = Scores::fit(&showers, g).unwrap();
        assert_eq!(
            (scores.range(), scores.place(1024.0), scores.place(1_048_576.0)),
            ([1024.0, 1_048_576.0], -1.0, 1.0)
        );
        assert!((scores.place(32_768.0)).abs() < 1e-6);
        let file = |tensors: &BTreeMap<String, WeightTensor>| {
            let bytes = crate::store::write_safetensors(tensors).unwrap();
            Weights::parse(Path::new("weights.safetensors"), &bytes).unwrap()
        };
        let mut tensors = scores.tensors();
        assert_eq!(Scores::read(&file(&tensors), g).unwrap(), scores);
        let message = Scores::read(&file(&tensors), &geometry("pions").unwrap()).unwrap_err().to_string();
        assert!(message.contains("for the detector pions, found [3, 373]"), "{message}");
        tensors.get_mut("scores.off").unwrap().values[5] = 1.5;
        let message = Scores::read(&file(&tensors), g).unwrap_err().to_string();
        assert!(message.contains("scores.off\": expected energies that rise"), "{message}");
        tensors.remove("scores.off");
        assert!(Scores::read(&file(&tensors), g).unwrap_err().to_string().contains("scores.off"));
    }

    #[test]
    fn what_cannot_be_learnt_is_refused() {
        let (simulator, showers) = photons(297, 0);
        let g = &simulator.geometry;
        let message = Scores::fit(&showers, g).unwrap_err().to_string();
        assert_eq!(
            message,
            "showers: expected at least 100 showers at each energy, found 99 at 1024 MeV; simulate more"
        );
        assert!(Scores::fit(&showers, &geometry("pions").unwrap()).is_err());
        let (_, showers) = photons(600, 0);
        let scores = Scores::fit(&showers, g).unwrap();
        let message = scores.showers(&[0.0; 373], &[512.0]).unwrap_err().to_string();
        assert_eq!(message, "energy: the model knows 1024 to 1048576 MeV, found 512");
        // A spectrum without levels has sixteen.
        let energies = Spectrum::LogUniform { low: 1e3, high: 1e6 }.energies(0, 4000, 1);
        let even = simulator.showers(&energies, 0, 1).unwrap();
        assert_eq!(Scores::fit(&even, g).unwrap().levels.len(), 16);
    }
}
