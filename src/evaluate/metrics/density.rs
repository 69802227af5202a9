//! Density: the mean number of real balls that a generated sample lies in, over k (Naeem et al. 2020).
//!
//! Two draws of one distribution get 1 in expectation, at any size and in any number of dimensions: a further draw is
//! among the k nearest of N samples with probability k/N. Above 1, the generator keeps to where real samples are dense.

use crate::error::Result;
use crate::evaluate::intervals;
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "density",
    about: "real neighbourhoods that a generated sample lies in, over k; 1 for the real distribution itself",
    reference: "Naeem et al. 2020, arXiv 2002.09797",
    range: "0 and up",
    better: Better::Higher,
    interval: "5 splits of both sets, at least the normal one of the samples",
    biased_below: |_| 0,
    needs: None,
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let found = sets.neighbourhoods(settings)?;
    found.check()?;
    let k = found.nearest as f64;
    let Measured { value, interval } = found.mean(1, |counts, j| f64::from(counts.inside[j]) / k, intervals::of_mean);
    Ok(Measured { value, interval: interval.map(|end| end.max(0.0)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, features, golden, normals};

    /// The golden table, and neighbours/golden.py: counts out of 2,000.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 1179.0), (&golden.test, 1933.0), (&golden.memorised, 2097.0)] {
            let found = measure(&Sets::new(&golden.real, set), &SETTINGS).unwrap();
            // A mean of 400 fifths.
            assert!((found.value - expected / 2000.0).abs() < 1e-14, "{found:?}");
            assert!(found.interval[0] < found.value && found.value < found.interval[1], "{found:?}");
        }
    }

    /// Each sample lies in the balls of those that it is one of the nearest k − 1 of, and in its own: k for each ball,
    /// where no distances tie.
    #[test]
    fn the_same_set_has_one() {
        let golden = golden();
        let found = measure(&Sets::new(&golden.real, &golden.real.clone()), &SETTINGS).unwrap();
        assert!((found.value - 1.0).abs() < 1e-14, "{found:?}");
    }

    /// Two draws of one distribution have a density of 1 in expectation, whatever their sizes and dimensions. The mean
    /// of 60 pairs is within 4 standard errors of it, and a density of 1.2 would not be.
    #[test]
    fn one_distribution_has_one() {
        for width in [2, 20] {
            let all: Vec<f64> = (0..60)
                .map(|r| {
                    let (real, generated) = (normals(40, width, 1_000 * r), normals(25, width, 1_000 * r + 500));
                    let (real, generated) = (features(real, width), features(generated, width));
                    measure(&Sets::new(&real, &generated), &SETTINGS).unwrap().value
                })
                .collect();
            let mean = all.iter().sum::<f64>() / 60.0;
            let error = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 59.0 / 60.0).sqrt();
            assert!((mean - 1.0).abs() < 4.0 * error && 4.0 * error < 0.2, "{width}: {mean} {error}");
        }
    }
}
