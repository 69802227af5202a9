//! The neighbourhoods of real and generated samples: balls around each sample that reach to its k-th nearest neighbour
//! in its own set. Precision, recall, density, coverage, realism and AuthPct are counts of who lies in whose.
//!
//! Three tables of distances are gone through once: real × real and generated × generated for the radii, real ×
//! generated for the counts. Each count is kept twice, among all rows and among those of one's own part of a random
//! division of both sets, from which [`super::intervals`] makes intervals. Memory beside the features is O(rows·k).

use super::intervals::{self, SPLITS};
use super::neighbours::{self, Block, Nearest, Origin, PerStrip, Points};
use super::{Measured, Sets, Settings, steps};
use crate::error::{Error, Result};
use crate::noise::{self, Stream};

/// Neighbourhoods of real and generated samples and what lies in them.
pub struct Neighbourhoods {
    /// k.
    pub nearest: usize,
    /// Among all rows.
    pub whole: Counts,
    /// Among the rows of one's own part.
    pub split: Counts,
    /// The part of each real and of each generated row.
    pub parts: [Vec<u8>; 2],
    /// How many parts there are. With one, `split` is `whole`.
    pub splits: usize,
}

/// Who lies in whose ball. Lying in a ball is being strictly nearer than its radius.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// The squared radius of each real and of each generated row's ball; infinite where there are fewer than k others.
    pub radii: [Vec<f64>; 2],
    /// For each real row, the squared distance to its nearest other.
    pub closest: Vec<f64>,
    /// For each generated row, the number of real rows' balls that it lies in.
    pub inside: Vec<u32>,
    /// For each generated row, its nearest real row: squared distance and number.
    pub nearest: Vec<(f64, u32)>,
    /// For each generated row, the largest r²/d² over the real rows whose radius r is below the median radius; 0 where
    /// none of these has a radius above 0.
    pub realism: Vec<f64>,
    /// For each real row, whether a generated row lies in its ball.
    pub reached: Vec<bool>,
    /// For each real row, whether it lies in the ball of a generated row.
    pub recalled: Vec<bool>,
}

impl Neighbourhoods {
    /// Computes all counts with k = `settings.nearest`. Every part of the division has more than k rows of each set;
    /// where there are too few rows for that, there is one part.
    ///
    /// # Errors
    /// [`Error::Key`] for widths that differ, and for k = 0.
    pub fn new(sets: &Sets, settings: &Settings) -> Result<Self> {
        sets.check()?;
        let k = settings.nearest;
        if k == 0 {
            return Err(Error::key("nearest", "expected at least 1, found 0"));
        }
        let rows = [sets.real.rows(), sets.generated.rows()];
        let splits = (rows[0].min(rows[1]) / (k + 1)).clamp(1, SPLITS);
        let parts = [0, 1].map(|set| parts_of(settings.seed, set, rows[set], splits));
        let origin = Origin::of(&[sets.real, sets.generated])?;
        let [real, generated] = [sets.real, sets.generated].map(|set| Points::new(set, &origin, settings.block));
        let radii = [nearest(&real, k, &parts[0]), nearest(&generated, k, &parts[1])];
        let [whole, split] = counts(&real, &generated, &parts, &radii);
        Ok(Self { nearest: k, whole, split, parts, splits })
    }

    /// Checks that both sets have more than k rows, and that the real ones span a manifold.
    ///
    /// # Errors
    /// [`Error::Key`] naming the set that has too few rows, or `real` where every radius is 0.
    pub fn check(&self) -> Result<()> {
        let k = self.nearest;
        for (key, radii) in ["real", "generated"].into_iter().zip(&self.whole.radii) {
            if radii.len() <= k {
                let (found, least) = (radii.len(), k + 1);
                let message = format!(
                    "{found} samples, expected at least {least} for {k} nearest neighbours; \
                     give more samples or lower nearest"
                );
                return Err(Error::key(key, message));
            }
        }
        if self.whole.radii[0].iter().all(|r| *r == 0.0) {
            let message =
                format!("every sample has at least {k} exact copies, expected samples that differ; remove the copies");
            return Err(Error::key("real", message));
        }
        Ok(())
    }

    /// The mean over generated rows (`set` 1) or real ones (0) of a count, with its interval: by splits, and at least
    /// `by_rows` of the rows' values.
    pub fn mean(
        &self,
        set: usize,
        value: impl Fn(&Counts, usize) -> f64,
        by_rows: impl Fn(&[f64]) -> [f64; 2],
    ) -> Measured {
        let parts = &self.parts[set];
        let values = |counts: &Counts| -> Vec<f64> { (0..parts.len()).map(|i| value(counts, i)).collect() };
        let whole = values(&self.whole);
        let mean = mean_of(&whole);
        let by_part = by_part(&values(&self.split), parts, self.splits);
        let of_parts: Vec<f64> = by_part.iter().map(|part| mean_of(part)).collect();
        let half = intervals::half_width(&of_parts).unwrap_or(0.0);
        Measured { value: mean, interval: intervals::hull([mean - half, mean + half], by_rows(&whole)) }
    }

    /// The share of generated rows (`set` 1) or real ones (0) for which something holds, with its interval: by splits,
    /// at least Wilson's, within 0 and 1.
    pub fn share(&self, set: usize, holds: impl Fn(&Counts, usize) -> bool) -> Measured {
        let by_rows = |rows: &[f64]| intervals::wilson(mean_of(rows), rows.len());
        let found = self.mean(set, |counts, i| f64::from(u8::from(holds(counts, i))), by_rows);
        Measured { value: found.value, interval: found.interval.map(|end| end.clamp(0.0, 1.0)) }
    }
}

/// The values of each part.
pub fn by_part(values: &[f64], parts: &[u8], splits: usize) -> Vec<Vec<f64>> {
    let mut of = vec![Vec::new(); splits];
    values.iter().zip(parts).for_each(|(v, part)| of[usize::from(*part)].push(*v));
    of
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A random division of `rows` rows into parts whose sizes differ by 1 at most. Rows often come sorted by class.
fn parts_of(seed: u64, set: usize, rows: usize, splits: usize) -> Vec<u8> {
    let mut parts = vec![0; rows];
    for (place, row) in noise::permutation(seed, Stream::Bootstrap, steps::PARTS[set], rows).into_iter().enumerate() {
        parts[row] = (place * splits / rows) as u8;
    }
    parts
}

/// The k nearest other rows of each row: of all, and of its own part.
fn nearest(points: &Points, k: usize, parts: &[u8]) -> [Nearest; 2] {
    let kept = PerStrip::new(points, |rows| [0, 1].map(|_| Nearest::new(rows.len(), k)));
    let same = |x: usize, y: usize| parts[x] == parts[y];
    neighbours::within(points, |block| {
        let mut kept_rows = kept.rows(block);
        let [whole, split] = &mut *kept_rows;
        whole.offer_rows(block, |_, _| true);
        split.offer_rows(block, same);
        drop(kept_rows);
        let mut kept_columns = kept.columns(block);
        let [whole, split] = &mut *kept_columns;
        whole.offer_columns(block, |_, _| true);
        split.offer_columns(block, same);
    });
    let (whole, split): (Vec<_>, Vec<_>) = kept.into_inner().map(|[whole, split]| (whole, split)).unzip();
    [whole, split].map(|strips| Nearest::joined(k, strips.into_iter()))
}

/// What is counted for a strip of generated rows.
struct OfGenerated {
    inside: Vec<u32>,
    nearest: Vec<(f64, u32)>,
    realism: Vec<f64>,
}

/// What is counted for a strip of real rows.
struct OfReal {
    reached: Vec<bool>,
    recalled: Vec<bool>,
}

/// What a block is compared with.
struct Radii<'a> {
    /// Squared radii of real and generated balls.
    squared: [&'a [f64]; 2],
    /// The squared radius where it is below the median of the real ones that it is compared with, else 0.
    small: Vec<f64>,
}

/// The counts among all rows, and among those of one's own part, from the k nearest rows of each set in each scope.
fn counts(real: &Points, generated: &Points, parts: &[Vec<u8>; 2], nearest: &[[Nearest; 2]; 2]) -> [Counts; 2] {
    let everyone = vec![0; parts[0].len()];
    let k_th = |set: usize, scope: usize| nearest[set][scope].kth(nearest[set][scope].count());
    let squared = [0, 1].map(|scope| [0, 1].map(|set| k_th(set, scope)));
    let scopes = [0, 1].map(|scope| {
        let parts = if scope == 0 { &everyone } else { &parts[0] };
        let [real, generated] = &squared[scope];
        Radii { small: small(real, parts), squared: [real, generated] }
    });
    let rows = PerStrip::new(real, |rows| [0, 1].map(|_| OfReal::new(rows.len())));
    let columns = PerStrip::new(generated, |rows| [0, 1].map(|_| OfGenerated::new(rows.len())));
    neighbours::between(real, generated, |block| {
        let whole = tally(block, &scopes[0], |_, _| true);
        let split = tally(block, &scopes[1], |x, y| parts[0][x] == parts[1][y]);
        let (of_real, of_generated): (Vec<_>, Vec<_>) = [whole, split].into_iter().unzip();
        rows.rows(block).iter_mut().zip(of_real).for_each(|(kept, found)| kept.take_in(&found));
        columns.columns(block).iter_mut().zip(of_generated).for_each(|(kept, found)| kept.take_in(&found));
    });
    let mut all = [0, 1].map(|scope: usize| Counts {
        radii: squared[scope].clone(),
        closest: nearest[0][scope].kth(1),
        inside: Vec::new(),
        nearest: Vec::new(),
        realism: Vec::new(),
        reached: Vec::new(),
        recalled: Vec::new(),
    });
    for strip in rows.into_inner() {
        for (all, strip) in all.iter_mut().zip(strip) {
            all.reached.extend(strip.reached);
            all.recalled.extend(strip.recalled);
        }
    }
    for strip in columns.into_inner() {
        for (all, strip) in all.iter_mut().zip(strip) {
            all.inside.extend(strip.inside);
            all.nearest.extend(strip.nearest);
            all.realism.extend(strip.realism);
        }
    }
    all
}

/// Each squared radius that is below the median radius of its part, and 0 for the others.
fn small(squared: &[f64], parts: &[u8]) -> Vec<f64> {
    let radii: Vec<f64> = squared.iter().map(|r| r.sqrt()).collect();
    let splits = parts.iter().max().map_or(1, |part| usize::from(*part) + 1);
    let medians: Vec<f64> = by_part(&radii, parts, splits).into_iter().map(intervals::median).collect();
    let below = |(i, r): (usize, &f64)| if *r < medians[usize::from(parts[i])] { squared[i] } else { 0.0 };
    radii.iter().enumerate().map(below).collect()
}

/// Counts the entries of a block of the table real × generated which `counts` lets through.
fn tally(block: &Block, radii: &Radii, counts: impl Fn(usize, usize) -> bool) -> (OfReal, OfGenerated) {
    let (mut of_real, mut of_generated) = (OfReal::new(block.rows.len()), OfGenerated::new(block.columns.len()));
    let reach = &radii.squared[1][block.columns.clone()];
    for (i, x) in block.rows.clone().enumerate() {
        let (radius, small) = (radii.squared[0][x], radii.small[x]);
        for (j, y) in block.columns.clone().enumerate() {
            if !counts(x, y) {
                continue;
            }
            let d = block.row(i)[j];
            let inside = d < radius;
            of_generated.inside[j] += u32::from(inside);
            of_real.reached[i] |= inside;
            of_real.recalled[i] |= d < reach[j];
            if d < of_generated.nearest[j].0 {
                of_generated.nearest[j] = (d, x as u32);
            }
            // 0/0 is not a number, and the larger of a number and none is the number.
            of_generated.realism[j] = of_generated.realism[j].max(small / d);
        }
    }
    (of_real, of_generated)
}

impl OfReal {
    fn new(rows: usize) -> Self {
        Self { reached: vec![false; rows], recalled: vec![false; rows] }
    }

    fn take_in(&mut self, other: &Self) {
        self.reached.iter_mut().zip(&other.reached).for_each(|(kept, found)| *kept |= found);
        self.recalled.iter_mut().zip(&other.recalled).for_each(|(kept, found)| *kept |= found);
    }
}

impl OfGenerated {
    fn new(rows: usize) -> Self {
        Self { inside: vec![0; rows], nearest: vec![(f64::INFINITY, u32::MAX); rows], realism: vec![0.0; rows] }
    }

    /// Adds what another block found; the order of the blocks does not matter.
    fn take_in(&mut self, other: &Self) {
        self.inside.iter_mut().zip(&other.inside).for_each(|(kept, found)| *kept += found);
        self.realism.iter_mut().zip(&other.realism).for_each(|(kept, found)| *kept = kept.max(*found));
        for (kept, found) in self.nearest.iter_mut().zip(&other.nearest) {
            if found < kept {
                *kept = *found;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::golden::{SETTINGS, features, golden, normals, on_any_threads};

    /// All counts by their definitions, among the rows that `counts` lets through.
    fn plain(real: &Features, generated: &Features, k: usize, parts: &[Vec<u8>; 2]) -> Counts {
        let squared = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
        };
        let sorted = |set: &Features, parts: &[u8], i: usize| {
            let others = (0..set.rows()).filter(|j| *j != i && parts[*j] == parts[i]);
            let mut all: Vec<f64> = others.map(|j| squared(set.row(i), set.row(j))).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let own: Vec<Vec<f64>> = (0..real.rows()).map(|i| sorted(real, &parts[0], i)).collect();
        let radii = [
            own.iter().map(|d| d[k - 1]).collect::<Vec<f64>>(),
            (0..generated.rows()).map(|j| sorted(generated, &parts[1], j)[k - 1]).collect(),
        ];
        let d = |i: usize, j: usize| squared(real.row(i), generated.row(j));
        let real_of = |j: usize| (0..real.rows()).filter(move |i| parts[0][*i] == parts[1][j]);
        let generated_of = |i: usize| (0..generated.rows()).filter(move |j| parts[1][*j] == parts[0][i]);
        let median = |j: usize| intervals::median(real_of(j).map(|i| radii[0][i].sqrt()).collect());
        let all = 0..generated.rows();
        Counts {
            closest: own.iter().map(|d| d[0]).collect(),
            inside: all.clone().map(|j| real_of(j).filter(|i| d(*i, j) < radii[0][*i]).count() as u32).collect(),
            nearest: all
                .clone()
                .map(|j| real_of(j).map(|i| (d(i, j), i as u32)).min_by(|a, b| a.partial_cmp(b).unwrap()).unwrap())
                .collect(),
            realism: all
                .map(|j| {
                    let small = real_of(j).filter(|i| radii[0][*i].sqrt() < median(j) && radii[0][*i] > 0.0);
                    small.map(|i| radii[0][i] / d(i, j)).fold(0.0, f64::max)
                })
                .collect(),
            reached: (0..real.rows()).map(|i| generated_of(i).any(|j| d(i, j) < radii[0][i])).collect(),
            recalled: (0..real.rows()).map(|i| generated_of(i).any(|j| d(i, j) < radii[1][j])).collect(),
            radii,
        }
    }

    fn near(a: &[f64], b: &[f64]) {
        // The bound of `neighbours` at width 8, for quotients of two.
        assert!(a.iter().zip(b).all(|(a, b)| a == b || (a - b).abs() <= 1e-11 * b.abs()), "{a:?} {b:?}");
    }

    /// With sets of different size, copies of real rows among the generated ones, and copies among the real ones.
    #[test]
    fn equal_their_definitions() {
        let golden = golden();
        let mut real = golden.real.subset(0..150);
        real.values.extend(golden.real.subset((0..8).map(|_| 3)).values);
        let mut generated = golden.generated.subset(0..90);
        generated.values.extend(golden.real.subset(0..20).values);
        for (nearest, block) in [(5, 16), (2, 64), (5, 1000)] {
            let settings = Settings { nearest, block, ..SETTINGS };
            let found = Neighbourhoods::new(&Sets::new(&real, &generated), &settings).unwrap();
            assert_eq!(found.splits, SPLITS);
            let everyone = [vec![0; 158], vec![0; 110]];
            for (found, parts) in [(&found.whole, &everyone), (&found.split, &found.parts)] {
                let expected = plain(&real, &generated, nearest, parts);
                (0..2).for_each(|set| near(&found.radii[set], &expected.radii[set]));
                near(&found.closest, &expected.closest);
                near(&found.realism, &expected.realism);
                let [a, b] = [found, &expected].map(|c| c.nearest.iter().copied().unzip::<f64, u32, Vec<_>, Vec<_>>());
                near(&a.0, &b.0);
                assert_eq!(a.1, b.1);
                assert_eq!(found.inside, expected.inside);
                assert_eq!(found.reached, expected.reached);
                assert_eq!(found.recalled, expected.recalled);
            }
        }
    }

    #[test]
    fn the_same_bits_for_any_block_and_threads() {
        let golden = golden();
        let make = |block: usize| {
            on_any_threads(|| {
                let sets = Sets::new(&golden.real, &golden.generated);
                let found = sets.neighbourhoods(&Settings { block, ..SETTINGS }).unwrap();
                (found.whole.clone(), found.split.clone(), found.parts.clone())
            })
        };
        assert_eq!(make(16), make(256));
    }

    #[test]
    fn they_are_computed_once() {
        let golden = golden();
        let sets = Sets::new(&golden.real, &golden.generated);
        let first = sets.neighbourhoods(&SETTINGS).unwrap();
        let again = sets.neighbourhoods(&Settings { block: 16, resamples: 50, ..SETTINGS }).unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &again));
        let other = sets.neighbourhoods(&Settings { nearest: 3, ..SETTINGS }).unwrap();
        assert_eq!((first.nearest, other.nearest), (5, 3));
    }

    #[test]
    fn parts_are_even_and_random() {
        let parts = parts_of(1, 0, 102, 5);
        let sizes: Vec<usize> = (0..5).map(|p| parts.iter().filter(|q| **q == p).count()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 102);
        assert!(sizes.iter().all(|s| (20..=21).contains(s)), "{sizes:?}");
        assert_ne!(parts, parts_of(2, 0, 102, 5));
        assert_ne!(parts[..21], [0; 21]);
    }

    /// Intervals of 100 repeats should hold the mean of all 100 in 95 of them. 100 binomial repeats at 95 % give 88 or
    /// more with a probability of 99.85 %; too many is no fault, since intervals are at least those by rows.
    #[test]
    fn intervals_cover() {
        let repeats: Vec<[Measured; 3]> = (0..100)
            .map(|r| {
                let real = features(normals(100, 3, 1_000 * r), 3);
                let generated = features(normals(100, 3, 1_000 * r + 500).into_iter().map(|v| 1.2 * v + 0.3), 3);
                let sets = Sets::new(&real, &generated);
                let found = sets.neighbourhoods(&SETTINGS).unwrap();
                let density = |c: &Counts, j: usize| f64::from(c.inside[j]) / 5.0;
                [
                    found.share(1, |c, j| c.inside[j] > 0),
                    found.share(0, |c, i| c.reached[i]),
                    found.mean(1, density, intervals::of_mean),
                ]
            })
            .collect();
        for metric in 0..3 {
            let mean = repeats.iter().map(|r| r[metric].value).sum::<f64>() / 100.0;
            let held =
                repeats.iter().filter(|r| (r[metric].interval[0]..=r[metric].interval[1]).contains(&mean)).count();
            assert!(held >= 88, "metric {metric}: {held} of 100");
        }
    }
}
