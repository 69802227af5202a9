//! How surprising a correlation is where many were looked at.

/// Variance of Fisher's z of a rank correlation, as a multiple of that of a product-moment correlation (Fieller, Hartley
/// and Pearson 1957).
const OF_RANKS: f64 = 1.06;

/// Two-sided p-value of a rank correlation of `n` samples, `controls` columns held fixed: Fisher's z = atanh ρ taken as
/// normal with variance 1.06/(n − controls − 3). `None` for too few samples.
pub fn p_value(rho: f64, n: usize, controls: usize) -> Option<f64> {
    let free = n.checked_sub(controls + 3).filter(|free| *free > 0)?;
    let z = rho.abs().min(1.0).atanh() * (free as f64 / OF_RANKS).sqrt();
    Some(libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2))
}

/// p-values adjusted for their number by Holm's method: with those at most α called real, the chance of one false call
/// among all of them is at most α, however they depend on one another. Undefined ones stay so and do not count.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![None; p.len()];
    let mut least: f64 = 0.0;
    for (rank, (i, p)) in order.iter().enumerate() {
        least = least.max(((order.len() - rank) as f64 * p).min(1.0));
        adjusted[*i] = Some(least);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_by_hand() {
        let found = holm(&[Some(0.01), None, Some(0.04), Some(0.03), Some(0.005)]);
        // Sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, never below one before it.
        let expected = [Some(0.03), None, Some(0.06), Some(0.06), Some(0.02)];
        assert!(found.iter().zip(expected).all(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-15,
            (a, b) => a.is_none() && b.is_none(),
        }));
    }

    #[test]
    fn p_values_of_known_quantiles() {
        // z = 1.96 has p = 0.05: ρ = tanh(1.959963985 √(1.06/(103 − 3))).
        let rho = (1.959_963_984_540_054 * (1.06f64 / 100.0).sqrt()).tanh();
        assert!((p_value(rho, 103, 0).unwrap_or(1.0) - 0.05).abs() < 1e-12);
        assert!((p_value(-rho, 105, 2).unwrap_or(1.0) - 0.05).abs() < 1e-12);
        assert_eq!(p_value(0.0, 50, 0), Some(1.0));
        assert_eq!(p_value(0.5, 5, 2), None);
    }
}
