//! Recall: the share of real samples that lie in the ball of a generated one (Kynkäänniemi et al. 2019): precision with
//! the sets exchanged. A generator that makes copies of one sample has balls of radius 0 and a recall of 0.
//!
//! Two draws of one distribution do not get 1: see precision. A generator that spreads far gets more than the real
//! distribution itself, since its balls are large.

use crate::error::Result;
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "recall",
    about: "share of real samples that lie among the generated ones: is everything covered?",
    reference: "Kynkäänniemi et al. 2019, arXiv 1904.06991",
    range: "0 to 1",
    better: Better::Higher,
    interval: "5 splits of both sets, at least Wilson's",
    // As for precision.
    biased_below: |_| 1_000,
    needs: None,
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let found = sets.neighbourhoods(settings)?;
    found.check()?;
    Ok(found.share(0, |counts, i| counts.recalled[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, golden};

    /// The golden table, and neighbours/golden.py: counts out of 400.
    #[test]
    fn golden_table() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 396.0), (&golden.test, 367.0), (&golden.memorised, 400.0)] {
            let found = measure(&Sets::new(&golden.real, set), &SETTINGS).unwrap();
            assert_eq!(found.value, expected / 400.0);
            assert!(found.interval[0] < found.value && found.value <= found.interval[1], "{found:?}");
        }
    }

    /// Copies of one real sample cover nothing, not even that sample, since balls do not hold their surface.
    #[test]
    fn a_collapsed_generator_has_none() {
        let golden = golden();
        let collapsed = golden.real.subset(vec![7; 50]);
        assert_eq!(measure(&Sets::new(&golden.real, &collapsed), &SETTINGS).unwrap().value, 0.0);
        let same = measure(&Sets::new(&golden.real, &golden.real.clone()), &SETTINGS).unwrap();
        assert_eq!(same.value, 1.0);
    }
}
