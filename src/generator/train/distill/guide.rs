//! What the teacher's answers depend on, and the weaker model that it may be led away from.

use super::super::start::alike;
use crate::device::Device;
use crate::diffusion::{NetworkDenoiser, Parts};
use crate::error::{Error, Result};
use crate::generator::{Card, card_parameters, find_model, read_model};
use crate::nn::{ParameterSpec, Parameters};
use crate::store::{self, Weights};

/// SHA-256 of what a denoiser's answers depend on: its part of the card `text`, without the sampler, and its tensors.
///
/// # Errors
/// Those of a card and weights that do not belong together.
pub fn denoiser_sha256(text: &str, parts: &Parts, weights: &Weights) -> Result<String> {
    let mut card: toml::Table = toml::from_str(text).map_err(|e| Error::Bug(format!("a card that was read: {e}")))?;
    let clipped = card.get("denoiser").and_then(|d| d.get("clip")).is_some_and(|clip| clip.as_bool() == Some(true));
    card.retain(|key, _| ["denoiser", "layers", "latent"].contains(&key) || (clipped && key == "sample"));
    if let Some(denoiser) = card.get_mut("denoiser").and_then(toml::Value::as_table_mut) {
        denoiser.remove("sampler");
    }
    let mut told = card.to_string().into_bytes();
    for spec in parts.parameters() {
        told.extend(spec.key.bytes());
        told.extend(weights.require(&spec.key)?.values.iter().flat_map(|v| v.to_le_bytes()));
    }
    Ok(store::sha256_hex(&told))
}

/// A weaker model of the same states.
pub struct Guide {
    /// Its name.
    pub id: String,
    /// Of its card and weights.
    pub sha256: String,
    /// What it answers.
    pub denoiser: NetworkDenoiser,
}

impl Guide {
    /// Loads the model called `name`, which must make the states that `teacher` makes: the same shape and, in two stages, the same
    /// autoencoder.
    ///
    /// # Errors
    /// Those of loading it; [`Error::Key`] for a model of other states.
    pub fn load(name: &str, teacher: &Card, weights: &Weights, device: &Device) -> Result<Self> {
        let bad = |message: String| Err(Error::key("guide", message));
        let folder = find_model(name)?;
        let card = Card::read(&folder.join("card.toml"))?;
        let config = card.denoiser()?.clone();
        let id = card.raw.id.clone();
        if card.state_shape() != teacher.state_shape() {
            let (found, expected) = (card.state_shape(), teacher.state_shape());
            return bad(format!("\"{id}\" denoises states of shape {found:?}, the teacher {expected:?}"));
        }
        let parts = card.denoiser_parts()?;
        let own = read_model(&card, parts.parameters(), &folder)?;
        // Which codes there are is said by the encoder and by their scale; decoders may differ.
        let encoder = teacher.encoder()?.map_or(Vec::new(), |encoder| encoder.parameters());
        let of =
            |weights: &Weights, spec: &ParameterSpec| weights.get(&spec.key).map_or(Vec::new(), |t| t.values.clone());
        let same_encoder = encoder.iter().all(|spec| alike(&of(&own, spec), &of(weights, spec)));
        let scales = [&card, teacher].map(|c| c.raw.decoder.as_ref());
        let same_scale = match scales {
            [Some(a), Some(b)] => alike(&a.std, &b.std) && alike(&a.mean, &b.mean),
            [a, b] => a.is_none() && b.is_none(),
        };
        if !(same_encoder && same_scale) {
            return bad(format!("\"{id}\" denoises codes of another autoencoder than the teacher's"));
        }
        let parameters = Parameters::upload(&card_parameters(&card)?, &own, device);
        let clip = config.clip.then_some(card.raw.sample.range);
        let denoiser = NetworkDenoiser::new(parts, parameters, config.classes, clip, device);
        Ok(Self { id, sha256: card.model_sha256()?, denoiser })
    }
}
