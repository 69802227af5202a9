//! Which of many samples a page shows.

/// Indices of at most `most` of the `values`, spread evenly from the lowest value to the highest; missing and
/// non-finite values are left out.
pub fn spread(values: &[Option<f64>], most: usize) -> Vec<usize> {
    let mut order: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(i, v)| v.filter(|v| v.is_finite()).map(|v| (i, v))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n = order.len();
    let shown = n.min(most);
    (0..shown).map(|i| order[if shown > 1 { i * (n - 1) / (shown - 1) } else { 0 }].0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_both_ends() {
        let values = [Some(3.0), None, Some(1.0), Some(f64::NAN), Some(2.0), Some(5.0), Some(4.0)];
        assert_eq!(spread(&values, 3), [2, 0, 5]);
        assert_eq!(spread(&values, 99).len(), 5);
        assert_eq!(spread(&values, 1), [2]);
        assert!(spread(&[None], 4).is_empty());
    }
}
