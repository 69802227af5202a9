//! What others have published: figures of submissions to the challenge, to stand beside one's own and marked as such.
//!
//! None of them was measured here. They were measured on showers of GEANT4, 100,000 or more on each side, and so are
//! not to be compared with figures on simulated showers of another kind; the row "GEANT4" is a second sample of the
//! reference, which says how much of a figure is there between samples of one distribution.

/// Where the figures are from.
pub const SOURCE: &str = "CaloChallenge 2022 (Krause et al., arXiv:2410.21611), final_results of the challenge's \
                          repository";

/// The figures of one submission.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The detector, by its name among [`super::GEOMETRIES`].
    pub geometry: &'static str,
    /// The submission's name.
    pub model: &'static str,
    /// KPD and its error, times 1,000.
    pub kpd: [f64; 2],
    /// FPD and its error, times 1,000.
    pub fpd: [f64; 2],
    /// AUC of the classifier on voxels.
    pub auc_low: Option<f64>,
    /// AUC of the classifier on high-level features.
    pub auc_high: Option<f64>,
    /// Precision, recall, density and coverage on the logarithms of voxels, k = 5.
    pub prdc: Option<[f64; 4]>,
}

/// A row without precision, recall, density and coverage.
const fn row(
    geometry: &'static str,
    model: &'static str,
    kpd: [f64; 2],
    fpd: [f64; 2],
    auc: [Option<f64>; 2],
) -> Published {
    Published { geometry, model, kpd, fpd, auc_low: auc[0], auc_high: auc[1], prdc: None }
}

const fn with_prdc(row: Published, prdc: [f64; 4]) -> Published {
    Published { prdc: Some(prdc), ..row }
}

const PHOTONS: &str = "photons";
const PIONS: &str = "pions";
const ELECTRONS: &str = "electrons";
const FINE: &str = "electrons-fine";
const NO_AUC: [Option<f64>; 2] = [None, None];

/// Some of the submissions, and GEANT4 against itself.
#[rustfmt::skip]
pub static PUBLISHED: &[Published] = &[
    with_prdc(row(PHOTONS, "GEANT4", [0.0279, 0.0592], [0.1192, 0.0534], [Some(0.499), Some(0.499)]),
        [0.704, 0.699, 0.992, 0.964]),
    with_prdc(row(PHOTONS, "CaloDiffusion", [-0.0100, 0.0515], [0.6497, 0.1308], [Some(0.635), Some(0.536)]),
        [0.730, 0.665, 1.152, 0.974]),
    row(PHOTONS, "CaloScore", [0.0008, 0.0579], [0.4381, 0.1296], [Some(0.751), Some(0.552)]),
    row(PHOTONS, "CaloINN", [0.2327, 0.2165], [3.8974, 0.1707], [Some(0.626), Some(0.638)]),
    row(PHOTONS, "CaloFlow teacher", [0.0824, 0.0679], [3.1124, 0.0938], [Some(0.733), Some(0.636)]),
    row(PHOTONS, "CaloVAE+INN", [1.2138, 0.0542], [14.5877, 0.1710], [Some(0.889), Some(0.966)]),
    row(PHOTONS, "CaloForest", [2.2297, 0.3132], [33.5196, 0.5523], [Some(0.845), Some(0.924)]),
    with_prdc(row(PHOTONS, "CaloMan", [11.1063, 0.5458], [141.3752, 0.4676], [Some(1.000), Some(0.999)]),
        [0.888, 0.010, 612.387, 0.888]),
    row(PHOTONS, "Calo-VQ", [2.4053, 0.1363], [35.9531, 0.3235], [Some(0.998), Some(0.989)]),
    row(PHOTONS, "BoloGAN", [11.6268, 1.1852], [142.4424, 1.3268], [Some(0.927), Some(0.966)]),
    row(PIONS, "GEANT4", [-0.0075, 0.0362], [0.5110, 0.0730], NO_AUC),
    row(PIONS, "CaloDiffusion", [0.0893, 0.0572], [2.7746, 0.0922], [Some(0.680), Some(0.652)]),
    row(PIONS, "CaloMan", [31.1636, 0.9840], [524.4263, 0.9067], NO_AUC),
    row(ELECTRONS, "GEANT4", [-0.0276, 0.0215], [10.7760, 0.7901], NO_AUC),
    row(ELECTRONS, "CaloDREAM", [0.0231, 0.0364], [24.6488, 1.0350], [Some(0.531), Some(0.521)]),
    row(ELECTRONS, "CaloDiffusion", [0.1741, 0.0422], [146.9334, 0.8703], [Some(0.577), Some(0.591)]),
    row(FINE, "GEANT4", [-0.0091, 0.0466], [8.7578, 0.5587], NO_AUC),
    row(FINE, "CaloDREAM", [0.0098, 0.0145], [20.7469, 1.0767], [Some(0.630), Some(0.524)]),
];

/// The rows for one detector.
pub fn published(geometry: &str) -> impl Iterator<Item = &'static Published> {
    PUBLISHED.iter().filter(move |row| row.geometry == geometry)
}

#[cfg(test)]
mod tests {
    use super::super::GEOMETRIES;
    use super::*;

    #[test]
    fn every_detector_has_its_rows_and_a_second_sample_of_the_reference_first() {
        assert_eq!(GEOMETRIES.iter().map(|g| published(g.name).count()).sum::<usize>(), PUBLISHED.len());
        for g in GEOMETRIES {
            let rows: Vec<_> = published(g.name).collect();
            assert_eq!(rows[0].model, "GEANT4");
            for row in &rows {
                assert!(row.kpd[1] > 0.0 && row.fpd[1] > 0.0 && row.fpd[0] > 0.0, "{row:?}");
                assert!(row.fpd[0] >= rows[0].fpd[0], "{row:?}");
                assert!([row.auc_low, row.auc_high].iter().flatten().all(|a| (0.49..=1.0).contains(a)), "{row:?}");
            }
        }
    }
}
