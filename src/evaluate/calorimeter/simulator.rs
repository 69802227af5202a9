//! A parametric simulator of electromagnetic showers, for where the challenge's data cannot be had. It is made of mean
//! profiles and independent noise. It is *not* GEANT4, its figures are not those of the challenge, and no published
//! figure is comparable with figures on it.
//!
//! For an incident energy E, with y = E/E_c:
//!
//! 1. Depth of the maximum: T = (ln y + C) e^(σ·normal − σ²/2) with σ = 1/(1.26 ln y − 1.4) (Grindhammer & Peters,
//!    hep-ex/0001020), at most 0.4. The decay β varies by 5 %. The shares of the layers follow by `profile.rs`.
//! 2. The axis is shifted by a normal δ in the plane and tilted, so that δ grows with depth.
//! 3. Two exponentials across, wider the deeper. The energy expected in voxel v is then m_v.
//! 4. A global factor of mean 1, Gamma distributed.
//! 5. In each voxel a Poisson number of tracks crosses the active material, m_v·s/q on average, where s is the sampling
//!    fraction and q the mean energy that a track leaves there; what they leave is Gamma distributed, shape 2 for each.
//!    Divided by s this is the voxel's energy. Its variance is m_v·1.5 q/s, and the variance of the global factor is
//!    what is missing to a total resolution of a/√(E/GeV) + b.
//! 6. Below the voxel cut the read-out keeps nothing.
//!
//! Shower i of a seed depends on nothing but seed, i and its energy: the same bits for any number of threads.
//!
//! Electrons and photons are what it is for. On the pions' detector it makes photons in that detector.

use super::profile::{Longitudinal, sectors, within};
use super::{Band, Geometry, Showers};
use crate::error::{Error, Result};
use crate::noise::{self, Stream};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, Poisson, StandardNormal};
use rayon::prelude::*;

/// Where the numbers come from: points of a synthetic manifold, which these are.
const STREAM: Stream = Stream::Training;
/// Steps of the address: the shower, and the energy of its particle.
const SHOWER: u32 = 0;
const ENERGY: u32 = 1;
/// Gamma shape of the energy that one track leaves.
const TRACK: f64 = 2.0;
/// The largest spread of the logarithm of the depth of the maximum.
const PEAK_SPREAD: f64 = 0.4;
/// Relative spread of the decay β.
const DECAY_SPREAD: f64 = 0.05;
/// The shallowest maximum of a mean shower, in radiation lengths.
const SHALLOWEST: f64 = 0.5;

/// Which incident energies there are, in MeV.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spectrum {
    /// Data set 1: powers of two from 2⁸ to 2²², with the weights of [`Spectrum::levels`].
    Levels,
    /// Even in the logarithm between two energies; data sets 2 and 3 have 1 GeV to 1 TeV.
    LogUniform {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
    },
}

impl Spectrum {
    /// The energies of data set 1 and how many photons of each it has: 10,000, and fewer of the highest four.
    pub fn levels() -> [(f64, u32); 15] {
        let count = |i: usize| [5_000, 3_000, 2_000, 1_000].get(i.wrapping_sub(11)).copied().unwrap_or(10_000);
        std::array::from_fn(|i| (f64::from(256u32 << i), count(i)))
    }

    /// The spectrum of the challenge for a detector.
    pub fn of(geometry: &Geometry) -> Self {
        match geometry.particle.as_str() {
            "electron" => Self::LogUniform { low: 1e3, high: 1e6 },
            _ => Self::Levels,
        }
    }

    /// The energies of the showers `first`, `first + 1`, … of a seed. Each depends on its own number only.
    pub fn energies(&self, first: u64, count: usize, seed: u64) -> Vec<f64> {
        let levels = Self::levels();
        let all: u32 = levels.iter().map(|l| l.1).sum();
        let one = |i: u64| {
            let mut rng = noise::generator(seed, first + i, STREAM, ENERGY);
            match self {
                Self::LogUniform { low, high } => (low.ln() + (high / low).ln() * rng.random::<f64>()).exp(),
                Self::Levels => {
                    let mut left = rng.random_range(0..all);
                    let level = levels.iter().find(|(_, n)| {
                        let here = left < *n;
                        left = left.saturating_sub(*n);
                        here
                    });
                    level.map_or(levels[0].0, |l| l.0)
                }
            }
        };
        (0..count as u64).map(one).collect()
    }
}

/// The detector's material and read-out, and a geometry.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulator {
    /// The voxels.
    pub geometry: Geometry,
    /// Where each layer begins and ends, in radiation lengths from where the particle comes in: one more than layers.
    pub depths: Vec<f64>,
    /// E_c: where an electron loses as much by ionisation as by radiation, in MeV.
    pub critical: f64,
    /// C: +0.5 for photons, −0.5 for electrons.
    pub start: f64,
    /// β, per radiation length.
    pub decay: f64,
    /// λ of core and tail at the maximum, in mm.
    pub radii: [f64; 2],
    /// The share of the tail.
    pub tail: f64,
    /// How much of a λ grows with depth: λ is multiplied by 1 − g + g·t/t_max.
    pub growth: f64,
    /// s: the share of a shower's energy that the active material sees.
    pub sampling: f64,
    /// q: mean energy in MeV that a track leaves in the active material.
    pub track: f64,
    /// a: the stochastic term, in √GeV.
    pub stochastic: f64,
    /// b: the constant term.
    pub constant: f64,
    /// Standard deviation of the axis in each direction: in mm, and in mm per radiation length.
    pub axis: [f64; 2],
}

impl Simulator {
    /// A simulator for a detector. The layers of data set 1 end where those of a barrel of lead and liquid argon do,
    /// roughly; those of data sets 2 and 3 have 0.8 radiation lengths each; any other detector has 30, in equal layers.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn new(geometry: Geometry) -> Result<Self> {
        let silicon = geometry.particle == "electron";
        let ends = [(0, 1.0), (1, 5.5), (2, 22.0), (3, 25.0), (12, 35.0), (13, 45.0), (14, 60.0)];
        let barrel: Option<Vec<f64>> =
            geometry.layers.iter().map(|l| ends.iter().find(|e| e.0 == l.id).map(|e| e.1)).collect();
        let count = geometry.layers.len();
        let equal = |all: f64| (1..=count).map(move |i| all * i as f64 / count as f64);
        let ends: Vec<f64> = match barrel {
            _ if silicon => equal(0.8 * count as f64).collect(),
            Some(ends) if count >= 5 => ends,
            _ => equal(30.0).collect(),
        };
        let made = Self {
            depths: [0.0].into_iter().chain(ends).collect(),
            geometry,
            critical: 10.0,
            start: if silicon { -0.5 } else { 0.5 },
            decay: 0.5,
            radii: if silicon { [2.5, 9.0] } else { [7.0, 35.0] },
            tail: 0.12,
            growth: 0.4,
            sampling: if silicon { 0.033 } else { 0.2 },
            track: if silicon { 0.12 } else { 0.8 },
            stochastic: if silicon { 0.15 } else { 0.1 },
            constant: if silicon { 0.01 } else { 0.004 },
            axis: if silicon { [0.5, 0.02] } else { [2.0, 0.1] },
        };
        made.check()?;
        Ok(made)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Key`] for the first that cannot be.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("critical", self.critical),
            ("decay", self.decay),
            ("radii", self.radii[0]),
            ("radii", self.radii[1]),
            ("sampling", self.sampling),
            ("track", self.track),
            ("stochastic", self.stochastic),
        ];
        if let Some((key, found)) = positive.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
            return Err(Error::key(*key, format!("expected a number above 0, found {found}")));
        }
        for (key, found) in [("tail", self.tail), ("growth", self.growth), ("sampling", self.sampling)] {
            if !(0.0..=1.0).contains(&found) {
                return Err(Error::key(key, format!("expected 0 to 1, found {found}")));
            }
        }
        let rest = [("constant", self.constant), ("axis", self.axis[0]), ("axis", self.axis[1])];
        if let Some((key, found)) = rest.iter().find(|(_, v)| !(v.is_finite() && *v >= 0.0)) {
            return Err(Error::key(*key, format!("expected 0 or more, found {found}")));
        }
        let layers = self.geometry.layers.len();
        if self.geometry.voxels() == 0 {
            return Err(Error::key("geometry", "expected layers with voxels, found none"));
        }
        if self.depths.len() != layers + 1 || self.depths[0] < 0.0 || !self.depths.is_sorted_by(|a, b| a < b) {
            let message = format!("expected {} depths that rise from 0 or more, for {layers} layers", layers + 1);
            return Err(Error::key("depths", message));
        }
        let tracks = self.tracks().sqrt();
        if tracks > self.stochastic {
            let message = format!(
                "expected at least {tracks:.4}, which the tracks alone make ((1 + 1/2)·track/sampling), found {}",
                self.stochastic
            );
            return Err(Error::key("stochastic", message));
        }
        Ok(())
    }

    /// The part of a² that the tracks make, in GeV.
    fn tracks(&self) -> f64 {
        (1.0 + 1.0 / TRACK) * self.track / self.sampling / 1000.0
    }

    /// σ(E_tot)/E_tot for a particle of `energy` MeV: a/√(E/GeV) + b.
    pub fn resolution(&self, energy: f64) -> f64 {
        self.stochastic / (energy / 1000.0).sqrt() + self.constant
    }

    /// The band of E_tot/E_inc that this detector keeps to: 0.90 to 1.03 for a mean shower, since the sides, the back
    /// and the voxel cut take a part, and five standard deviations beside it.
    pub fn band(&self) -> Band {
        let (stochastic, constant) = (self.stochastic, self.constant);
        Band { centre: 0.965, margin: 0.065, sigmas: 5.0, stochastic, constant }
    }

    /// The mean depth of the maximum for a particle of `energy` MeV, in radiation lengths.
    pub fn peak(&self, energy: f64) -> f64 {
        ((energy / self.critical).ln() + self.start).max(SHALLOWEST)
    }

    /// Showers of particles with these energies in MeV: the showers `first`, `first + 1`, … of the seed.
    ///
    /// # Errors
    /// [`Error::Key`] for an energy that is not above 0, or a setting that cannot be.
    pub fn showers(&self, energies: &[f64], first: u64, seed: u64) -> Result<Showers> {
        self.check()?;
        if let Some((i, e)) = energies.iter().enumerate().find(|(_, e)| !(e.is_finite() && **e > 0.0)) {
            return Err(Error::key("energies", format!("expected energies in MeV above 0, found {e} for shower {i}")));
        }
        let width = self.geometry.voxels();
        let mut voxels = vec![0.0; energies.len() * width];
        voxels.par_chunks_mut(width).zip(energies).enumerate().try_for_each(|(i, (row, energy))| {
            let mut rng = noise::generator(seed, first + i as u64, STREAM, SHOWER);
            self.shower(*energy, &mut rng, row)
        })?;
        Ok(Showers { energies: energies.to_vec(), voxels, width })
    }

    /// One shower into `row`.
    fn shower(&self, energy: f64, rng: &mut ChaCha8Rng, row: &mut [f32]) -> Result<()> {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let spread = (1.26 * (energy / self.critical).ln() - 1.4).recip();
        let spread = if spread > 0.0 { spread.min(PEAK_SPREAD) } else { PEAK_SPREAD };
        // Less σ²/2, so that the mean is the one of the formula.
        let peak = self.peak(energy) * (spread * normal() - 0.5 * spread * spread).exp();
        let decay = self.decay * (DECAY_SPREAD * normal()).exp();
        let profile = Longitudinal::peaking_at(peak, decay);
        let [x, y, dx, dy] = [0, 0, 1, 1].map(|i: usize| self.axis[i] * normal());
        let rest = self.resolution(energy).powi(2) - self.tracks() / (energy / 1000.0);
        let factor = if rest > 0.0 { drawn(rng, 1.0 / rest, rest)? } else { 1.0 };
        let mut at = 0;
        for (layer, ends) in self.geometry.layers.iter().zip(self.depths.windows(2)) {
            let (share, depth) = profile.between(ends[0], ends[1]);
            let wider = 1.0 - self.growth + self.growth * depth / peak;
            let (sx, sy) = (x + dx * depth, y + dy * depth);
            let parts = [(self.radii[0], 1.0 - self.tail), (self.radii[1], self.tail)].map(|(radius, part)| {
                let scale = radius * wider;
                let rings: Vec<f64> =
                    layer.r_edges.windows(2).map(|e| within(e[1], scale) - within(e[0], scale)).collect();
                let around = sectors(layer.angles(), sx.hypot(sy), sy.atan2(sx), scale);
                (energy * factor * share * part, rings, around)
            });
            for sector in 0..layer.sectors {
                for ring in 0..layer.rings() {
                    let mean: f64 = parts.iter().map(|(e, rings, around)| e * rings[ring] * around[sector]).sum();
                    let seen = self.seen(mean, rng)?;
                    row[at] = if seen < self.geometry.voxel_cut { 0.0 } else { seen as f32 };
                    at += 1;
                }
            }
        }
        Ok(())
    }

    /// The energy that is read out of a voxel where `mean` is expected.
    fn seen(&self, mean: f64, rng: &mut ChaCha8Rng) -> Result<f64> {
        let tracks = mean * self.sampling / self.track;
        // One shower in 10⁹ would have a track in such a voxel.
        if tracks < 1e-9 {
            return Ok(0.0);
        }
        let count: f64 = Poisson::new(tracks).map_err(|e| Error::Bug(format!("{tracks} tracks: {e}")))?.sample(rng);
        match count > 0.0 {
            true => drawn(rng, TRACK * count, self.track / TRACK / self.sampling),
            false => Ok(0.0),
        }
    }
}

/// A Gamma distributed number.
fn drawn(rng: &mut ChaCha8Rng, shape: f64, scale: f64) -> Result<f64> {
    let gamma = Gamma::new(shape, scale).map_err(|e| Error::Bug(format!("Gamma({shape}, {scale}): {e}")))?;
    Ok(gamma.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::super::{GEOMETRIES, HighLevel, check, geometry};
    use super::*;

    fn photons() -> Simulator {
        Simulator::new(geometry("photons").unwrap()).unwrap()
    }

    /// Showers of one energy: mean and standard deviation of E_tot/E_inc, and the mean shares of the layers.
    fn at(simulator: &Simulator, energy: f64, count: usize, seed: u64) -> (f64, f64, Vec<f64>) {
        let showers = simulator.showers(&vec![energy; count], 0, seed).unwrap();
        let f = HighLevel::of(&showers, &simulator.geometry).unwrap();
        let (ratio, n) = (f.response(), count as f64);
        let mean = ratio.iter().sum::<f64>() / n;
        let spread = (ratio.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let total: f64 = f.total.iter().sum();
        (mean, spread, f.layers.iter().map(|l| l.energy.iter().sum::<f64>() / total).collect())
    }

    /// At each of the 15 energies: the mean within the stated band, the spread as stated, and no shower that breaks a
    /// constraint.
    #[test]
    fn energy_is_conserved_within_the_stated_band_and_resolution() {
        let (s, count) = (photons(), 400);
        let band = s.band();
        let [low, high] = [band.centre - band.margin, band.centre + band.margin];
        let mut logs = Vec::new();
        for (energy, _) in Spectrum::levels() {
            let (mean, spread, _) = at(&s, energy, count, 1);
            let stated = s.resolution(energy);
            let error = 4.0 * stated / (count as f64).sqrt();
            assert!((low - error..=high + error).contains(&mean), "{energy}: mean {mean}");
            // Photons lose less than that: leakage out of the back and the cut take 3 % at most.
            assert!((0.97 - error..=1.0 + error).contains(&mean), "{energy}: mean {mean}");
            // Four standard errors of a standard deviation, and what leakage adds at the highest energies.
            let slack = 4.0 / (2.0 * count as f64).sqrt();
            assert!(
                (1.0 - slack..=1.1 + slack).contains(&(spread / stated)),
                "{energy}: spread {spread}, stated {stated}"
            );
            if (512.0..=32_768.0).contains(&energy) {
                logs.push((energy.ln(), (spread - s.constant).ln()));
            }
            let showers = s.showers(&vec![energy; count], 0, 2).unwrap();
            let found = check(&showers, &s.geometry, &band).unwrap();
            assert_eq!(
                (found.sound, found.outside, found.negative, found.below_cut),
                (count, 0, [0; 2], [0; 2]),
                "{energy}"
            );
        }
        // The stochastic term falls as 1/√E: a slope of −½ over 7 points, each with an error of 1/√(2·400).
        let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
        let (x, y) = (mean(|l| l.0), mean(|l| l.1));
        let square: f64 = logs.iter().map(|l| (l.0 - x).powi(2)).sum();
        let slope = logs.iter().map(|l| (l.0 - x) * (l.1 - y)).sum::<f64>() / square;
        assert!((slope + 0.5).abs() < 4.0 / (800.0 * square).sqrt(), "slope {slope}");
        // A control that must not pass: showers that lost three tenths.
        let mut showers = s.showers(&vec![65_536.0; count], 0, 2).unwrap();
        showers.voxels.iter_mut().for_each(|v| *v *= 0.7);
        assert_eq!(check(&showers, &s.geometry, &band).unwrap().outside, count);
    }

    /// Mean depth of each shower's energy, by the middles of its layers.
    fn depths(s: &Simulator, energy: f64, seed: u64) -> Vec<f64> {
        let showers = s.showers(&[energy; 400], 0, seed).unwrap();
        let f = HighLevel::of(&showers, &s.geometry).unwrap();
        let middle = |l: usize| 0.5 * (s.depths[l] + s.depths[l + 1]);
        let one =
            |i: usize| f.layers.iter().enumerate().map(|(l, of)| middle(l) * of.energy[i]).sum::<f64>() / f.total[i];
        (0..f.len()).filter(|i| f.total[*i] > 0.0).map(one).collect()
    }

    /// How many standard errors the second mean is above the first.
    fn rise(a: &[f64], b: &[f64]) -> f64 {
        let moments = |v: &[f64]| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            (mean, v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() * (v.len() - 1)) as f64)
        };
        let ((ma, ea), (mb, eb)) = (moments(a), moments(b));
        (mb - ma) / (ea + eb).sqrt()
    }

    #[test]
    fn showers_lie_deeper_the_higher_their_energy() {
        let s = photons();
        let mut last = depths(&s, 256.0, 3);
        for (energy, _) in &Spectrum::levels()[1..] {
            let next = depths(&s, *energy, 3);
            assert!(rise(&last, &next) > 4.0, "{energy}: {}", rise(&last, &next));
            last = next;
        }
        // Where the energy is the same, the same criterion finds nothing.
        assert!(rise(&last, &depths(&s, 4_194_304.0, 4)).abs() < 4.0);
        // The maximum moves by ln 2 for each doubling.
        assert!((s.peak(8192.0) - s.peak(4096.0) - std::f64::consts::LN_2).abs() < 1e-12);
    }

    #[test]
    fn the_axis_is_where_it_is_put_and_the_tail_is_wide() {
        let mut s = photons();
        s.axis = [2.0, 0.0];
        let count = 2000;
        let f = HighLevel::of(&s.showers(&vec![65_536.0; count], 0, 5).unwrap(), &s.geometry).unwrap();
        let layer = &f.layers[2];
        for centre in [layer.eta.as_ref().unwrap(), layer.phi.as_ref().unwrap()] {
            let mean = centre[0].iter().sum::<f64>() / count as f64;
            let spread = (centre[0].iter().map(|c| c * c).sum::<f64>() / count as f64).sqrt();
            // 2 mm by the axis; the middle of a ring is not where its energy is, and noise adds to it.
            assert!(mean.abs() < 4.0 * spread / (count as f64).sqrt(), "{mean}");
            assert!((1.8..2.4).contains(&spread), "{spread}");
        }
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        // Two λ of 7 mm, and a tail of 12 % with λ of 35 mm, at the maximum.
        let expected = 2.0 * (0.88 * 7.0 + 0.12 * 35.0);
        assert!((mean(&layer.r[0]) / expected - 1.0).abs() < 0.25, "{} and not about {expected}", mean(&layer.r[0]));
        s.tail = 0.0;
        let narrow = HighLevel::of(&s.showers(&vec![65_536.0; 200], 0, 5).unwrap(), &s.geometry).unwrap();
        assert!(mean(&narrow.layers[2].r[1]) < 0.5 * mean(&layer.r[1]));
    }

    /// Of a compound Poisson–Gamma sum: mean m, variance m·(1 + 1/2)·q/s.
    #[test]
    fn a_voxel_has_the_stated_mean_and_variance() {
        let (s, count) = (photons(), 40_000);
        for mean in [0.7, 11.0, 900.0] {
            let mut rng = noise::generator(9, 0, Stream::Probe, 0);
            let drawn: Vec<f64> = (0..count).map(|_| s.seen(mean, &mut rng).unwrap()).collect();
            let found = drawn.iter().sum::<f64>() / count as f64;
            let square: Vec<f64> = drawn.iter().map(|v| (v - found).powi(2)).collect();
            let variance = square.iter().sum::<f64>() / count as f64;
            let fourth = square.iter().map(|v| (v - variance).powi(2)).sum::<f64>() / count as f64;
            let expected = mean * 1.5 * s.track / s.sampling;
            let n = f64::from(count);
            assert!((found - mean).abs() < 4.0 * (expected / n).sqrt(), "{found} and not {mean}");
            assert!((variance - expected).abs() < 4.0 * (fourth / n).sqrt(), "{variance} and not {expected}");
        }
    }

    #[test]
    fn a_shower_knows_neither_its_neighbours_nor_the_threads() {
        let s = photons();
        let energies = Spectrum::Levels.energies(0, 40, 6);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| s.showers(&energies, 0, 6)).unwrap()
        };
        let all = run(1);
        assert_eq!(all, run(3));
        let part = s.showers(&energies[17..25], 17, 6).unwrap();
        assert_eq!(part.voxels, all.voxels[17 * 368..25 * 368]);
        assert_ne!(all.row(0), s.showers(&energies, 0, 7).unwrap().row(0));
        assert_eq!(Spectrum::Levels.energies(17, 8, 6), energies[17..25]);
    }

    #[test]
    fn energies_come_as_often_as_in_the_challenge() {
        let levels = Spectrum::levels();
        assert_eq!(levels.iter().map(|l| l.1).sum::<u32>(), 121_000);
        assert_eq!((levels[0], levels[11], levels[14]), ((256.0, 10_000), (524_288.0, 5_000), (4_194_304.0, 1_000)));
        let drawn = Spectrum::of(&geometry("photons").unwrap()).energies(0, 121_000, 1);
        for (energy, count) in levels {
            let found = drawn.iter().filter(|e| **e == energy).count() as f64;
            assert!((found - f64::from(count)).abs() < 4.0 * f64::from(count).sqrt(), "{energy}: {found} of {count}");
        }
        let drawn = Spectrum::of(&geometry("electrons").unwrap()).energies(0, 10_000, 1);
        assert!(drawn.iter().all(|e| (1e3..=1e6).contains(e)));
        let mean = drawn.iter().map(|e| e.log10()).sum::<f64>() / 10_000.0;
        // Even from 3 to 6, so the mean has an error of 3/√12/100.
        assert!((mean - 4.5).abs() < 4.0 * 3.0 / 12f64.sqrt() / 100.0, "{mean}");
    }

    #[test]
    fn every_detector_keeps_to_its_band() {
        for row in GEOMETRIES {
            let s = Simulator::new((row.make)()).unwrap();
            let energies = Spectrum::of(&s.geometry).energies(0, 60, 2);
            let showers = s.showers(&energies, 0, 2).unwrap();
            let found = check(&showers, &s.geometry, &s.band()).unwrap();
            assert_eq!((found.sound, found.showers), (60, 60), "{}: {found:?}", row.name);
            assert!(showers.voxels.contains(&0.0), "{}", row.name);
        }
    }

    #[test]
    fn settings_that_cannot_be() {
        let message = |change: fn(&mut Simulator)| {
            let mut s = photons();
            change(&mut s);
            s.showers(&[256.0], 0, 0).unwrap_err().to_string()
        };
        assert_eq!(message(|s| s.decay = 0.0), "decay: expected a number above 0, found 0");
        assert_eq!(message(|s| s.tail = 1.5), "tail: expected 0 to 1, found 1.5");
        assert!(message(|s| s.depths[2] = 0.5).starts_with("depths: expected 6 depths that rise from 0"));
        assert!(message(|s| s.stochastic = 0.05).starts_with("stochastic: expected at least 0.0775"));
        assert!(message(|s| s.axis[1] = f64::NAN).starts_with("axis: expected 0 or more"));
        let error = photons().showers(&[256.0, -1.0], 0, 0).unwrap_err().to_string();
        assert_eq!(error, "energies: expected energies in MeV above 0, found -1 for shower 1");
        let none = Geometry { layers: vec![], ..geometry("photons").unwrap() };
        assert!(Simulator::new(none).unwrap_err().to_string().starts_with("geometry: expected layers with voxels"));
    }
}
