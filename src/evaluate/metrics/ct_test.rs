//! C_T with one half of the test set for the training set and the other for the held-out one. No generator copies what
//! it has never seen, so below 0 means that it keeps to a part of the distribution. See [`crate::evaluate::meehan`].
//!
//! The halves are drawn at random. (dgm-eval takes the first and the second half, which in a folder sorted by class are
//! different classes.)

use crate::error::{Error, Result};
use crate::evaluate::meehan::{CELLS, FEW, Triple, c_t};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings, steps};
use crate::noise::{self, Stream};

pub const ROW: MetricRow = MetricRow {
    name: "ct_test",
    about: "C_T between halves of the held-out set, which cannot be copied: below 0 the generator leaves things out",
    reference: "Stein et al. 2023, arXiv 2306.04675, after Meehan et al. 2020, arXiv 2004.05675",
    range: "any; -2 to 2 for the real distribution",
    better: Better::Near(0.0),
    interval: "bootstrap of one half of the held-out and the generated samples, the other half and cells held fixed",
    biased_below: |_| CELLS * (FEW + 1),
    needs: Some(Need::Test),
    measure,
};

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let test = sets.held_out()?;
    if test.rows() < 2 {
        return Err(Error::key("test", format!("expected at least 2 samples for two halves, found {}", test.rows())));
    }
    let order = noise::permutation(settings.seed, Stream::Bootstrap, steps::HALVES, test.rows());
    let (first, second) = order.split_at(test.rows().div_ceil(2));
    let [first, second] = [first, second].map(|rows| test.subset(rows.iter().copied()));
    let triple = Triple { train: ("test", &first), test: ("test", &second), generated: ("generated", sets.generated) };
    c_t(triple, CELLS, settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::golden::{SETTINGS, golden, on_any_threads};

    /// A generator that makes the wide distribution narrow is nearer to one half than the other half is; copies of the
    /// training set are held-out samples to it, as good as any.
    #[test]
    fn it_sees_what_is_left_out_and_no_copies() {
        let golden = golden();
        let measured = |generated| {
            let sets = Sets { test: Some(&golden.test), ..Sets::new(&golden.real, generated) };
            on_any_threads(|| measure(&sets, &SETTINGS).unwrap()).value
        };
        let narrow = Features {
            values: golden.generated.values.iter().map(|v| 0.4 * v).collect(),
            width: golden.generated.width,
        };
        assert!(measured(&narrow) < -5.0, "{}", measured(&narrow));
        assert!(measured(&golden.memorised).abs() < 3.0, "{}", measured(&golden.memorised));
        assert!(measured(&golden.generated) > 3.0, "{}", measured(&golden.generated));
    }

    #[test]
    fn two_halves_need_two_samples() {
        let golden = golden();
        let one = golden.test.subset([0]);
        let sets = Sets { test: Some(&one), ..Sets::new(&golden.real, &golden.generated) };
        let error = measure(&sets, &SETTINGS).unwrap_err().to_string();
        assert_eq!(error, "test: expected at least 2 samples for two halves, found 1");
    }
}
