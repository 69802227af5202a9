//! What the scores of a classifier between reference and generated showers say: AUC, and the Jensen–Shannon divergence
//! from calibrated probabilities.
//!
//! A classifier that is trained to tell the two apart, with equal numbers of each, gives a probability p of
//! "reference". If p is calibrated, the cross-entropy BCE = −mean(y ln p + (1 − y) ln(1 − p)) bounds how far apart the
//! two are:
//!
//!   JSD = (ln 2 − BCE) / ln 2
//!
//! 0 where it can only guess, 1 where it is always sure and right. Calibrated means: first fitted by isotonic
//! regression on other showers than those that are judged. Probabilities are kept within 10⁻⁶ of 0 and 1, as the
//! challenge does.

use crate::error::{Error, Result};
use crate::statistics;
use std::f64::consts::LN_2;

/// How near to 0 and 1 a calibrated probability may be.
const EDGE: f64 = 1e-6;

/// An isotonic regression: the rising function that is nearest to pairs (score, label) in least squares.
#[derive(Clone, Debug, PartialEq)]
pub struct Isotonic {
    /// Scores, ascending, and the value at each; between them it is linear.
    knots: Vec<(f64, f64)>,
}

impl Isotonic {
    /// Fits labels to scores, both `[n]`, by pooling adjacent violators (Ayer et al. 1955). Pairs with equal scores
    /// count as their mean.
    ///
    /// # Errors
    /// [`Error::Key`] where there is no pair, or a score is not finite.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Result<Self> {
        check(scores, labels)?;
        let mut pairs: Vec<(f64, f64)> =
            scores.iter().zip(labels).map(|(s, y)| (*s, f64::from(u8::from(*y)))).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Blocks of (first score, last score, sum of labels, count), means ascending.
        let mut blocks: Vec<(f64, f64, f64, f64)> = Vec::new();
        for group in pairs.chunk_by(|a, b| a.0 == b.0) {
            let mut block = (group[0].0, group[0].0, group.iter().map(|p| p.1).sum::<f64>(), group.len() as f64);
            while let Some(last) = blocks.last().filter(|last| last.2 * block.3 >= block.2 * last.3) {
                block = (last.0, block.1, last.2 + block.2, last.3 + block.3);
                blocks.pop();
            }
            blocks.push(block);
        }
        let knots = blocks.iter().flat_map(|(first, last, sum, count)| {
            let value = (sum / count).clamp(EDGE, 1.0 - EDGE);
            [(*first, value)].into_iter().chain((first < last).then_some((*last, value)))
        });
        Ok(Self { knots: knots.collect() })
    }

    /// The probability at a score: linear between those it was fitted to, and constant outside.
    pub fn probability(&self, score: f64) -> f64 {
        let above = self.knots.partition_point(|(s, _)| *s <= score);
        match (above.checked_sub(1).and_then(|i| self.knots.get(i)), self.knots.get(above)) {
            (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * ((score - x0) / (x1 - x0)),
            (Some((_, y)), None) | (None, Some((_, y))) => *y,
            (None, None) => f64::NAN,
        }
    }
}

/// Refuses lists that do not belong together.
fn check(scores: &[f64], labels: &[bool]) -> Result<()> {
    if scores.is_empty() || scores.len() != labels.len() {
        let message =
            format!("expected a label for each of at least 1 score, found {} and {}", labels.len(), scores.len());
        return Err(Error::key("scores", message));
    }
    match scores.iter().position(|s| !s.is_finite()) {
        Some(i) => Err(Error::key("scores", format!("expected finite scores, found {} at {i}", scores[i]))),
        None => Ok(()),
    }
}

/// The chance that a random reference shower has a higher score than a random generated one, ties counting half: the
/// area under the receiver's curve. 0.5 where they cannot be told apart. `labels` says which are reference.
///
/// # Errors
/// [`Error::Key`] unless there are scores of both kinds, all finite.
pub fn auc(scores: &[f64], labels: &[bool]) -> Result<f64> {
    check(scores, labels)?;
    let yes = labels.iter().filter(|y| **y).count() as f64;
    let no = labels.len() as f64 - yes;
    if yes == 0.0 || no == 0.0 {
        return Err(Error::key("labels", format!("expected both kinds, found {yes} reference and {no} generated")));
    }
    let ranks = statistics::ranks(scores);
    let sum: f64 = ranks.iter().zip(labels).filter(|(_, y)| **y).map(|(r, _)| r).sum();
    Ok((sum - yes * (yes - 1.0) / 2.0) / (yes * no))
}

/// The standard error of [`auc`] over samples of this size (DeLong, DeLong & Clarke-Pearson 1988): with v_i the share of the
/// other kind that shower i beats, √(s²_reference/n_reference + s²_generated/n_generated).
///
/// # Errors
/// [`Error::Key`] unless there are at least two scores of each kind, all finite.
pub fn auc_error(scores: &[f64], labels: &[bool]) -> Result<f64> {
    check(scores, labels)?;
    let own = |kind: bool| scores.iter().zip(labels).filter(move |(_, y)| **y == kind).map(|(s, _)| *s);
    let [yes, no]: [Vec<f64>; 2] = [own(true).collect(), own(false).collect()];
    if yes.len() < 2 || no.len() < 2 {
        let message = format!("expected two of each kind, found {} reference and {} generated", yes.len(), no.len());
        return Err(Error::key("labels", message));
    }
    let all = statistics::ranks(scores);
    // What a score's rank among all has more than its rank among its own is how many of the others it beats.
    let variance = |kind: bool, own: &[f64], others: usize| {
        let among = all.iter().zip(labels).filter(|(_, y)| **y == kind).map(|(r, _)| *r);
        let beaten: Vec<f64> = among.zip(statistics::ranks(own)).map(|(a, o)| (a - o) / others as f64).collect();
        let mean = beaten.iter().sum::<f64>() / own.len() as f64;
        beaten.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (own.len() as f64 - 1.0) / own.len() as f64
    };
    Ok((variance(true, &yes, no.len()) + variance(false, &no, yes.len())).sqrt())
}

/// JSD = (ln 2 − BCE)/ln 2 of calibrated probabilities of "reference", each kept within 10⁻⁶ of 0 and 1. It is below 0
/// where the probabilities are worse than guessing.
///
/// # Errors
/// [`Error::Key`] where the lists do not belong together or a probability is outside 0 to 1.
pub fn jensen_shannon(probabilities: &[f64], labels: &[bool]) -> Result<f64> {
    check(probabilities, labels)?;
    if let Some(p) = probabilities.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(Error::key("probabilities", format!("expected 0 to 1, found {p}")));
    }
    let entropy = |(p, y): (&f64, &bool)| {
        let p = p.clamp(EDGE, 1.0 - EDGE);
        if *y { -p.ln() } else { -(-p).ln_1p() }
    };
    let mean = probabilities.iter().zip(labels).map(entropy).sum::<f64>() / labels.len() as f64;
    Ok((LN_2 - mean) / LN_2)
}

#[cfg(test)]
mod tests {
    use super::super::features::fixture::u;
    use super::super::oracle;
    use super::*;

    /// Scores with ties, of a classifier that is right more often than not: calorimeter/calibration.py has the same.
    fn scores(n: usize, offset: usize) -> (Vec<f64>, Vec<bool>) {
        let one = |i: usize| {
            let label = u(i + offset, 0) < 0.5;
            let raw = if label { u(i + offset, 1).sqrt() } else { u(i + offset, 1) };
            ((raw * 200.0).floor() / 200.0, label)
        };
        (0..n).map(one).unzip()
    }

    /// Against sklearn's roc_auc_score, IsotonicRegression(out_of_bounds="clip", y_min=1e-6, y_max=1 − 1e-6) and
    /// log_loss, by calorimeter/calibration.py.
    #[test]
    fn equals_sklearn() {
        let ((a, ya), (b, yb)) = (scores(1500, 0), scores(1000, 10_000));
        let fit = Isotonic::fit(&a, &ya).unwrap();
        let calibrated: Vec<f64> = b.iter().map(|s| fit.probability(*s)).collect();
        let asked = [-1.0, 0.0, 0.0023, 0.2501, 0.5, 0.7777, 0.995, 2.0];
        for (s, expected) in asked.iter().zip(oracle::ISOTONIC) {
            assert!((fit.probability(*s) - expected).abs() < 1e-12, "{s}: {} and not {expected}", fit.probability(*s));
        }
        for (found, expected) in [
            (auc(&b, &yb).unwrap(), oracle::AUC),
            (auc(&calibrated, &yb).unwrap(), oracle::AUC_CALIBRATED),
            (jensen_shannon(&calibrated, &yb).unwrap(), oracle::JSD),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} and not {expected}");
        }
    }

    #[test]
    fn violators_are_pooled() {
        let fit = Isotonic::fit(&[1.0, 2.0, 3.0, 4.0], &[false, true, false, true]).unwrap();
        let at: Vec<f64> = [1.0, 2.0, 2.5, 3.0, 3.5, 4.0].iter().map(|s| fit.probability(*s)).collect();
        assert_eq!(at, [EDGE, 0.5, 0.5, 0.5, 0.5 + (1.0 - EDGE - 0.5) * 0.5, 1.0 - EDGE]);
        // Falling labels have one level.
        let fit = Isotonic::fit(&[1.0, 2.0, 3.0], &[true, false, false]).unwrap();
        assert_eq!(fit.probability(2.7), 1.0 / 3.0);
    }

    #[test]
    fn sure_and_right_guessing_and_shuffled_labels() {
        assert!((jensen_shannon(&[1.0, 0.0], &[true, false]).unwrap() - 1.0).abs() < 1.5e-6);
        assert_eq!(jensen_shannon(&[0.5, 0.5], &[true, false]).unwrap(), 0.0);
        assert!(jensen_shannon(&[0.0, 1.0], &[true, false]).unwrap() < -18.0);
        assert_eq!(auc(&[1.0, 2.0, 2.0, 3.0], &[false, false, true, true]).unwrap(), 0.875);
        let (s, _) = scores(1000, 0);
        let shuffled: Vec<bool> = (0..1000).map(|i| u(i, 9) < 0.5).collect();
        // Four standard errors of an AUC of 0.5: √((n + 1)/(12·(n/2)²)).
        assert!((auc(&s, &shuffled).unwrap() - 0.5).abs() < 4.0 * (1001f64 / (12.0 * 500.0 * 500.0)).sqrt());
    }

    /// By the definition, pair by pair.
    #[test]
    fn the_error_of_an_auc_is_delongs() {
        let (scores, labels) = scores(60, 77);
        let pick = |kind: bool| -> Vec<f64> {
            scores.iter().zip(&labels).filter(|(_, y)| **y == kind).map(|(s, _)| *s).collect()
        };
        let (yes, no) = (pick(true), pick(false));
        let beats = |a: f64, b: f64| {
            if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            }
        };
        let up: Vec<f64> =
            yes.iter().map(|a| no.iter().map(|b| beats(*a, *b)).sum::<f64>() / no.len() as f64).collect();
        let down: Vec<f64> =
            no.iter().map(|b| yes.iter().map(|a| beats(*a, *b)).sum::<f64>() / yes.len() as f64).collect();
        let spread = |v: &[f64]| {
            let (n, mean) = (v.len() as f64, v.iter().sum::<f64>() / v.len() as f64);
            v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
        };
        let expected = (spread(&up) + spread(&down)).sqrt();
        assert!((auc_error(&scores, &labels).unwrap() - expected).abs() < 1e-12);
        assert!((auc(&scores, &labels).unwrap() - up.iter().sum::<f64>() / up.len() as f64).abs() < 1e-12);
        assert!(auc_error(&[1.0, 2.0, 3.0], &[true, false, false]).is_err());
    }

    #[test]
    fn bad_lists() {
        assert!(auc(&[1.0], &[true]).unwrap_err().to_string().starts_with("labels: expected both kinds, found 1"));
        assert!(Isotonic::fit(&[], &[]).unwrap_err().to_string().starts_with("scores: expected a label"));
        assert!(Isotonic::fit(&[f64::NAN], &[true]).unwrap_err().to_string().contains("found NaN at 0"));
        assert!(jensen_shannon(&[1.5], &[true]).unwrap_err().to_string().contains("expected 0 to 1"));
    }
}
