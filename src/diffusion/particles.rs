//! Particles (theory, 27): several states of one sample are denoised together, weighted by the rewards of their clean
//! estimates, and now and then resampled by their weights, so that those with good prospects multiply. Feynman-Kac
//! steering (arXiv 2501.06848) with its three potentials, and tempered sequential Monte Carlo (arXiv 2501.05803).
//!
//! Whatever the potential, the weights of a particle multiply to e^{λ r} at the end, r being the reward of its picture:
//! the target is p(x)·e^{λ r(x)}. This file holds the weights alone; the states belong to the caller, who runs the
//! solver.

/// How the log-weight of a step is made from the rewards r of the clean estimates at this noise level and at those
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FkPotential {
    /// λ·(r now − r before). The sum over all steps is λ r, so the end needs no correction.
    Difference,
    /// λ·(the largest r so far); the last step corrects the sum to λ r.
    Max,
    /// λ·(the sum of all r so far); the last step corrects the sum to λ r.
    Add,
    /// In total λ·β·r so far, with an inverse temperature β that rises to 1 as fast as the effective size allows.
    Tempered,
}

/// Every potential, with the name it is chosen by.
pub static POTENTIALS: &[(&str, FkPotential)] = &[
    ("diff", FkPotential::Difference),
    ("max", FkPotential::Max),
    ("add", FkPotential::Add),
    ("tempered", FkPotential::Tempered),
];

/// The weights of the particles of one sample, and what their potential remembers of each.
#[derive(Clone, Debug)]
pub struct Particles {
    /// Logarithms of the unnormalised weights since the last resampling; −∞ for a particle that has ended.
    pub log_weights: Vec<f64>,
    /// The rewards of each particle so far.
    seen: Vec<Vec<f64>>,
    /// The sum of all log-weights each particle has been given, before and after resampling.
    spent: Vec<f64>,
    potential: FkPotential,
    lambda: f64,
    temperature: f64,
}

/// Particles are resampled when their effective size falls below this share of them; a rise of the inverse temperature
/// must leave at least this share.
pub const SHARE: f64 = 0.5;

impl Particles {
    /// `count` particles of equal weight, at least one, for the target p(x)·e^{λ r(x)}.
    pub fn new(count: usize, potential: FkPotential, lambda: f64) -> Self {
        let (log_weights, spent) = (vec![0.0; count], vec![0.0; count]);
        Self { log_weights, seen: vec![Vec::new(); count], spent, potential, lambda, temperature: 0.0 }
    }

    /// Updates the weights by the rewards of the clean estimates at one noise level, one per particle. `last` marks the
    /// end of the path, where the log-weights given to a particle must add up to λ r whatever came before. A particle
    /// whose reward is not finite ends: its weight becomes 0.
    pub fn weigh(&mut self, rewards: &[f64], last: bool) {
        if self.potential == FkPotential::Tempered && !last {
            let scaled: Vec<f64> = rewards.iter().map(|r| self.lambda * r).collect();
            self.temperature = next_temperature(&scaled, &self.spent, self.temperature, SHARE);
        }
        for (i, r) in rewards.iter().enumerate() {
            if !r.is_finite() {
                self.log_weights[i] = f64::NEG_INFINITY;
                continue;
            }
            let before = self.seen[i].last().copied().unwrap_or(0.0);
            self.seen[i].push(*r);
            let total = match (self.potential, last) {
                (_, true) => self.lambda * r - self.spent[i],
                (FkPotential::Difference, _) => self.lambda * (r - before),
                (FkPotential::Max, _) => self.lambda * self.seen[i].iter().copied().fold(f64::MIN, f64::max),
                (FkPotential::Add, _) => self.lambda * self.seen[i].iter().sum::<f64>(),
                (FkPotential::Tempered, _) => self.temperature * self.lambda * r - self.spent[i],
            };
            self.spent[i] += total;
            self.log_weights[i] += total;
        }
    }

    /// The weights, normalised to sum to 1; `None` if every particle has ended.
    pub fn weights(&self) -> Option<Vec<f64>> {
        let top = self.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if top == f64::NEG_INFINITY {
            return None;
        }
        let raw: Vec<f64> = self.log_weights.iter().map(|w| (w - top).exp()).collect();
        let sum: f64 = raw.iter().sum();
        Some(raw.into_iter().map(|w| w / sum).collect())
    }

    /// The effective sample size (Σw)²/Σw², from 1 to the number of particles; 0 if every particle has ended.
    pub fn effective(&self) -> f64 {
        self.weights().map_or(0.0, |w| 1.0 / w.iter().map(|v| v * v).sum::<f64>())
    }

    /// Resamples systematically, using one `uniform` number in [0, 1), if the effective size is below `share` of the
    /// particles. Returns for each place the index of the particle whose state it takes, and resets the weights; `None`
    /// if nothing changes.
    pub fn resample(&mut self, share: f64, uniform: f64) -> Option<Vec<usize>> {
        let count = self.log_weights.len();
        let weights = self.weights()?;
        if self.effective() >= share * count as f64 {
            return None;
        }
        let parents = systematic(&weights, uniform);
        self.seen = parents.iter().map(|p| self.seen[*p].clone()).collect();
        self.spent = parents.iter().map(|p| self.spent[*p]).collect();
        self.log_weights = vec![0.0; count];
        Some(parents)
    }
}

/// Systematic resampling: one uniform number in [0, 1) places a comb of n evenly spaced teeth on the cumulated weights,
/// which must add up to 1. Returns n ascending indices; index i occurs ⌊n·w_i⌋ or ⌈n·w_i⌉ times, and n·w_i times on
/// average.
pub fn systematic(weights: &[f64], uniform: f64) -> Vec<usize> {
    let n = weights.len();
    let mut taken = Vec::with_capacity(n);
    let (mut i, mut sum) = (0, weights.first().copied().unwrap_or(0.0));
    for tooth in 0..n {
        let at = (tooth as f64 + uniform) / n as f64;
        while sum <= at && i + 1 < n {
            i += 1;
            sum += weights[i];
        }
        taken.push(i);
    }
    taken
}

/// The index that a uniform number in [0, 1) picks when index i has probability `weights[i]`. The weights must add up
/// to 1.
pub fn drawn(weights: &[f64], uniform: f64) -> usize {
    let mut sum = 0.0;
    let found = weights.iter().position(|w| {
        sum += w;
        sum > uniform
    });
    // Because of rounding, the weights may add up to a little less than the uniform number.
    found.or_else(|| weights.iter().rposition(|w| *w > 0.0)).unwrap_or(0)
}

/// The next inverse temperature of tempered sequential Monte Carlo: the largest β in `from`..=1, by bisection, at which
/// the weights e^{β r − spent} keep an effective size of `share` of the particles. `spent` is the log-weight that each
/// particle has been given so far. Rewards that are not finite are left out; if none is finite, the result is `from`.
pub fn next_temperature(r: &[f64], spent: &[f64], from: f64, share: f64) -> f64 {
    let (r, spent): (Vec<f64>, Vec<f64>) = r.iter().zip(spent).filter(|(r, _)| r.is_finite()).unzip();
    if r.is_empty() {
        return from;
    }
    let effective = |to: f64| {
        let logs: Vec<f64> = r.iter().zip(&spent).map(|(v, s)| to * v - s).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let w: Vec<f64> = logs.iter().map(|l| (l - top).exp()).collect();
        w.iter().sum::<f64>().powi(2) / w.iter().map(|v| v * v).sum::<f64>()
    };
    let wanted = share * r.len() as f64;
    if effective(1.0) >= wanted {
        return 1.0;
    }
    let (mut low, mut high) = (from, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if effective(middle) >= wanted { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systematic_takes_each_its_share() {
        let weights = [0.5, 0.25, 0.2, 0.05];
        for k in 0..100 {
            let taken = systematic(&weights, f64::from(k) / 100.0);
            for (i, w) in weights.iter().enumerate() {
                let count = taken.iter().filter(|t| **t == i).count() as f64;
                assert!(count >= (4.0 * w).floor() && count <= (4.0 * w).ceil(), "{i} taken {count} times at {k}");
            }
        }
        let mean = (0..1000)
            .map(|k| systematic(&weights, f64::from(k) / 1000.0).iter().filter(|t| **t == 3).count())
            .sum::<usize>();
        // 1,000 combs of four teeth hit a share of 0.05 200 times, plus or minus one by rounding at its ends.
        assert!(mean.abs_diff(200) <= 1, "{mean}");
    }

    /// Whatever the potential, the product of all weights along a path is e^{λ r_last}.
    #[test]
    fn every_potential_ends_at_the_target() {
        for (name, potential) in POTENTIALS {
            let mut p = Particles::new(3, *potential, 2.0);
            for (rewards, last) in [([0.1, -0.5, 1.0], false), ([0.4, 0.2, -1.0], false), ([0.3, 0.9, 0.0], true)] {
                p.weigh(&rewards, last);
            }
            for (w, r) in p.log_weights.iter().zip([0.3, 0.9, 0.0]) {
                assert!((w - 2.0 * r).abs() < 1e-12, "{name}: {w}");
            }
        }
    }

    #[test]
    fn sizes_and_temperatures() {
        let mut p = Particles::new(4, FkPotential::Difference, 1.0);
        assert_eq!(p.effective(), 4.0);
        p.weigh(&[0.0, f64::NAN, 0.0, 0.0], false);
        assert!((p.effective() - 3.0).abs() < 1e-12);
        assert_eq!(p.resample(0.5, 0.3), None);
        let parents = p.resample(0.9, 0.3).unwrap_or_default();
        assert!(parents.len() == 4 && !parents.contains(&1));
        assert_eq!(p.effective(), 4.0);
        // Two rewards: the effective size of weights 1 and w is (1 + w)²/(1 + w²); a share of 0.75 of them is 1.5.
        let t = next_temperature(&[0.0, 10.0], &[0.0; 2], 0.0, 0.75);
        let w = (-10.0 * t).exp();
        assert!(((1.0 + w).powi(2) / (1.0 + w * w) - 1.5).abs() < 1e-9);
        assert_eq!(next_temperature(&[1.0, 1.0], &[0.2; 2], 0.2, 0.9), 1.0);
        assert_eq!(next_temperature(&[f64::NAN], &[0.0], 0.3, 0.5), 0.3);
    }

    #[test]
    fn a_particle_is_drawn_by_its_weight() {
        let weights = [0.25, 0.0, 0.5, 0.25];
        let picked: Vec<usize> = (0..8).map(|k| drawn(&weights, f64::from(k) / 8.0)).collect();
        assert_eq!(picked, [0, 0, 2, 2, 2, 2, 3, 3]);
        assert_eq!(drawn(&[0.5, 0.5 - 1e-12, 0.0], 1.0 - 1e-15), 1);
    }
}
