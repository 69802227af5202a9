//! Kernel physics distance (KPD; Kansal et al., arXiv:2211.10295): the squared maximum mean discrepancy of high-level
//! features with a polynomial kernel of degree 4, without bias,
//!
//!   k(x, y) = (x·y/d + 1)⁴          KPD = mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y),  x ≠ x′, y ≠ y′
//!
//! It can be below 0. The protocol is jetnet's, with the size of the challenge: features divided by the largest
//! absolute value of the reference, ten batches of 10,000 drawn from each side with replacement, their median, and as
//! its error half the distance of the quantiles at 16.275 and 83.725 %.
//!
//! Of n showers drawn with replacement a pair is one shower twice in one of n cases, which adds (mean k(x, x) − mean
//! k(x, x′))/n for each side: [`Kpd::floor`]. With fewer than 10,000 showers the batches are as large as the smaller
//! side, and [`Kpd::warning`] says so.
//!
//! Features are rounded to f32 after scaling, so each is off by 2⁻²⁵ of its size at most; products and sums are in f64.

use super::FeatureRows;
use super::frechet::{drawn, fewest};
use crate::error::Result;
use crate::linalg::GramSum;
use crate::statistics;
use rayon::prelude::*;

/// Step of the address of every draw.
const STEP: u32 = 2;
/// Rows and columns of one tile of the table of pairs.
const TILE: [usize; 2] = [64, 256];

/// How the distance is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KpdProtocol {
    /// How many batches.
    pub batches: usize,
    /// Showers of each side in one batch.
    pub batch: usize,
}

impl Default for KpdProtocol {
    fn default() -> Self {
        Self { batches: 10, batch: 10_000 }
    }
}

/// What was found. Published figures are 1,000 times these.
#[derive(Clone, Debug, PartialEq)]
pub struct Kpd {
    /// The median over the batches.
    pub value: f64,
    /// Half the distance of the quantiles at 16.275 and 83.725 %.
    pub error: f64,
    /// What drawing with replacement adds on average.
    pub floor: f64,
    /// The value of each batch.
    pub batches: Vec<f64>,
    /// Set where there were fewer showers than the protocol asks for: what was done instead.
    pub warning: Option<String>,
}

/// Features one after another, each with the values of all rows, padded to whole tiles by zeros.
struct Columns {
    values: Vec<f32>,
    /// Rows with their padding.
    padded: usize,
    rows: usize,
    width: usize,
}

impl Columns {
    fn of(set: &FeatureRows, places: &[usize]) -> Self {
        let padded = places.len().next_multiple_of(TILE[1]);
        let mut values = vec![0.0; padded * set.width];
        for (i, place) in places.iter().enumerate() {
            set.row(*place).iter().enumerate().for_each(|(c, v)| values[c * padded + i] = *v as f32);
        }
        Self { values, padded, rows: places.len(), width: set.width }
    }

    fn kernel(&self, product: f64) -> f64 {
        let base = product / self.width as f64 + 1.0;
        (base * base) * (base * base)
    }

    /// Σ k(x, x) over the rows.
    fn diagonal(&self) -> f64 {
        let square =
            |i: usize| (0..self.width).map(|c| f64::from(self.values[c * self.padded + i]).powi(2)).sum::<f64>();
        (0..self.rows).map(|i| self.kernel(square(i))).sum()
    }

    /// Σ k(x, y) over the pairs of one tile that `wanted` takes, row and column given.
    fn tile(&self, other: &Self, at: [usize; 2], wanted: impl Fn(usize) -> usize) -> f64 {
        let mut products = GramSum::new(TILE, false);
        for c in 0..self.width {
            let from = |of: &Self, side: usize| c * of.padded + at[side];
            products.push(&self.values[from(self, 0)..][..TILE[0]], &other.values[from(other, 1)..][..TILE[1]]);
        }
        let products = products.finish();
        let rows = TILE[0].min(self.rows - at[0]);
        let columns = TILE[1].min(other.rows - at[1]);
        let row = |r: usize| {
            let first = wanted(at[0] + r).clamp(at[1], at[1] + columns) - at[1];
            products[r * TILE[1]..][first..columns].iter().map(|p| self.kernel(*p)).sum::<f64>()
        };
        (0..rows).map(row).sum()
    }

    /// Σ k(x, y) over all pairs, in the order of the tiles.
    fn between(&self, other: &Self) -> f64 {
        self.over(other, |_| 0)
    }

    /// Σ k(x, x′) over the pairs x ≠ x′, each way round.
    fn within(&self) -> f64 {
        2.0 * self.over(self, |row| row + 1)
    }

    /// Sums over the pairs whose column is at least `wanted(row)`.
    fn over(&self, other: &Self, wanted: impl Fn(usize) -> usize + Sync) -> f64 {
        let starts =
            (0..self.rows).step_by(TILE[0]).flat_map(|r| (0..other.rows).step_by(TILE[1]).map(move |c| [r, c]));
        let tiles: Vec<[usize; 2]> = starts.filter(|[r, c]| c + TILE[1] > wanted(*r)).collect();
        let sums: Vec<f64> = tiles.par_iter().map(|at| self.tile(other, *at, &wanted)).collect();
        sums.iter().sum()
    }
}

/// The distance of one pair of batches, and (mean k(x, x) − mean k(x, x′)) of each.
fn batch(x: &Columns, y: &Columns) -> (f64, [f64; 2]) {
    let inner = [x, y].map(|of| of.within() / (of.rows as f64 * (of.rows as f64 - 1.0)));
    let excess = [(x, inner[0]), (y, inner[1])].map(|(of, inner)| of.diagonal() / of.rows as f64 - inner);
    (inner[0] + inner[1] - 2.0 * x.between(y) / (x.rows as f64 * y.rows as f64), excess)
}

/// The squared maximum mean discrepancy of two sets of rows, as they are: not scaled, not resampled.
///
/// # Errors
/// [`Error::Key`](crate::error::Error::Key) where the sets differ in width or one has fewer than two rows.
pub fn polynomial_mmd(real: &FeatureRows, generated: &FeatureRows) -> Result<f64> {
    fewest(real, generated, 2)?;
    let [x, y] = [real, generated].map(|set| Columns::of(set, &(0..set.rows()).collect::<Vec<_>>()));
    Ok(batch(&x, &y).0)
}

/// KPD of two sets of high-level features, see the module. The same seed gives the same bits for any number of threads.
///
/// # Errors
/// [`Error::Key`](crate::error::Error::Key) where the sets differ in width or one has fewer than two rows.
pub fn kpd(real: &FeatureRows, generated: &FeatureRows, protocol: &KpdProtocol, seed: u64) -> Result<Kpd> {
    let n = fewest(real, generated, 2)?;
    let scale = real.largest();
    let sides = [real.divided(&scale), generated.divided(&scale)];
    let size = protocol.batch.min(n);
    let warning = (size < protocol.batch).then(|| {
        format!(
            "{n} showers where the protocol asks for batches of {}, so batches of {size} were taken; not \
             comparable with published figures",
            protocol.batch
        )
    });
    let one = |i: usize| {
        let side = |s: usize| {
            let places = drawn(seed, (2 * i + s) as u64, STEP, sides[s].rows(), size);
            Columns::of(&sides[s], &places)
        };
        batch(&side(0), &side(1))
    };
    let found: Vec<(f64, [f64; 2])> = (0..protocol.batches).map(one).collect();
    let batches: Vec<f64> = found.iter().map(|f| f.0).collect();
    let rows = [real.rows() as f64, generated.rows() as f64];
    let floor =
        found.iter().map(|(_, excess)| excess[0] / rows[0] + excess[1] / rows[1]).sum::<f64>() / found.len() as f64;
    let mut sorted = batches.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |q: f64| statistics::quantile(&sorted, q).unwrap_or(f64::NAN);
    Ok(Kpd { value: at(0.5), error: (at(0.83725) - at(0.16275)) / 2.0, floor, batches, warning })
}

#[cfg(test)]
mod tests {
    use super::super::frechet::tests::{golden, rows};
    use super::super::oracle;
    use super::*;

    /// Oracle of the design: jetnet on the golden fixture, figures times 1,000.
    #[test]
    fn the_golden_discrepancies() {
        let a = golden(0, 1.0);
        let scale = a.largest();
        for (factor, golden_value, full) in [(1.0, 0.021196, oracle::MMD[0]), (1.05, 0.054118, oracle::MMD[1])] {
            let b = golden(50_000, factor);
            let found = 1e3 * polynomial_mmd(&a.divided(&scale), &b.divided(&scale)).unwrap();
            assert!((found - golden_value).abs() < 5.5e-7, "{found} and not {golden_value}");
            assert!((found / full - 1.0).abs() < 1e-6, "{found} and not {full}");
        }
    }

    /// The whole protocol against calorimeter/protocol.py, as in the test of FPD.
    #[test]
    fn the_protocol_equals_the_oracle() {
        let scaled =
            kpd(&golden(0, 1.0), &golden(50_000, 1.05), &KpdProtocol { batches: 3, batch: 10_000 }, 3).unwrap();
        let small =
            kpd(&rows(0, 1500, 0.0), &rows(9000, 1700, 0.1), &KpdProtocol { batches: 10, batch: 333 }, 4).unwrap();
        for (found, (value, error, floor)) in [(&scaled, oracle::KPD_SCALED), (&small, oracle::KPD_SMALL)] {
            for (f, e) in [(found.value, value), (found.error, error), (found.floor, floor)] {
                assert!((f - e).abs() <= 2e-6 * e.abs(), "{f} and not {e} in {found:?}");
            }
        }
        assert!(scaled.warning.unwrap().starts_with("2000 showers where the protocol asks for batches of 10000"));
        assert!(small.warning.is_none());
    }

    /// Against the sum over all pairs written out, with remainders in every direction.
    #[test]
    fn tiles_miss_no_pair() {
        for (m, n) in [(2, 3), (64, 256), (65, 257), (300, 130)] {
            let (a, b) = (rows(0, m, 0.0), rows(4000, n, 0.2));
            let k = |x: &[f64], y: &[f64]| (x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>() / 6.0 + 1.0).powi(4);
            let mean = |x: &FeatureRows, y: &FeatureRows, same: bool| {
                let pairs =
                    (0..x.rows()).flat_map(|i| (0..y.rows()).map(move |j| (i, j))).filter(|(i, j)| !same || i != j);
                let (sum, count) = pairs.fold((0.0, 0.0), |(s, c), (i, j)| (s + k(x.row(i), y.row(j)), c + 1.0));
                sum / count
            };
            let parts = [mean(&a, &a, true), mean(&b, &b, true), mean(&a, &b, false)];
            let expected = parts[0] + parts[1] - 2.0 * parts[2];
            let found = polynomial_mmd(&a, &b).unwrap();
            // Products of d values rounded to f32, to the fourth power.
            let bound = 16.0 * 2f64.powi(-24) * (parts[0] + parts[1]);
            assert!((found - expected).abs() < bound, "{m} {n}: {found} and not {expected}");
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let protocol = KpdProtocol { batches: 2, batch: 400 };
            pool.install(|| kpd(&rows(0, 900, 0.0), &rows(900, 500, 0.0), &protocol, 7)).unwrap()
        };
        assert_eq!(run(1), run(3));
    }
}
