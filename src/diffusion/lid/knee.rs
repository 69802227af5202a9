//! The knee of a falling convex curve, where it turns from steep to flat. This is Kneedle (Satopää et al. 2011) as the
//! Python package kneed 0.9 computes it, at sensitivity 1.

/// The x at the knee of a convex decreasing curve, given by ascending `x` and the `y` there: at least three points, as
/// many `y` as `x`. `None` if the curve has no knee or a value is not finite.
///
/// Both axes are scaled to [0, 1] and y is flipped. The knee is the first local maximum of y − x after which that
/// difference falls by more than the mean step of x. A local minimum in between lowers that threshold to 0.
pub fn knee(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len();
    if n < 3 || y.len() != n || x.iter().chain(y).any(|v| !v.is_finite()) {
        return None;
    }
    let scale = |v: &[f64]| -> Option<Vec<f64>> {
        let (low, high) = v.iter().fold((f64::MAX, f64::MIN), |(l, h), a| (l.min(*a), h.max(*a)));
        (high > low).then(|| v.iter().map(|a| (a - low) / (high - low)).collect())
    };
    let (x01, y01) = (scale(x)?, scale(y)?);
    let difference: Vec<f64> = x01.iter().zip(&y01).map(|(x, y)| (1.0 - y) - x).collect();
    let inner = |i: usize| i > 0 && i < n - 1;
    let top = |i: usize| inner(i) && difference[i] >= difference[i - 1] && difference[i] >= difference[i + 1];
    let bottom = |i: usize| inner(i) && difference[i] <= difference[i - 1] && difference[i] <= difference[i + 1];
    let mean_step = (x01[n - 1] - x01[0]).abs() / (n - 1) as f64;
    let first = (0..n).find(|i| top(*i))?;
    let (mut bar, mut at) = (0.0, None);
    for i in first..n - 1 {
        if top(i) {
            bar = difference[i] - mean_step;
            at = Some(i);
        }
        if bottom(i) {
            bar = 0.0;
        }
        if difference[i + 1] < bar {
            return at.map(|i| x[i]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::knee;

    #[test]
    fn golden_case_of_kneed() {
        let x: Vec<f64> = (0..10).map(|i| f64::from(i) * 0.1).collect();
        let y = [10.0, 6.0, 4.0, 3.0, 2.5, 2.2, 2.0, 1.9, 1.85, 1.8];
        let found = knee(&x, &y);
        assert!(found.is_some_and(|k| (k - 0.3).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn a_line_and_a_constant_have_none() {
        let x: Vec<f64> = (0..10).map(f64::from).collect();
        assert_eq!(knee(&x, &x.iter().map(|v| -v).collect::<Vec<_>>()), None);
        assert_eq!(knee(&x, &[1.0; 10]), None);
        assert_eq!(knee(&x[..2], &[2.0, 1.0]), None);
    }
}
