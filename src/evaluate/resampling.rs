//! Which rows a resample takes, and the 95 % interval of values found without a part of the rows.
//!
//! The delete-a-group jackknife deals the rows into G groups and measures again without each of them. It is used where
//! a bootstrap would mislead: rows drawn with replacement repeat themselves, so a distance between distributions comes
//! out larger, and a diversity smaller, on every resample than on the rows themselves.

use crate::noise::{self, Stream};
use rand::RngExt;

/// Groups of a jackknife, where there are as many rows.
pub const GROUPS: usize = 10;

/// 0.975 quantiles of Student's t distribution for 1 to 9 degrees of freedom (`moments/constants.py`).
const STUDENT: [f64; GROUPS - 1] = [
    12.706_204_736_174_694,
    4.302_652_729_749_462,
    3.182_446_305_283_708,
    2.776_445_105_197_793,
    2.570_581_835_636_315,
    2.446_911_851_144_967_6,
    2.364_624_251_592_784_5,
    2.306_004_135_204_166_3,
    2.262_157_162_798_204_6,
];

/// 0.975 quantile of the standard normal distribution.
pub const NORMAL: f64 = 1.959_963_984_540_054;

/// The first words of an address of noise, so that no two purposes share draws.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Draw {
    /// Groups of the real rows.
    Real = 100,
    /// Groups of the generated rows.
    Generated = 101,
    /// Order of the held-out rows.
    Test = 102,
    /// Subsets of the real rows.
    RealSubset = 110,
    /// Subsets of the generated rows.
    GeneratedSubset = 111,
    /// Order of the splits of class probabilities.
    Splits = 112,
}

/// The numbers 0 to n − 1 in a random order.
pub fn order(seed: u64, draw: Draw, n: usize) -> Vec<usize> {
    noise::permutation(seed, Stream::Bootstrap, draw as u32, n)
}

/// `size` of the numbers 0 to n − 1 without repetition, ascending; `number` tells one subset from the next. All of them
/// where `size` is n or more.
pub fn subset(seed: u64, draw: Draw, number: u64, n: usize, size: usize) -> Vec<usize> {
    let mut rng = noise::generator(seed, number, Stream::Bootstrap, draw as u32);
    let mut all: Vec<usize> = (0..n).collect();
    if size < n {
        for i in 0..size {
            all.swap(i, rng.random_range(i..n));
        }
        all.truncate(size);
        all.sort_unstable();
    }
    all
}

/// The places `[from, to)` of group `g` of `count` groups among n rows: as even as can be, in order.
pub fn part(n: usize, count: usize, g: usize) -> std::ops::Range<usize> {
    n * g / count..n * (g + 1) / count
}

/// How many groups sets of these sizes are dealt into: [`GROUPS`], or fewer where a set has fewer rows.
pub fn group_count(sizes: &[usize]) -> usize {
    sizes.iter().copied().fold(GROUPS, usize::min)
}

/// n rows dealt into `count` groups at random, each ascending.
pub fn groups(seed: u64, draw: Draw, n: usize, count: usize) -> Vec<Vec<usize>> {
    let order = order(seed, draw, n);
    let of = |g| {
        let mut rows = order[part(n, count, g)].to_vec();
        rows.sort_unstable();
        rows
    };
    (0..count).map(of).collect()
}

/// The standard error of a value by what it is without each of G groups: √((G − 1)/G · Σ(θ_g − mean)²). Infinite for
/// fewer than two.
pub fn jackknife_error(without: &[f64]) -> f64 {
    let count = without.len() as f64;
    if count < 2.0 {
        return f64::INFINITY;
    }
    let mean = without.iter().sum::<f64>() / count;
    ((count - 1.0) / count * without.iter().map(|v| (v - mean).powi(2)).sum::<f64>()).sqrt()
}

/// Half the width of a 95 % interval around a value whose standard error was found from `count` groups or splits.
pub fn half_width(error: f64, count: usize) -> f64 {
    error * STUDENT[count.saturating_sub(2).min(STUDENT.len() - 1)]
}

/// The interval `half` to both sides of `value`, no further than the values that the metric can take.
pub fn within(value: f64, half: f64, range: [f64; 2]) -> [f64; 2] {
    [(value - half).max(range[0]), (value + half).min(range[1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_row_once_and_are_even() {
        for (n, count) in [(3, 3), (10, 10), (23, 10), (400, 10)] {
            let found = groups(5, Draw::Real, n, count);
            assert!(found.iter().all(|g| g.len() == n / count || g.len() == n / count + 1), "{n}");
            let mut all = found.concat();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
        assert_ne!(groups(5, Draw::Real, 400, 10), groups(5, Draw::Generated, 400, 10));
        assert_ne!(groups(5, Draw::Real, 400, 10), groups(6, Draw::Real, 400, 10));
    }

    #[test]
    fn subsets_have_no_repetition() {
        let found = subset(1, Draw::RealSubset, 3, 100, 40);
        assert!(found.len() == 40 && found.windows(2).all(|w| w[0] < w[1]) && found[39] < 100);
        assert_ne!(found, subset(1, Draw::RealSubset, 4, 100, 40));
        assert_eq!(subset(1, Draw::RealSubset, 3, 5, 9), [0, 1, 2, 3, 4]);
    }

    /// Without one of n values at a time, the jackknife error of a mean is the standard error of the mean, exactly.
    #[test]
    fn the_jackknife_of_a_mean_is_its_standard_error() {
        let values = [1.0, 4.0, 2.0, 8.0, 5.0];
        let n = values.len() as f64;
        let total: f64 = values.iter().sum();
        let without: Vec<f64> = values.iter().map(|v| (total - v) / (n - 1.0)).collect();
        let spread = values.iter().map(|v| (v - total / n).powi(2)).sum::<f64>() / (n - 1.0);
        assert!((jackknife_error(&without) - (spread / n).sqrt()).abs() < 1e-15);
        assert_eq!(jackknife_error(&[1.0]), f64::INFINITY);
    }
}
