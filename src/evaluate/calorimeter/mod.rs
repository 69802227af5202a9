//! Showers of particles in a calorimeter, judged as the Fast Calorimeter Simulation Challenge 2022 judges them
//! (<https://calochallenge.github.io/homepage>, results in arXiv:2410.21611).
//!
//! ```text
//! file or simulator ──→ showers ──→ high-level features ──→ separation powers
//!                          │                │ input of the classifier
//!                          ↓                ↓
//!                     constraints     FPD, KPD, AUC and JSD ──→ beside published rows
//! ```
//!
//! Energies are in MeV and lengths in mm everywhere.

mod calibration;
mod constraints;
mod features;
mod frechet;
mod geometry;
mod kernel;
#[cfg(test)]
mod oracle;
mod profile;
mod published;
mod scores;
mod separation;
mod showers;
mod simulator;

pub use calibration::{Isotonic, auc, auc_error, jensen_shannon};
pub use constraints::{Band, Checked, EnergyGroup, check};
pub use features::{FeatureRows, HighLevel, LayerFeatures, classifier_input, classifier_names};
pub use frechet::{Fpd, FpdProtocol, fpd, frechet_distance};
pub use geometry::{GEOMETRIES, Geometry, GeometryRow, Layer, geometry};
pub use kernel::{Kpd, KpdProtocol, kpd, polynomial_mmd};
pub use published::{PUBLISHED, Published, SOURCE, published};
pub use scores::Scores;
pub use separation::{Separation, histogram, separation_error, separation_power, separations, voxel_separation};
pub use showers::{Cut, ShowerFile, Showers};
pub use simulator::{Simulator, Spectrum};

#[cfg(test)]
mod tests {
    use super::*;

    /// Defects put into simulated showers show in the metrics that they should show in, and showers without any do not.
    #[test]
    fn defects_show_and_a_second_sample_does_not() {
        let simulator = Simulator::new(geometry("photons").expect("a name of the table")).expect("usual settings");
        let g = &simulator.geometry;
        let made = |first: u64| {
            let energies = Spectrum::Levels.energies(first, 3000, 1);
            simulator.showers(&energies, first, 1).expect("showers")
        };
        let (reference, second) = (made(0), made(1_000_000));
        let measure = |showers: &Showers| {
            let [a, b] = [&reference, showers].map(|s| HighLevel::of(s, g).expect("voxels that fit"));
            let [x, y] = [&a, &b].map(|f| classifier_input(f).expect("energies"));
            let f =
                fpd(&x, &y, &FpdProtocol { smallest: 600, largest: 3000, sizes: 10, resamples: 5 }, 0).expect("fpd");
            let k = kpd(&x, &y, &KpdProtocol { batches: 5, batch: 1000 }, 0).expect("kpd");
            let s = separations(&a, &b, g).expect("separations");
            let sep = |name: &str| s.iter().find(|s| s.feature == name).and_then(|s| s.value).expect("a value");
            (f.value - f.floor, k.value - k.floor, sep("E_tot/E_inc"), sep("E_3"))
        };
        let changed = |change: &dyn Fn(&mut [f32])| {
            let mut showers = second.clone();
            showers.voxels.chunks_exact_mut(368).for_each(change);
            measure(&showers)
        };
        let none = measure(&second);
        let shifted = changed(&|row| row.iter_mut().for_each(|v| *v *= 1.05));
        let dropped = changed(&|row| row[358..363].fill(0.0));
        // Collapse: one shower in a hundred, over and over.
        let mut few = second.clone();
        (0..3000).for_each(|i| few.voxels.copy_within(i % 30 * 368..(i % 30 + 1) * 368, i * 368));
        (0..3000).for_each(|i| few.energies[i] = second.energies[i % 30]);
        let collapsed = measure(&few);
        assert!(dropped.0 > 10.0 * none.0.abs() && dropped.1 > 10.0 * none.1.abs(), "{dropped:?} {none:?}");
        assert!(collapsed.0 > 10.0 * none.0.abs() && collapsed.1 > 10.0 * none.1.abs(), "{collapsed:?} {none:?}");
        assert!(shifted.2 > 5.0 * none.2 && dropped.3 > 5.0 * none.3, "{shifted:?} {dropped:?} {none:?}");
        // A shift of 5 % hardly shows in a distance of logarithms, which is why the separations are there.
        assert!(shifted.0 < 0.1 * dropped.0, "{shifted:?} {dropped:?}");
    }

    /// The more of a defect there is, the larger FPD, and the order of three kinds is that of what they do to the features. The
    /// defects are put into one sample and drawn alike, so that chance is the same for all of them.
    #[test]
    fn fpd_ranks_defects_by_their_size() {
        let simulator = Simulator::new(geometry("photons").expect("a name of the table")).expect("usual settings");
        let g = &simulator.geometry;
        let made = |first: u64| {
            let energies = Spectrum::Levels.energies(first, 5000, 1);
            simulator.showers(&energies, first, 1).expect("showers")
        };
        let input = |s: &Showers| classifier_input(&HighLevel::of(s, g).expect("voxels")).expect("energies");
        let (reference, second) = (input(&made(0)), made(1_000_000));
        let protocol = FpdProtocol { smallest: 1000, largest: 5000, sizes: 10, resamples: 8 };
        let distance = |showers: &Showers| fpd(&reference, &input(showers), &protocol, 0).expect("fpd").value;
        let changed = |change: &dyn Fn(&mut [f32])| {
            let mut showers = second.clone();
            showers.voxels.chunks_exact_mut(368).for_each(change);
            distance(&showers)
        };
        let shifted = |factor: f32| changed(&|row| row.iter_mut().for_each(|v| *v *= factor));
        // Every shower is there `times` times, and the others are lost.
        let repeated = |times: usize| {
            let mut showers = second.clone();
            for i in 0..5000 {
                let from = i - i % times;
                showers.voxels.copy_within(from * 368..(from + 1) * 368, i * 368);
                showers.energies[i] = second.energies[from];
            }
            distance(&showers)
        };
        let none = distance(&second);
        let shifts = [1.05, 1.2, 1.5].map(shifted);
        let dropped = changed(&|row| row[358..363].fill(0.0));
        let copies = [5, 50, 500].map(repeated);
        let rises = |all: &[f64]| all.is_sorted_by(|a, b| a < b);
        assert!(rises(&[none, shifts[0], shifts[1], shifts[2], dropped]), "{none} {shifts:?} {dropped}");
        assert!(rises(&[none, copies[0], copies[1], copies[2]]), "{none} {copies:?}");
    }
}
