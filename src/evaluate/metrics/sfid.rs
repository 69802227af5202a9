//! `sfid`: the Fréchet distance on spatial features, which keep where in the picture something is.

use crate::error::{Error, Result};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings, frechet};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "sfid",
    about: "Fréchet distance on spatial features, which keep where in the picture something is",
    reference: "Nash et al. 2021, arXiv 2103.03841",
    range: "0 and up",
    better: Better::Lower,
    interval: "jackknife of 10 groups of both sets; of this value, bias included",
    biased_below,
    needs: Some(Need::Spatial),
    measure,
};

/// As for the Fréchet distance of any features: the bias is about (d + 5)/(2n) of the trace of the covariance, a
/// quarter at n = 2(d + 5). The width d is that of the spatial features.
fn biased_below(width: usize) -> usize {
    2 * (width + 5)
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let Some(spatial) = sets.spatial else {
        let message = "expected spatial features of both sets, found none; choose an encoder that gives them";
        return Err(Error::key("spatial", message));
    };
    frechet::measured(spatial, ["spatial.real", "spatial.generated"], settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{golden, measured, message, rows, settings};

    #[test]
    fn spatial_features_are_compared() {
        let golden = golden();
        let few = rows(&golden.real, 0, 5);
        let spatial = Some([&golden.real, &golden.generated]);
        let mut sets = Sets { spatial, ..Sets::new(&few, &few) };
        let found = (ROW.measure)(&sets, &settings(7)).unwrap();
        assert!((found.value - 1.097836).abs() < 1e-6);
        let two = rows(&golden.generated, 0, 2);
        sets.spatial = Some([&golden.real, &two]);
        assert!(message((ROW.measure)(&sets, &settings(7))).starts_with("spatial.generated: 2 samples"));
        assert!(message(measured(&ROW, &few, &few, None)).starts_with("spatial: expected spatial features"));
    }
}
