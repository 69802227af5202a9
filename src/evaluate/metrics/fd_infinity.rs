//! `fd_infinity`: the Fréchet distance that more and more samples tend to.
//!
//! The distance of n rows is too large by about c/n. So it is measured at 15 sizes N up to n, a line is laid through
//! the distances over 1/N by least squares, and its value at 1/N = 0 is the result.
//!
//! Chong & Forsyth cut the generated samples alone, and take the moments of the real ones as known. Here both sets are
//! cut in the same proportion: real moments from finitely many rows add a bias of their own, which stays in the result
//! otherwise, so that two sets from one distribution would not come out at 0.

use crate::error::{Error, Result};
use crate::evaluate::frechet::Comparison;
use crate::evaluate::resampling::{Draw, half_width, subset};
use crate::evaluate::{Better, Features, Measured, MetricRow, Sets, Settings};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "fd_infinity",
    about: "Fréchet distance extrapolated to infinitely many samples; below 0 by chance, or if sets share samples",
    reference: "Chong & Forsyth 2020, arXiv 1911.07023",
    range: "any number; 0 where the distributions agree",
    better: Better::Near(0.0),
    interval: "error of the line through 15 sizes, and jackknife of 10 groups of both sets",
    biased_below,
    needs: None,
    measure,
};

/// Sizes that are measured.
const SIZES: usize = 15;

/// Fewer samples leave no different sizes that a line could be laid through.
const FEWEST: usize = 30;

/// The bias falls as 1/N only where covariances have full rank, so the smallest size, a tenth of the samples, must
/// reach the width. Two sets from one distribution in 40 dimensions came out at −0.05 ± 0.02 with 400 rows each, at
/// 0.94 with 200 and at 6.4 with 100, where the distances of all rows were 2.3, 4.5 and 9.1.
fn biased_below(width: usize) -> usize {
    10 * width
}

/// The sizes of n rows: from n/10 (at least 2, at most 5,000) to n in even steps, rounded down.
fn sizes(n: usize) -> Vec<usize> {
    let first = (n / 10).clamp(2, 5000).min(n);
    (0..SIZES).map(|i| first + (n - first) * i / (SIZES - 1)).collect()
}

/// Intercept of the least-squares line through (x, y), and its standard error.
fn intercept(x: &[f64], y: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mx, my) = (mean(x), mean(y));
    let sxx: f64 = x.iter().map(|v| (v - mx).powi(2)).sum();
    let slope = x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>() / sxx;
    let at_zero = my - slope * mx;
    let rest: f64 = x.iter().zip(y).map(|(x, y)| (y - at_zero - slope * x).powi(2)).sum();
    (at_zero, (rest / (n - 2.0) * (1.0 / n + mx * mx / sxx)).sqrt())
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let both: [&Features; 2] = [sets.real, sets.generated];
    for (set, name) in both.iter().zip(["real", "generated"]) {
        if set.rows() < FEWEST {
            let message = format!(
                "{} samples, expected at least {FEWEST} to extrapolate from {SIZES} sizes; add samples, or use fd",
                set.rows()
            );
            return Err(Error::key(name, message));
        }
    }
    let comparison = Comparison::new(both, ["real", "generated"])?;
    let [real, generated] = both.map(Features::rows);
    let sizes = sizes(generated);
    let part = |(number, size): (usize, &usize)| {
        let of_real = (real * size).div_ceil(generated).max(2);
        [(Draw::RealSubset, real, of_real), (Draw::GeneratedSubset, generated, *size)]
            .map(|(draw, n, size)| subset(settings.seed, draw, number as u64, n, size))
    };
    let parts: Vec<[Vec<usize>; 2]> = sizes.iter().enumerate().map(part).collect();
    let found = comparison.distances_of(&parts);
    let inverse: Vec<f64> = sizes.iter().map(|n| 1.0 / *n as f64).collect();
    let (value, of_line) = intercept(&inverse, &found);
    // Around the distance of all rows the parts scatter, which the line's residuals show; what they have in common, the
    // rows themselves, the jackknife shows.
    let (of_rows, groups) = comparison.error(settings.seed);
    let half = half_width(of_line.hypot(of_rows), groups);
    Ok(Measured { value, interval: [value - half, value + half] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, golden, measured, message, moved, on_threads, rows};

    /// `moments/constants.py`, by scipy.stats.linregress.
    #[test]
    fn the_line_equals_scipy() {
        let sizes = sizes(400);
        assert_eq!(sizes, [40, 65, 91, 117, 142, 168, 194, 220, 245, 271, 297, 322, 348, 374, 400]);
        let x: Vec<f64> = sizes.iter().map(|n| 1.0 / *n as f64).collect();
        let y: Vec<f64> = sizes.iter().map(|n| 0.1 + 30.0 / *n as f64 + 0.01 * (*n as f64).sin()).collect();
        let (value, error) = intercept(&x, &y);
        assert!((value - 0.098_923_379_599_704_01).abs() < 1e-13, "{value}");
        assert!((error - 0.002_893_695_295_824_402_7).abs() < 1e-13, "{error}");
        assert_eq!((super::sizes(100_000)[0], super::sizes(100_000)[14], super::sizes(30)[0]), (5000, 100_000, 3));
    }

    /// `moments/infinity.py`, which draws the same subsets by its own ChaCha8, measures them by numpy.linalg.svd and lays
    /// scipy's line. (The distances are off by 1e-13 of the traces, 16, and the line makes that up to ten times as much.)
    #[test]
    fn the_whole_equals_scipy() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 0.912_850_582_575_822), (&golden.test, 0.004_977_291_687_676_633)] {
            let sets = crate::evaluate::Sets::new(&golden.real, set);
            let found = (ROW.measure)(&sets, &crate::evaluate::golden::SETTINGS).unwrap();
            assert!((found.value - expected).abs() < 1e-10, "{found:?}, expected {expected}");
        }
    }

    /// Ten pairs of sets from one distribution: every interval covers 0, and none of the distances themselves does. (Of
    /// 1,700 such pairs of several sizes 95 % covered 0, so another ten may hold one that does not.)
    #[test]
    fn repeats_from_one_distribution_cover_0() {
        let mut sum = 0.0;
        for repeat in 0..10 {
            let (real, generated) = (drawn(1000, 8, 100 + 2 * repeat), drawn(800, 8, 101 + 2 * repeat));
            let found = measured(&ROW, &real, &generated, None).unwrap();
            assert!(found.interval[0] < 0.0 && found.interval[1] > 0.0, "{repeat}: {found:?}");
            let plain = measured(&crate::evaluate::metrics::fd::ROW, &real, &generated, None).unwrap();
            assert!(found.interval[1] - found.interval[0] < 0.2 && plain.value > 0.02, "{found:?} {plain:?}");
            sum += found.value;
        }
        // The mean of ten: 0 to three standard errors of 0.025/√10, where the distances' own mean is 0.06.
        assert!((sum / 10.0).abs() < 0.024, "{sum}");
    }

    /// Twice the spread and a shift: |m|² + (1 − 2)²·d = 8·(0.25 + 1), within the interval, which is narrow enough to
    /// tell it from the distance as measured.
    #[test]
    fn a_known_distance_is_covered() {
        let real = drawn(1000, 8, 1);
        let mut generated = drawn(1000, 8, 2);
        generated.values.iter_mut().for_each(|v| *v = 2.0 * *v + 0.5);
        let found = measured(&ROW, &real, &generated, None).unwrap();
        assert!(found.interval[0] < 10.0 && 10.0 < found.interval[1], "{found:?}");
        assert!(found.interval[1] - found.interval[0] < 4.0, "{found:?}");
    }

    #[test]
    fn odd_sets_and_the_same_bits() {
        let golden = golden();
        let few = rows(&golden.real, 0, 29);
        assert!(
            message(measured(&ROW, &golden.real, &few, None))
                .starts_with("generated: 29 samples, expected at least 30")
        );
        // One set twice: parts of it differ, the whole does not, and the line ends below 0.
        let same = measured(&ROW, &golden.real, &golden.real, None).unwrap();
        assert!(same.value < 0.0, "{same:?}");
        let found =
            [0.0, 0.3, 1.0].map(|by| measured(&ROW, &golden.real, &moved(&golden.test, by), None).unwrap().value);
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
        let sets = Sets::new(&golden.real, &golden.test);
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
    }
}
