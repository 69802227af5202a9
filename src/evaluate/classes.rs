//! The same metrics class by class: does a generator make each kind of sample as often and as well as it should?

use super::metrics::{PER_CLASS, PER_CLASS_ALONE};
use super::{Features, Measured, MetricRow, Sets, Settings};
use crate::error::{Error, Result};

/// What was found of one class.
#[derive(Clone, Debug)]
pub struct OfClass {
    /// The class, counted from 0.
    pub class: usize,
    /// Real and generated samples of it.
    pub samples: [usize; 2],
    /// What each metric says of them, or why it says nothing, in the order of [`class_metrics`].
    pub findings: Vec<Result<Measured, String>>,
}

/// The metrics that are measured for each class: those that compare, and those of the generated samples alone.
pub fn class_metrics() -> impl Iterator<Item = &'static MetricRow> {
    PER_CLASS.iter().chain(&PER_CLASS_ALONE).copied()
}

/// The classes 0 to `count` − 1 of samples whose classes are `of_real` and `of_generated`, each below `count`.
///
/// # Errors
/// [`Error::Bug`] for lists of another length than the samples; those of a metric that are not of too few or unfit samples.
pub fn per_class(
    real: &Features,
    generated: &Features,
    [of_real, of_generated]: [&[usize]; 2],
    count: usize,
    settings: &Settings,
) -> Result<Vec<OfClass>> {
    if of_real.len() != real.rows() || of_generated.len() != generated.rows() {
        return Err(Error::Bug("a class for each sample is missing".into()));
    }
    let part = |set: &Features, of: &[usize], class: usize| set.subset((0..of.len()).filter(|i| of[*i] == class));
    let one = |class: usize| {
        let (real, generated) = (part(real, of_real, class), part(generated, of_generated, class));
        let samples = [real.rows(), generated.rows()];
        let sets = Sets::new(&real, &generated);
        let compared = PER_CLASS.iter().map(|row| match samples.iter().min() {
            Some(fewest) if *fewest < 2 => Ok(Err(format!("needs at least 2 of each, found {fewest}"))),
            _ => said((row.measure)(&sets, settings)),
        });
        let alone = PER_CLASS_ALONE.iter().map(|row| said((row.measure)(&sets, settings)));
        Ok(OfClass { class, samples, findings: compared.chain(alone).collect::<Result<_>>()? })
    };
    (0..count).map(one).collect()
}

/// A value, or why there is none.
fn said(found: Result<Measured>) -> Result<Result<Measured, String>> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(Error::Key { message, .. }) => Ok(Err(message)),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, golden};

    /// Rows dealt into classes: each is what the metric says of these rows alone; a class without samples says so.
    #[test]
    fn each_class_is_its_own_rows() {
        let golden = golden();
        let of: Vec<usize> = (0..400).map(|i| if i < 3 { 3 } else { i % 2 }).collect();
        let found = per_class(&golden.real, &golden.generated, [&of, &of], 5, &SETTINGS).unwrap();
        assert_eq!(found.iter().map(|c| c.samples[1]).collect::<Vec<_>>(), [198, 199, 0, 3, 0]);
        for class in [0, 1] {
            let rows = || (3..400).filter(|i| i % 2 == class);
            let [real, generated] = [&golden.real, &golden.generated].map(|set| set.subset(rows()));
            for (row, measured) in class_metrics().zip(&found[class].findings) {
                let expected = (row.measure)(&Sets::new(&real, &generated), &SETTINGS).unwrap();
                assert_eq!(measured.as_ref().unwrap(), &expected, "{}", row.name);
            }
        }
        assert!(found[2].findings.iter().all(|f| f.is_err()));
        assert_eq!(found[2].findings[0].clone().unwrap_err(), "needs at least 2 of each, found 0");
        assert!(found[3].findings[1].clone().unwrap_err().contains("3 samples, expected at least 6"));
        assert!(per_class(&golden.real, &golden.generated, [&of[1..], &of], 4, &SETTINGS).is_err());
    }
}
