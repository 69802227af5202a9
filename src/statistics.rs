//! Rank statistics and quantiles of tables on the host.

/// Ranks from 0; ties share their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..].iter().take_while(|i| values[**i] == values[order[start]]).count();
        let mean = start as f64 + (tied - 1) as f64 / 2.0;
        order[start..start + tied].iter().for_each(|i| ranks[*i] = mean);
        start += tied;
    }
    ranks
}

/// Spearman's rank correlation; `None` for fewer than two values or if one side is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// The largest Spearman correlation that any values without ties can have with `a`: √(1 − Σ(t³ − t)/(n³ − n)) over the
/// groups of t equal values in `a`. For example, five levels asked equally often allow at most √(24/25) = 0.9798, even
/// if every value reached is in its right place. `None` for fewer than two values or if all are equal.
pub fn spearman_ceiling(a: &[f64]) -> Option<f64> {
    let mut sorted = a.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cubed = |t: usize| (t as f64).powi(3) - t as f64;
    let tied: f64 = sorted.chunk_by(|x, y| x == y).map(|group| cubed(group.len())).sum();
    (a.len() >= 2 && tied < cubed(a.len())).then(|| (1.0 - tied / cubed(a.len())).sqrt())
}

/// Pearson's correlation; `None` for fewer than two values or if one side is constant.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len()) as f64;
    if n < 2.0 {
        return None;
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let dot = |x: &[f64], mx: f64, y: &[f64], my: f64| x.iter().zip(y).map(|(p, q)| (p - mx) * (q - my)).sum::<f64>();
    let scale = (dot(a, ma, a, ma) * dot(b, mb, b, mb)).sqrt();
    (scale > 0.0).then(|| dot(a, ma, b, mb) / scale)
}

/// Coefficient of determination of `predicted` for `truth`; `None` if `truth` is constant.
pub fn r_squared(predicted: &[f64], truth: &[f64]) -> Option<f64> {
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let total: f64 = truth.iter().map(|t| (t - mean).powi(2)).sum();
    let rest: f64 = predicted.iter().zip(truth).map(|(p, t)| (p - t).powi(2)).sum();
    (total > 0.0).then(|| 1.0 - rest / total)
}

/// u with Φ(u) = p, the standard normal quantile; `None` outside 0 < p < 1. Found to rounding by Newton's method on Φ,
/// starting below 0 from the bound Φ(u) < e^(−u²/2).
pub fn normal_quantile(p: f64) -> Option<f64> {
    if !(p > 0.0 && p < 1.0) {
        return None;
    }
    // Near 1 it is the distance to 1 that is known exactly.
    let small = p.min(1.0 - p);
    let mut u = -(-2.0 * small.ln()).sqrt();
    for _ in 0..64 {
        let below = 0.5 * libm::erfc(-u * std::f64::consts::FRAC_1_SQRT_2);
        let density = (-0.5 * u * u).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let step = (below - small) / density;
        u -= step;
        if step.abs() <= 1e-14 * u.abs().max(1e-2) {
            break;
        }
    }
    Some(if p < 0.5 { u } else { -u })
}

/// The q-quantile of an ascending table, linear between its values; `None` when it is empty.
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (low, part) = (position.floor() as usize, position.fract());
    Some(sorted[low] + part * (sorted[(low + 1).min(last)] - sorted[low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_by_hand() {
        // scipy.stats.spearmanr([1,2,2,4], [1,3,2,4]) = 0.9486832980505138
        assert!(
            (spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]).unwrap_or(0.0) - 0.948_683_298_050_513_8).abs()
                < 1e-12
        );
        assert_eq!(spearman(&[1.0, 2.0], &[5.0, 5.0]), None);
        assert_eq!(spearman(&[], &[]), None);
    }

    #[test]
    fn ties_bound_the_correlation() {
        let asked: Vec<f64> = (0..40).map(|i| f64::from(i / 8)).collect();
        let reached: Vec<f64> = (0..40).map(f64::from).collect();
        let ceiling = spearman_ceiling(&asked).unwrap_or(0.0);
        assert!((ceiling - spearman(&asked, &reached).unwrap_or(1.0)).abs() < 1e-12);
        assert_eq!(spearman_ceiling(&[1.0, 2.0, 3.0]), Some(1.0));
        assert_eq!(spearman_ceiling(&[1.0, 1.0]), None);
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        assert_eq!(quantile(&[0.0, 10.0, 20.0], 0.25), Some(5.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
