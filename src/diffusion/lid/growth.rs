//! The dimension of data at a place, by how fast the distances to its neighbours grow, copies counted.
//!
//! In d dimensions a ball around the place holds a number of points that grows as its radius to the power d. So if T_k is the
//! distance to neighbour k and T_j that to neighbour j = ⌈k/2⌉, d ≈ ln 2/ln(T_k/T_j) (Farahmand, Szepesvári and Audibert 2007).
//! Where the density is even over the ball, U = (T_j/T_k)^d has the distribution Beta(j, k − j), whatever d is. Its quantiles give an
//! interval that is exact there, and its median in place of ½ an estimate that is as often too high as too low.
//!
//! A point that is repeated carries mass, and where it is repeated at least j times more, so that T_j = 0, the data have dimension 0.
//! Otherwise other points count once each: that a neighbour is repeated says nothing about the place itself.

use super::Local;

/// An estimated dimension with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataDimension {
    /// The estimate.
    pub value: f64,
    /// Its interval.
    pub interval: [f64; 2],
}

/// The dimension at a place at which `copies` points lie, from its distances to the other places, in any order, by the nearest `k` of
/// them, at least 2; or why there is none, in words for a message.
pub fn data_dimension(distances: &mut [f32], copies: usize, k: usize) -> Local<DataDimension> {
    let j = k.div_ceil(2);
    if copies > j.max(1) {
        return Ok(DataDimension { value: 0.0, interval: [0.0; 2] });
    }
    if k < 2 || distances.len() < k {
        return Err(format!("{} other places, expected at least {}", distances.len(), k.max(2)));
    }
    distances.select_nth_unstable_by(k - 1, f32::total_cmp);
    let near = &mut distances[..k];
    near.sort_by(f32::total_cmp);
    let (half, whole) = (f64::from(near[j - 1]), f64::from(near[k - 1]));
    if half == 0.0 {
        return Ok(DataDimension { value: 0.0, interval: [0.0; 2] });
    }
    let growth = (whole / half).ln();
    if !(growth > 0.0 && growth.is_finite()) {
        return Err(format!("its {k} neighbours are all equally far away"));
    }
    let at = |p: f64| -quantile(j, k, p).ln() / growth;
    Ok(DataDimension { value: at(0.5), interval: [at(0.975), at(0.025)] })
}

/// The p-quantile of Beta(j, k − j), for 0 < j < k: of k − 1 even draws from (0, 1), the j-th smallest. It is at most u where at
/// least j of them are.
fn quantile(j: usize, k: usize, p: f64) -> f64 {
    let at_least = |u: f64| {
        let n = k - 1;
        let mut term = (1.0 - u).powi(n as i32);
        let mut below = 0.0;
        for i in 0..j {
            below += term;
            term *= (n - i) as f64 / (i + 1) as f64 * u / (1.0 - u);
        }
        1.0 - below
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_least(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Stream, uniforms};

    #[test]
    fn quantiles_of_beta_by_hand() {
        // Beta(1, 1) is even on (0, 1); Beta(1, 2) has the distribution function 1 − (1 − u)².
        assert!((quantile(1, 2, 0.3) - 0.3).abs() < 1e-12);
        assert!((quantile(1, 3, 0.5) - (1.0 - 0.5f64.sqrt())).abs() < 1e-12);
        assert!((quantile(10, 20, 0.5) - 0.5).abs() < 1e-12);
    }

    /// Even points in a ball of 2 and of 7 dimensions: the interval covers the truth in about 95 of 100 draws, and half of the
    /// estimates are too high.
    #[test]
    fn the_interval_covers_the_dimension() {
        for d in [2.0f64, 7.0] {
            let mut covered = 0;
            let mut above = 0;
            for draw in 0..400 {
                let mut radii: Vec<f32> = uniforms(5, draw, Stream::Shuffle, 0, 200)
                    .iter()
                    .map(|u| f64::from(*u).powf(1.0 / d) as f32)
                    .collect();
                let found = data_dimension(&mut radii, 1, 20).unwrap();
                covered += usize::from((found.interval[0]..=found.interval[1]).contains(&d));
                above += usize::from(found.value > d);
            }
            // 380 and 200 expected, with standard deviations of 4.4 and 10.
            assert!((362..=396).contains(&covered) && (160..=240).contains(&above), "{d}: {covered} {above}");
        }
    }

    #[test]
    fn copies_count() {
        let mut even: Vec<f32> = (1..=30).map(|i| i as f32 / 10.0).collect();
        assert_eq!(data_dimension(&mut even, 11, 20).unwrap(), DataDimension { value: 0.0, interval: [0.0; 2] });
        assert!(data_dimension(&mut even, 10, 20).unwrap().value > 0.0);
        assert_eq!(data_dimension(&mut [], 12, 20).unwrap().value, 0.0);
        // Copies that were changed a little make it small.
        let mut near: Vec<f32> = (0..12).map(|i| 0.001 + i as f32 * 1e-5).collect();
        near.extend((0..30).map(|i| 5.0 + i as f32 / 10.0));
        assert!(data_dimension(&mut near, 1, 20).unwrap().interval[1] < 0.5);
        assert!(data_dimension(&mut [1.0; 30], 1, 20).unwrap_err().contains("equally far"));
        assert!(data_dimension(&mut [1.0; 3], 1, 20).unwrap_err().contains("3 other places"));
    }
}
