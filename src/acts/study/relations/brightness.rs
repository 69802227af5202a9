//! How much of the level that samples reached is brightness: ink is the plainest thing that a picture has more or less of.

use super::correlation::{bootstrap_groups, partial};
use serde::Serialize;
use std::collections::BTreeMap;

/// Rank correlations over the samples of one method, each as `[value, low, high]` with its 95 % bootstrap interval. Whole
/// seeds are drawn, because samples of one seed at several levels are no separate evidence.
#[derive(Clone, Debug, Serialize)]
pub struct Brightness {
    /// Samples that have a measured level and a picture.
    pub samples: usize,
    /// Spearman's correlation of the percentile reached with ink, the mean luma of the picture.
    pub reached_ink: [Option<f64>; 3],
    /// The same of the percentile asked with that reached.
    pub asked_reached: [Option<f64>; 3],
    /// The latter with ink held fixed: what is left of steering between pictures of equal brightness.
    pub asked_reached_given_ink: [Option<f64>; 3],
}

impl Brightness {
    /// Of samples given as (seed, percentile asked, percentile reached, ink).
    pub fn of(samples: &[(u64, f64, f64, f64)]) -> Self {
        let column = |get: fn(&(u64, f64, f64, f64)) -> f64| samples.iter().map(get).collect::<Vec<f64>>();
        let (asked, reached, ink) = (column(|s| s.1), column(|s| s.2), column(|s| s.3));
        let mut seeds: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        samples.iter().enumerate().for_each(|(i, s)| seeds.entry(s.0).or_default().push(i));
        let groups: Vec<Vec<usize>> = seeds.into_values().collect();
        let columns: [&[f64]; 3] = [&asked, &reached, &ink];
        let of = |f: &(dyn Fn(&[&[f64]]) -> Option<f64> + Sync)| bootstrap_groups(&columns, &groups, 0, f);
        Self {
            samples: samples.len(),
            reached_ink: of(&|c| partial(c[1], c[2], &[])),
            asked_reached: of(&|c| partial(c[0], c[1], &[])),
            asked_reached_given_ink: of(&|c| partial(c[0], c[1], &[c[2]])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{Stream, normals};

    #[test]
    fn what_is_only_brightness_is_nothing_beside_it() {
        let n = 300;
        let draw = |key| normals(key, 0, Stream::Init, 0, n).into_iter().map(f64::from).collect::<Vec<_>>();
        let (noise, other) = (draw(31), draw(32));
        let asked = |i: usize| [5.0, 50.0, 95.0][i % 3];
        // Ink follows what was asked, and what is reached follows ink alone.
        let through = |i: usize| {
            let ink = asked(i) / 40.0 + noise[i];
            ((i / 3) as u64, asked(i), ink + 0.5 * other[i], ink)
        };
        let found = Brightness::of(&(0..n).map(through).collect::<Vec<_>>());
        assert!(found.reached_ink[0].unwrap() > 0.8 && found.asked_reached[0].unwrap() > 0.5, "{found:?}");
        let [rho, low, high] = found.asked_reached_given_ink.map(Option::unwrap);
        // Four standard errors of a correlation of independent columns, plus what is left because ranks are not linear.
        assert!(rho.abs() < 4.0 / (n as f64).sqrt() + 0.05 && low < high, "{rho} {low} {high}");
    }
}
