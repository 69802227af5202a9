//! How well a number tells two groups apart, whatever threshold is put on it.

use super::intervals::{NORMAL, wilson};
use crate::statistics::ranks;
use serde::Serialize;

/// A number as a detector of *positives*, which should have the greater values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// Area under the ROC curve: the probability that a positive has a greater value than a negative, ties counting half.
    pub auc: f64,
    /// Its 95 % interval, from the variance of DeLong, DeLong and Clarke-Pearson (1988); where that is 0, because all are told
    /// apart, from the rule of three for the smaller group.
    pub auc_interval: [f64; 2],
    /// The share of positives above the least threshold that at most 1 % of the negatives exceed.
    pub tpr: f64,
    /// Its interval (Wilson's), for that threshold.
    pub tpr_interval: [f64; 2],
    /// Positives and negatives.
    pub counts: [usize; 2],
}

/// The share of negatives that may be above the threshold.
const FALSE: f64 = 0.01;

impl Detection {
    /// The detector of these values; `None` where a group is empty or a value is not a number.
    pub fn of(positives: &[f64], negatives: &[f64]) -> Option<Self> {
        let (m, n) = (positives.len(), negatives.len());
        if m == 0 || n == 0 || positives.iter().chain(negatives).any(|v| v.is_nan()) {
            return None;
        }
        // Of a rank among all, what is above the rank in the own group counts members of the other group below.
        let all = ranks(&[positives, negatives].concat());
        let below = |all: &[f64], own: &[f64], other: usize| -> Vec<f64> {
            all.iter().zip(ranks(own)).map(|(all, own)| (all - own) / other as f64).collect()
        };
        let (of_positives, of_negatives) = (below(&all[..m], positives, n), below(&all[m..], negatives, m));
        let auc = of_positives.iter().sum::<f64>() / m as f64;
        let variance = |of: &[f64]| {
            let mean = of.iter().sum::<f64>() / of.len() as f64;
            of.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (of.len() as f64 - 1.0).max(1.0) / of.len() as f64
        };
        let error = (variance(&of_positives) + variance(&of_negatives)).sqrt();
        let half = if error > 0.0 { NORMAL * error } else { 3.0 / m.min(n) as f64 };
        let mut sorted = negatives.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let threshold = sorted[((FALSE * n as f64) as usize).min(n - 1)];
        let tpr = positives.iter().filter(|v| **v > threshold).count() as f64 / m as f64;
        Some(Self {
            auc,
            auc_interval: [-half, half].map(|h| (auc + h).clamp(0.0, 1.0)),
            tpr,
            tpr_interval: wilson(tpr, m),
            counts: [m, n],
        })
    }
}

/// The two-threshold frontier of a pair of numbers (Kamkari et al. 2024): an *in-distribution* sample is above both thresholds. Of
/// all pairs of thresholds the best are kept, which is to say that they are chosen with the other set at hand: the area is an upper
/// bound of what any rule of two thresholds can reach, not what one that was fixed before would. `inside` and `outside` are pairs of
/// values; at most [`THRESHOLDS`] quantiles of each coordinate are tried.
pub fn frontier(inside: &[[f64; 2]], outside: &[[f64; 2]]) -> Option<f64> {
    if inside.is_empty() || outside.is_empty() {
        return None;
    }
    let candidates = |axis: usize| -> Vec<f64> {
        let mut all: Vec<f64> = inside.iter().chain(outside).map(|p| p[axis]).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        let step = all.len().div_ceil(THRESHOLDS).max(1);
        [f64::NEG_INFINITY].into_iter().chain(all.into_iter().step_by(step)).chain([f64::INFINITY]).collect()
    };
    let (first, second) = (candidates(0), candidates(1));
    let share =
        |of: &[[f64; 2]], a: f64, b: f64| of.iter().filter(|p| p[0] >= a && p[1] >= b).count() as f64 / of.len() as f64;
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (*a, *b)));
    let mut points: Vec<(f64, f64)> = pairs.map(|(a, b)| (share(outside, a, b), share(inside, a, b))).collect();
    points.sort_by(|x, y| x.0.total_cmp(&y.0).then(y.1.total_cmp(&x.1)));
    let (mut area, mut last) = (0.0, (0.0, 0.0));
    for (x, y) in points {
        if y > last.1 || x == 1.0 {
            area += (x - last.0) * (y.max(last.1) + last.1) / 2.0;
            last = (x, y.max(last.1));
        }
    }
    Some(area + (1.0 - last.0) * last.1)
}

/// Thresholds that [`frontier`] tries of each coordinate.
const THRESHOLDS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_small_groups_by_hand() {
        let of = |p: &[f64], n: &[f64]| Detection::of(p, n).unwrap();
        assert_eq!(of(&[3.0, 4.0], &[1.0, 2.0]).auc, 1.0);
        assert_eq!(of(&[1.0, 2.0], &[3.0, 4.0]).auc, 0.0);
        // Of the four pairs one is right, one tied, two wrong.
        let found = of(&[1.0, 3.0], &[2.0, 3.0]);
        assert_eq!((found.auc, found.counts), (0.375, [2, 2]));
        assert_eq!(of(&[1.0; 5], &[1.0; 7]).auc, 0.5);
        assert_eq!(Detection::of(&[], &[1.0]), None);
        assert_eq!(Detection::of(&[f64::NAN], &[1.0]), None);
        // Infinite values have an order.
        assert_eq!(of(&[f64::INFINITY], &[0.0, f64::NEG_INFINITY]).auc, 1.0);
    }

    #[test]
    fn the_share_at_one_percent_false_alarms() {
        // Of 200 negatives two may be above: the threshold is the third greatest, 197.
        let negatives: Vec<f64> = (0..200).map(f64::from).collect();
        let found = Detection::of(&[196.0, 197.0, 197.5, 300.0], &negatives).unwrap();
        assert_eq!(found.tpr, 0.5);
        assert!(found.tpr_interval[0] < 0.5 && found.tpr_interval[1] > 0.5);
    }

    /// DeLong's variance on normal groups one standard deviation apart: the interval covers Φ(1/√2) = 0.7602 in about 95 of 100
    /// draws.
    #[test]
    fn intervals_cover_the_area_of_two_gaussians() {
        let draw = |i: u64| crate::noise::normals(7, i, crate::noise::Stream::Probe, 0, 160);
        let covers = |i: u64| {
            let values: Vec<f64> = draw(i).into_iter().map(f64::from).collect();
            let shifted: Vec<f64> = values[..80].iter().map(|v| v + 1.0).collect();
            let [low, high] = Detection::of(&shifted, &values[80..]).unwrap().auc_interval;
            (low..=high).contains(&0.7602)
        };
        let covered = (0..300).filter(|i| covers(*i)).count();
        // 285 expected with a standard deviation of 3.8; the normal interval is a little short.
        assert!((268..=298).contains(&covered), "{covered}");
    }

    #[test]
    fn the_frontier_needs_both_numbers_where_one_does_not_suffice() {
        // Outside there are some with a small first number and some with a small second one.
        let inside: Vec<[f64; 2]> = (0..50).map(|i| [10.0 + f64::from(i), 10.0 + f64::from(49 - i)]).collect();
        let outside: Vec<[f64; 2]> = (0..50).map(|i| if i % 2 == 0 { [0.0, 60.0] } else { [60.0, 0.0] }).collect();
        assert_eq!(frontier(&inside, &outside), Some(1.0));
        let alone = |axis: usize| {
            let of = |set: &[[f64; 2]]| set.iter().map(|p| p[axis]).collect::<Vec<_>>();
            Detection::of(&of(&inside), &of(&outside)).unwrap().auc
        };
        assert!((alone(0) - 0.5).abs() < 1e-12 && (alone(1) - 0.5).abs() < 1e-12);
        assert_eq!(frontier(&inside, &inside).map(|a| a >= 0.5), Some(true));
        assert_eq!(frontier(&[], &outside), None);
    }
}
