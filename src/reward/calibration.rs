//! What a number of ψ means for this model (theory, 14): the sorted ψ_k of unguided samples.

use super::quantile;

/// A place in the model's own distribution of ψ_k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Novelty {
    /// Share of unguided samples with a lower ψ_k, in percent; 0 or 100 beyond the table.
    pub percentile: f64,
    /// How far beyond the table's end, in standard deviations of the table: negative below, positive
    /// above, 0 inside. A value outside is never passed off as one at the edge.
    pub beyond: f64,
}

/// Sorted ψ_k of unguided samples.
#[derive(Clone, Debug)]
pub struct Calibration {
    sorted: Vec<f64>,
    mean: f64,
    std: f64,
}

impl Calibration {
    /// From ψ_k of unguided samples in any order; `None` for fewer than two or a constant table.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        (values.len() >= 2 && std.is_finite() && std > 0.0).then_some(Self { sorted: values, mean, std })
    }

    /// The table, ascending.
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

    /// ψ* at a novelty of 0 to 100.
    pub fn psi_at(&self, novelty: f64) -> f64 {
        quantile(&self.sorted, novelty / 100.0).unwrap_or(self.mean)
    }

    /// The novelty of a ψ_k: the inverse of [`psi_at`](Self::psi_at).
    pub fn novelty_of(&self, psi: f64) -> Novelty {
        let (low, high) = (self.sorted[0], self.sorted[self.sorted.len() - 1]);
        if psi < low || psi > high {
            let edge = if psi < low { low } else { high };
            return Novelty { percentile: if psi < low { 0.0 } else { 100.0 }, beyond: (psi - edge) / self.std };
        }
        let above = self.sorted.partition_point(|v| *v <= psi).clamp(1, self.sorted.len() - 1);
        let (a, b) = (self.sorted[above - 1], self.sorted[above]);
        let part = if b > a { (psi - a) / (b - a) } else { 0.0 };
        let percentile = 100.0 * ((above - 1) as f64 + part.clamp(0.0, 1.0)) / (self.sorted.len() - 1) as f64;
        Novelty { percentile, beyond: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let table = Calibration::new((0..101).map(|i| f64::from(i * i)).collect())
            .unwrap_or_else(|| unreachable!("101 values"));
        for novelty in [0.0, 3.7, 50.0, 99.9, 100.0] {
            assert!((table.novelty_of(table.psi_at(novelty)).percentile - novelty).abs() < 1e-9);
        }
        let out = table.novelty_of(10_000.0 + 2.0 * table.std());
        assert_eq!(out.percentile, 100.0);
        assert!((out.beyond - 2.0).abs() < 1e-12);
        assert!(table.novelty_of(-1.0).beyond < 0.0);
    }

    #[test]
    fn constant_tables_mean_nothing() {
        assert!(Calibration::new(vec![1.0; 10]).is_none());
        assert!(Calibration::new(vec![]).is_none());
    }
}
