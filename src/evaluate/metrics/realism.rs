//! Realism of single generated samples (Kynkäänniemi et al. 2019, equation 3): the largest r/d over real samples, where
//! d is the distance to one and r its distance to its own k-th nearest. Only real samples whose r is below the median
//! take part, since a single far-off real sample with a large r would make everything look real. 1 and more means in
//! the ball of one of these.
//!
//! The figure of a set is the median of its samples' scores. (Neither the paper nor dgm-eval sums the scores up. Their
//! mean would be infinite as soon as one sample is an exact copy.) The upper end of the interval is infinite where it
//! falls among such copies.

use crate::error::{Error, Result};
use crate::evaluate::neighbourhoods::{Neighbourhoods, by_part};
use crate::evaluate::{Better, Measured, MetricRow, Sets, Settings, intervals};

pub const ROW: MetricRow = MetricRow {
    name: "realism",
    about: "median over generated samples of how near they are to real ones, by the real ones' own distances",
    reference: "Kynkäänniemi et al. 2019, arXiv 1904.06991",
    range: "0 and up",
    better: Better::Higher,
    interval: "5 splits of both sets, at least that of the median by ranks",
    // From here on, doubling both sets moves it by about 0.03 or less (neighbours/same_distribution.py).
    biased_below: |_| 1_000,
    needs: None,
    measure,
};

/// The realism score of every generated sample with k = `settings.nearest`; infinite for an exact copy of a real sample
/// that takes part.
///
/// # Errors
/// [`Error::Key`] for too few samples, and where no real sample has both a radius above 0 and one below the median.
pub fn realism_scores(sets: &Sets, settings: &Settings) -> Result<Vec<f64>> {
    scores(&*sets.neighbourhoods(settings)?)
}

fn scores(found: &Neighbourhoods) -> Result<Vec<f64>> {
    found.check()?;
    // Every generated sample is compared with the same real ones. If none takes part, all scores are 0.
    if found.whole.realism.iter().all(|r| *r == 0.0) {
        let message = "no sample has a neighbourhood of a radius above 0 and below the median, expected about half; \
                       remove copies, or use features in which samples differ";
        return Err(Error::key("real", message));
    }
    Ok(found.whole.realism.iter().map(|r| r.sqrt()).collect())
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let found = sets.neighbourhoods(settings)?;
    let mut sorted = scores(&found)?;
    sorted.sort_by(f64::total_cmp);
    let value = intervals::median(sorted.clone());
    if value.is_infinite() {
        let copies = sorted.iter().filter(|s| s.is_infinite()).count();
        let message = format!(
            "{copies} of {} samples are exact copies of real ones, expected fewer than half: their realism is infinite",
            sorted.len()
        );
        return Err(Error::key("generated", message));
    }
    let by_ranks = intervals::of_median(&sorted);
    // Scores are ratios, so parts are compared by their logarithms.
    let split: Vec<f64> = found.split.realism.iter().map(|r| r.sqrt()).collect();
    let of_parts = by_part(&split, &found.parts[1], found.splits);
    let logs: Vec<f64> = of_parts.into_iter().map(|part| intervals::median(part).ln()).collect();
    let half = intervals::half_width(&logs).unwrap_or(0.0);
    Ok(Measured { value, interval: intervals::hull([-half, half].map(|h| value * h.exp()), by_ranks) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::golden::{SETTINGS, features, golden};

    /// neighbours/golden.py on the rows in f32: median, the first three scores and the last one. A quotient of two
    /// distances at width 8 is off by less than 1e-11 (see neighbours).
    #[test]
    fn golden_scores() {
        let golden = golden();
        for (set, median, scores) in [
            (
                &golden.generated,
                0.8983404550572918,
                [1.1587823362368241, 0.8776448634150442, 1.8427037821392447, 0.537836458329373],
            ),
            (
                &golden.test,
                1.0859933496128824,
                [1.1677583311566193, 0.6212673690422972, 0.7941760547786824, 1.0144686607024387],
            ),
            (
                &golden.memorised,
                177.3099921926529,
                [0.9160989985861574, 604.5463261998469, 0.7949010859266424, 0.6765160270123896],
            ),
        ] {
            let sets = Sets::new(&golden.real, set);
            let found = realism_scores(&sets, &SETTINGS).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-11 * b;
            assert!([0, 1, 2, 399].iter().zip(scores).all(|(i, s)| near(found[*i], s)), "{:?}", &found[..3]);
            let all = measure(&sets, &SETTINGS).unwrap();
            assert!(near(all.value, median), "{all:?}");
            assert!(all.interval[0] < all.value && all.value < all.interval[1], "{all:?}");
        }
        // Exact copies of the real rows that take part.
        let scores = realism_scores(&Sets::new(&golden.real, &golden.memorised), &SETTINGS).unwrap();
        assert_eq!(scores.iter().filter(|s| s.is_infinite()).count(), 106);
    }

    /// Student's t for five parts, 2.776, times the standard error of the logarithms of the parts' medians.
    #[test]
    fn the_interval_is_of_ratios() {
        let golden = golden();
        let sets = Sets::new(&golden.real, &golden.generated);
        let all = measure(&sets, &SETTINGS).unwrap();
        let found = sets.neighbourhoods(&SETTINGS).unwrap();
        let scores: Vec<f64> = found.split.realism.iter().map(|r| r.sqrt()).collect();
        let parts = by_part(&scores, &found.parts[1], 5);
        let logs: Vec<f64> = parts.into_iter().map(|part| intervals::median(part).ln()).collect();
        let mean = logs.iter().sum::<f64>() / 5.0;
        let error = (logs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4.0 / 5.0).sqrt();
        let mut sorted = realism_scores(&sets, &SETTINGS).unwrap();
        sorted.sort_by(f64::total_cmp);
        // Ranks 180 and 221 of 400: 200 ± 1.96·10, one more above.
        let expected = [
            (all.value * (-2.776_445_105 * error).exp()).min(sorted[179]),
            (all.value * (2.776_445_105 * error).exp()).max(sorted[220]),
        ];
        assert!(all.interval.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-12), "{all:?} {expected:?}");
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let golden = golden();
        fn refused(real: &Features, generated: &Features) -> String {
            measure(&Sets::new(real, generated), &SETTINGS).unwrap_err().to_string()
        }
        assert_eq!(
            refused(&golden.real, &golden.real.clone()),
            "generated: 200 of 400 samples are exact copies of real ones, expected fewer than half: their realism is \
             infinite"
        );
        // Six rows at distance 1 from each other: every radius is the median.
        let corners = features((0..36).map(|i| f64::from(u8::from(i % 7 == 0))), 6);
        assert_eq!(
            refused(&corners, &corners.clone()),
            "real: no sample has a neighbourhood of a radius above 0 and below the median, expected about half; remove \
             copies, or use features in which samples differ"
        );
    }
}
