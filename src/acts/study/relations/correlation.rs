//! Rank correlations, plain and partial, and how much of one column the others explain.

use super::significance::p_value;
use crate::noise::{self, Stream};
use crate::statistics::{quantile, ranks};
use nalgebra::DMatrix;
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

/// Number of bootstrap draws behind an interval.
pub const DRAWS: usize = 1000;

/// A rank correlation with its 95 % bootstrap interval.
#[derive(Clone, Debug, Serialize)]
pub struct Relation {
    /// Descriptor.
    pub descriptor: String,
    /// Measure of the picture.
    pub measure: String,
    /// What is held fixed in a partial correlation, descriptors or measures; empty for a plain one.
    pub given: Vec<String>,
    /// Spearman's correlation; absent if a side is constant.
    pub rho: Option<f64>,
    /// 2.5 % quantile of the bootstrap.
    pub low: Option<f64>,
    /// 97.5 % quantile of the bootstrap.
    pub high: Option<f64>,
    /// Two-sided p-value by Fisher's z.
    pub p: Option<f64>,
    /// The same, adjusted by Holm's method for all correlations of the report.
    pub p_holm: Option<f64>,
}

/// Partial rank correlation of `a` and `b` given `controls`: −P_ab/√(P_aa P_bb) from the inverse P of the correlation
/// matrix of all ranks. `None` if a column is constant or depends on others. All columns have the same length.
pub fn partial(a: &[f64], b: &[f64], controls: &[&[f64]]) -> Option<f64> {
    let columns: Vec<Vec<f64>> =
        [a, b].into_iter().chain(controls.iter().copied()).map(standard_ranks).collect::<Option<_>>()?;
    let k = columns.len();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let inverse = DMatrix::from_fn(k, k, |i, j| dot(&columns[i], &columns[j])).try_inverse()?;
    let rho = -inverse[(0, 1)] / (inverse[(0, 0)] * inverse[(1, 1)]).sqrt();
    // Columns of nearly the same ranks leave nothing but rounding.
    (rho.is_finite() && inverse.diagonal().iter().all(|p| *p > 0.0 && *p < 1e9)).then_some(rho.clamp(-1.0, 1.0))
}

/// Adjusted R² of a least-squares fit of the ranks of `y` by the ranks of `x`: 1 − (1 − R²)(n − 1)/(n − p − 1), so that
/// columns of noise add nothing on average. `None` as for [`partial`].
pub fn explained(y: &[f64], x: &[&[f64]]) -> Option<f64> {
    let y = standard_ranks(y)?;
    let x: Vec<Vec<f64>> = x.iter().map(|x| standard_ranks(x)).collect::<Option<_>>()?;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let gram = DMatrix::from_fn(x.len(), x.len(), |i, j| dot(&x[i], &x[j]));
    let cross = DMatrix::from_fn(x.len(), 1, |i, _| dot(&x[i], &y));
    let solved = gram.lu().solve(&cross)?;
    let (n, p) = (y.len() as f64, x.len() as f64);
    (n > p + 1.0).then(|| 1.0 - (1.0 - cross.dot(&solved).clamp(0.0, 1.0)) * (n - 1.0) / (n - p - 1.0))
}

/// Ranks with mean 0 and norm 1.
fn standard_ranks(values: &[f64]) -> Option<Vec<f64>> {
    let mut r = ranks(values);
    let mean = r.iter().sum::<f64>() / r.len().max(1) as f64;
    r.iter_mut().for_each(|v| *v -= mean);
    let norm = r.iter().map(|v| v * v).sum::<f64>().sqrt();
    (norm > 0.0).then(|| r.into_iter().map(|v| v / norm).collect())
}

/// A statistic of columns and its 95 % interval, as `[value, low, high]`, found by resampling rows. Draws where the
/// statistic is undefined are left out; if they are more than one in ten, there is no interval.
pub fn bootstrap(columns: &[&[f64]], seed: u64, f: impl Fn(&[&[f64]]) -> Option<f64> + Sync) -> [Option<f64>; 3] {
    let n = columns.first().map_or(0, |c| c.len());
    bootstrap_groups(columns, &(0..n).map(|row| vec![row]).collect::<Vec<_>>(), seed, f)
}

/// Like [`bootstrap`], but draws whole groups of rows, each given by their places.
pub fn bootstrap_groups(
    columns: &[&[f64]],
    groups: &[Vec<usize>],
    seed: u64,
    f: impl Fn(&[&[f64]]) -> Option<f64> + Sync,
) -> [Option<f64>; 3] {
    let Some(value) = f(columns) else { return [None; 3] };
    let n = groups.len();
    let draw = |i: usize| {
        let mut rng = noise::generator(seed, i as u64, Stream::Bootstrap, 0);
        let rows: Vec<usize> = (0..n).flat_map(|_| groups[rng.random_range(0..n)].iter().copied()).collect();
        let drawn: Vec<Vec<f64>> = columns.iter().map(|c| rows.iter().map(|r| c[*r]).collect()).collect();
        f(&drawn.iter().map(Vec::as_slice).collect::<Vec<_>>())
    };
    let mut found: Vec<f64> = (0..DRAWS).into_par_iter().filter_map(draw).collect();
    if found.len() < DRAWS * 9 / 10 {
        return [Some(value), None, None];
    }
    found.sort_by(f64::total_cmp);
    [Some(value), quantile(&found, 0.025), quantile(&found, 0.975)]
}

/// Correlation of one descriptor with one measure, given others. Columns are (name, values); a column of categories is
/// several of the same name.
pub fn relate(descriptor: (&str, &[f64]), measure: (&str, &[f64]), given: &[(&str, &[f64])]) -> Relation {
    let mut columns = vec![descriptor.1, measure.1];
    columns.extend(given.iter().map(|g| g.1));
    let [rho, low, high] = bootstrap(&columns, 0, |c| partial(c[0], c[1], &c[2..]));
    let p = rho.and_then(|rho| p_value(rho, measure.1.len(), given.len()));
    let mut names: Vec<String> = given.iter().map(|g| g.0.to_owned()).collect();
    names.dedup();
    let (descriptor, measure) = (descriptor.0.to_owned(), measure.0.to_owned());
    Relation { descriptor, measure, given: names, rho, low, high, p, p_holm: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::normals;
    use crate::statistics::spearman;

    fn column(key: u64, n: usize) -> Vec<f64> {
        normals(key, 0, Stream::Init, 0, n).into_iter().map(f64::from).collect()
    }

    #[test]
    fn nothing_held_fixed_is_spearman() {
        let (a, b) = (column(1, 50), column(2, 50));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        assert!((partial(&a, &sum, &[]).unwrap() - spearman(&a, &sum).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn a_common_cause_is_taken_out() {
        // a and b both follow c: correlated, but not given c.
        let n = 2000;
        let (c, e, f) = (column(3, n), column(4, n), column(5, n));
        let with = |e: &[f64]| c.iter().zip(e).map(|(c, e)| c + 0.5 * e).collect::<Vec<_>>();
        let (a, b) = (with(&e), with(&f));
        assert!(partial(&a, &b, &[]).unwrap() > 0.7);
        // Four standard errors of a correlation of independent columns, plus what is left because ranks are not linear.
        assert!(partial(&a, &b, &[&c]).unwrap().abs() < 4.0 / (n as f64).sqrt() + 0.03);
        assert_eq!(partial(&a, &[1.0; 2000], &[]), None);
        assert_eq!(partial(&a, &b, &[&b]), None);
    }

    #[test]
    fn by_the_formula_of_three() {
        let (a, b, c) = (column(6, 40), column(7, 40), column(8, 40));
        let [ab, ac, bc] = [(&a, &b), (&a, &c), (&b, &c)].map(|(x, y)| spearman(x, y).unwrap());
        let expected = (ab - ac * bc) / ((1.0 - ac * ac) * (1.0 - bc * bc)).sqrt();
        assert!((partial(&a, &b, &[&c]).unwrap() - expected).abs() < 1e-12);
        let adjusted = |r2: f64, p: f64| 1.0 - (1.0 - r2) * 39.0 / (39.0 - p);
        assert!((explained(&a, &[&b]).unwrap() - adjusted(ab * ab, 1.0)).abs() < 1e-12);
        let both = (ab * ab + ac * ac - 2.0 * ab * ac * bc) / (1.0 - bc * bc);
        assert!((explained(&a, &[&b, &c]).unwrap() - adjusted(both, 2.0)).abs() < 1e-12);
    }

    /// Four normal columns of a known precision matrix P. Their ranks have the correlations 6/π·asin(ρ/2) in the limit of
    /// many samples, and the partial correlation given two columns follows from the plain ones by its recursion, which
    /// inverts nothing.
    #[test]
    fn a_gaussian_of_known_covariance_has_its_partial_correlation() {
        let n = 20_000;
        // Rows of a lower factor L; the covariance is L Lᵀ.
        let factor: [[f64; 4]; 4] =
            [[1.0, 0.0, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0], [-0.4, 0.3, 0.9, 0.0], [0.5, -0.2, 0.4, 0.7]];
        let e: Vec<Vec<f64>> = (0..4).map(|i| column(40 + i, n)).collect();
        let mixed = |row: &[f64; 4]| (0..n).map(|i| (0..4).map(|j| row[j] * e[j][i]).sum()).collect::<Vec<f64>>();
        let x = factor.map(|row| mixed(&row));
        let dot = |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let rank = |i: usize, j: usize| {
            let r = dot(&factor[i], &factor[j]) / (dot(&factor[i], &factor[i]) * dot(&factor[j], &factor[j])).sqrt();
            6.0 / std::f64::consts::PI * (r / 2.0).asin()
        };
        let given = |ab: f64, ac: f64, bc: f64| (ab - ac * bc) / ((1.0 - ac * ac) * (1.0 - bc * bc)).sqrt();
        let one = |i: usize, j: usize| given(rank(i, j), rank(i, 2), rank(j, 2));
        let expected = given(one(0, 1), one(0, 3), one(1, 3));
        let found = partial(&x[0], &x[1], &[&x[2], &x[3]]).unwrap();
        // The standard error of Fisher's z of ranks is at most √(1.06/(n − 5)), that of the correlation no larger; four of it.
        assert!((found - expected).abs() < 4.0 * (1.06 / (n as f64 - 5.0)).sqrt(), "{found} {expected}");
        assert!(expected.abs() > 0.2 && (expected - rank(0, 1)).abs() > 0.05, "{expected}");
    }

    #[test]
    fn intervals_cover_a_known_correlation() {
        // Spearman of normals with Pearson correlation r is 6/π·asin(r/2).
        let r: f64 = 0.6;
        let truth = 6.0 / std::f64::consts::PI * (r / 2.0).asin();
        let inside = (0..60u64).filter(|i| {
            let (a, e) = (column(100 + 2 * i, 60), column(101 + 2 * i, 60));
            let b: Vec<f64> = a.iter().zip(&e).map(|(a, e)| r * a + (1.0 - r * r).sqrt() * e).collect();
            let [_, low, high] = bootstrap(&[&a, &b], *i, |c| partial(c[0], c[1], &[]));
            (low.unwrap()..=high.unwrap()).contains(&truth)
        });
        // 60 trials: 95 % less three standard deviations.
        let share = inside.count() as f64 / 60.0;
        assert!(share >= 0.95 - 3.0 * (0.95f64 * 0.05 / 60.0).sqrt(), "{share}");
    }
}
