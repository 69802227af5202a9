//! How far an estimator lies off the exact one, as measured on some latents (theory, 8).

use crate::geometry::student_factor;
use crate::statistics::spearman;
use serde::Serialize;

/// What a calibration found: the line `exact ≈ intercept + slope·estimate`.
#[derive(Clone, Debug, Serialize)]
pub struct Bias {
    /// Number of latents compared.
    pub n: usize,
    /// Mean of estimate − exact.
    pub bias: f64,
    /// Standard error of the bias.
    pub bias_stderr: f64,
    /// Standard deviation of estimate − exact: the error that remains once the bias is subtracted.
    pub sd: f64,
    /// Rank correlation of estimate and exact value.
    pub spearman: Option<f64>,
    /// Slope of the least-squares line through (estimate, exact).
    pub slope: f64,
    /// Intercept of the same line.
    pub intercept: f64,
    /// Standard deviation about the line, with n − 2 degrees of freedom.
    pub residual_sd: f64,
    mean: f64,
    sum_squares: f64,
}

impl Bias {
    /// From pairs (estimate, exact); `None` for fewer than 4 pairs or if all estimates are equal.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let n = pairs.len();
        if n < 4 {
            return None;
        }
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n as f64;
        let (mx, my) = (mean(&|p| p.0), mean(&|p| p.1));
        let bias = mx - my;
        let sd = (pairs.iter().map(|p| (p.0 - p.1 - bias).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
        let sum_squares: f64 = pairs.iter().map(|p| (p.0 - mx).powi(2)).sum();
        if sum_squares <= 0.0 || !sum_squares.is_finite() {
            return None;
        }
        let slope = pairs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / sum_squares;
        let intercept = my - slope * mx;
        let rest: f64 = pairs.iter().map(|p| (p.1 - intercept - slope * p.0).powi(2)).sum();
        let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        Some(Self {
            n,
            bias,
            bias_stderr: sd / (n as f64).sqrt(),
            sd,
            spearman: spearman(&x, &y),
            slope,
            intercept,
            residual_sd: (rest / (n - 2) as f64).sqrt(),
            mean: mx,
            sum_squares,
        })
    }

    /// The exact value that an estimate stands for, and the standard error of one more such value. As everywhere, ±1.96
    /// standard errors make the 95 % interval.
    pub fn corrected(&self, estimate: f64) -> (f64, f64) {
        let n = self.n as f64;
        let spread = 1.0 + 1.0 / n + (estimate - self.mean).powi(2) / self.sum_squares;
        (self.intercept + self.slope * estimate, self.residual_sd * spread.sqrt() * student_factor(self.n - 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Stream, normals};

    #[test]
    fn a_line_is_found_and_its_interval_covers_new_points() {
        let draw = |seed: u64, n: usize| {
            let z: Vec<f64> = normals(seed, 0, Stream::Bootstrap, 0, 2 * n).iter().map(|v| f64::from(*v)).collect();
            (0..n).map(|i| (3.0 + z[i], 1.0 + 2.0 * (3.0 + z[i]) + 0.5 * z[n + i])).collect::<Vec<_>>()
        };
        let (mut inside, mut all) = (0, 0);
        for seed in 0..100 {
            let Some(bias) = Bias::of(&draw(seed, 16)) else { panic!("16 points") };
            for (estimate, exact) in draw(1000 + seed, 40) {
                let (value, stderr) = bias.corrected(estimate);
                inside += usize::from((value - exact).abs() <= 1.96 * stderr);
                all += 1;
            }
        }
        // 4,000 points in 100 groups; the points of a group share a line, so the share inside has a standard deviation
        // of about 0.6 %.
        let share = inside as f64 / all as f64;
        assert!((0.93..=0.97).contains(&share), "{share}");
    }

    #[test]
    fn numbers_by_hand() {
        let Some(b) = Bias::of(&[(1.0, 3.0), (2.0, 5.0), (3.0, 7.0), (4.0, 9.0)]) else { panic!("4 points") };
        assert!((b.slope - 2.0).abs() < 1e-12 && (b.intercept - 1.0).abs() < 1e-12 && b.residual_sd < 1e-12);
        assert!((b.bias + 3.5).abs() < 1e-12 && b.spearman == Some(1.0));
        assert!(Bias::of(&[(1.0, 2.0); 8]).is_none() && Bias::of(&[(1.0, 1.0); 3]).is_none());
    }
}
