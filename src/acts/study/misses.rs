//! How far samples end from what was asked of them: the whole distribution, for the tail is what a user meets.

use crate::noise::{self, Stream};
use crate::render::page::{number, row};
use crate::statistics::quantile;
use serde::Serialize;

/// |asked − reached| over some samples, in points of the percentile.
#[derive(Clone, Debug, Serialize)]
pub struct Misses {
    /// The percentile asked for; `None` for all of them together.
    pub asked: Option<f64>,
    /// Samples that have a measured novelty.
    pub samples: usize,
    /// Median.
    pub median: Option<f64>,
    /// 95 % bootstrap interval of the median over the samples.
    pub median_interval: Option<[f64; 2]>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Share of samples off by more than 3 points.
    pub beyond_3: Option<f64>,
    /// 95 % bootstrap interval of that share.
    pub beyond_3_interval: Option<[f64; 2]>,
    /// Share of samples off by more than 10 points.
    pub beyond_10: Option<f64>,
}

/// Draws of the bootstrap.
const DRAWS: u32 = 1000;

impl Misses {
    /// Of these differences, each the absolute value of asked minus reached. Samples are drawn with replacement for the
    /// intervals: those of one seed at several levels count as separate.
    pub fn of(asked: Option<f64>, mut misses: Vec<f64>) -> Self {
        misses.sort_by(f64::total_cmp);
        let n = misses.len();
        let over = |sorted: &[f64], limit: f64| {
            (n > 0).then(|| (n - sorted.partition_point(|v| *v <= limit)) as f64 / n as f64)
        };
        let drawn: Vec<Vec<f64>> = (0..if n > 1 { DRAWS } else { 0 })
            .map(|draw| {
                let places = noise::uniforms(0, 0, Stream::Bootstrap, draw, n);
                let mut again: Vec<f64> = places.iter().map(|u| misses[((u * n as f32) as usize).min(n - 1)]).collect();
                again.sort_by(f64::total_cmp);
                again
            })
            .collect();
        let interval = |of: &dyn Fn(&[f64]) -> Option<f64>| {
            let mut found: Vec<f64> = drawn.iter().filter_map(|d| of(d)).collect();
            found.sort_by(f64::total_cmp);
            Some([quantile(&found, 0.025)?, quantile(&found, 0.975)?])
        };
        Self {
            asked,
            samples: n,
            median: quantile(&misses, 0.5),
            median_interval: interval(&|d| quantile(d, 0.5)),
            p90: quantile(&misses, 0.9),
            p99: quantile(&misses, 0.99),
            max: misses.last().copied(),
            beyond_3: over(&misses, 3.0),
            beyond_3_interval: interval(&|d| over(d, 3.0)),
            beyond_10: over(&misses, 10.0),
        }
    }

    /// Heads of the columns of [`cells`](Self::cells).
    pub fn head() -> Vec<String> {
        row(["median |error|", "90 %", "99 %", "max", "off by > 3", "> 10"])
    }

    /// Median with its interval, percentiles and shares, for a table.
    pub fn cells(&self) -> Vec<String> {
        let percent = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{:.1} %", 100.0 * v));
        let median = match self.median_interval {
            Some([low, high]) => format!("{} ({low:.2}-{high:.2})", number(self.median, 2)),
            None => number(self.median, 2),
        };
        let beyond = match self.beyond_3_interval {
            Some([low, high]) => format!("{} ({:.1}-{:.1})", percent(self.beyond_3), 100.0 * low, 100.0 * high),
            None => percent(self.beyond_3),
        };
        let [p90, p99, max] = [self.p90, self.p99, self.max].map(|v| number(v, 2));
        vec![median, p90, p99, max, beyond, percent(self.beyond_10)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_known_misses() {
        let found = Misses::of(Some(90.0), (0..=100).map(f64::from).collect());
        assert_eq!([found.median, found.p90, found.p99, found.max], [Some(50.0), Some(90.0), Some(99.0), Some(100.0)]);
        assert_eq!([found.beyond_3, found.beyond_10], [Some(97.0 / 101.0), Some(90.0 / 101.0)]);
        // The standard error of a median of 101 even values is 100/(2√101) = 5; the interval is about ±10.
        let [low, high] = found.median_interval.unwrap();
        assert!((33.0..47.0).contains(&low) && (53.0..67.0).contains(&high), "{low} {high}");
        let none = Misses::of(None, Vec::new());
        assert!(none.median.is_none() && none.beyond_3.is_none() && none.median_interval.is_none());
    }
}
