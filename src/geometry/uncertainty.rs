//! How far an estimate may be off: because of rounding, and by chance in the choice of directions (theory, 6b). Here
//! ψ⁽⁰⁾ and ψ⁽¹⁾ are the digamma and trigamma functions; ψ without a mark is local scaling.

/// Assumed relative error, in Frobenius norm, of a Jacobian that a network computed in f32: 8 eps. Sums of about a
/// thousand terms in up to 40 layers leave 1 to 4 eps (the tests `pretrained::*` compare with f64).
pub const ENTRY_ERROR: f64 = 8.0 * f32::EPSILON as f64;

/// First-order bounds on the error of ψ_k for k = 1, 2, …, one for each positive singular value (descending):
/// tr(A_k⁺E)| ≤ ‖A_k⁺‖_F·‖E‖_F for an error matrix E with Frobenius norm `error`. They hold within a linear piece and
/// do not cover a unit that rounding puts on the other side of its kink.
pub fn rounding(singular_values: &[f64], error: f64) -> Vec<f64> {
    let Some(first) = singular_values.first() else { return Vec::new() };
    // Divided by σ₁ first, so that squares do not overflow needlessly.
    let mut inverse_squares = 0.0;
    let positive = singular_values.iter().take_while(|s| **s > 0.0);
    positive
        .map(|s| {
            inverse_squares += (first / s).powi(2);
            error / first * inverse_squares.sqrt()
        })
        .collect()
}

/// The Frobenius norm ‖A‖_F = √(Σ σ_i²) from descending singular values, without overflow.
pub fn frobenius(singular_values: &[f64]) -> f64 {
    let first = singular_values.first().copied().filter(|s| *s > 0.0).unwrap_or(1.0);
    first * singular_values.iter().map(|s| (s / first).powi(2)).sum::<f64>().sqrt()
}

/// The sets of directions that a jackknife leaves out in turn: at most `most` ranges within `0..directions`, disjoint
/// and of equal size, so a few directions at the end may be in none. Equal sizes matter, because ψ over fewer
/// directions is a different quantity. Empty if `directions` or `most` is below 2.
pub fn jackknife_sets(directions: usize, most: usize) -> Vec<std::ops::Range<usize>> {
    if directions < 2 || most < 2 {
        return Vec::new();
    }
    let size = directions.div_ceil(most);
    (0..directions / size).map(|g| g * size..(g + 1) * size).collect()
}

/// The jackknife standard error of a statistic T. `values` are the T_i, each computed without the i-th of the
/// `jackknife_sets` of P = `directions` directions, which were drawn from a space of dimension N = `of`:
///
/// se² = (1 − P/N) · P/(m(g − 1)) · Σ_i (T_i − T̄)² · (t/1.96)²  for g sets of m directions.
///
/// t is Student's 97.5 % quantile at g − 1 degrees of freedom, which makes ±1.96 se the 95 % interval also for few
/// directions. By Efron and Stein it errs on the wide side for a statistic that is not additive. `None` if a value is
/// missing or there are fewer than two.
pub fn jackknife(values: &[Option<f64>], directions: usize, of: usize) -> Option<f64> {
    let values: Vec<f64> = values.iter().copied().collect::<Option<_>>()?;
    let groups = values.len();
    if groups < 2 {
        return None;
    }
    let size = (directions / groups) as f64;
    let mean = values.iter().sum::<f64>() / groups as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let share = (1.0 - directions as f64 / of as f64).max(0.0);
    let variance = squares * directions as f64 / (size * (groups - 1) as f64) * share;
    Some(variance.sqrt() * student_factor(groups - 1))
}

/// Student's 97.5 % quantile at `freedom` degrees of freedom, divided by the normal one. Exact at 1 and 2; from 3 on by
/// the expansion of Cornish and Fisher (0.7 % too low at 3, closer above). 0 counts as 1.
pub fn student_factor(freedom: usize) -> f64 {
    let z = 1.959_963_984_540_054_f64;
    let n = freedom as f64;
    let t = match freedom {
        0 | 1 => (0.475 * std::f64::consts::PI).tan(),
        2 => 0.95 * (2.0 / (1.0 - 0.95 * 0.95_f64)).sqrt(),
        _ => {
            z + (z.powi(3) + z) / (4.0 * n)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n)
                + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * n.powi(3))
        }
    };
    t / z
}

/// Mean and variance of ½ ln det of a random projection restricted to a fixed subspace (theory, 7). The matrix is
/// QᵀWᵀWQ, with an orthonormal basis Q (D × `rank`) and a uniformly random W (P × D) with orthonormal rows, where
/// P = `directions` and D = `width`; if P < rank it is WQQᵀWᵀ. It is a matrix-variate beta, whose determinant is a product
/// of independent betas. So with m = min(P, rank) and n = max(P, rank)
///
/// mean = ½ Σ_{i ≤ m} [ψ⁽⁰⁾((n−i+1)/2) − ψ⁽⁰⁾((D−i+1)/2)],  variance = ¼ Σ_{i ≤ m} [ψ⁽¹⁾((n−i+1)/2) − ψ⁽¹⁾((D−i+1)/2)].
pub fn projected_log_det(directions: usize, rank: usize, width: usize) -> (f64, f64) {
    let (m, n) = (directions.min(rank), directions.max(rank));
    let half = |of: usize, i: usize| (of + 1 - i) as f64 / 2.0;
    let variance = (1..=m).map(|i| trigamma(half(n, i)) - trigamma(half(width, i))).sum::<f64>();
    ((1..=m).map(|i| projected_shift(n, i, width)).sum(), 0.25 * variance.max(0.0))
}

/// The part of the mean of [`projected_log_det`] that belongs to singular value `i`, counted from 1, for P = `n`
/// directions in D = `width` dimensions: ½[ψ⁽⁰⁾((n−i+1)/2) − ψ⁽⁰⁾((D−i+1)/2)], a negative number. Where the singular
/// values of A lie far apart, this is how far ln σ_i of W·A is off on average; the sum over all i is exact in any case.
pub fn projected_shift(n: usize, i: usize, width: usize) -> f64 {
    let half = |of: usize| (of + 1).saturating_sub(i).max(1) as f64 / 2.0;
    0.5 * (digamma(half(n)) - digamma(half(width)))
}

/// The digamma function ψ⁽⁰⁾(x) for x > 0: the recurrence up to 8, then the asymptotic series (error below 1e-12).
fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 8.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    let y = (x * x).recip();
    shift + x.ln()
        - 0.5 / x
        - y * (1.0 / 12.0 - y * (1.0 / 120.0 - y * (1.0 / 252.0 - y * (1.0 / 240.0 - y * (1.0 / 132.0)))))
}

/// The trigamma function ψ⁽¹⁾(x) for x > 0, computed like [`digamma`].
fn trigamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 8.0 {
        shift += (x * x).recip();
        x += 1.0;
    }
    let y = (x * x).recip();
    shift
        + x.recip()
            * (1.0
                + 0.5 / x
                + y * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y * (1.0 / 30.0 - y * (5.0 / 66.0))))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gamma_derivatives_at_known_places() {
        let euler = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + euler).abs() < 1e-12);
        assert!((digamma(0.5) + euler + 2.0 * 2.0f64.ln()).abs() < 1e-12);
        assert!((trigamma(1.0) - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-12);
        assert!((trigamma(0.5) - std::f64::consts::PI.powi(2) / 2.0).abs() < 1e-12);
        // scipy.special.digamma(37.5), polygamma(1, 37.5)
        assert!((digamma(37.5) - 3.610_948_344_596_339).abs() < 1e-9, "{}", digamma(37.5));
        assert!((trigamma(37.5) - 0.027_025_382_266_8).abs() < 1e-9, "{}", trigamma(37.5));
    }

    #[test]
    fn students_factor_is_that_of_the_tables() {
        for (freedom, t) in [(1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (31, 2.0395)] {
            let found = student_factor(freedom) * 1.959_964;
            assert!((found / t - 1.0).abs() < 0.008, "{freedom}: {found} {t}");
        }
    }

    #[test]
    fn jackknife_of_a_sum_is_its_standard_error() {
        // T = Σx over 8 values: leaving one out gives T − x, and the standard error of the sum is √8·s.
        let x = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0, 1.5, 3.0];
        let total: f64 = x.iter().sum();
        let values: Vec<Option<f64>> = x.iter().map(|v| Some(total - v)).collect();
        let mean = total / 8.0;
        let s2 = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 7.0;
        let found = jackknife(&values, 8, usize::MAX).unwrap() / student_factor(7);
        assert!((found - (8.0 * s2).sqrt()).abs() < 1e-12);
        assert_eq!(jackknife(&values, 8, 8), Some(0.0));
        assert_eq!(jackknife(&[Some(1.0), None], 2, 9), None);
    }

    #[test]
    fn sets_are_equal_and_disjoint() {
        for (directions, most) in [(2, 32), (31, 32), (33, 32), (48, 32), (128, 32), (7, 3)] {
            let sets = jackknife_sets(directions, most);
            assert!(sets.len() >= 2 && sets.len() <= most);
            assert!(sets.windows(2).all(|w| w[0].end == w[1].start && w[0].len() == w[1].len()));
            assert!(sets.last().is_some_and(|s| s.end <= directions));
        }
        assert!(jackknife_sets(1, 32).is_empty() && jackknife_sets(8, 0).is_empty());
    }
}
