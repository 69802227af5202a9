//! The reward network. It maps a latent to the mean and log-variance of a level: that of ψ_k, or of another quantity
//! (theory, 11).

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

/// The contents of `reward/card.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RewardCard {
    /// Version of this format, [`CARD_FORMAT`].
    pub format: u32,
    /// The model it was trained for, by its id.
    pub model: String,
    /// SHA-256 over that model's card and weights.
    pub model_sha256: String,
    /// SHA-256 of `reward.safetensors`.
    pub sha256: String,
    /// SHA-256 of `calibration.safetensors`.
    pub calibration_sha256: String,
    /// What the network predicts; see [`target`].
    pub target: String,
    /// What was measured for the labels, as in a reward config.
    #[serde(default = "psi", skip_serializing_if = "is_psi")]
    pub quantity: String,
    /// Estimator that measured the labels.
    pub estimator: String,
    /// Model rank k; 0 for a quantity without a spectrum.
    pub model_rank: usize,
    /// How many labelled latents had a defined quantity.
    pub labels: usize,
    /// Guard: the least and the greatest ‖z‖ among the labelled latents.
    pub norm_range: [f64; 2],
    /// Guard: 99.9 % of the test split have a predicted standard deviation below this.
    pub std_limit: f64,
    /// Set when the network sees noised pictures; without it, the network sees latents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noised: Option<NoisedConfig>,
    /// The layers of the network.
    pub layers: Vec<toml::Table>,
}

/// Version of `reward/card.toml`.
pub const CARD_FORMAT: u32 = 2;
/// What a reward predicts, in words: the level ([`Calibration::level_of`]) of its quantity.
pub fn target(row: &QuantityRow) -> String {
    format!("level of {}", row.symbol)
}

/// Folder of a model's own reward, or of the reward called `name`.
pub fn reward_folder(model: &Path, name: Option<&str>) -> PathBuf {
    model.join(name.map_or("reward".to_owned(), |n| format!("reward-{n}")))
}

fn psi() -> String {
    "psi".into()
}

fn is_psi(name: &str) -> bool {
    name == "psi"
}

/// The calibration table of the reward in `folder`, which has this card and learns this quantity.
///
/// # Errors
/// [`Error::Input`] for a table that is damaged or not the card's.
fn calibration(folder: &Path, card: &RewardCard, quantity: &QuantityRow) -> Result<Calibration> {
    let table = verified(&folder.join("calibration.safetensors"), &card.calibration_sha256)?;
    let values = table.require(quantity.symbol)?.values.iter().map(|v| f64::from(*v)).collect();
    Calibration::new(values).ok_or_else(|| Error::input(table.file(), "the calibration table is empty or constant"))
}

/// That there is no reward called `name`.
fn absent(folder: &Path, name: &str) -> Error {
    let how = format!("no reward here; make one with isoline train-reward from a config with name = \"{name}\"");
    Error::input(folder, how)
}

/// The card and the calibration table of a model's reward, read without the model.
///
/// # Errors
/// [`Error::NoReward`] where the model has none; [`Error::Input`] where the one of that name is absent, or it is damaged;
/// [`Error::Config`] for a card of another version.
pub fn read_calibration(model: &Path, name: Option<&str>) -> Result<(RewardCard, Calibration)> {
    let folder = reward_folder(model, name);
    if !folder.join("card.toml").is_file() {
        return Err(match name {
            None => Error::NoReward { folder, model: model.to_owned(), advice: String::new() },
            Some(name) => absent(&folder, name),
        });
    }
    let (card, _): (RewardCard, String) = store::read_toml(&folder.join("card.toml"))?;
    let known = quantity(&card.quantity, &card.estimator)?;
    let table = calibration(&folder, &card, known.row())?;
    Ok((card, table))
}

/// What the reward says about one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Predicted level of the quantity, see [`Calibration::level_of`].
    pub level: Level,
    /// Predicted standard deviation of the true level around it.
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
    /// The quantity it predicts, and how that is measured.
    pub quantity: Box<dyn Quantity>,
    /// Converts between values of the quantity, novelty and levels.
    pub calibration: Calibration,
    /// SHA-256 of `reward/card.toml`. The card holds the hashes of the weights and the calibration, so this covers them
    /// too.
    pub sha256: String,
    network: Predictor,
    parameters: Parameters,
    device: Device,
    width: usize,
    generator: Arc<dyn Generator>,
}

impl Reward {
    /// Loads `model/reward/`, or `model/reward-NAME/`. `generator` is the model in the folder `model`.
    ///
    /// # Errors
    /// [`Error::NoReward`] when the model has none; [`Error::Input`] when the one of that name is absent, or it is damaged
    /// or was trained for another model; [`Error::Config`] when its card does not fit this version.
    pub fn load(model: &Path, name: Option<&str>, generator: &Arc<dyn Generator>, device: &Device) -> Result<Self> {
        let latent_width = generator.spec().latent_width;
        let model_sha256 = generator.model_sha256();
        let folder = reward_folder(model, name);
        let path = folder.join("card.toml");
        if !path.is_file() {
            let Some(name) = name else {
                return Err(Error::NoReward { folder, model: model.to_owned(), advice: String::new() });
            };
            return Err(absent(&folder, name));
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
        let calibration = calibration(&folder, &card, quantity.row())?;
        let sees = match card.noised {
            Some(_) => generator.spec().state_shape.to_vec(),
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

    /// The model rank k, if this reward predicts ψ_k of the map latent → picture; `None` for any other quantity.
    pub fn map_rank(&self) -> Option<usize> {
        (self.quantity.row().place == Place::Latent).then_some(self.card.model_rank)
    }

    /// Whether its labels are ψ_k of the map latent → picture, measured by `estimator` with this many directions.
    pub fn measures_as(&self, estimator: &str, directions: usize) -> bool {
        let own = self.card.estimator.split(':').next();
        let same = own == Some(estimator) && self.quantity.directions(self.generator.spec()).ok() == Some(directions);
        self.map_rank().is_some() && same
    }

    /// Whether each row of its results depends, to the bit, on the same row of the input alone: on the processor.
    pub fn is_row_by_row(&self) -> bool {
        crate::device::is_host(&self.device)
    }

    /// Latent width d.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Mean and log-variance `[n, 2]` at latents `[n, d]`. A reward that sees pictures sees those the generator makes
    /// of them.
    fn at_latents(&self, z: Rows) -> Result<Rows> {
        match &self.card.noised {
            None => self.network.forward(&self.parameters, z, &[]),
            Some(noised) => {
                let sigmas = vec![noised.sigma[0]; z.dims()[0]];
                self.network.forward(&self.parameters, self.generator.states(z), &sigmas)
            }
        }
    }

    /// Scores of latents, `[n, d]` row-major: one score per latent.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn score(&self, latents: &[f32]) -> Result<Vec<Score>> {
        self.scores(self.at_latents(rows(latents.to_vec(), self.width, &self.device))?)
    }

    /// Scores of latents `[n, d]`, and the gradient of each predicted level by its own latent, `[n, d]`; both
    /// row-major.
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

    /// Scores of finished pictures `[n, sample width]`: one score per picture.
    ///
    /// # Errors
    /// [`Error::Config`] for a reward that sees latents; [`Error::Device`].
    pub fn score_pictures(&self, x: Rows) -> Result<Vec<Score>> {
        self.scores(self.at_pictures(x)?)
    }

    /// Predicted levels `[n, 1]` of finished pictures `[n, sample width]`. If `x` is tracked for gradients, so is the
    /// result.
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

/// The predicted level at noised pictures, which guides a denoiser (24). Only a reward with `noised` in its card can do
/// this.
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
