//! Coverage: the share of real samples in whose ball a generated one lies (Naeem et al. 2020).
//!
//! N real and M generated draws of one distribution get 1 − ∏ (N − i)/(N + M − i) over i = 1..k in expectation, in any
//! number of dimensions: about 1 − 2⁻ᵏ for M = N.

use crate::error::Result;
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "coverage",
    about: "share of real samples with a generated one in their neighbourhood; 0.97 for the real distribution itself",
    reference: "Naeem et al. 2020, arXiv 2002.09797",
    range: "0 to 1",
    better: Better::Higher,
    interval: "5 splits of both sets, at least Wilson's",
    // With 100 of each and k = 5 the real distribution gets 0.971, in the limit 0.969.
    biased_below: |_| 100,
    needs: None,
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let found = sets.neighbourhoods(settings)?;
    found.check()?;
    Ok(found.share(0, |counts, i| counts.reached[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, features, golden, normals};

    /// The golden table, and neighbours/golden.py: counts out of 400.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 337.0), (&golden.test, 395.0), (&golden.memorised, 400.0)] {
            let found = measure(&Sets::new(&golden.real, set), &SETTINGS).unwrap();
            assert_eq!(found.value, expected / 400.0);
            assert!(found.interval[0] < found.value && found.value <= found.interval[1], "{found:?}");
        }
    }

    /// The expectation for two draws of one distribution, of 40 and of 25 rows. The mean of 60 pairs is within 4
    /// standard errors of it, which is less than the distance to the value for 40 and 40.
    #[test]
    fn one_distribution() {
        let missed = |n: f64, m: f64| (1..=5).map(|i| (n - f64::from(i)) / (n + m - f64::from(i))).product::<f64>();
        let expected = 1.0 - missed(40.0, 25.0);
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
            assert!((mean - expected).abs() < 4.0 * error, "{width}: {mean} {expected} {error}");
            assert!(4.0 * error < missed(40.0, 25.0) - missed(40.0, 40.0), "{error}");
        }
    }
}
