//! The reward network: latent → mean and log-variance of the level of ψ_k, or of another quantity (theory, 11).

use super::Calibration;
use super::predictor::{NoisedConfig, Predictor};
use super::quantities::{Place, Quantity, QuantityRow, quantity};
use crate::device::Device;
use crate::diffusion::guidance::Potential;
use crate::error::{Error, Result};
use crate::generator::Generator;
use crate::nn::{Mismatch, Parameters, Rows};
use crate::store::{self, Weights};
use crate::tensors::{host, rows};
use crate::units::Level;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `reward/card.toml`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RewardCard {
    /// Version of this format, [`CARD_FORMAT`].
    pub format: u32,
    /// The model it was trained for.
    pub model: String,
    /// SHA-256 over that model's card and weights.
    pub model_sha256: String,
    /// SHA-256 of `reward.safetensors`.
    pub sha256: String,
    /// SHA-256 of `calibration.safetensors`.
    pub calibration_sha256: String,
    /// What is predicted, see [`target`].
    pub target: String,
    /// What was measured for the labels, as in a reward config.
    #[serde(default = "psi", skip_serializing_if = "is_psi")]
    pub quantity: String,
    /// Estimator of the labels.
    pub estimator: String,
    /// Model rank k.
    pub model_rank: usize,
    /// Labelled latents.
    pub labels: usize,
    /// Guard: ‖z‖ of the labelled latents, least and greatest.
    pub norm_range: [f64; 2],
    /// Guard: the predicted standard deviation that 99.9 % of the test split stay below.
    pub std_limit: f64,
    /// What it sees beside a clean input: noised pictures, where this is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noised: Option<NoisedConfig>,
    /// The network.
    pub layers: Vec<toml::Table>,
}

/// Version of `reward/card.toml`.
pub const CARD_FORMAT: u32 = 2;
/// What a reward predicts: [`Calibration::level_of`] of its quantity.
pub fn target(row: &QuantityRow) -> String {
    format!("level of {}", row.symbol)
}

/// Folder of a model's own reward, or of the one of that name.
pub fn reward_folder(model: &Path, name: Option<&str>) -> PathBuf {
    model.join(name.map_or("reward".to_owned(), |n| format!("reward-{n}")))
}

fn psi() -> String {
    "psi".into()
}

fn is_psi(name: &str) -> bool {
    name == "psi"
}

/// What the reward says of one latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Predicted level of the quantity, see [`Calibration::level_of`].
    pub level: Level,
    /// Predicted standard deviation of the level around it.
    pub std: f64,
}

impl Score {
    /// Whether both numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.level.0.is_finite() && self.std.is_finite()
    }
}

/// A trained reward with its calibration.
pub struct Reward {
    /// The card.
    pub card: RewardCard,
    /// What it predicts, and how that is measured.
    pub quantity: Box<dyn Quantity>,
    /// Novelty ↔ the quantity.
    pub calibration: Calibration,
    /// SHA-256 of `reward/card.toml`, which holds the hashes of weights and calibration.
    pub sha256: String,
    network: Predictor,
    parameters: Parameters,
    device: Device,
    width: usize,
    generator: Arc<dyn Generator>,
}

impl Reward {
    /// Loads `model/reward/`, or `model/reward-NAME/`, for the generator of `model`.
    ///
    /// # Errors
    /// [`Error::Input`] when it is absent, damaged, or was trained for another model.
    pub fn load(model: &Path, name: Option<&str>, generator: &Arc<dyn Generator>, device: &Device) -> Result<Self> {
        let latent_width = generator.spec().latent_width;
        let model_sha256 = generator.model_sha256();
        let folder = reward_folder(model, name);
        let path = folder.join("card.toml");
        if !path.is_file() {
            let config = name.map_or(String::new(), |n| format!(" from a config with name = \"{n}\""));
            return Err(Error::input(folder, format!("no reward here; make one with isoline train-reward{config}")));
        }
        let (card, text): (RewardCard, String) = store::read_toml(&path)?;
        let quantity = quantity(&card.quantity, &card.estimator)
            .map_err(|e| Error::config(format!("{}: quantity", crate::error::shown(&path)), e.to_string()))?;
        let wanted = target(quantity.row());
        if card.target != wanted {
            let message = format!("expected \"{wanted}\", found \"{}\"; run isoline train-reward again", card.target);
            return Err(Error::config(format!("{}: target", crate::error::shown(&path)), message));
        }
        if card.model_sha256 != model_sha256 {
            return Err(Error::input(
                path,
                "this reward was trained for another card or other weights of the model (model_sha256 differs); run isoline train-reward again",
            ));
        }
        let weights = verified(&folder.join("reward.safetensors"), &card.sha256)?;
        let table = verified(&folder.join("calibration.safetensors"), &card.calibration_sha256)?;
        let values = table.require(quantity.row().symbol)?.values.iter().map(|v| f64::from(*v)).collect();
        let calibration = Calibration::new(values)
            .ok_or_else(|| Error::input(table.file(), "the calibration table is empty or constant"))?;
        let sees = match card.noised {
            Some(_) => generator.spec().sample_shape.to_vec(),
            None => vec![latent_width],
        };
        let network = Predictor::build(&card.layers, card.noised.as_ref(), &sees)
            .map_err(|e| e.at(&format!("{}: ", path.display())))?;
        let specs = network.parameters();
        let mismatch = Mismatch::between(&specs, &weights, &[]);
        if !mismatch.is_empty() {
            return Err(Error::input(weights.file(), mismatch.message()));
        }
        let parameters = Parameters::upload(&specs, &weights, device);
        let sha256 = store::sha256_hex(text.as_bytes());
        Ok(Self {
            card,
            quantity,
            calibration,
            sha256,
            network,
            parameters,
            device: device.clone(),
            width: latent_width,
            generator: generator.clone(),
        })
    }

    /// The model rank k of ψ_k of the map latent → picture, where that is what it predicts.
    pub fn map_rank(&self) -> Option<usize> {
        (self.quantity.row().place == Place::Latent).then_some(self.card.model_rank)
    }

    /// Whether its numbers are ψ_k of the map latent → picture by that estimator with so many directions.
    pub fn measures_as(&self, estimator: &str, directions: usize) -> bool {
        let own = self.card.estimator.split(':').next();
        let same = own == Some(estimator) && self.quantity.directions(self.generator.spec()).ok() == Some(directions);
        self.map_rank().is_some() && same
    }

    /// Latent width.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Mean and log-variance at latents, through the generator where the reward sees pictures.
    fn at_latents(&self, z: Rows) -> Result<Rows> {
        match &self.card.noised {
            None => self.network.forward(&self.parameters, z, &[]),
            Some(noised) => {
                let sigmas = vec![noised.sigma[0]; z.dims()[0]];
                self.network.forward(&self.parameters, self.generator.generate(z), &sigmas)
            }
        }
    }

    /// Scores of latents `[n, d]`, row by row.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn score(&self, latents: &[f32]) -> Result<Vec<Score>> {
        self.scores(self.at_latents(rows(latents.to_vec(), self.width, &self.device))?)
    }

    /// Scores and the gradient of the predicted level by z, row-major `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn score_and_gradient(&self, latents: &[f32]) -> Result<(Vec<Score>, Vec<f32>)> {
        let z = rows(latents.to_vec(), self.width, &self.device).autodiff().require_grad();
        let out = self.at_latents(z.clone())?;
        // Rows are independent, so the gradient of the sum is each row's own gradient.
        let gradients = out.clone().narrow(1, 0, 1).sum().backward();
        let gradient =
            z.grad(&gradients).ok_or_else(|| Error::Bug("the reward does not depend on the latent".into()))?;
        Ok((self.scores(out.inner())?, host(gradient)?))
    }

    /// Scores of finished pictures `[n, width]`, row by row.
    ///
    /// # Errors
    /// [`Error::Config`] for a reward that sees latents; [`Error::Device`].
    pub fn score_pictures(&self, x: Rows) -> Result<Vec<Score>> {
        self.scores(self.at_pictures(x)?)
    }

    /// Levels of finished pictures, `[n, 1]`; a graph that they carry goes on through it.
    ///
    /// # Errors
    /// [`Error::Config`] for a reward that sees latents.
    pub fn of_pictures(&self, x: Rows) -> Result<Rows> {
        Ok(self.at_pictures(x)?.narrow(1, 0, 1))
    }

    fn at_pictures(&self, x: Rows) -> Result<Rows> {
        let Some(noised) = &self.card.noised else {
            return Err(Error::config("reward", "it sees latents, not noised pictures; train one with [noised]"));
        };
        let sigmas = vec![noised.sigma[0]; x.dims()[0]];
        self.network.forward(&self.parameters, x, &sigmas)
    }

    fn scores(&self, out: Rows) -> Result<Vec<Score>> {
        let values = host(out)?;
        let one = |v: &[f32]| Score { level: Level(f64::from(v[0])), std: (0.5 * f64::from(v[1])).exp() };
        Ok(values.chunks_exact(2).map(one).collect())
    }
}

/// The level of ψ_k from noised pictures: what guides a denoiser (24). Only a reward with `noised` in its card has it.
impl Potential for Reward {
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)> {
        let Some(noised) = &self.card.noised else {
            return Err(Error::config("reward", "it sees latents, not noised pictures; train one with [noised]"));
        };
        let sigmas = vec![sigma.max(noised.sigma[0]); x.dims()[0]];
        let x = x.clone().autodiff().require_grad();
        let out = self.network.forward(&self.parameters, x.clone(), &sigmas)?;
        let value = out.narrow(1, 0, 1);
        let gradients = value.clone().sum().backward();
        let gradient = x.grad(&gradients).ok_or_else(|| Error::Bug("the reward does not depend on x".into()))?;
        Ok((value.inner(), gradient))
    }
}

fn verified(path: &Path, sha256: &str) -> Result<Weights> {
    let bytes = store::read_bounded(path, crate::limits::WEIGHTS_BYTES)?;
    if store::sha256_hex(&bytes) != sha256 {
        return Err(Error::input(
            path,
            "SHA-256 differs from the one in reward/card.toml; the file was changed or damaged",
        ));
    }
    Weights::parse(path, &bytes)
}
