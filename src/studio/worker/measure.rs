//! The geometry at a picture: every descriptor of the map latent → picture there, and the singular values behind them.

use crate::acts::describe::{self, Description, Keys, Measurer, Source};
use crate::acts::generate::{PictureRecipe, Subjects, latent_of, subject};
use crate::cancel::Cancel;
use crate::device::{Device, DeviceName};
use crate::error::{Error, Result};
use crate::generator::find_model;
use crate::geometry::DESCRIPTORS;
use crate::units::Latents;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What was measured at a picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Geometry {
    /// How the spectrum was found.
    pub estimator: String,
    /// Directions that it was found from.
    pub directions: usize,
    /// Directions that a latent has.
    pub of: usize,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// The descriptors.
    pub values: Vec<Value>,
    /// Singular values of the Jacobian, the largest first.
    pub singular_values: Vec<f64>,
}

/// One descriptor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it has none.
    pub value: Option<f64>,
    /// The standard error of an estimate; `None` for what is exact.
    pub stderr: Option<f64>,
}

/// Measures the geometry at the latent that a picture was made from: by the estimator that suits the model, or `exact`ly.
///
/// # Errors
/// Those of making the latent again and of measuring; [`Error::SamplesNotFinite`] where a derivative is not finite.
pub fn measure(
    subjects: &mut Subjects,
    model: &str,
    (own, exact): (PictureRecipe, bool),
    device: &(DeviceName, Device),
    cancel: &Cancel,
) -> Result<Geometry> {
    let recipe = own.recipe.clone();
    let latent = latent_of(own, model, subjects, device, cancel)?;
    let subject = subject(subjects, model, &recipe, &device.1)?;
    let (generator, width) = (Arc::clone(subject.generator()), latent.len());
    let rank = subject.engine().and_then(|engine| engine.reward.map_rank());
    let of = describe::Subject::new(find_model(model)?, generator, None, rank)?;
    let keys = Keys { model: model.to_owned(), tile: Some(1), ..Keys::default() };
    let measurer = Measurer::new(of, Source::of(Latents::new(latent, width)), &keys, device.0)?;
    measurer.check_memory(exact)?;
    let mut samples = measurer.measure(0, false)?;
    if exact {
        // Local complexity has directions of its own.
        let whole = measurer.measure(0, true)?;
        let both = whole.into_iter().zip(samples);
        samples = both.map(|(w, s)| describe::Sample { complexity: s.complexity, ..w }).collect();
    }
    let found = Description::new(samples, &[], rank, &[], "seed");
    let row = found.rows.first().and_then(|row| Some((row, row.sample.spectrum.as_ref()?)));
    let (row, spectrum) = row.ok_or(Error::SamplesNotFinite { count: 1, total: 1 })?;
    // The parts of a descriptor, one for each layer, are for tables.
    let shown = found.names.iter().zip(&row.values).filter(|(name, _)| DESCRIPTORS.iter().any(|d| d.name == *name));
    let values = shown.map(|(name, value)| Value {
        name: name.clone(),
        value: value.value(),
        stderr: value.stderr().filter(|e| *e > 0.0),
    });
    Ok(Geometry {
        estimator: found.estimator.clone(),
        directions: found.directions,
        of: width,
        model_rank: found.model_rank,
        values: values.collect(),
        singular_values: spectrum.singular_values.clone(),
    })
}
