//! What any shower must obey, whatever made it: energy is conserved within a band, no voxel is negative, and none holds
//! less than the read-out keeps.

use super::{Geometry, Showers};
use crate::error::{Error, Result};

/// The band that E_tot/E_inc has to be in:
///
///   |E_tot/E_inc − centre| ≤ margin + sigmas · (a/√(E_inc/GeV) + b)
///
/// `margin` is for what the detector loses on average, the rest for its resolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Middle of the band.
    pub centre: f64,
    /// Allowed at any energy.
    pub margin: f64,
    /// Standard deviations of the resolution that are allowed beside it.
    pub sigmas: f64,
    /// a, in √GeV.
    pub stochastic: f64,
    /// b.
    pub constant: f64,
}

impl Band {
    /// The ends of the band for a particle of `energy` MeV.
    pub fn at(&self, energy: f64) -> [f64; 2] {
        let half = self.margin + self.sigmas * (self.stochastic / (energy / 1000.0).sqrt() + self.constant);
        [self.centre - half, self.centre + half]
    }
}

/// Showers with incident energies between one power of two and the next.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyGroup {
    /// The power of two in MeV.
    pub from: f64,
    /// How many showers.
    pub showers: usize,
    /// Of these, how many have E_tot/E_inc outside the band.
    pub outside: usize,
    /// Mean of E_tot/E_inc.
    pub mean: f64,
    /// Standard deviation of E_tot/E_inc.
    pub spread: f64,
}

/// What was found in a set of showers.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// How many showers there are.
    pub showers: usize,
    /// Of these, how many obey everything.
    pub sound: usize,
    /// How many have E_tot/E_inc outside the band, or not finite.
    pub outside: usize,
    /// How many have a voxel below 0, and how many such voxels there are.
    pub negative: [usize; 2],
    /// How many have a voxel above 0 and below the cut, and how many such voxels there are.
    pub below_cut: [usize; 2],
    /// By incident energy, ascending.
    pub groups: Vec<EnergyGroup>,
}

/// Checks every shower. A voxel may be below the cut by the rounding of f32.
///
/// # Errors
/// [`Error::Key`] where the voxels do not fit the geometry.
pub fn check(showers: &Showers, geometry: &Geometry, band: &Band) -> Result<Checked> {
    if let Some(message) = geometry.misfit(showers.width) {
        return Err(Error::key("geometry", message));
    }
    let cut = geometry.voxel_cut * (1.0 - f64::from(f32::EPSILON));
    let (mut sound, mut outside, mut negative, mut below_cut) = (0, 0, [0; 2], [0; 2]);
    let mut found: Vec<(i32, f64, bool)> = Vec::with_capacity(showers.len());
    for (i, energy) in showers.energies.iter().enumerate() {
        let row = showers.row(i);
        let ratio = row.iter().map(|v| f64::from(*v)).sum::<f64>() / energy;
        let [low, high] = band.at(*energy);
        let within = (low..=high).contains(&ratio);
        let under = row.iter().filter(|v| **v < 0.0).count();
        let small = row.iter().filter(|v| **v > 0.0 && f64::from(**v) < cut).count();
        for (into, count) in [(&mut negative, under), (&mut below_cut, small)] {
            into[0] += usize::from(count > 0);
            into[1] += count;
        }
        outside += usize::from(!within);
        sound += usize::from(within && under == 0 && small == 0);
        found.push((energy.log2().floor() as i32, ratio, within));
    }
    found.sort_by_key(|f| f.0);
    let group = |group: &[(i32, f64, bool)]| {
        let n = group.len() as f64;
        let mean = group.iter().map(|g| g.1).sum::<f64>() / n;
        let square = group.iter().map(|g| (g.1 - mean).powi(2)).sum::<f64>();
        EnergyGroup {
            from: f64::from(group[0].0).exp2(),
            showers: group.len(),
            outside: group.iter().filter(|g| !g.2).count(),
            mean,
            spread: if group.len() > 1 { (square / (n - 1.0)).sqrt() } else { 0.0 },
        }
    };
    let groups = found.chunk_by(|a, b| a.0 == b.0).map(group).collect();
    Ok(Checked { showers: showers.len(), sound, outside, negative, below_cut, groups })
}

#[cfg(test)]
mod tests {
    use super::super::geometry;
    use super::*;

    #[test]
    fn each_fault_is_counted_where_it_is() {
        let g = geometry("photons").unwrap();
        let band = Band { centre: 1.0, margin: 0.05, sigmas: 2.0, stochastic: 0.1, constant: 0.01 };
        let [low, high] = band.at(4000.0);
        assert!((low - 0.83).abs() < 1e-15 && (high - 1.17).abs() < 1e-15);
        // 4 GeV in one voxel, then: too little, a negative voxel, two below the cut of 1 MeV, NaN; and one of 300 MeV.
        let mut showers = Showers { energies: vec![4000.0; 6], voxels: vec![0.0; 6 * 368], width: 368 };
        showers.energies[5] = 300.0;
        for (i, e) in [4000.0, 3000.0, 4100.0, 4000.0, f32::NAN, 300.0].into_iter().enumerate() {
            showers.voxels[i * 368 + 20] = e;
        }
        showers.voxels[2 * 368 + 5] = -60.0;
        showers.voxels[3 * 368 + 5] = 0.5;
        showers.voxels[3 * 368 + 6] = 0.999;
        showers.voxels[3 * 368 + 7] = 1.0;
        let found = check(&showers, &g, &band).unwrap();
        assert_eq!((found.showers, found.sound, found.outside), (6, 2, 2));
        assert_eq!((found.negative, found.below_cut), ([1, 1], [1, 2]));
        let groups: Vec<_> = found.groups.iter().map(|g| (g.from, g.showers, g.outside)).collect();
        assert_eq!(groups, [(256.0, 1, 0), (2048.0, 5, 2)]);
        assert_eq!((found.groups[0].mean, found.groups[0].spread), (1.0, 0.0));
        assert!(check(&showers, &geometry("pions").unwrap(), &band).is_err());
    }

    #[test]
    fn mean_and_spread_of_a_group() {
        let g = geometry("photons").unwrap();
        let mut showers = Showers { energies: vec![1024.0; 3], voxels: vec![0.0; 3 * 368], width: 368 };
        for (i, e) in [1024.0, 922.0, 1126.0].into_iter().enumerate() {
            showers.voxels[i * 368] = e;
        }
        let band = Band { centre: 1.0, margin: 0.0, sigmas: 1.0, stochastic: 0.0, constant: 0.1 };
        let found = check(&showers, &g, &band).unwrap();
        assert_eq!((found.outside, found.groups.len()), (0, 1));
        let group = &found.groups[0];
        // A sample of 1 and 1 ± 102/1024 has that standard deviation.
        assert!((group.mean - 1.0).abs() < 1e-15 && (group.spread - 102.0 / 1024.0).abs() < 1e-15);
    }
}
