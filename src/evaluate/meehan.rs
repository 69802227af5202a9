//! C_T, a test for data copying (Meehan et al. 2020, arXiv 2004.05675). `c_t`, `ct_test` and `ct_modified` are this
//! test on different triples of sets.
//!
//! A generator that copies puts its samples nearer to the training set T than further real samples P are. In each of a
//! few cells of space, found by k-means on T, the distances to the nearest row of T in the cell are compared: those of
//! the generated samples Q with those of P. With U the number of pairs in which the one from Q is farther, ties
//! counting one half,
//!
//!   Z = (U − (nm/2 − 1/2)) / √(nm(n + m + 1)/12),   C_T = Σ n·Z / Σ n
//!
//! for n rows of P and m rows of Q in a cell, over the cells with more than 20 rows of Q. (The paper's condition is a
//! share τ of Q, the 20 and the continuity correction are those of its authors' code.) Copying makes C_T far below 0,
//! underfitting far above. Cells without a row of P have no weight.

use super::clusters::Cells;
use super::neighbours::{Origin, Points, nearest_between};
use super::principal::Axes;
use super::{Features, Measured, Settings, steps};
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use crate::statistics::quantile;
use rand::RngExt;
use rayon::prelude::*;

/// Cells of the metrics.
pub const CELLS: usize = 3;
/// Features that are wider are projected onto as many principal axes of the training set.
pub const WIDEST: usize = 64;
/// A cell with as many generated rows or fewer does not count.
pub const FEW: usize = 20;

/// The three sets of the test, each with the name of the key under which it was given.
#[derive(Clone, Copy)]
pub struct Triple<'a> {
    /// T, from which the others are compared by distance.
    pub train: (&'static str, &'a Features),
    /// P, a fair sample.
    pub test: (&'static str, &'a Features),
    /// Q, which may hold copies of T.
    pub generated: (&'static str, &'a Features),
}

/// A row of P or Q in a cell, in the order of its distance to T.
struct Ranked {
    squared: f64,
    from_q: bool,
    row: usize,
}

/// C_T of three sets with `cells` cells. Its interval is a percentile bootstrap over the rows of P and Q, with T and
/// the cells as they are.
///
/// # Errors
/// [`Error::Key`] for widths that differ, for a set without rows, for fewer than 40 resamples, and where no cell has
/// both a row of P and more than 20 rows of Q.
pub fn c_t(sets: Triple, cells: usize, settings: &Settings) -> Result<Measured> {
    let Triple { train: (_, train), test: (_, test), generated: (_, generated) } = sets;
    for (key, set) in [sets.train, sets.test, sets.generated] {
        if set.width != train.width {
            let message =
                format!("expected rows of {} values as in {}, found {}", train.width, sets.train.0, set.width);
            return Err(Error::key(key, message));
        }
        if set.rows() == 0 {
            return Err(Error::key(key, "expected samples, found none"));
        }
    }
    if settings.resamples < 40 {
        let message = format!("expected at least 40 for the ends of a 95 % interval, found {}", settings.resamples);
        return Err(Error::key("resamples", message));
    }
    let projected = (train.width > WIDEST).then(|| {
        let axes = Axes::of(train, WIDEST, settings.seed);
        [train, test, generated].map(|set| axes.project(set))
    });
    let [train, test, generated] = match &projected {
        Some([train, test, generated]) => [train, test, generated],
        None => [train, test, generated],
    };
    let tables = tables([train, test, generated], &Cells::of(train, cells, settings.seed), settings.block)?;
    let counted: Vec<Vec<Ranked>> = tables.into_iter().filter(|table| counts(table)).collect();
    let rows = [test.rows(), generated.rows()];
    let once = rows.map(|rows| vec![1; rows]);
    let Some(value) = statistic(&counted, &once) else {
        let message = format!(
            "{} samples, expected more than {FEW} in a cell that also has samples of {} (cells of {}: {cells}); \
             give more samples",
            rows[1], sets.test.0, sets.train.0
        );
        return Err(Error::key(sets.generated.0, message));
    };
    let draw = |resample: usize| {
        let mut rngs =
            steps::ROWS.map(|step| noise::generator(settings.seed, resample as u64, Stream::Bootstrap, step));
        // A resample may have none of the few rows of P in these cells, and is drawn again.
        loop {
            let mut times = rows.map(|rows| vec![0u32; rows]);
            for (times, (rng, rows)) in times.iter_mut().zip(rngs.iter_mut().zip(rows)) {
                (0..rows).for_each(|_| times[rng.random_range(0..rows)] += 1);
            }
            if let Some(value) = statistic(&counted, &times) {
                return value;
            }
        }
    };
    let mut drawn: Vec<f64> = (0..settings.resamples).into_par_iter().map(draw).collect();
    drawn.sort_by(f64::total_cmp);
    let end = |q: f64| quantile(&drawn, q).unwrap_or(f64::NAN);
    Ok(Measured { value, interval: [end(0.025), end(0.975)] })
}

/// The rows of P and Q in each cell by their distance to the nearest row of T in it.
fn tables(sets: [&Features; 3], cells: &Cells, block: usize) -> Result<Vec<Vec<Ranked>>> {
    let cell_of = sets.map(|set| cells.assign(set));
    let of_cell = |cell: usize| {
        let rows = [0, 1, 2].map(|s: usize| -> Vec<usize> {
            cell_of[s].iter().enumerate().filter(|(_, c)| **c == cell).map(|(row, _)| row).collect()
        });
        let parts = [0, 1, 2].map(|s: usize| sets[s].subset(rows[s].iter().copied()));
        let origin = Origin::of(&[&parts[0], &parts[1], &parts[2]])?;
        let [train, test, generated] = [0, 1, 2].map(|s: usize| Points::new(&parts[s], &origin, block));
        let mut table: Vec<Ranked> = Vec::with_capacity(rows[1].len() + rows[2].len());
        for (from_q, points, rows) in [(false, &test, &rows[1]), (true, &generated, &rows[2])] {
            let nearest = nearest_between(points, &train, 1).kth(1);
            table.extend(nearest.iter().zip(rows).map(|(d, row)| Ranked { squared: *d, from_q, row: *row }));
        }
        table.sort_by(|a, b| a.squared.total_cmp(&b.squared));
        Ok(table)
    };
    (0..cells.count()).map(of_cell).collect()
}

/// Whether a cell has a row of P and enough rows of Q.
fn counts(table: &[Ranked]) -> bool {
    let generated = table.iter().filter(|r| r.from_q).count();
    generated > FEW && generated < table.len()
}

/// C_T where each row of P and of Q is there as often as `times` says; `None` where no cell has a row of both.
fn statistic(tables: &[Vec<Ranked>], times: &[Vec<u32>; 2]) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for table in tables {
        let (mut u, mut n, mut m) = (0.0, 0.0, 0.0);
        for tied in table.chunk_by(|a, b| a.squared == b.squared) {
            let of = |from_q: bool| -> f64 {
                tied.iter().filter(|r| r.from_q == from_q).map(|r| f64::from(times[usize::from(from_q)][r.row])).sum()
            };
            let (test, generated) = (of(false), of(true));
            u += generated * (n + 0.5 * test);
            n += test;
            m += generated;
        }
        if n > 0.0 && m > 0.0 {
            let z = (u - (0.5 * n * m - 0.5)) / (n * m * (n + m + 1.0) / 12.0).sqrt();
            sum += n * z;
            weight += n;
        }
    }
    (weight > 0.0).then(|| sum / weight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, features, golden, normals, on_any_threads, shared};

    fn triple<'a>(train: &'a Features, test: &'a Features, generated: &'a Features) -> Triple<'a> {
        Triple { train: ("real", train), test: ("test", test), generated: ("generated", generated) }
    }

    /// Normals of a deviation around (0, 0, …), (20, 0, …) and (0, 30, …) in turn, or as `which` says.
    fn blobs(rows: usize, offset: usize, deviation: f64, which: impl Fn(usize) -> usize) -> Features {
        let centre = |i: usize, j: usize| match (which(i), j) {
            (1, 0) => 20.0,
            (2, 1) => 30.0,
            _ => 0.0,
        };
        let values = normals(rows, 5, offset);
        features(values.into_iter().enumerate().map(|(x, v)| deviation * v + centre(x / 5, x % 5)), 5)
    }

    /// With one cell; neighbours/golden.py and the golden table. U is a count, so only the last bits may differ.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (generated, expected) in [
            (&golden.generated, 8.434294028177185),
            (&golden.test, 0.00015299751534052612),
            (&golden.memorised, -24.47944945696884),
        ] {
            let found = c_t(triple(&golden.real, &golden.test, generated), 1, &SETTINGS).unwrap();
            assert!((found.value - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found:?} {expected}");
            assert!(found.interval[0] <= found.value && found.value <= found.interval[1], "{found:?}");
        }
    }

    /// Three cells that any k-means finds, by scipy.stats.mannwhitneyu in each cell: neighbours/meehan.py. In the
    /// second case the rows of one cell are near copies. In the third, a cell has 10 generated rows and does not count.
    #[test]
    fn three_cells_by_scipy() {
        let third = |i: usize| i % 3;
        let (train, test) = (blobs(300, 0, 1.0, third), blobs(240, 3_000, 1.0, third));
        let fair = blobs(300, 6_000, 1.0, third);
        let moves = normals(100, 5, 9_000);
        let copied = (0..300).flat_map(|i| (0..5).map(move |j| (i, j))).map(|(i, j)| match i % 3 {
            0 => f64::from(train.row(i)[j]) + 0.05 * moves[i / 3 * 5 + j],
            _ => f64::from(fair.row(i)[j]),
        });
        let few = blobs(300, 6_000, 1.1, |i| if i % 30 == 29 { 2 } else { i % 2 });
        for (generated, expected) in [
            (blobs(270, 6_000, 1.1, third), 0.18575618596370264),
            (features(copied, 5), -4.561404488926871),
            (few, -0.3453418816229891),
        ] {
            let found = on_any_threads(|| c_t(triple(&train, &test, &generated), 3, &SETTINGS).unwrap());
            assert!((found.value - expected).abs() < 1e-12 * expected.abs().max(1.0), "{found:?} {expected}");
            let other =
                c_t(triple(&train, &test, &generated), 3, &Settings { seed: 9, block: 16, ..SETTINGS }).unwrap();
            // The sum of the cells in another order.
            assert!((found.value - other.value).abs() < 1e-12 * found.value.abs());
            assert_ne!(found.interval, other.interval);
        }
    }

    /// 80 values with deviations 0.98^j, and so 64 principal axes: sklearn.decomposition.PCA, neighbours/meehan.py. U
    /// is a count of pairs, none of which is closer than the rounding of coordinates to f32.
    #[test]
    fn wide_features_by_scikit_learn() {
        let wide = |rows: usize, offset: usize, deviation: f64| {
            let values = normals(rows, 80, offset);
            features(values.into_iter().enumerate().map(|(i, v)| deviation * v * 0.98f64.powi((i % 80) as i32)), 80)
        };
        let (train, test, generated) = (wide(300, 0, 1.0), wide(200, 3_000, 1.0), wide(250, 6_000, 1.05));
        let found = c_t(triple(&train, &test, &generated), 1, &SETTINGS).unwrap();
        assert!((found.value - 2.425907862609666).abs() < 1e-12, "{found:?}");
    }

    /// LeNet features of digits, 84 wide and so on 64 axes, by scikit-learn and scipy: neighbours/shared.py.
    #[test]
    #[ignore = "needs the shared data"]
    fn shared_features() {
        let Some(([train, test, vae, gan], _)) = shared(["real_a", "real_b", "vae", "gan_mlp"]) else { return };
        for (generated, expected) in [(vae, 23.29826552413899), (gan, -6.669198154162932)] {
            let found = c_t(triple(&train, &test, &generated), 1, &SETTINGS).unwrap();
            println!("{found:?} {expected}");
            // One pair out of order would move it by 8e-5.
            assert!((found.value - expected).abs() < 1e-9, "{found:?} {expected}");
        }
    }

    /// For one distribution C_T is a standard normal, and the interval should hold 0 in 95 of 100 cases: 88 or more
    /// with a probability of 99.85 %. The training set is another one each time.
    #[test]
    fn intervals_cover() {
        let of = |offset: usize| features(normals(80, 3, offset), 3);
        let settings = Settings { resamples: 100, ..SETTINGS };
        let held = (0..100).filter(|r| {
            let found = c_t(triple(&of(300 * r), &of(300 * r + 100), &of(300 * r + 200)), 1, &settings).unwrap();
            (found.interval[0]..=found.interval[1]).contains(&0.0)
        });
        let held = held.count();
        assert!(held >= 88, "{held} of 100");
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let golden = golden();
        let few = golden.generated.subset(0..20);
        let error = |t: Triple, settings: &Settings| c_t(t, 1, settings).unwrap_err().to_string();
        assert_eq!(
            error(triple(&golden.real, &golden.test, &few), &SETTINGS),
            "generated: 20 samples, expected more than 20 in a cell that also has samples of test (cells of real: 1); \
             give more samples"
        );
        let narrow = features([0.0; 6], 3);
        assert_eq!(
            error(triple(&golden.real, &narrow, &few), &SETTINGS),
            "test: expected rows of 8 values as in real, found 3"
        );
        let settings = Settings { resamples: 10, ..SETTINGS };
        assert_eq!(
            error(triple(&golden.real, &golden.test, &golden.generated), &settings),
            "resamples: expected at least 40 for the ends of a 95 % interval, found 10"
        );
    }

    /// Where all rows are equal every distance ties, and Z is that of ties: 1/2 over the deviation.
    #[test]
    fn rows_that_are_all_equal() {
        let equal = features(vec![2.5; 3 * 50], 3);
        let found = c_t(triple(&equal, &equal, &equal), 3, &SETTINGS).unwrap();
        let expected = 0.5 / (50.0f64 * 50.0 * 101.0 / 12.0).sqrt();
        assert!((found.value - expected).abs() < 1e-15, "{found:?}");
    }
}
