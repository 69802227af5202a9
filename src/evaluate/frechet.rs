//! The Fréchet distance of two sets of rows and of parts of them, by whichever side is smaller.
//!
//! Where a set has at least as many rows as a row has values, distances are found from the covariances (see
//! [`moments`](super::moments)). Where both have fewer, the covariances need not be formed: with the centred rows
//! X₁, X₂ and K = X₁X₂ᵀ/√((n₁ − 1)(n₂ − 1)), the eigenvalues of S₁S₂ are those of KKᵀ, a matrix of n₁ rows.

use super::dense::{Form, transposed_product};
use super::inner::{BLOCK, Inner, panels};
use super::moments::{Sums, frechet, origin, sum_of_roots};
use super::resampling::{Draw, group_count, groups, half_width, jackknife_error, within};
use super::{Features, Measured, Settings};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Rows and columns of the largest matrix whose eigenvalues are computed: 128 MiB, and some twenty seconds on one core.
const MOST: usize = 4096;

/// Rough bound on what the distances that are computed side by side may hold.
const MEMORY: usize = 1 << 30;

/// Two sets of rows whose distance, and whose parts' distances, are asked for.
pub struct Comparison<'a> {
    sets: [&'a Features; 2],
    side: Side,
}

enum Side {
    /// The sums of each set.
    Columns([Sums; 2]),
    /// Inner products of the rows of the two sets about an origin, `[rows, rows]`.
    Rows { origin: Vec<f32>, products: Vec<f64> },
}

impl<'a> Comparison<'a> {
    /// Prepares two sets of the same width; `names` are the keys they are known by.
    ///
    /// # Errors
    /// [`Error::Key`] for a set of fewer than 3 rows, and where both sides are too large.
    pub fn new(sets: [&'a Features; 2], names: [&str; 2]) -> Result<Self> {
        let width = sets[0].width;
        if sets[1].width != width {
            let message = format!("expected rows of {width} values as in {}, found {}", names[0], sets[1].width);
            return Err(Error::key(names[1], message));
        }
        let rows = sets.map(Features::rows);
        for (rows, name) in rows.iter().zip(names) {
            if *rows < 3 {
                let message = format!("{rows} samples, expected at least 3 for a distance and its error; add samples");
                return Err(Error::key(name, message));
            }
        }
        let most = rows[0].max(rows[1]);
        if width.min(most) > MOST {
            let message = format!(
                "{most} samples of {width} values, expected at most {MOST} of either; use fewer samples, or an encoder"
            );
            return Err(Error::key(names[usize::from(rows[1] > rows[0])], message));
        }
        let side = if most >= width {
            Side::Columns(sets.map(|s| Sums::of(s, &origin(&[s]), &all(s))))
        } else {
            let origin = origin(&sets);
            let products = products(sets, &origin);
            Side::Rows { origin, products }
        };
        Ok(Self { sets, side })
    }

    /// The distance of the two sets.
    pub fn distance(&self) -> f64 {
        match &self.side {
            Side::Columns([a, b]) => frechet(&a.moments(), &b.moments()),
            Side::Rows { origin, products } => self.between(origin, products, [&all(self.sets[0]), &all(self.sets[1])]),
        }
    }

    /// The distances of these parts of the two sets, each of at least 2 rows, ascending.
    pub fn distances_of(&self, parts: &[[Vec<usize>; 2]]) -> Vec<f64> {
        self.each(parts, |[a, b]| match &self.side {
            Side::Columns(sums) => {
                let of = |s: usize, rows: &[usize]| Sums::of(self.sets[s], &sums[s].origin, rows).moments();
                frechet(&of(0, a), &of(1, b))
            }
            Side::Rows { origin, products } => self.between(origin, products, [a, b]),
        })
    }

    /// The distances of the two sets without these rows, ascending; at least 2 are left.
    pub fn distances_without(&self, parts: &[[Vec<usize>; 2]]) -> Vec<f64> {
        self.each(parts, |[a, b]| match &self.side {
            Side::Columns(sums) => {
                let of =
                    |s: usize, rows: &[usize]| sums[s].moments_without(&Sums::of(self.sets[s], &sums[s].origin, rows));
                frechet(&of(0, a), &of(1, b))
            }
            Side::Rows { origin, products } => {
                let kept = |s: usize, rows: &[usize]| {
                    (0..self.sets[s].rows()).filter(|i| rows.binary_search(i).is_err()).collect::<Vec<_>>()
                };
                self.between(origin, products, [&kept(0, a), &kept(1, b)])
            }
        })
    }

    /// The jackknife's standard error of the distance, by groups dealt with `seed`, and how many groups there were.
    pub fn error(&self, seed: u64) -> (f64, usize) {
        let rows = self.sets.map(Features::rows);
        let count = group_count(&rows);
        let first = groups(seed, Draw::Real, rows[0], count);
        let parts: Vec<[Vec<usize>; 2]> =
            first.into_iter().zip(groups(seed, Draw::Generated, rows[1], count)).map(|(a, b)| [a, b]).collect();
        (jackknife_error(&self.distances_without(&parts)), count)
    }

    /// `f` of each part, as many at once as memory allows.
    fn each(&self, parts: &[[Vec<usize>; 2]], f: impl Fn(&[Vec<usize>; 2]) -> f64 + Sync) -> Vec<f64> {
        let side = match self.side {
            Side::Columns(_) => self.sets[0].width,
            Side::Rows { .. } => self.sets[0].rows().max(self.sets[1].rows()),
        };
        // Two covariances, a part's sums, factor, permuted matrix and product, of which never more than six at once.
        let at_once = (MEMORY / (6 * 8 * side * side)).max(1);
        parts.chunks(at_once).flat_map(|part| part.par_iter().map(&f).collect::<Vec<_>>()).collect()
    }

    /// The distance of some rows of each set from the products of rows.
    fn between(&self, origin: &[f32], products: &[f64], rows: [&[usize]; 2]) -> f64 {
        let spread = [0, 1].map(|s| spread(self.sets[s], origin, rows[s]));
        let shift: f64 = spread[0].0.iter().zip(&spread[1].0).map(|(a, b)| (a - b).powi(2)).sum();
        (shift + spread[0].1 + spread[1].1 - 2.0 * roots(products, self.sets[1].rows(), rows)).max(0.0)
    }
}

/// The Fréchet distance of two sets with its interval, by a jackknife of groups.
///
/// # Errors
/// Those of [`Comparison::new`].
pub fn measured(sets: [&Features; 2], names: [&str; 2], settings: &Settings) -> Result<Measured> {
    let comparison = Comparison::new(sets, names)?;
    let value = comparison.distance();
    let (error, count) = comparison.error(settings.seed);
    Ok(Measured { value, interval: within(value, half_width(error, count), [0.0, f64::INFINITY]) })
}

fn all(of: &Features) -> Vec<usize> {
    (0..of.rows()).collect()
}

/// Inner products (x − c)·(y − c) of the rows of two sets, `[rows, rows]`.
fn products(sets: [&Features; 2], origin: &[f32]) -> Vec<f64> {
    let columns = sets[1].rows();
    let [a, b] = sets.map(|s| panels(s, &all(s), Some(origin)));
    let mut table = vec![0.0; sets[0].rows() * columns];
    table.par_chunks_mut(BLOCK * columns).zip(&a).for_each(|(part, a)| {
        for (at, b) in b.iter().enumerate() {
            let inner = Inner::of(a, b);
            for (row, found) in part.chunks_exact_mut(columns).zip(inner.rows()) {
                row[at * BLOCK..][..b.rows].copy_from_slice(found);
            }
        }
    });
    table
}

/// Mean about `origin` of some rows, and the trace of their covariance.
fn spread(features: &Features, origin: &[f32], rows: &[usize]) -> (Vec<f64>, f64) {
    let n = rows.len() as f64;
    let shifted = |i: &usize| features.row(*i).iter().zip(origin).map(|(v, c)| f64::from(v - c));
    let mut mean = vec![0.0f64; features.width];
    for i in rows {
        mean.iter_mut().zip(shifted(i)).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= n);
    let squares: f64 = rows.iter().map(|i| shifted(i).zip(&mean).map(|(v, m)| (v - m).powi(2)).sum::<f64>()).sum();
    (mean, squares / (n - 1.0))
}

/// tr (S₁S₂)^½ of some rows of each set, from the products of all rows: these are centred over the rows and over the
/// columns that are kept, which makes them those of the centred rows.
fn roots(products: &[f64], columns: usize, rows: [&[usize]; 2]) -> f64 {
    let kept: Vec<f64> = rows[0].iter().flat_map(|i| rows[1].iter().map(move |j| products[i * columns + j])).collect();
    let [n, m] = rows.map(<[usize]>::len);
    let mean_of_row: Vec<f64> = kept.chunks_exact(m).map(|r| r.iter().sum::<f64>() / m as f64).collect();
    let mut mean_of_column = vec![0.0; m];
    for row in kept.chunks_exact(m) {
        mean_of_column.iter_mut().zip(row).for_each(|(s, v)| *s += v / n as f64);
    }
    let mean = mean_of_row.iter().sum::<f64>() / n as f64;
    let scale = 1.0 / (((n - 1) * (m - 1)) as f64).sqrt();
    let centred = |i: usize, j: usize| (kept[i * m + j] - mean_of_row[i] - mean_of_column[j] + mean) * scale;
    // The summed index first: KKᵀ from Kᵀ, or KᵀK from K, whichever is smaller.
    if n <= m {
        let across: Vec<f64> = (0..m).flat_map(|j| (0..n).map(move |i| (i, j))).map(|(i, j)| centred(i, j)).collect();
        sum_of_roots(transposed_product(&across, n, &across, n, Form::Symmetric), n)
    } else {
        let along: Vec<f64> = (0..n).flat_map(|i| (0..m).map(move |j| (i, j))).map(|(i, j)| centred(i, j)).collect();
        sum_of_roots(transposed_product(&along, m, &along, m, Form::Symmetric), m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, hashed, message, rows, settings};
    use crate::evaluate::moments::Moments;

    fn by_columns(a: &Features, b: &Features) -> f64 {
        frechet(&Moments::of(a), &Moments::of(b))
    }

    /// Constants as in `moments`, from `moments/constants.py`; here through products of rows.
    #[test]
    fn products_of_rows_give_the_same_distance() {
        let (a, b) = (hashed(30, 40, 0, 1.0, 0.0), hashed(25, 40, 10000, 1.2, 0.3));
        let pair = Comparison::new([&a, &b], ["real", "generated"]).unwrap();
        assert!(matches!(pair.side, Side::Rows { .. }));
        // The one eigenvalue that is 0, since centred rows sum to 0, leaves a root of 1e-8.
        assert!((pair.distance() / 46.041_110_352_302_86 - 1.0).abs() < 2e-8);
        // Far from 0, and the second set larger than a block.
        let far = |n, seed| {
            let mut set = drawn(n, 200, seed);
            set.values.iter_mut().for_each(|v| *v = 300.0 + 0.1 * *v);
            set
        };
        let (a, b) = (far(20, 1), far(150, 2));
        let found = Comparison::new([&a, &b], ["real", "generated"]).unwrap().distance();
        let expected = by_columns(&a, &b);
        assert!((found / expected - 1.0).abs() < 1e-8, "{found} {expected}");
    }

    /// A part, and all but a part, equal the same rows in sets of their own, on either side.
    #[test]
    fn parts_are_sets_of_their_own() {
        for width in [12, 60] {
            let (a, b) = (drawn(50, width, 1), drawn(40, width, 2));
            let pair = Comparison::new([&a, &b], ["real", "generated"]).unwrap();
            assert_eq!(matches!(pair.side, Side::Rows { .. }), width == 60);
            let part = [(0..20).collect::<Vec<_>>(), (0..30).collect()];
            let found = pair.distances_of(std::slice::from_ref(&part))[0];
            let expected = by_columns(&rows(&a, 0, 20), &rows(&b, 0, 30));
            assert!((found / expected - 1.0).abs() < 2e-8, "{found} {expected}");
            let found = pair.distances_without(&[part])[0];
            let expected = by_columns(&rows(&a, 20, 50), &rows(&b, 30, 40));
            assert!((found / expected - 1.0).abs() < 2e-8, "{found} {expected}");
        }
    }

    #[test]
    fn unfit_sets_are_refused() {
        let fail = |a: &Features, b: &Features| message(super::measured([a, b], ["real", "generated"], &settings(1)));
        let of = |rows: usize, width: usize| Features { values: vec![0.5; rows * width], width };
        assert_eq!(fail(&of(5, 3), &of(5, 4)), "generated: expected rows of 3 values as in real, found 4");
        assert!(fail(&of(5, 3), &of(2, 3)).starts_with("generated: 2 samples, expected at least 3"));
        assert!(fail(&of(3, 5000), &of(4097, 5000)).starts_with("generated: 4097 samples of 5000 values"));
    }
}
