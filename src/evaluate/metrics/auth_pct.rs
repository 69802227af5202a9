//! AuthPct: the percentage of generated samples that are no copy of a training sample (Alaa et al. 2022). A
//! sample counts as a copy where it is no farther from its nearest real sample than that one is from its own nearest.
//!
//! Real samples do not get 100, nor the same in every feature space: of normal draws 47 % count as authentic in 4
//! dimensions, 81 % in 64 (1,000 of each; neighbours/same_distribution.py). Compare with held-out real samples.

use crate::error::{Error, Result};
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "auth_pct",
    about: "percentage of generated samples farther from the nearest real one than that is from its own nearest",
    reference: "Alaa et al. 2022, arXiv 2102.08921",
    range: "0 to 100",
    better: Better::Higher,
    interval: "5 splits of both sets, at least Wilson's",
    // From here on, doubling both sets moves it by less than 2 (neighbours/same_distribution.py).
    biased_below: |_| 1_000,
    needs: None,
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    if sets.real.rows() < 2 {
        let message = format!("expected at least 2 samples, each with a nearest other, found {}", sets.real.rows());
        return Err(Error::key("real", message));
    }
    let found = sets.neighbourhoods(settings)?;
    let share = found.share(1, |counts, j| {
        let (squared, real) = counts.nearest[j];
        counts.closest[real as usize] < squared
    });
    Ok(Measured { value: 100.0 * share.value, interval: share.interval.map(|end| 100.0 * end) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, features, golden};

    /// The golden table, and neighbours/golden.py: counts out of 400.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 73.5), (&golden.test, 64.0), (&golden.memorised, 0.0)] {
            let found = measure(&Sets::new(&golden.real, set), &SETTINGS).unwrap();
            assert!((found.value - expected).abs() < 1e-12, "{found:?}");
            assert!(found.interval[0] <= found.value && found.value < found.interval[1], "{found:?}");
        }
    }

    /// Real rows at 0, 1 and 10. A sample at 0.4 is nearer to 0 than 1 is: a copy. One at −2 and one at 100 are
    /// authentic: 0 and 10 have nearer neighbours. One at 3 is at 2 from 1, whose neighbour is at 1.
    #[test]
    fn by_hand() {
        let real = features([0.0, 1.0, 10.0], 1);
        let share = |samples: &[f64]| {
            measure(&Sets::new(&real, &features(samples.iter().copied(), 1)), &SETTINGS).unwrap().value
        };
        assert_eq!(share(&[0.4, -2.0, 100.0, 3.0]), 75.0);
        assert_eq!(share(&[0.4, 1.0]), 0.0);
        let one = real.subset([0]);
        assert_eq!(
            measure(&Sets::new(&one, &real), &SETTINGS).unwrap_err().to_string(),
            "real: expected at least 2 samples, each with a nearest other, found 1"
        );
    }
}
