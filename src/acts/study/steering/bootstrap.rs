//! Intervals by resampling seeds. The samples of one seed at several levels start from the same latent, so they are no
//! independent draws: a seed that is hard at one level is hard at others. Therefore whole seeds are drawn, each with all of
//! its samples.

use crate::noise::{self, Stream};
use crate::statistics::quantile;
use rand::RngExt;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Draws of the bootstrap.
pub const DRAWS: usize = 1000;

/// 95 % percentile intervals of `N` statistics of samples, by drawing seeds with replacement: `seeds` holds the seed of
/// each sample, and `of` gets the indices of the samples drawn, each as often as its seed was. Draws where a statistic is
/// undefined are left out; where they are more than one in ten, or there is only one seed, it has no interval.
pub fn intervals<const N: usize>(
    seeds: &[u64],
    of: impl Fn(&[usize]) -> [Option<f64>; N] + Sync,
) -> [Option<[f64; 2]>; N] {
    let mut samples: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    seeds.iter().enumerate().for_each(|(i, seed)| samples.entry(*seed).or_default().push(i));
    let clusters: Vec<Vec<usize>> = samples.into_values().collect();
    if clusters.len() < 2 {
        return [None; N];
    }
    let draw = |i: usize| {
        let mut rng = noise::generator(0, i as u64, Stream::Bootstrap, 0);
        let drawn = (0..clusters.len()).flat_map(|_| &clusters[rng.random_range(0..clusters.len())]);
        of(&drawn.copied().collect::<Vec<usize>>())
    };
    let found: Vec<[Option<f64>; N]> = (0..DRAWS).into_par_iter().map(draw).collect();
    std::array::from_fn(|k| {
        let mut values: Vec<f64> = found.iter().filter_map(|f| f[k]).collect();
        values.sort_by(f64::total_cmp);
        let enough = values.len() >= DRAWS * 9 / 10;
        Some([quantile(&values, 0.025)?, quantile(&values, 0.975)?]).filter(|_| enough)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::normals;

    fn mean_of(values: &[f64]) -> impl Fn(&[usize]) -> [Option<f64>; 1] + Sync {
        move |drawn| [Some(drawn.iter().map(|i| values[*i]).sum::<f64>() / drawn.len() as f64)]
    }

    /// If a seed does the same at every level, more levels say nothing more: the interval must stay that of one level.
    /// Resampling single samples would make it √5 times narrower.
    #[test]
    fn levels_of_a_seed_are_drawn_together() {
        let one: Vec<f64> = normals(3, 0, Stream::Init, 0, 64).into_iter().map(f64::from).collect();
        let five: Vec<f64> = (0..5).flat_map(|_| one.clone()).collect();
        let seeds = |levels: usize| (0..levels).flat_map(|_| 0..64).collect::<Vec<u64>>();
        let [[low, high]] = intervals(&seeds(1), mean_of(&one)).map(Option::unwrap);
        let [[low_5, high_5]] = intervals(&seeds(5), mean_of(&five)).map(Option::unwrap);
        assert!((low - low_5).abs() < 1e-12 && (high - high_5).abs() < 1e-12, "{low} {high}, {low_5} {high_5}");
        let single: Vec<u64> = (0..320).collect();
        let [[low_1, high_1]] = intervals(&single, mean_of(&five)).map(Option::unwrap);
        // The width of 1,000 draws is itself off by some 5 %.
        let ratio = (high - low) / (high_1 - low_1);
        assert!((ratio / 5f64.sqrt() - 1.0).abs() < 0.15, "{ratio}");
    }

    /// The normal interval of a mean: ± 1.96 s/√n, with s by 1/n as a bootstrap has it.
    #[test]
    fn the_interval_of_a_mean_is_the_known_one() {
        let values: Vec<f64> = normals(5, 0, Stream::Init, 0, 200).into_iter().map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / 200.0;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 200.0).sqrt();
        let half = 1.96 * sd / 200f64.sqrt();
        let [[low, high]] = intervals(&(0..200).collect::<Vec<u64>>(), mean_of(&values)).map(Option::unwrap);
        // A 2.5 % quantile of 1,000 draws has a standard error of √(0.025·0.975/1000)/φ(1.96) = 0.085 standard errors.
        let allowed = 4.0 * 0.085 * half / 1.96;
        assert!((low - (mean - half)).abs() < allowed && (high - (mean + half)).abs() < allowed, "{low} {high}");
    }

    #[test]
    fn one_seed_or_nothing_defined_has_no_interval() {
        assert_eq!(intervals(&[7, 7, 7], |_| [Some(1.0)]), [None]);
        assert_eq!(intervals(&[1, 2], |_| [None, Some(2.0)]), [None, Some([2.0, 2.0])]);
    }
}
