//! Precision: the share of generated samples that lie in the ball of a real one (Kynkäänniemi et al. 2019). A ball
//! reaches to the k-th nearest other real sample and does not hold its surface.
//!
//! Two draws of one distribution do not get 1: with k = 5 normal draws get 0.98 in 4 dimensions, 0.86 in 16 and 0.73 in
//! 64 (1,000 of each; neighbours/same_distribution.py). Compare with the precision of held-out real samples.

use crate::error::Result;
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "precision",
    about: "share of generated samples that lie among the real ones: are they believable?",
    reference: "Kynkäänniemi et al. 2019, arXiv 1904.06991",
    range: "0 to 1",
    better: Better::Higher,
    interval: "5 splits of both sets, at least Wilson's",
    // From here on, doubling both sets moves it by about 0.02 or less (neighbours/same_distribution.py).
    biased_below: |_| 1_000,
    needs: None,
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let found = sets.neighbourhoods(settings)?;
    found.check()?;
    Ok(found.share(1, |counts, j| counts.inside[j] > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::golden::{SETTINGS, features, golden, on_any_threads};

    /// The golden table, and neighbours/golden.py: counts out of 400.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 317.0), (&golden.test, 361.0), (&golden.memorised, 400.0)] {
            let found = on_any_threads(|| measure(&Sets::new(&golden.real, set), &SETTINGS).unwrap());
            assert_eq!(found.value, expected / 400.0);
            assert!(found.interval[0] < found.value && found.value <= found.interval[1], "{found:?}");
        }
    }

    fn refused(real: &Features, generated: &Features, settings: &Settings) -> String {
        measure(&Sets::new(real, generated), settings).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let golden = golden();
        let few = golden.generated.subset(0..5);
        assert_eq!(
            refused(&golden.real, &few, &SETTINGS),
            "generated: 5 samples, expected at least 6 for 5 nearest neighbours; give more samples or lower nearest"
        );
        assert_eq!(
            refused(&few, &golden.real, &SETTINGS),
            "real: 5 samples, expected at least 6 for 5 nearest neighbours; give more samples or lower nearest"
        );
        assert!(measure(&Sets::new(&golden.real, &golden.generated.subset(0..6)), &SETTINGS).is_ok());
        let narrow = features([0.0; 21], 7);
        assert_eq!(
            refused(&golden.real, &narrow, &SETTINGS),
            "generated: expected rows of 8 values as in real, found 7; compute the features of both in the same way"
        );
        assert_eq!(
            refused(&golden.real.subset(vec![3; 30]), &golden.generated, &SETTINGS),
            "real: every sample has at least 5 exact copies, expected samples that differ; remove the copies"
        );
        let none = Settings { nearest: 0, ..SETTINGS };
        assert_eq!(refused(&golden.real, &golden.generated, &none), "nearest: expected at least 1, found 0");
    }

    /// Every sample is in its own ball; and none is where the other set is far away.
    #[test]
    fn the_same_set_and_a_far_one() {
        let golden = golden();
        let same = measure(&Sets::new(&golden.real, &golden.real.clone()), &SETTINGS).unwrap();
        // At least Wilson's: n/(n + z²) for n out of n.
        assert_eq!((same.value, same.interval[1]), (1.0, 1.0));
        assert!(same.interval[0] <= 400.0 / (400.0 + 1.959_963_985f64.powi(2)), "{same:?}");
        let far = features(golden.real.values.iter().map(|v| f64::from(*v) + 100.0), 8);
        let far = measure(&Sets::new(&golden.real, &far), &SETTINGS).unwrap();
        assert_eq!((far.value, far.interval[0]), (0.0, 0.0));
    }
}
