//! `kd`: the kernel distance, the squared maximum mean discrepancy by a cubic kernel.
//!
//! With k(x, y) = (x·y/d + 1)³ it is the mean of k over pairs of different real rows, plus that over pairs of different
//! generated rows, less twice the mean over pairs of a real and a generated row. Leaving equal rows out makes it
//! unbiased, so that it falls below 0 as often as not where the distributions agree.

use crate::error::{Error, Result};
use crate::evaluate::inner::{Inner, Panel, panels};
use crate::evaluate::resampling::{Draw, NORMAL, subset};
use crate::evaluate::{Better, Features, Measured, MetricRow, Sets, Settings};
use rayon::prelude::*;

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "kd",
    about: "squared maximum mean discrepancy by a cubic kernel, unbiased; below 0 by chance, or if sets share samples",
    reference: "Bińkowski et al. 2018, arXiv 1801.01401",
    range: "any number; 0 where the distributions agree",
    better: Better::Near(0.0),
    interval: "jackknife of single rows; beyond 1,000 rows also the spread of 100 subsets",
    biased_below,
    needs: None,
    measure,
};

/// Rows of a subset, and of the largest set that is measured whole.
const ROWS: usize = 1000;

/// How many subsets are drawn.
const SUBSETS: usize = 100;

/// The estimate is unbiased at every size.
fn biased_below(_: usize) -> usize {
    0
}

/// Sums of the kernel for each row of two sets: what the estimate and its jackknife are made of.
struct RowSums {
    /// For each real row, over the other real rows.
    real: Vec<f64>,
    /// For each generated row, over the other generated rows.
    generated: Vec<f64>,
    /// For each real row, over the generated rows; and for each generated row, over the real rows.
    between: [Vec<f64>; 2],
}

/// k summed over the pairs of two blocks, for each row of the first and each of the second; where the blocks are one
/// and the same, without the pairs of a row with itself.
fn block_sums(a: &Panel, b: &Panel, width: usize, same: bool) -> [Vec<f64>; 2] {
    let inner = Inner::of(a, b);
    let mut of_b = vec![0.0; b.rows];
    let of_row = |(i, products): (usize, &[f64])| {
        let mut sum = 0.0;
        for (j, (product, of_b)) in products.iter().zip(&mut of_b).enumerate() {
            let base = product / width as f64 + 1.0;
            let kernel = if same && i == j { 0.0 } else { base * base * base };
            sum += kernel;
            *of_b += kernel;
        }
        sum
    };
    let of_a = inner.rows().enumerate().map(of_row).collect();
    [of_a, of_b]
}

/// k summed over pairs of rows of two lists of blocks, for each row of either. With `same`, the lists are one, each
/// pair of blocks is visited once, and the first result is the whole.
fn sums(a: &[Panel], b: &[Panel], width: usize, same: bool) -> [Vec<f64>; 2] {
    let rows = |panels: &[Panel]| panels.iter().map(|p| p.rows).sum::<usize>();
    let mut out = [vec![0.0; rows(a)], vec![0.0; rows(b)]];
    let mut first = 0;
    for (i, left) in a.iter().enumerate() {
        let from = if same { i } else { 0 };
        let found: Vec<[Vec<f64>; 2]> =
            b[from..].par_iter().enumerate().map(|(j, right)| block_sums(left, right, width, same && j == 0)).collect();
        let mut at = if same { first } else { 0 };
        for (j, [of_a, of_b]) in found.iter().enumerate() {
            out[0][first..].iter_mut().zip(of_a).for_each(|(s, v)| *s += v);
            if same && j > 0 {
                out[0][at..].iter_mut().zip(of_b).for_each(|(s, v)| *s += v);
            } else if !same {
                out[1][at..].iter_mut().zip(of_b).for_each(|(s, v)| *s += v);
            }
            at += of_b.len();
        }
        first += left.rows;
    }
    out
}

impl RowSums {
    /// Of these rows of the two sets.
    fn of(sets: [&Features; 2], rows: [&[usize]; 2]) -> Self {
        let width = sets[0].width;
        let [x, y] = [0, 1].map(|s| panels(sets[s], rows[s], None));
        let [real, _] = sums(&x, &x, width, true);
        let [generated, _] = sums(&y, &y, width, true);
        Self { real, generated, between: sums(&x, &y, width, false) }
    }

    fn estimate(&self) -> f64 {
        let total = |sums: &[f64]| sums.iter().sum::<f64>();
        self.combined(self.counts(), [total(&self.real), total(&self.generated), total(&self.between[0])])
    }

    fn counts(&self) -> [f64; 2] {
        [self.real.len() as f64, self.generated.len() as f64]
    }

    fn combined(&self, [m, n]: [f64; 2], [real, generated, between]: [f64; 3]) -> f64 {
        real / (m * (m - 1.0)) + generated / (n * (n - 1.0)) - 2.0 * between / (m * n)
    }

    /// The variance of the estimate that the real rows cause, and that the generated ones cause, by leaving out one row
    /// at a time.
    fn variances(&self) -> [f64; 2] {
        let total = |sums: &[f64]| sums.iter().sum::<f64>();
        let whole = [total(&self.real), total(&self.generated), total(&self.between[0])];
        let counts = self.counts();
        [0, 1].map(|s| {
            let own = [&self.real, &self.generated][s];
            let without: Vec<f64> = (own.iter().zip(&self.between[s]))
                .map(|(own, between)| {
                    let (mut counts, mut sums) = (counts, whole);
                    counts[s] -= 1.0;
                    sums[s] -= 2.0 * own;
                    sums[2] -= between;
                    self.combined(counts, sums)
                })
                .collect();
            let mean = total(&without) / counts[s];
            (counts[s] - 1.0) / counts[s] * without.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        })
    }
}

/// The estimate from all rows of both sets, of the same width and at least 2 rows each. Memory is that of the rows.
pub fn kd_full(real: &Features, generated: &Features) -> f64 {
    full(real, generated).estimate()
}

fn full(real: &Features, generated: &Features) -> RowSums {
    let all = |of: &Features| (0..of.rows()).collect::<Vec<_>>();
    RowSums::of([real, generated], [&all(real), &all(generated)])
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let both: [&Features; 2] = [sets.real, sets.generated];
    for (set, name) in both.iter().zip(["real", "generated"]) {
        if set.rows() < 3 {
            let message = format!("{} samples, expected at least 3 for a value and its error; add samples", set.rows());
            return Err(Error::key(name, message));
        }
    }
    let rows = both.map(Features::rows);
    let (value, variance) = if rows.iter().all(|n| *n <= ROWS) {
        let sums = full(sets.real, sets.generated);
        (sums.estimate(), sums.variances().iter().sum::<f64>())
    } else {
        let of = |number: usize| {
            let rows = [(Draw::RealSubset, rows[0]), (Draw::GeneratedSubset, rows[1])]
                .map(|(draw, n)| subset(settings.seed, draw, number as u64, n, ROWS));
            let sums = RowSums::of(both, [&rows[0], &rows[1]]);
            (sums.estimate(), sums.variances())
        };
        let found: Vec<(f64, [f64; 2])> = (0..SUBSETS).into_par_iter().map(of).collect();
        let count = SUBSETS as f64;
        let value = found.iter().map(|f| f.0).sum::<f64>() / count;
        let spread = found.iter().map(|f| (f.0 - value).powi(2)).sum::<f64>() / (count - 1.0) / count;
        // A subset's variance is that of its rows. That of all rows is smaller as they are more; the choice of subsets
        // comes on top.
        let share = |s: usize| {
            let variance = found.iter().map(|f| f.1[s]).sum::<f64>() / count;
            variance * rows[s].min(ROWS) as f64 / rows[s] as f64
        };
        (value, share(0) + share(1) + spread)
    };
    let half = NORMAL * variance.sqrt();
    Ok(Measured { value, interval: [value - half, value + half] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, golden, measured, message, moved, on_threads, rows};

    /// The golden table, and unequal sizes by `moments/constants.py`.
    #[test]
    fn equals_scikit_learn() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 0.437275), (&golden.test, 0.001761), (&golden.memorised, -0.039984)]
        {
            assert!((kd_full(&golden.real, set) - expected).abs() < 1e-6, "{expected}");
            let found = measured(&ROW, &golden.real, set, None).unwrap();
            assert!((found.value - expected).abs() < 1e-6 && found.interval[0] < found.interval[1]);
        }
        let found = kd_full(&rows(&golden.real, 0, 100), &rows(&golden.generated, 0, 37));
        assert!((found - 0.174_663_484_722_703_54).abs() < 1e-8, "{found}");
    }

    /// The jackknife from sums of rows is measuring again without each row.
    #[test]
    fn the_jackknife_leaves_rows_out() {
        let (real, generated) = (drawn(20, 3, 1), drawn(30, 3, 2));
        let found = full(&real, &generated).variances();
        let without = |set: &Features, i: usize| {
            let mut values = set.values.clone();
            values.drain(i * 3..(i + 1) * 3);
            Features { values, width: 3 }
        };
        let variance = |values: Vec<f64>| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            (n - 1.0) / n * values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
        };
        let expected = [
            variance((0..20).map(|i| kd_full(&without(&real, i), &generated)).collect()),
            variance((0..30).map(|i| kd_full(&real, &without(&generated, i))).collect()),
        ];
        assert!(found.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-9), "{found:?} {expected:?}");
    }

    /// Ten pairs from one distribution, whole and by subsets: the intervals cover 0. By subsets the value is near that
    /// of all rows: within its own interval.
    #[test]
    fn repeats_from_one_distribution_cover_0() {
        for repeat in 0..10 {
            let (real, generated) = (drawn(500, 4, 200 + 2 * repeat), drawn(300, 4, 201 + 2 * repeat));
            let found = measured(&ROW, &real, &generated, None).unwrap();
            assert!(found.interval[0] < 0.0 && 0.0 < found.interval[1], "{found:?}");
        }
        let (real, generated) = (drawn(1400, 4, 1), drawn(900, 4, 2));
        let found = measured(&ROW, &real, &generated, None).unwrap();
        assert!(found.interval[0] < 0.0 && 0.0 < found.interval[1], "{found:?}");
        let whole = kd_full(&real, &generated);
        assert!(found.value != whole && found.interval[0] < whole && whole < found.interval[1], "{found:?} {whole}");
    }

    #[test]
    fn odd_sets_and_the_same_bits() {
        let golden = golden();
        let two = rows(&golden.real, 0, 2);
        assert!(message(measured(&ROW, &two, &golden.real, None)).starts_with("real: 2 samples, expected at least 3"));
        // With two rows the value exists: k between them twice, less twice the mean of the four between the sets.
        let pair = |a: f32, b: f32| Features { values: vec![a, b], width: 1 };
        let k = |x: f64, y: f64| (x * y + 1.0).powi(3);
        let expected = k(1.0, 2.0) + k(3.0, -1.0) - 0.5 * (k(1.0, 3.0) + k(1.0, -1.0) + k(2.0, 3.0) + k(2.0, -1.0));
        assert!((kd_full(&pair(1.0, 2.0), &pair(3.0, -1.0)) - expected).abs() < 1e-12);
        let constant = Features { values: vec![3.0; 40], width: 4 };
        let found = measured(&ROW, &constant, &constant, None).unwrap();
        assert!(found.value.abs() < 1e-9 && found.interval[1].abs() < 1e-9, "{found:?}");
        // One set twice is below 0: the pairs of a row with itself count between the sets, and not within them.
        assert!(measured(&ROW, &golden.real, &golden.real, None).unwrap().value < 0.0);
        let found = [0.0, 0.1, 0.3, 1.0].map(|by| kd_full(&golden.real, &moved(&golden.test, by)));
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
        let (real, generated) = (drawn(1100, 3, 1), drawn(1200, 3, 2));
        let sets = Sets::new(&real, &generated);
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
    }
}
