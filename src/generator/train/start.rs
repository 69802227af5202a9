//! Weights that training starts from: those of a model that was trained before.

use crate::error::{Error, Result, shown};
use crate::generator::{Card, card_weights, find_model};
use crate::nn::{Network, ParameterSpec};
use crate::store::Weights;
use std::collections::BTreeSet;

/// The weights of a model, all that is needed of them checked.
pub struct Start {
    weights: Weights,
    /// SHA-256 of their file.
    pub sha256: String,
}

impl Start {
    /// Reads the model called `name`, or in that folder, and checks that it has every tensor of `networks` that the draft's card
    /// has (`kept`). What a training needs beside its model, such as a discriminator, no model holds.
    ///
    /// # Errors
    /// Those of its card and weights; [`Error::Config`] naming a tensor that it lacks or that has another shape.
    pub fn load(name: &str, kept: &[ParameterSpec], networks: &[&Network]) -> Result<Self> {
        let folder = find_model(name)?;
        let card = Card::read(&folder.join("card.toml"))?;
        let weights = card_weights(&card, &folder)?;
        let kept: BTreeSet<&str> = kept.iter().map(|spec| spec.key.as_str()).collect();
        let needed = networks.iter().flat_map(|n| n.parameters()).filter(|spec| kept.contains(spec.key.as_str()));
        for spec in needed {
            let found = match weights.get(&spec.key) {
                Some(tensor) if tensor.shape == spec.shape => continue,
                Some(tensor) => format!("one with {:?}", tensor.shape),
                None => "no such tensor".to_owned(),
            };
            let message = format!(
                "{}: expected the tensor {} with the shape {:?}, as the draft has it, found {found}",
                shown(&folder),
                spec.key,
                spec.shape
            );
            return Err(Error::config("start", message));
        }
        Ok(Self { weights, sha256: card.raw.weights.sha256 })
    }

    /// The values of a parameter, if the model has it.
    pub fn values(&self, spec: &ParameterSpec) -> Option<Vec<f32>> {
        self.weights.get(&spec.key).filter(|tensor| tensor.shape == spec.shape).map(|tensor| tensor.values.clone())
    }
}

/// Whether values are the same but for rounding: an encoder that stays passes through averages of weights, and the scale of its codes is
/// measured anew by each training.
pub fn alike(a: &[f32], b: &[f32]) -> bool {
    let largest = a.iter().chain(b).fold(0.0f32, |most, v| most.max(v.abs()));
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-3 * largest)
}
