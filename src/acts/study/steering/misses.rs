//! How far samples end from what was asked of them: the whole distribution, for the tail is what a user meets.

use super::bootstrap::intervals;
use crate::render::page::{number, row};
use crate::statistics::quantile;
use serde::Serialize;

/// |asked − reached| over some samples, in points of the percentile. Every interval is of 95 %, by drawing seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Misses {
    /// The percentile asked for; `None` for all of them together.
    pub asked: Option<f64>,
    /// Samples that have a measured novelty.
    pub samples: usize,
    /// Median.
    pub median: Option<f64>,
    /// Its interval.
    pub median_interval: Option<[f64; 2]>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// Its interval.
    pub p90_interval: Option<[f64; 2]>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Its interval.
    pub p99_interval: Option<[f64; 2]>,
    /// The largest. It has no interval: what is drawn again is never larger.
    pub max: Option<f64>,
    /// Share of samples off by more than 3 points.
    pub beyond_3: Option<f64>,
    /// Its interval.
    pub beyond_3_interval: Option<[f64; 2]>,
    /// Share of samples off by more than 10 points.
    pub beyond_10: Option<f64>,
    /// Its interval.
    pub beyond_10_interval: Option<[f64; 2]>,
}

/// Median, 90th and 99th percentile, shares beyond 3 and 10.
fn tail(mut misses: Vec<f64>) -> [Option<f64>; 5] {
    misses.sort_by(f64::total_cmp);
    let n = misses.len();
    let beyond = |limit: f64| (n > 0).then(|| (n - misses.partition_point(|v| *v <= limit)) as f64 / n as f64);
    let at = |q: f64| quantile(&misses, q);
    [at(0.5), at(0.9), at(0.99), beyond(3.0), beyond(10.0)]
}

impl Misses {
    /// Of these samples, each given as its seed and the absolute value of asked minus reached.
    pub fn of(asked: Option<f64>, samples: &[(u64, f64)]) -> Self {
        let (seeds, misses): (Vec<u64>, Vec<f64>) = samples.iter().copied().unzip();
        let drawn = |places: &[usize]| tail(places.iter().map(|i| misses[*i]).collect());
        let [median_interval, p90_interval, p99_interval, beyond_3_interval, beyond_10_interval] =
            intervals(&seeds, drawn);
        let [median, p90, p99, beyond_3, beyond_10] = tail(misses.clone());
        Self {
            asked,
            samples: misses.len(),
            median,
            median_interval,
            p90,
            p90_interval,
            p99,
            p99_interval,
            max: misses.into_iter().reduce(f64::max),
            beyond_3,
            beyond_3_interval,
            beyond_10,
            beyond_10_interval,
        }
    }

    /// Heads of the columns of [`cells`](Self::cells).
    pub fn head() -> Vec<String> {
        row(["median |error|", "90 %", "99 %", "max", "off by > 3", "> 10"])
    }

    /// Median, percentiles and shares with their intervals, for a table.
    pub fn cells(&self) -> Vec<String> {
        let points = |v: Option<f64>, interval: Option<[f64; 2]>| match interval {
            Some([low, high]) => format!("{} ({low:.2}-{high:.2})", number(v, 2)),
            None => number(v, 2),
        };
        let share = |v: Option<f64>, interval: Option<[f64; 2]>| {
            let percent = v.map_or("-".to_owned(), |v| format!("{:.1} %", 100.0 * v));
            match interval {
                Some([low, high]) => format!("{percent} ({:.1}-{:.1})", 100.0 * low, 100.0 * high),
                None => percent,
            }
        };
        vec![
            points(self.median, self.median_interval),
            points(self.p90, self.p90_interval),
            points(self.p99, self.p99_interval),
            number(self.max, 2),
            share(self.beyond_3, self.beyond_3_interval),
            share(self.beyond_10, self.beyond_10_interval),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_known_misses() {
        let samples: Vec<(u64, f64)> = (0..=100).map(|i| (i, i as f64)).collect();
        let found = Misses::of(Some(90.0), &samples);
        assert_eq!([found.median, found.p90, found.p99, found.max], [Some(50.0), Some(90.0), Some(99.0), Some(100.0)]);
        assert_eq!([found.beyond_3, found.beyond_10], [Some(97.0 / 101.0), Some(90.0 / 101.0)]);
        // The standard error of a median of 101 even values is 100/(2√101) = 5; the interval is about ±10.
        let [low, high] = found.median_interval.unwrap();
        assert!((33.0..47.0).contains(&low) && (53.0..67.0).contains(&high), "{low} {high}");
        // A share of 90/101 has a standard error of 0.031; the interval is about ±0.061.
        let [low, high] = found.beyond_10_interval.unwrap();
        assert!((0.80..0.86).contains(&low) && (0.92..0.98).contains(&high), "{low} {high}");
        let none = Misses::of(None, &[]);
        assert!(none.median.is_none() && none.beyond_3.is_none() && none.median_interval.is_none());
    }
}
