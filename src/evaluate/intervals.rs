//! 95 % intervals of what is measured on neighbourhoods, from rows and from splits.
//!
//! A share of generated samples inside the real manifold has two sources of error: which samples were generated, and
//! which real ones span the manifold. Resampling the rows that are counted sees the first only, and a bootstrap of the
//! others makes copies, whose nearest neighbours are at distance 0. So both sets are dealt into [`SPLITS`] parts, and
//! the figure is measured on each pair of parts. The variance of a sum of local counts falls as 1/n, so the spread of
//! the parts over √parts is the standard error of the whole. It is turned into an interval by Student's t around the
//! figure of all rows. Parts that all happen to agree would give an interval of no width, so the interval by rows is
//! taken in too.

/// Into how many parts each set is dealt, at most.
pub const SPLITS: usize = 5;

/// The 97.5 % quantiles of Student's t with 1 to 4 degrees of freedom.
const STUDENT: [f64; SPLITS - 1] = [12.706_204_736, 4.302_652_730, 3.182_446_305, 2.776_445_105];

/// The 97.5 % quantile of the normal distribution.
pub const NORMAL: f64 = 1.959_963_985;

/// Half the width of the interval around a figure that is `parts` on disjoint equal parts of the data; `None` for fewer
/// than 2 parts, or more than [`SPLITS`], and where one is not finite.
pub fn half_width(parts: &[f64]) -> Option<f64> {
    let t = STUDENT.get(parts.len().checked_sub(2)?)?;
    let n = parts.len() as f64;
    let mean = parts.iter().sum::<f64>() / n;
    let variance = parts.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(t * (variance / n).sqrt()).filter(|half| half.is_finite())
}

/// Wilson's interval of a share that was counted in n independent rows.
pub fn wilson(share: f64, n: usize) -> [f64; 2] {
    let (n, z2) = (n as f64, NORMAL * NORMAL);
    let centre = share + z2 / (2.0 * n);
    let half = NORMAL * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    [-half, half].map(|h| ((centre + h) / (1.0 + z2 / n)).clamp(0.0, 1.0))
}

/// The normal interval of the mean of independent rows.
pub fn of_mean(rows: &[f64]) -> [f64; 2] {
    let n = rows.len() as f64;
    let mean = rows.iter().sum::<f64>() / n;
    let variance = rows.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    [-1.0, 1.0].map(|sign| mean + sign * NORMAL * (variance / n).sqrt())
}

/// The median: of an even number of values, the mean of the middle two. Not a number for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let at = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    // Two infinite values have an infinite mean, but no difference.
    if n % 2 == 1 { at(n / 2) } else { (at((n / 2).wrapping_sub(1)) + at(n / 2)) / 2.0 }
}

/// The interval of the median of independent rows, ascending, by their order: the ranks n/2 ± z·√n/2 (Conover 1999).
pub fn of_median(sorted: &[f64]) -> [f64; 2] {
    let (n, last) = (sorted.len() as f64, sorted.len().saturating_sub(1));
    let [low, high] = [-1.0, 1.0].map(|sign| n / 2.0 + sign * NORMAL * n.sqrt() / 2.0);
    let at = |rank: f64| sorted.get((rank.max(1.0) as usize - 1).min(last)).copied().unwrap_or(f64::NAN);
    [at(low.floor()), at(high.ceil() + 1.0)]
}

/// The least interval that holds both.
pub fn hull(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f64; 2], b: [f64; 2]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8), "{a:?} {b:?}");
    }

    /// neighbours/intervals.py: scipy.stats.t.interval, binomtest(...).proportion_ci(method="wilson"), norm.interval.
    /// The constants above have nine decimals.
    #[test]
    fn equal_scipy() {
        let parts = [0.91, 0.87, 0.95, 0.9, 0.88];
        let mean = parts.iter().sum::<f64>() / 5.0;
        let half = half_width(&parts).unwrap();
        near([mean - half, mean + half], [0.863_328_594_544_517_7, 0.940_671_405_455_482_1]);
        let half = half_width(&parts[..2]).unwrap();
        near([0.89 - half, 0.89 + half], [0.635_875_905_276_506, 1.144_124_094_723_494]);
        near(wilson(0.79, 400), [0.747_420_594_459_949_7, 0.827_062_274_826_158_2]);
        near(wilson(1.0, 400), [0.990_487_705_665_703_5, 1.0]);
        near(of_mean(&[1.0, 4.0, 2.0, 8.0, 5.0, 7.0]), [2.308_693_648_558_546, 6.691_306_351_441_455]);
    }

    #[test]
    fn one_part_says_nothing() {
        assert_eq!(half_width(&[1.0]), None);
        assert_eq!(half_width(&[]), None);
        assert_eq!(half_width(&[1.0, f64::INFINITY]), None);
    }

    /// neighbours/intervals.py, by scipy.stats.binom: values 40 and 61 of 100 hold the median with a probability of
    /// 96.5 %, values 41 and 60 with 94.3 %.
    #[test]
    fn the_median_by_ranks() {
        let sorted: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of_median(&sorted), [40.0, 61.0]);
        assert_eq!(of_median(&[3.0]), [3.0, 3.0]);
    }
}
