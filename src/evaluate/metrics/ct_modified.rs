//! C_T with training and generated sets exchanged: whether the training samples are nearer to generated ones than
//! held-out samples are. A generator that only leaves things out does not change it. See [`crate::evaluate::meehan`].

use crate::error::Result;
use crate::evaluate::meehan::{CELLS, FEW, Triple, c_t};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "ct_modified",
    about: "training against held-out samples by nearness to the generated ones, in deviations: below 0 it memorises",
    reference: "Stein et al. 2023, arXiv 2306.04675, after Meehan et al. 2020, arXiv 2004.05675",
    range: "any; -2 to 2 without memorising",
    better: Better::Near(0.0),
    interval: "bootstrap of training and held-out samples, generated ones and cells held fixed",
    biased_below: |_| CELLS * (FEW + 1),
    needs: Some(Need::Test),
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let test = sets.held_out()?;
    let triple = Triple { train: ("generated", sets.generated), test: ("test", test), generated: ("real", sets.real) };
    c_t(triple, CELLS, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, golden, on_any_threads};

    /// Training and generated sets are exchanged, and nothing else.
    #[test]
    fn exchanged() {
        let golden = golden();
        let sets = Sets { test: Some(&golden.test), ..Sets::new(&golden.real, &golden.memorised) };
        let found = on_any_threads(|| measure(&sets, &SETTINGS).unwrap());
        let triple = Triple {
            train: ("generated", &golden.memorised),
            test: ("test", &golden.test),
            generated: ("real", &golden.real),
        };
        assert_eq!(found, c_t(triple, 3, &SETTINGS).unwrap());
        assert!(found.value < -10.0, "{found:?}");
        // A generator that only stays in one place memorises nothing.
        let still = golden.test.subset(0..30);
        let sets = Sets { test: Some(&golden.test.subset(30..400)), ..Sets::new(&golden.real, &still) };
        let found = measure(&sets, &SETTINGS).unwrap();
        assert!(found.value.abs() < 3.0, "{found:?}");
    }
}
