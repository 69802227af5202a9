//! What a value of ψ_k means for this model (theory, 14): its place among the sorted ψ_k of unguided samples.
//!
//! Besides the percentile, which the user sees, a ψ_k has a *level*: the standard normal quantile of its place in the
//! table. Levels of unguided samples are N(0, 1) whatever the distribution of ψ_k. So rewards are trained on levels,
//! and steering measures distances in them.

use crate::statistics::{normal_quantile, quantile};
use crate::units::{Level, Percentile};

/// A place in the model's own distribution of ψ_k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Novelty {
    /// Percentage of unguided samples with a lower ψ_k; 0 or 100 beyond the table.
    pub percentile: Percentile,
    /// How far beyond the table's end, in standard deviations of the table: negative below, positive above, 0 inside.
    /// This way a value outside is never mistaken for one at the edge.
    pub beyond: f64,
}

/// The sorted ψ_k of unguided samples.
#[derive(Clone, Debug)]
pub struct Calibration {
    sorted: Vec<f64>,
    /// Φ⁻¹((i + ½)/n) of the i-th value.
    levels: Vec<f64>,
    mean: f64,
    std: f64,
}

impl Calibration {
    /// From the ψ_k of unguided samples, in any order; `None` if there are fewer than two or all are equal.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let place = |i: usize| normal_quantile((i as f64 + 0.5) / n).unwrap_or(0.0);
        let levels = (0..values.len()).map(place).collect();
        (values.len() >= 2 && std.is_finite() && std > 0.0).then_some(Self { sorted: values, levels, mean, std })
    }

    /// The table's values, ascending.
    pub fn sorted(&self) -> &[f64] {
        &self.sorted
    }

    /// Mean μ of the table.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Standard deviation s of the table.
    pub fn std(&self) -> f64 {
        self.std
    }

    /// The ψ_k at a novelty.
    pub fn psi_at(&self, novelty: Percentile) -> f64 {
        quantile(&self.sorted, novelty.share()).unwrap_or(self.mean)
    }

    /// The level at a novelty.
    pub fn level_at(&self, novelty: Percentile) -> Level {
        self.level_of(self.psi_at(novelty))
    }

    /// The level of a ψ_k: Φ⁻¹ of its place among the values, interpolated linearly between them. Beyond the table's
    /// ends the level changes by one for each standard deviation s of ψ_k.
    pub fn level_of(&self, psi: f64) -> Level {
        Level(interpolated(&self.sorted, &self.levels, psi, 1.0 / self.std))
    }

    /// Whether a level lies inside the table.
    pub fn spans(&self, level: Level) -> bool {
        (self.levels[0]..=self.levels[self.levels.len() - 1]).contains(&level.0)
    }

    /// The ψ_k of a level. It inverts [`level_of`](Self::level_of) if no two values of the table are equal.
    pub fn psi_at_level(&self, level: Level) -> f64 {
        interpolated(&self.levels, &self.sorted, level.0, self.std)
    }

    /// The novelty of a ψ_k; inverts [`psi_at`](Self::psi_at).
    pub fn novelty_of(&self, psi: f64) -> Novelty {
        let (low, high) = (self.sorted[0], self.sorted[self.sorted.len() - 1]);
        if psi < low || psi > high {
            let edge = if psi < low { low } else { high };
            return Novelty {
                percentile: if psi < low { Percentile::LEAST } else { Percentile::MOST },
                beyond: (psi - edge) / self.std,
            };
        }
        let above = self.sorted.partition_point(|v| *v <= psi).clamp(1, self.sorted.len() - 1);
        let (a, b) = (self.sorted[above - 1], self.sorted[above]);
        let part = if b > a { (psi - a) / (b - a) } else { 0.0 };
        let percentile = 100.0 * ((above - 1) as f64 + part.clamp(0.0, 1.0)) / (self.sorted.len() - 1) as f64;
        let percentile = Percentile::clamped(percentile);
        Novelty { percentile, beyond: 0.0 }
    }
}

/// y at `x` on the line through the points (xs, ys), with xs ascending; beyond its ends it continues with `slope`.
fn interpolated(xs: &[f64], ys: &[f64], x: f64, slope: f64) -> f64 {
    let last = xs.len() - 1;
    if x < xs[0] {
        return ys[0] + (x - xs[0]) * slope;
    }
    if x > xs[last] {
        return ys[last] + (x - xs[last]) * slope;
    }
    let above = xs.partition_point(|v| *v <= x).clamp(1, last);
    let (a, b) = (xs[above - 1], xs[above]);
    let part = if b > a { ((x - a) / (b - a)).clamp(0.0, 1.0) } else { 0.0 };
    ys[above - 1] + part * (ys[above] - ys[above - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_normal_whatever_the_table() {
        // The table has a tail as heavy as e^(u³), but levels depend on the ranks alone.
        let n = 1001;
        let table = Calibration::new((0..n).map(|i| (f64::from(i) / 100.0 - 5.0).powi(3).exp()).collect())
            .unwrap_or_else(|| unreachable!("1001 values"));
        assert!(table.level_of(table.sorted()[500]).0.abs() < 1e-12);
        for i in [0, 3, 250, 977, 1000] {
            let level = table.level_of(table.sorted()[i]);
            let place = 0.5 * libm::erfc(-level.0 * std::f64::consts::FRAC_1_SQRT_2);
            assert!((place - (i as f64 + 0.5) / f64::from(n)).abs() < 1e-12, "{i}");
            assert!((table.psi_at_level(level) / table.sorted()[i] - 1.0).abs() < 1e-9, "{i}");
        }
        let (low, high) = (table.sorted()[0] - table.std(), table.sorted()[1000] + 2.0 * table.std());
        assert!(table.level_of(low).distance(table.level_of(table.sorted()[0]) + -1.0) < 1e-9);
        assert!(table.level_of(high).distance(table.level_of(table.sorted()[1000]) + 2.0) < 1e-9);
    }

    #[test]
    fn there_and_back() {
        let table = Calibration::new((0..101).map(|i| f64::from(i * i)).collect())
            .unwrap_or_else(|| unreachable!("101 values"));
        for novelty in [0.0, 3.7, 50.0, 99.9, 100.0] {
            let back = table.novelty_of(table.psi_at(Percentile::clamped(novelty))).percentile;
            assert!((back.percent() - novelty).abs() < 1e-9);
        }
        let out = table.novelty_of(10_000.0 + 2.0 * table.std());
        assert_eq!(out.percentile, Percentile::MOST);
        assert!((out.beyond - 2.0).abs() < 1e-12);
        assert!(table.novelty_of(-1.0).beyond < 0.0);
    }

    #[test]
    fn constant_tables_mean_nothing() {
        assert!(Calibration::new(vec![1.0; 10]).is_none());
        assert!(Calibration::new(vec![]).is_none());
    }
}
