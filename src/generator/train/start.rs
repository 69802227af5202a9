//! Weights that training starts from: those of a model that was trained before.

use crate::error::{Error, Result, shown};
use crate::generator::{Card, card_weights, find_model};
use crate::nn::{Network, ParameterSpec};
use crate::store::Weights;

/// The weights of a model, all that is needed of them checked.
pub struct Start {
    weights: Weights,
    /// SHA-256 of their file.
    pub sha256: String,
}

impl Start {
    /// Reads the model called `name`, or in that folder, and checks that it has every tensor of `networks`.
    ///
    /// # Errors
    /// Those of its card and weights; [`Error::Config`] naming a tensor that it lacks or that has another shape.
    pub fn load(name: &str, networks: &[&Network]) -> Result<Self> {
        let folder = find_model(name)?;
        let card = Card::read(&folder.join("card.toml"))?;
        let weights = card_weights(&card, &folder)?;
        for spec in networks.iter().flat_map(|n| n.parameters()) {
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

    /// The values of a parameter.
    pub fn values(&self, spec: &ParameterSpec) -> Vec<f32> {
        self.weights.get(&spec.key).map_or_else(Vec::new, |tensor| tensor.values.clone())
    }
}
