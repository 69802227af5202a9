//! How far estimates of a dimension are from the known truth. Both lists have one entry per point, in the same order.

/// The mean of |estimate − truth| over all points; NaN for no points.
pub fn mean_absolute_error(estimates: &[f64], truth: &[f64]) -> f64 {
    estimates.iter().zip(truth).map(|(e, t)| (e - t).abs()).sum::<f64>() / truth.len() as f64
}

/// The share, from 0 to 1, of estimates that round to the truth; NaN for no points.
pub fn rounding_accuracy(estimates: &[f64], truth: &[f64]) -> f64 {
    estimates.iter().zip(truth).filter(|(e, t)| e.round() == t.round()).count() as f64 / truth.len() as f64
}

/// How well the estimates order the points: one minus the share of pairs in the wrong order,
/// 1 − #{t_i > t_j and e_i < e_j}/(n(n − 1)/2). Ties do not count as wrong. 1 is perfect; without ties, ½ is chance. NaN for
/// fewer than two points, which have no order.
pub fn concordance(estimates: &[f64], truth: &[f64]) -> f64 {
    let n = truth.len();
    if n < 2 {
        return f64::NAN;
    }
    // Inversions are counted group by group: a group is the points of equal truth, taken in ascending order of truth,
    // and is compared with the sorted estimates of all groups before it.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| truth[*a].total_cmp(&truth[*b]));
    let mut before: Vec<f64> = Vec::with_capacity(n);
    let mut wrong = 0usize;
    let mut start = 0;
    while start < n {
        let end = (start..n).find(|i| truth[order[*i]] > truth[order[start]]).unwrap_or(n);
        // Pairs with a point of smaller truth and larger estimate.
        wrong += order[start..end]
            .iter()
            .map(|i| before.len() - before.partition_point(|b| *b <= estimates[*i]))
            .sum::<usize>();
        before.extend(order[start..end].iter().map(|i| estimates[*i]));
        before.sort_by(f64::total_cmp);
        start = end;
    }
    1.0 - wrong as f64 / (n as f64 * (n - 1) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let truth = [0.0, 1.0, 1.0, 2.0];
        // One of the six pairs is in the wrong order: truths 1 and 2 with estimates 1.2 and 1.1.
        let estimates = [0.1, 1.2, 0.9, 1.1];
        assert!((concordance(&estimates, &truth) - (1.0 - 1.0 / 6.0)).abs() < 1e-15);
        assert!((mean_absolute_error(&estimates, &truth) - (0.1 + 0.2 + 0.1 + 0.9) / 4.0).abs() < 1e-15);
        assert_eq!(rounding_accuracy(&estimates, &truth), 0.75);
        assert_eq!(concordance(&truth, &truth), 1.0);
        assert_eq!(concordance(&[3.0, 2.0], &[1.0, 2.0]), 0.0);
        assert!(concordance(&[1.0], &[1.0]).is_nan() && mean_absolute_error(&[], &[]).is_nan());
        assert!(rounding_accuracy(&[], &[]).is_nan());
    }
}
