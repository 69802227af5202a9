//! The knee of a curve of dimension over ln σ, where it stops to fall and a plateau begins: the noise level at which the
//! dimension can be read.
//!
//! A *plateau* is a run of neighbouring noise levels, at least three of them and a factor of [`WIDTH`] from the first to
//! the last, between which the dimension changes by less than [`SLOPE`] of itself (of 1, where it is below 1) per unit of
//! ln σ, and stays between ½ and the ambient dimension. Where σ exceeds the size of the data every curve ends near 0,
//! which is no plateau in this sense. The *knee* is where the first plateau begins that the curve falls to. Without a
//! plateau there is no knee, however the curve bends.

/// The least ratio of the noise levels at the ends of a plateau.
pub const WIDTH: f64 = 2.0;
/// Bound of the slope on a plateau: relative change of the dimension per unit of ln σ.
pub const SLOPE: f64 = 0.2;

/// The index of the knee of a curve: ascending `log_sigma` = ln σ and the dimension there, as many of each. `None` if there
/// is none. A value that is not finite is on no plateau.
pub fn knee(log_sigma: &[f64], dimension: &[f64], ambient: f64) -> Option<usize> {
    let n = log_sigma.len().min(dimension.len());
    let inside = |i: usize| (0.5..=ambient).contains(&dimension[i]);
    let slope = |i: usize| (dimension[i + 1] - dimension[i]) / (log_sigma[i + 1] - log_sigma[i]);
    let bound = |i: usize| SLOPE * dimension[i].min(dimension[i + 1]).max(1.0);
    let flat = |i: usize| inside(i) && inside(i + 1) && slope(i).abs() < bound(i);
    let steps = n.saturating_sub(1);
    let starts = (0..steps).filter(|i| flat(*i) && (*i == 0 || !flat(*i - 1)));
    let wide = |first: usize| {
        let last = (first..steps).find(|i| !flat(*i)).unwrap_or(steps);
        last - first >= 2 && log_sigma[last] - log_sigma[first] >= WIDTH.ln() * (1.0 - 1e-9)
    };
    starts.filter(|i| *i > 0 && slope(*i - 1) < 0.0).find(|i| wide(*i))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of FLIPD over draws of a Gaussian with these variances: Σ 1 − (σ²/(λ + σ²))².
    fn mean_curve(variances: &[f64], log_sigma: &[f64]) -> Vec<f64> {
        let at = |s: &f64| {
            let s2 = (2.0 * s).exp();
            variances.iter().map(|v| 1.0 - (s2 / (v + s2)).powi(2)).sum()
        };
        log_sigma.iter().map(at).collect()
    }

    fn grid(low: f64, high: f64, n: usize) -> Vec<f64> {
        (0..n).map(|i| low.ln() + (high / low).ln() * i as f64 / (n - 1) as f64).collect()
    }

    #[test]
    fn the_knee_is_where_the_plateau_of_two_scales_begins() {
        // Two directions of size 1, eight of size 1e-3: between the two the dimension is 2.
        let variances = [vec![1.0; 2], vec![1e-6; 8]].concat();
        let logs = grid(1e-4, 10.0, 41);
        let curve = mean_curve(&variances, &logs);
        let at = knee(&logs, &curve, 10.0).unwrap();
        // The small directions add 8·(1 − (σ²/(1e-6 + σ²))²) ≈ 16e-6/σ² to the 2. From a level to the next, 0.288 further
        // in ln σ, that falls by 24.3e-6/σ² per unit, and the bound is 0.2·2.2: the knee is the first level above 0.0074,
        // where 0.29 are left.
        assert!((0.0074..0.0074 * 1.34).contains(&logs[at].exp()), "{}", logs[at].exp());
        assert!((2.0..2.3).contains(&curve[at]), "{}", curve[at]);
    }

    #[test]
    fn without_a_plateau_there_is_no_knee() {
        let logs = grid(0.02, 10.0, 16);
        // Directions of every size: the dimension falls all the way, as that of pictures does.
        let every: Vec<f64> = (0..200).map(|i| (12.0 * (f64::from(i) / 199.0 - 0.5)).exp()).collect();
        assert_eq!(knee(&logs, &mean_curve(&every, &logs), 200.0), None);
        // A hump, as where a network is wrong at clean pictures; a flat stretch below 0; the end near 0.
        let hump = [186., 137., 93., 50., 15., -17., -38., -39., -8., 33., 48., 47., 38., 27., 18., 12.];
        assert_eq!(knee(&logs, &hump, 784.0), None);
        assert_eq!(knee(&logs, &[90., 60., 30., -5., -5., -5., -5., -5.], 784.0), None);
        assert_eq!(knee(&logs, &[90., 60., 30., 0.3, 0.2, 0.1, 0.05, 0.02, 0.01], 784.0), None);
        // Flat from the lowest level on: nothing says that it is not noise of the data.
        assert_eq!(knee(&logs, &[784.0; 16], 784.0), None);
        assert_eq!(knee(&logs, &[f64::NAN; 16], 784.0), None);
        assert_eq!(knee(&[], &[], 784.0), None);
        // Two levels are no plateau, and neither are three within less than a factor of two.
        assert_eq!(knee(&logs, &[90., 40., 40., 20.], 784.0), None);
        assert_eq!(knee(&[0.0, 0.1, 0.2, 0.3], &[90., 40., 40., 40.], 784.0), None);
        assert_eq!(knee(&logs, &[90., 40., 40., 40.], 784.0), Some(1));
    }
}
