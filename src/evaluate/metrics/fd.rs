//! `fd`: the Fréchet distance of two normal distributions that have the means and covariances of the features.

use crate::error::Result;
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings, frechet};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "fd",
    about: "Fréchet distance of two normal distributions with the means and covariances of the features",
    reference: "Heusel et al. 2017, arXiv 1706.08500",
    range: "0 and up",
    better: Better::Lower,
    interval: "jackknife of 10 groups of both sets; of this value, bias included",
    biased_below,
    needs: None,
    measure,
};

/// Two sets of n rows each from one distribution are not at distance 0. With d features of equal variance and no
/// correlation the expected distance is about (d + 5)/(2n) of the trace of the covariance: 2d/n from the means, and
/// d(d + 1)/(2n) from the covariances. It falls as 1/n and is there at every n; at n = 2(d + 5) it is a quarter of the
/// trace, and below that many rows the covariances are hardly invertible either.
fn biased_below(width: usize) -> usize {
    2 * (width + 5)
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    frechet::measured([sets.real, sets.generated], ["real", "generated"], settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::fixture::{drawn, golden, measured, message, moved, on_threads, rows};

    #[test]
    fn the_golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 1.097836), (&golden.test, 0.153673), (&golden.memorised, 0.0)] {
            let found = measured(&ROW, &golden.real, set, None).unwrap();
            assert!((found.value - expected).abs() < 1e-6, "{found:?}");
            assert!(found.interval[0] <= found.value && found.value < found.interval[1], "{found:?}");
        }
    }

    /// The jackknife's error is that of repeated draws: 60 pairs of sets from two distributions. The standard deviation
    /// of 60 values is known to 9 %, the jackknife errs from pair to pair, and is somewhat too large by nature.
    #[test]
    fn the_interval_is_as_wide_as_the_value_scatters() {
        let (values, widths): (Vec<f64>, Vec<f64>) = (0..60)
            .map(|i| {
                let (real, generated) = (drawn(300, 4, 2 * i), moved(&drawn(200, 4, 2 * i + 1), 0.4));
                let found = measured(&ROW, &real, &generated, None).unwrap();
                (found.value, (found.interval[1] - found.value) / 2.262)
            })
            .unzip();
        let mean = values.iter().sum::<f64>() / 60.0;
        let scatter = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 59.0).sqrt();
        let error = widths.iter().sum::<f64>() / 60.0;
        assert!((0.75..1.4).contains(&(error / scatter)), "{error} {scatter}");
    }

    #[test]
    fn odd_sets() {
        let golden = golden();
        // The sets are one: the distance is 0, and groups that differ between them give it a width.
        let same = measured(&ROW, &golden.real, &golden.real, None).unwrap();
        assert!(same.value < 1e-12 && same.interval[0] == 0.0 && same.interval[1] > 1e-3, "{same:?}");
        let constant = Features { values: vec![3.0; 40], width: 4 };
        assert_eq!(measured(&ROW, &constant, &constant, None).unwrap().value, 0.0);
        let five = Features { values: vec![5.0; 40], width: 4 };
        let apart = measured(&ROW, &constant, &five, None).unwrap();
        assert!(apart.value == 16.0 && apart.interval == [16.0, 16.0]);
        let two = rows(&golden.real, 0, 2);
        assert!(message(measured(&ROW, &two, &golden.real, None)).starts_with("real: 2 samples, expected at least 3"));
        let three = rows(&golden.generated, 0, 3);
        let few = measured(&ROW, &rows(&golden.real, 0, 3), &three, None).unwrap();
        // `moments/constants.py`; 3 rows of 8.
        assert!((few.value / 20.304_791_339_729_15 - 1.0).abs() < 2e-8);
        assert!((ROW.biased_below)(8) > 3);
    }

    #[test]
    fn more_shift_is_more_distance_and_a_seed_fixes_the_bits() {
        let (real, generated) = (drawn(300, 5, 1), drawn(300, 5, 2));
        let found = [0.0, 0.1, 0.3, 1.0].map(|by| measured(&ROW, &real, &moved(&generated, by), None).unwrap().value);
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
        let sets = Sets::new(&real, &generated);
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
        assert_eq!(one, measured(&ROW, &real, &generated, None).unwrap());
    }
}
