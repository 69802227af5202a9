//! `inception_score`: how sure a classifier is of each generated sample, and how evenly the classes come.
//!
//! It is exp of the mean over samples of Σ p ln(p/q), with the class probabilities p of a sample and their mean q over
//! the samples. As published it is taken of ten parts of the samples, and the ten are averaged.

use crate::error::{Error, Result};
use crate::evaluate::resampling::{Draw, half_width, order, part, within};
use crate::evaluate::{Better, Features, Measured, MetricRow, Need, Sets, Settings};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "inception_score",
    about: "how sure a classifier is of each sample, and how evenly the classes come; blind to the real samples",
    reference: "Salimans et al. 2016, arXiv 1606.03498",
    range: "1 to the number of classes",
    better: Better::Higher,
    interval: "mean of 10 splits",
    biased_below,
    needs: Some(Need::Probabilities),
    measure,
};

/// Parts that the samples are split into.
const SPLITS: usize = 10;

/// How far a row of probabilities may be from a sum of 1: what a softmax in f16 leaves.
const OFF: f64 = 2e-3;

/// The mean of m rows of C classes scatters about the probabilities of the classes, which takes up to (C − 1)/(2m) off
/// the mean information and so off the score, in parts of it. With tenths of the samples that is 5 % at 100·C samples.
/// The width here is the number of classes.
fn biased_below(width: usize) -> usize {
    100 * width
}

/// exp of the mean information Σ p ln(p/q) of these rows of probabilities, each divided by its sum.
fn score(probabilities: &Features, rows: &[usize]) -> f64 {
    let sums: Vec<f64> = rows.iter().map(|i| sum(probabilities.row(*i))).collect();
    let mut mean = vec![0.0; probabilities.width];
    for (i, sum) in rows.iter().zip(&sums) {
        mean.iter_mut().zip(probabilities.row(*i)).for_each(|(m, p)| *m += f64::from(*p) / sum / rows.len() as f64);
    }
    let information = |(i, sum): (&usize, &f64)| {
        let shares = probabilities.row(*i).iter().map(|p| f64::from(*p) / sum);
        shares.zip(&mean).filter(|(p, _)| *p > 0.0).map(|(p, q)| p * libm::log(p / q)).sum::<f64>()
    };
    libm::exp(rows.iter().zip(&sums).map(information).sum::<f64>() / rows.len() as f64)
}

fn sum(row: &[f32]) -> f64 {
    row.iter().map(|p| f64::from(*p)).sum()
}

/// # Errors
/// [`Error::Key`] for the first row that is no distribution.
fn check(probabilities: &Features) -> Result<()> {
    for i in 0..probabilities.rows() {
        let row = probabilities.row(i);
        if let Some(p) = row.iter().find(|p| **p < 0.0) {
            let message = format!("sample {i} has a probability of {p}, expected none below 0; give no logits");
            return Err(Error::key("probabilities", message));
        }
        let sum = sum(row);
        if (sum - 1.0).abs() > OFF {
            let message = format!("those of sample {i} sum to {sum:.6}, expected 1; give probabilities, not logits");
            return Err(Error::key("probabilities", message));
        }
    }
    Ok(())
}

/// The score of each of [`SPLITS`] parts of the rows, in the order given.
fn of_splits(probabilities: &Features, order: &[usize]) -> Vec<f64> {
    (0..SPLITS).map(|k| score(probabilities, &order[part(order.len(), SPLITS, k)])).collect()
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let Some(probabilities) = sets.probabilities else {
        let message = "expected class probabilities of the generated samples, found none; name a classifier";
        return Err(Error::key("probabilities", message));
    };
    let rows = probabilities.rows();
    if rows < 2 * SPLITS {
        let message = format!("{rows} samples, expected at least {} for {SPLITS} splits; add samples", 2 * SPLITS);
        return Err(Error::key("probabilities", message));
    }
    check(probabilities)?;
    // In a random order: samples often come sorted by class.
    let found = of_splits(probabilities, &order(settings.seed, Draw::Splits, rows));
    let count = SPLITS as f64;
    let value = found.iter().sum::<f64>() / count;
    let variance = found.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (count - 1.0);
    let half = half_width((variance / count).sqrt(), SPLITS);
    Ok(Measured { value, interval: within(value, half, [1.0, probabilities.width as f64]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, hashed, message, on_threads, settings};

    fn softmax(logits: &Features) -> Features {
        let row = |row: &[f32]| {
            let all: Vec<f64> = row.iter().map(|v| f64::from(*v).exp()).collect();
            let sum: f64 = all.iter().sum();
            all.iter().map(|v| (v / sum) as f32).collect::<Vec<_>>()
        };
        let values = logits.values.chunks_exact(logits.width).flat_map(row).collect();
        Features { values, width: logits.width }
    }

    fn measured(probabilities: &Features) -> Result<Measured> {
        let any = drawn(5, 2, 1);
        let sets = Sets { probabilities: Some(probabilities), ..Sets::new(&any, &any) };
        measure(&sets, &settings(7))
    }

    /// Splits in order, by scipy.stats.entropy in `moments/constants.py`. In a random order the mean differs by as
    /// much as the splits scatter.
    #[test]
    fn equals_scipy() {
        let probabilities = softmax(&hashed(205, 10, 0, 2.0, 0.0));
        let found = of_splits(&probabilities, &(0..205).collect::<Vec<_>>());
        let mean = found.iter().sum::<f64>() / 10.0;
        let spread = (found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 9.0).sqrt();
        assert!((mean - 2.500_921_369_250_253).abs() < 1e-7, "{mean}");
        assert!((spread - 0.162_601_824_406_380_44).abs() < 1e-7, "{spread}");
        let shuffled = measured(&probabilities).unwrap();
        assert!(shuffled.interval[0] < mean && mean < shuffled.interval[1] && shuffled.value != mean, "{shuffled:?}");
    }

    #[test]
    fn sure_and_unsure_classifiers() {
        let certain = |i: usize, k: usize| if k == i % 4 { 1.0 } else { 0.0 };
        let of = |f: &dyn Fn(usize, usize) -> f32| Features {
            values: (0..400).map(|v| f(v / 4, v % 4)).collect(),
            width: 4,
        };
        let same = measured(&of(&|_, _| 0.25)).unwrap();
        assert!((same.value - 1.0).abs() < 1e-15 && same.interval[1] - same.interval[0] < 1e-15, "{same:?}");
        let one = measured(&of(&|_, k| if k == 2 { 1.0 } else { 0.0 })).unwrap();
        assert!((one.value - 1.0).abs() < 1e-15);
        // Evenly in each split: 4 classes.
        let found = of_splits(&of(&certain), &(0..80).collect::<Vec<_>>());
        assert!(found.iter().all(|v| (v - 4.0).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let good = softmax(&drawn(30, 3, 2));
        let changed = |at: usize, to: f32| {
            let mut all = good.clone();
            all.values[at] = to;
            message(measured(&all))
        };
        assert!(
            changed(7, -0.1).starts_with("probabilities: sample 2 has a probability of -0.1, expected none below 0")
        );
        assert!(changed(3, 5.0).starts_with("probabilities: those of sample 1 sum to 5."));
        let few = Features { values: vec![0.5; 38], width: 2 };
        assert!(message(measured(&few)).starts_with("probabilities: 19 samples, expected at least 20"));
        let any = drawn(5, 2, 1);
        let sets = Sets::new(&any, &any);
        assert!(message(measure(&sets, &settings(7))).starts_with("probabilities: expected class probabilities"));
        let sets = Sets { probabilities: Some(&good), ..sets };
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
    }
}
