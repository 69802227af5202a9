//! C_T: whether generated samples are nearer to the training set than held-out real ones are. See
//! [`crate::evaluate::meehan`].

use crate::error::Result;
use crate::evaluate::meehan::{CELLS, FEW, Triple, c_t};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings};

pub const ROW: MetricRow = MetricRow {
    name: "c_t",
    about: "generated against held-out samples by nearness to the training set, in deviations: below 0 they are copies",
    reference: "Meehan et al. 2020, arXiv 2004.05675",
    range: "any; -2 to 2 without copying or underfitting",
    better: Better::Near(0.0),
    interval: "bootstrap of held-out and generated samples, training set and cells held fixed",
    // Fewer cannot fill every cell.
    biased_below: |_| CELLS * (FEW + 1),
    needs: Some(Need::Test),
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let test = sets.held_out()?;
    let triple = Triple { train: ("real", sets.real), test: ("test", test), generated: ("generated", sets.generated) };
    c_t(triple, CELLS, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, golden, on_any_threads};

    /// Three cells of the golden rows. These have no clusters, so k-means ends elsewhere from each seed: C_T is 4.46 to
    /// 5.17 for the generated and −14.25 to −14.05 for the memorised rows over 40 seeds of scikit-learn's, with medians
    /// of 4.92 and −14.11 (neighbours/cells.py).
    #[test]
    fn three_cells() {
        let golden = golden();
        let measured = |generated| {
            let sets = Sets { test: Some(&golden.test), ..Sets::new(&golden.real, generated) };
            on_any_threads(|| measure(&sets, &SETTINGS).unwrap())
        };
        let found = measured(&golden.generated);
        assert!((4.2..5.4).contains(&found.value), "{found:?}");
        let copies = measured(&golden.memorised);
        assert!((-14.4..-13.9).contains(&copies.value), "{copies:?}");
        for found in [found, copies] {
            assert!(found.interval[0] < found.value && found.value < found.interval[1], "{found:?}");
        }
    }

    #[test]
    fn it_needs_held_out_samples() {
        let golden = golden();
        let error = measure(&Sets::new(&golden.real, &golden.generated), &SETTINGS).unwrap_err().to_string();
        assert_eq!(error, "test: expected held-out real samples, found none");
    }
}
