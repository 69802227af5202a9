//! Mean and covariance of rows of features, and the Fréchet distance of the two normal distributions that have them.
//!
//! For N(μ₁, S₁) and N(μ₂, S₂) it is |μ₁ − μ₂|² + tr S₁ + tr S₂ − 2 tr (S₁S₂)^½ (Dowson & Landau 1982). With a factor
//! S₁ = LLᵀ the last trace is Σ√λ over the eigenvalues of the symmetric LᵀS₂L, so no root of a matrix is needed, and
//! singular covariances are as good as any: L has as many columns as S₁ has rank.

use super::Features;
use super::dense::{Form, pivoted_cholesky, transposed_product};
use crate::linalg::{GramSum, Tridiagonal, eigenvalues_along};
use rayon::prelude::*;

/// Columns of a tile of the products; a multiple of 16.
const EDGE: usize = 128;

/// Mean and covariance of some rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// How many rows there were.
    pub rows: usize,
    /// Mean, `[width]`.
    pub mean: Vec<f64>,
    /// Covariance with divisor rows − 1, `[width, width]`.
    pub covariance: Vec<f64>,
}

/// Σ(x − c) and Σ(x − c)(x − c)ᵀ over some rows x, about an origin c: what moments are made of, with or without a part
/// of the rows.
pub struct Sums {
    rows: usize,
    /// The origin c, `[width]`.
    pub origin: Vec<f32>,
    sum: Vec<f64>,
    products: Vec<f64>,
}

/// For each feature a value c such that every x − c is exact in f32, as near to the values as that allows.
///
/// It is the mean where all values lie between c/2 and 2c (x − c is then exact, Sterbenz 1974): features far from 0
/// with a small spread, whose products about 0 would cancel. Otherwise it is 0, and the spread is no small part of
/// the values.
pub fn origin(sets: &[&Features]) -> Vec<f32> {
    let width = sets.first().map_or(0, |s| s.width);
    let mut low = vec![f32::INFINITY; width];
    let mut high = vec![f32::NEG_INFINITY; width];
    let mut sum = vec![0.0f64; width];
    for row in sets.iter().flat_map(|s| s.values.chunks_exact(s.width)) {
        for (k, v) in row.iter().enumerate() {
            low[k] = low[k].min(*v);
            high[k] = high[k].max(*v);
            sum[k] += f64::from(*v);
        }
    }
    let rows: usize = sets.iter().map(|s| s.rows()).sum();
    let of = |k: usize| {
        let mean = (sum[k] / rows as f64) as f32;
        let (half, twice) = (mean / 2.0, mean * 2.0);
        let near = low[k] >= half.min(twice) && high[k] <= half.max(twice);
        if near && twice.is_finite() { mean } else { 0.0 }
    };
    (0..width).map(of).collect()
}

impl Sums {
    /// Sums over the rows `rows` of `features`, about `origin`. Takes rows·width² operations, on all threads.
    pub fn of(features: &Features, origin: &[f32], rows: &[usize]) -> Self {
        let width = features.width;
        let starts = || (0..width).step_by(EDGE);
        let tiles: Vec<(usize, usize)> = starts().flat_map(|i| starts().map(move |j| (i, j))).collect();
        let tiles: Vec<(usize, usize)> = tiles.into_iter().filter(|(i, j)| j >= i).collect();
        let mut products = vec![0.0; width * width];
        for band in tiles.chunk_by(|a, b| a.0 == b.0) {
            let of = |(i, j): &(usize, usize)| tile(features, origin, rows, [*i, *j]);
            let found: Vec<(usize, Vec<f64>)> = band.par_iter().map(of).collect();
            for ((i, j), (lanes, values)) in band.iter().zip(found) {
                let columns = EDGE.min(width - j);
                for r in 0..EDGE.min(width - i) {
                    for (c, v) in values[r * lanes..][..columns].iter().enumerate() {
                        products[(i + r) * width + j + c] = *v;
                        products[(j + c) * width + i + r] = *v;
                    }
                }
            }
        }
        let mut sum = vec![0.0f64; width];
        for i in rows {
            let shifted = features.row(*i).iter().zip(origin).map(|(v, c)| f64::from(v - c));
            sum.iter_mut().zip(shifted).for_each(|(s, v)| *s += v);
        }
        Self { rows: rows.len(), origin: origin.to_vec(), sum, products }
    }

    /// Σ(x − c)(x − c)ᵀ, `[width, width]`, of these rows without those of `part`, which are some of them.
    pub fn products_without(&self, part: Option<&Sums>) -> Vec<f64> {
        part.map_or(self.products.clone(), |part| {
            self.products.iter().zip(&part.products).map(|(a, b)| a - b).collect()
        })
    }

    /// The moments of these rows; of at least 2.
    pub fn moments(&self) -> Moments {
        moments(self.rows, &self.origin, self.sum.clone(), self.products.clone())
    }

    /// The moments of these rows without those of `part`, which are some of them, about the same origin; at least 2
    /// are left.
    pub fn moments_without(&self, part: &Sums) -> Moments {
        let sum = self.sum.iter().zip(&part.sum).map(|(a, b)| a - b).collect();
        moments(self.rows - part.rows, &self.origin, sum, self.products_without(Some(part)))
    }
}

/// Moments from sums about an origin.
fn moments(rows: usize, origin: &[f32], sum: Vec<f64>, mut products: Vec<f64>) -> Moments {
    let (n, width) = (rows as f64, origin.len());
    let about: Vec<f64> = sum.iter().map(|s| s / n).collect();
    for (row, s) in products.chunks_exact_mut(width.max(1)).zip(&sum) {
        row.iter_mut().zip(&about).for_each(|(p, m)| *p = (*p - s * m) / (n - 1.0));
    }
    // A feature that does not vary leaves rounding.
    for k in 0..width {
        if products[k * width + k] <= 0.0 {
            (0..width).for_each(|j| (products[k * width + j], products[j * width + k]) = (0.0, 0.0));
        }
    }
    let mean = about.iter().zip(origin).map(|(m, c)| m + f64::from(*c)).collect();
    Moments { rows, mean, covariance: products }
}

/// Products of the columns from `at[0]` with those from `at[1]`, and the length of a row of the result.
fn tile(features: &Features, origin: &[f32], rows: &[usize], at: [usize; 2]) -> (usize, Vec<f64>) {
    let widths = at.map(|k| EDGE.min(features.width - k));
    let lanes = widths.map(|w| w.next_multiple_of(16));
    let same = at[0] == at[1];
    let mut sum = GramSum::new(lanes, same);
    let mut sides = lanes.map(|n| vec![0.0f32; n]);
    for i in rows {
        let row = features.row(*i);
        for s in 0..if same { 1 } else { 2 } {
            let columns = at[s]..at[s] + widths[s];
            let values = row[columns.clone()].iter().zip(&origin[columns]);
            sides[s].iter_mut().zip(values).for_each(|(out, (v, c))| *out = v - c);
        }
        sum.push(&sides[0], &sides[1]);
    }
    (lanes[1], sum.finish())
}

impl Moments {
    /// The moments of all rows of `features`, at least 2.
    pub fn of(features: &Features) -> Self {
        Sums::of(features, &origin(&[features]), &(0..features.rows()).collect::<Vec<_>>()).moments()
    }
}

/// The Fréchet distance of two normal distributions with these moments, of the same width.
///
/// Each √λ is off by at most min(√ε, ε/√λ) with ε a small multiple of width·eps(f64)·λ₁: about 1e-8 of the largest
/// where λ is 0 although neither covariance is singular there, next to nothing elsewhere. A result that rounding would
/// put below 0 is 0.
pub fn frechet(a: &Moments, b: &Moments) -> f64 {
    let shift: f64 = a.mean.iter().zip(&b.mean).map(|(x, y)| (x - y).powi(2)).sum();
    (shift + trace(a) + trace(b) - 2.0 * overlap(a, b)).max(0.0)
}

fn trace(of: &Moments) -> f64 {
    of.covariance.iter().step_by(of.mean.len() + 1).sum()
}

/// tr (S₁S₂)^½. The covariance of fewer rows is factored, since its rank is the lower.
fn overlap(a: &Moments, b: &Moments) -> f64 {
    let width = a.mean.len();
    let (first, second) = if a.rows <= b.rows { (a, b) } else { (b, a) };
    let factor = pivoted_cholesky(first.covariance.clone(), width);
    let row = |i: &usize| &second.covariance[i * width..(i + 1) * width];
    let permuted: Vec<f64> = factor.order.iter().flat_map(|i| factor.order.iter().map(|j| row(i)[*j])).collect();
    let across = transposed_product(&permuted, width, &factor.lower, factor.rank, Form::RightLower);
    drop(permuted);
    let mut core = transposed_product(&factor.lower, factor.rank, &across, factor.rank, Form::SymmetricLower);
    drop((across, factor.lower));
    // The pivots put large entries first. The implicit QL method keeps small eigenvalues better with small ones first.
    core.reverse();
    sum_of_roots(core, factor.rank)
}

/// Σ√λ over the eigenvalues of a positive semidefinite matrix, `[n, n]`.
pub fn sum_of_roots(matrix: Vec<f64>, n: usize) -> f64 {
    let found = eigenvalues_along(&[Tridiagonal::of(matrix, vec![0.0; n])]);
    found.iter().flat_map(|(values, _)| values).map(|v| v.max(0.0).sqrt()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, golden, hashed, moved, rows};

    /// Against the formula in two passes, on features 1e5 standard deviations from 0, others near it, and a constant
    /// one. About the origin products of up to (0.5)² are summed n times; the plain formula errs as much.
    #[test]
    fn moments_equal_the_plain_formula() {
        let (n, width) = (333, 150);
        let mut features = drawn(n, width, 1);
        for (i, row) in features.values.chunks_exact_mut(width).enumerate() {
            row[3] = 1e3 + 1e-2 * row[3];
            row[140] = -7.0;
            row[141] = if i % 2 == 0 { -5.0 } else { 40.0 };
        }
        let found = Moments::of(&features);
        let column = |k: usize| (0..n).map(|i| f64::from(features.row(i)[k])).collect::<Vec<_>>();
        let columns: Vec<Vec<f64>> = (0..width).map(column).collect();
        let mean = |k: usize| columns[k].iter().sum::<f64>() / n as f64;
        let of = |j: usize, k: usize| {
            let (mj, mk) = (mean(j), mean(k));
            columns[j].iter().zip(&columns[k]).map(|(a, b)| (a - mj) * (b - mk)).sum::<f64>() / (n as f64 - 1.0)
        };
        let spread: Vec<f64> = (0..width).map(|k| of(k, k).sqrt()).collect();
        for j in 0..width {
            assert!((found.mean[j] - mean(j)).abs() <= 1e-12 * mean(j).abs().max(1.0), "{j}");
            for k in 0..width {
                let off = (found.covariance[j * width + k] - of(j, k)).abs();
                // n·eps in both, and for column 3 the mean of 1e3 in the plain formula: 1e3·eps of a spread of 1e-2.
                assert!(
                    off <= 4.0 * n as f64 * f64::EPSILON * spread[j] * spread[k] + 1e-13 * spread[j].min(spread[k])
                );
            }
        }
        assert!((0..width).all(|k| found.covariance[140 * width + k] == 0.0));
        assert!((found.covariance[3 * width + 3].sqrt() / 1e-2 - 1.0).abs() < 0.2);
    }

    /// Leaving rows out of the sums is summing the others: both round n·eps of the sums.
    #[test]
    fn sums_without_a_part() {
        let features = drawn(200, 20, 2);
        let origin = origin(&[&features]);
        let sums = |rows: &[usize]| Sums::of(&features, &origin, rows);
        let part: Vec<usize> = (50..70).collect();
        let others: Vec<usize> = (0..50).chain(70..200).collect();
        let found = sums(&(0..200).collect::<Vec<_>>()).moments_without(&sums(&part));
        let expected = sums(&others).moments();
        assert_eq!(found.rows, 180);
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13);
        assert!(near(&found.mean, &expected.mean) && near(&found.covariance, &expected.covariance));
    }

    /// N(0, 1) moved by 3 and spread to 2: 3² + (2 − 1)². Scaling by c and moving by m: |m|² + (1 − c)² tr S, here with
    /// 300 features in several tiles, exactly doubled and moved in f32.
    #[test]
    fn closed_forms() {
        let one = |mean: f64, variance: f64| Moments { rows: 9, mean: vec![mean], covariance: vec![variance] };
        assert_eq!(frechet(&one(0.0, 1.0), &one(3.0, 4.0)), 10.0);
        let features = drawn(500, 300, 3);
        let doubled = Features { values: features.values.iter().map(|v| 2.0 * v).collect(), width: 300 };
        let (a, mut b) = (Moments::of(&features), Moments::of(&doubled));
        b.mean.iter_mut().zip(&a.mean).for_each(|(b, a)| *b = a + 0.5);
        let size = trace(&a);
        let expected = 75.0 + size;
        // The roots are those of eigenvalues no smaller than 1e-3 of the largest: n·eps·λ₁/√λ each.
        assert!((frechet(&a, &b) - expected).abs() <= 1e-10 * expected);
        assert!((frechet(&b, &a) - expected).abs() <= 1e-10 * expected);
        assert!(frechet(&a, &a) <= 1e-10 * size);
    }

    /// The golden table, and `moments/constants.py` where it says so, by singular values of X₁X₂ᵀ, which square
    /// nothing: with fewer rows than features, constant features, features far from 0, and two rows. Its fixture in f32
    /// is this one's but for the last bit of a sine, 1e-8 of a value here and there.
    #[test]
    fn equals_scipy() {
        let of = |a: &Features, b: &Features| frechet(&Moments::of(a), &Moments::of(b));
        let golden = golden();
        for (set, expected) in [(&golden.generated, 1.097836), (&golden.test, 0.153673), (&golden.memorised, 0.0)] {
            assert!((of(&golden.real, set) - expected).abs() < 1e-6, "{expected}");
        }
        let near = |found: f64, expected: f64| {
            assert!((found / expected - 1.0).abs() < 2e-8, "{found} {expected}");
        };
        near(of(&golden.real, &golden.generated), 1.097_835_604_218);
        near(of(&golden.real, &golden.test), 0.153_672_629_978);
        let (mut a, mut b) = (hashed(30, 40, 0, 1.0, 0.0), hashed(25, 40, 10000, 1.2, 0.3));
        let mut c = hashed(60, 40, 5000, 1.0, 0.0);
        near(of(&a, &b), 46.041_110_352_302_86);
        near(of(&a, &c), 25.645_451_047_770_16);
        near(of(&c, &a), 25.645_451_047_770_16);
        for set in [&mut a, &mut b, &mut c] {
            set.values.chunks_exact_mut(40).for_each(|row| row[7] = 5.0);
        }
        a.values.chunks_exact_mut(40).for_each(|row| row[3] = 2.0);
        near(of(&a, &b), 47.195_391_086_933_47);
        near(of(&a, &c), 27.892_249_268_715_29);
        near(of(&rows(&golden.real, 0, 2), &rows(&golden.generated, 0, 2)), 26.255_341_564_311_728);
        near(of(&rows(&golden.real, 0, 3), &rows(&golden.generated, 0, 3)), 20.304_791_339_729_15);
        let far = |offset| hashed(200, 8, offset, 1e-2, 1e3);
        near(of(&far(0), &far(5000)), 3.244_612_032_968_371e-5);
    }

    #[test]
    fn a_shift_adds_its_square() {
        let golden = golden();
        let (real, test) = (Moments::of(&golden.real), Moments::of(&golden.test));
        let mut found = vec![];
        for by in [0.0, 0.1, 0.3, 1.0] {
            let moved = Moments::of(&moved(&golden.test, by));
            found.push(frechet(&real, &moved));
            let shift: f64 = real.mean.iter().zip(&test.mean).map(|(a, b)| (b + f64::from(by) - a).powi(2)).sum();
            let none: f64 = real.mean.iter().zip(&test.mean).map(|(a, b)| (b - a).powi(2)).sum();
            // The moved values are rounded to f32.
            assert!((found[found.len() - 1] - found[0] - shift + none).abs() < 1e-6);
        }
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
    }
}
