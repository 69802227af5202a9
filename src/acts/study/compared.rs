//! Steered samples with what their pictures show: what is left of the unguided picture, and how bright it is.

use super::relations::{LOOKS, looks};
use crate::acts::generate::{Likeness, SampleRow, row};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::generator::Classifier;
use crate::render::Picture;
use crate::steer::{Denoising, Engine, Finished};
use crate::units::Percentile;

/// One sample with its comparison ([`SampleRow::likeness`]) and its [`LOOKS`].
pub struct Compared {
    /// Its row.
    pub row: SampleRow,
    /// The measures of its picture, in the order of [`LOOKS`]; `None` without a picture.
    pub looks: Option<[f64; LOOKS.len()]>,
}

/// Compares finished samples that a method, with its keys of denoising, steered to `target` with the unguided pictures of their seeds.
///
/// # Errors
/// When the device fails or the run is stopped.
pub fn compared(
    engine: &Engine,
    how: (&str, Option<&Denoising>),
    finished: &[Finished],
    target: Option<Percentile>,
    classifier: Option<&Classifier>,
    cancel: &Cancel,
) -> Result<Vec<Compared>> {
    let likenesses = Likeness::of_each(engine, how, finished, classifier, cancel)?;
    let spec = engine.generator.spec();
    let one = |(f, likeness): (&Finished, Option<Likeness>)| {
        let whole = f.picture.iter().all(|v| v.is_finite());
        let picture = whole.then(|| Picture::from_values(&f.picture, spec.sample_shape, spec.range)).transpose()?;
        let looks = picture.as_ref().map(looks).transpose()?;
        Ok(Compared { row: SampleRow { likeness, ..row(engine, &f.steered, target) }, looks })
    };
    finished.iter().zip(likenesses).map(one).collect()
}
