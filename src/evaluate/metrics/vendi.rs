//! `vendi`: the effective number of different generated samples.
//!
//! The Vendi score is the exponential of the entropy of the eigenvalues of XXᵀ/n, where the rows of X are the features
//! scaled to length 1. These sum to 1. XᵀX/n has the same ones beside zeros, and is used where it is the smaller.

use crate::error::{Error, Result};
use crate::evaluate::inner::{BLOCK, Inner, panels};
use crate::evaluate::moments::Sums;
use crate::evaluate::resampling::{Draw, group_count, groups, half_width, jackknife_error, within};
use crate::evaluate::{Better, Features, Measured, MetricRow, Sets, Settings};
use crate::linalg::{Tridiagonal, eigenvalues_along};
use rayon::prelude::*;

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "vendi",
    about: "effective number of different generated samples: exponential of the entropy of their similarities",
    reference: "Friedman & Dieng 2022, arXiv 2210.02410",
    range: "1 to the number of samples",
    better: Better::Higher,
    interval: "jackknife of 10 groups",
    biased_below,
    needs: None,
    measure,
};

/// Rows and columns of the largest matrix whose eigenvalues are computed.
const MOST: usize = 4096;

/// Rough bound on what the scores that are computed side by side may hold.
const MEMORY: usize = 1 << 30;

/// With n rows in d directions the eigenvalues scatter about their limits, which takes about d/(2n) off the entropy and
/// so off the score, in parts of it: 5 % at 10d.
fn biased_below(width: usize) -> usize {
    10 * width
}

/// The matrix of similarities of a set, by its smaller side, from which that of a part follows.
enum Similar {
    /// XᵀX as sums over rows, with the rows of X.
    Columns(Sums, Features),
    /// XXᵀ, `[rows, rows]`.
    Rows(Vec<f64>, usize),
}

impl Similar {
    /// # Errors
    /// [`Error::Key`] for a row of zeros, which has no direction, and where both sides are too large.
    fn of(features: &Features, name: &str) -> Result<Self> {
        let (rows, width) = (features.rows(), features.width);
        if rows.min(width) > MOST {
            let message = format!(
                "{rows} samples of {width} values, expected at most {MOST} of either; use fewer samples, or an encoder"
            );
            return Err(Error::key(name, message));
        }
        let square = |row: &[f32]| row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
        let lengths: Vec<f64> = features.values.chunks_exact(width).map(|row| square(row).sqrt()).collect();
        if let Some(i) = lengths.iter().position(|l| *l == 0.0) {
            let message = format!("every value of sample {i} is 0, expected a direction; leave out such samples");
            return Err(Error::key(name, message));
        }
        let all: Vec<usize> = (0..rows).collect();
        if width < rows {
            // Rounding each value to f32 moves every eigenvalue by at most 1.2e-7 of their sum.
            let scaled = features.values.chunks_exact(width).zip(&lengths);
            let values = scaled.flat_map(|(row, l)| row.iter().map(move |v| (f64::from(*v) / l) as f32)).collect();
            let scaled = Features { values, width };
            return Ok(Self::Columns(Sums::of(&scaled, &vec![0.0; width], &all), scaled));
        }
        let panels = panels(features, &all, None);
        let mut table = vec![0.0; rows * rows];
        table.par_chunks_mut(BLOCK * rows).enumerate().for_each(|(band, part)| {
            for (at, other) in panels.iter().enumerate() {
                let inner = Inner::of(&panels[band], other);
                for ((row, found), length) in
                    part.chunks_exact_mut(rows).zip(inner.rows()).zip(&lengths[band * BLOCK..])
                {
                    for ((out, v), other) in row[at * BLOCK..].iter_mut().zip(found).zip(&lengths[at * BLOCK..]) {
                        *out = v / (length * other);
                    }
                }
            }
        });
        Ok(Self::Rows(table, rows))
    }

    /// The score of all rows but these, ascending.
    fn score_without(&self, leave: &[usize]) -> f64 {
        match self {
            Self::Columns(sums, scaled) => {
                let rows = scaled.rows() - leave.len();
                let part = (!leave.is_empty()).then(|| Sums::of(scaled, &sums.origin, leave));
                score(sums.products_without(part.as_ref()), scaled.width, rows)
            }
            Self::Rows(table, rows) => {
                let kept: Vec<usize> = (0..*rows).filter(|i| leave.binary_search(i).is_err()).collect();
                let part = kept.iter().flat_map(|i| kept.iter().map(move |j| table[i * rows + j])).collect();
                score(part, kept.len(), kept.len())
            }
        }
    }
}

/// exp(−Σ λ ln λ) over the eigenvalues λ of a matrix `[side, side]` divided by the number of rows.
fn score(matrix: Vec<f64>, side: usize, rows: usize) -> f64 {
    let found = eigenvalues_along(&[Tridiagonal::of(matrix, vec![0.0; side])]);
    let shares = found.iter().flat_map(|(values, _)| values).map(|v| v / rows as f64).filter(|p| *p > 0.0);
    libm::exp(-shares.map(|p| p * libm::log(p)).sum::<f64>())
}

/// The Vendi score of a set of rows.
///
/// # Errors
/// [`Error::Key`] for a row of zeros, and for more than 4,096 rows of more than 4,096 values.
pub fn vendi(features: &Features) -> Result<f64> {
    Ok(Similar::of(features, "generated")?.score_without(&[]))
}

/// The mean of the Vendi scores of the rows of each class; `labels` has one for each row. Diversity within classes,
/// which the score of all rows mixes with the number of classes.
///
/// # Errors
/// Those of [`vendi`], and [`Error::Key`] where the number of labels is another than that of rows, or there are none.
pub fn vendi_per_class(features: &Features, labels: &[u32]) -> Result<f64> {
    if labels.len() != features.rows() || labels.is_empty() {
        let message = format!("{} labels, expected one for each of {} samples", labels.len(), features.rows());
        return Err(Error::key("labels", message));
    }
    let mut classes = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let mut sum = 0.0;
    for class in &classes {
        let rows = labels.iter().enumerate().filter(|(_, l)| *l == class);
        let values = rows.flat_map(|(i, _)| features.row(i)).copied().collect();
        sum += vendi(&Features { values, width: features.width })?;
    }
    Ok(sum / classes.len() as f64)
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let rows = sets.generated.rows();
    if rows < 3 {
        let message = format!("{rows} samples, expected at least 3 for a value and its error; add samples");
        return Err(Error::key("generated", message));
    }
    let similar = Similar::of(sets.generated, "generated")?;
    let value = similar.score_without(&[]);
    let count = group_count(&[rows]);
    let side = rows.min(sets.generated.width);
    let at_once = (MEMORY / (3 * 8 * side * side)).max(1);
    let groups = groups(settings.seed, Draw::Generated, rows, count);
    let without: Vec<f64> = (groups.chunks(at_once))
        .flat_map(|part| part.par_iter().map(|g| similar.score_without(g)).collect::<Vec<_>>())
        .collect();
    let half = half_width(jackknife_error(&without), count);
    Ok(Measured { value, interval: within(value, half, [1.0, rows as f64]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::{drawn, golden, hashed, measured, message, on_threads, rows};

    /// The golden table (the package `vendi_score` gives 7.89228502519536 and 7.92434655518601 there), and by
    /// `moments/constants.py` fewer rows than values, and classes.
    #[test]
    fn equals_the_package() {
        let golden = golden();
        for (set, expected) in [(&golden.generated, 7.892285), (&golden.test, 7.924347), (&golden.memorised, 7.913277)]
        {
            let found = measured(&ROW, &golden.real, set, None).unwrap();
            assert!(
                (found.value - expected).abs() < 1e-6 && found.interval[0] < expected && expected < found.interval[1]
            );
        }
        // Rounding the scaled rows to f32 moves the score by less than 1e-7 of it.
        assert!((vendi(&golden.generated).unwrap() - 7.892_285_025_195_36).abs() < 8e-7);
        assert!((vendi(&hashed(30, 40, 0, 1.0, 0.0)).unwrap() - 19.998_150_994_656_44).abs() < 1e-6);
        let labels: Vec<u32> = (0..400).map(|i| 10 * (i % 3)).collect();
        let found = vendi_per_class(&golden.generated, &labels).unwrap();
        assert!((found - 7.761_199_223_524_318).abs() < 1e-6, "{found}");
        assert!(vendi_per_class(&golden.generated, &[1]).is_err());
    }

    /// Orthogonal rows count one each, whatever their lengths; equal ones count as one. On either side.
    #[test]
    fn orthogonal_and_equal_rows() {
        for (rows, width) in [(6, 6), (12, 6), (6, 200)] {
            let at = |v: usize| if v % width == v / width % 6 { 1.0 + (v / width) as f32 } else { 0.0 };
            let found = vendi(&Features { values: (0..rows * width).map(at).collect(), width }).unwrap();
            assert!((found - 6.0).abs() < 1e-6, "{found}");
        }
        let equal = Features { values: [1.0, 2.0, 3.0].repeat(9), width: 3 };
        let found = measured(&ROW, &equal, &equal, None).unwrap();
        assert!((found.value - 1.0).abs() < 1e-6 && found.interval[1] < 1.0 + 1e-6, "{found:?}");
    }

    /// Without rows, a set by its rows is the set of the others.
    #[test]
    fn rows_are_left_out_on_both_sides() {
        for width in [5, 60] {
            let all = drawn(40, width, 3);
            let found = Similar::of(&all, "generated").unwrap().score_without(&(30..40).collect::<Vec<_>>());
            let expected = vendi(&rows(&all, 0, 30)).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn odd_sets_and_the_same_bits() {
        let golden = golden();
        let mut zero = golden.generated.clone();
        zero.values[24..32].fill(0.0);
        assert!(message(measured(&ROW, &zero, &zero, None)).starts_with("generated: every value of sample 3 is 0"));
        let two = rows(&golden.generated, 0, 2);
        assert!(message(measured(&ROW, &golden.real, &two, None)).starts_with("generated: 2 samples"));
        assert!(vendi(&two).unwrap() > 1.0);
        let sets = Sets::new(&golden.real, &golden.test);
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
    }
}
