//! The reward network: latent → mean and log-variance of the standardised ψ_k (theory, 11).

use super::Calibration;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{Mismatch, Network, Parameters, Pass, Rows};
use crate::store::{self, Weights};
use crate::tensors::{host, rows};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `reward/card.toml`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RewardCard {
    /// Version of this format; 1.
    pub format: u32,
    /// The model it was trained for.
    pub model: String,
    /// SHA-256 over that model's card and weights.
    pub model_sha256: String,
    /// SHA-256 of `reward.safetensors`.
    pub sha256: String,
    /// SHA-256 of `calibration.safetensors`.
    pub calibration_sha256: String,
    /// What is predicted.
    pub target: String,
    /// Estimator of the labels.
    pub estimator: String,
    /// Model rank k.
    pub model_rank: usize,
    /// Mean of the labels: prediction = mean + std · first output.
    pub mean: f64,
    /// Standard deviation of the labels.
    pub std: f64,
    /// Labelled latents.
    pub labels: usize,
    /// Guard: ‖z‖ of the labelled latents, least and greatest.
    pub norm_range: [f64; 2],
    /// Guard: the predicted standard deviation (in units of ψ) that 99.9 % of the test split stay below.
    pub std_limit: f64,
    /// The network.
    pub layers: Vec<toml::Table>,
}

/// What the reward says of one latent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Predicted ψ_k.
    pub psi: f64,
    /// Predicted standard deviation of ψ_k around it.
    pub std: f64,
}

impl Score {
    /// Whether both numbers are finite.
    pub fn is_finite(&self) -> bool {
        self.psi.is_finite() && self.std.is_finite()
    }
}

/// A trained reward with its calibration.
pub struct Reward {
    /// The card.
    pub card: RewardCard,
    /// Novelty ↔ ψ_k.
    pub calibration: Calibration,
    /// SHA-256 of `reward/card.toml`, which holds the hashes of weights and calibration.
    pub sha256: String,
    network: Network,
    parameters: Parameters,
    device: Device,
    width: usize,
}

impl Reward {
    /// Loads `model/reward/` for the model of that [`crate::generator::Card::model_sha256`].
    ///
    /// # Errors
    /// [`Error::Input`] when it is absent, damaged, or was trained for another model.
    pub fn load(model: &Path, model_sha256: &str, latent_width: usize, device: &Device) -> Result<Self> {
        let folder = model.join("reward");
        let path = folder.join("card.toml");
        if !path.is_file() {
            return Err(Error::input(folder, "no reward here; make one with isoline train-reward"));
        }
        let (card, text): (RewardCard, String) = store::read_toml(&path)?;
        if card.format != 1 {
            return Err(Error::config(
                format!("{}: format", path.display()),
                format!("expected 1, found {}", card.format),
            ));
        }
        if card.model_sha256 != model_sha256 {
            return Err(Error::input(
                path,
                "this reward was trained for another card or other weights of the model (model_sha256 differs); run isoline train-reward again",
            ));
        }
        let weights = verified(&folder.join("reward.safetensors"), &card.sha256)?;
        let table = verified(&folder.join("calibration.safetensors"), &card.calibration_sha256)?;
        let values = table.require("psi_k")?.values.iter().map(|v| f64::from(*v)).collect();
        let calibration = Calibration::new(values)
            .ok_or_else(|| Error::input(table.file(), "the calibration table is empty or constant"))?;
        let network = Self::network(&card.layers, latent_width)
            .map_err(|(key, m)| Error::config(format!("{}: {key}", path.display()), m))?;
        let specs = network.parameters();
        let mismatch = Mismatch::between(&specs, &weights, &[]);
        if !mismatch.is_empty() {
            return Err(Error::input(weights.file(), mismatch.message()));
        }
        let parameters = Parameters::upload(&specs, &weights, device);
        let sha256 = store::sha256_hex(text.as_bytes());
        Ok(Self { card, calibration, sha256, network, parameters, device: device.clone(), width: latent_width })
    }

    /// Builds the network of a reward card and checks that it ends in two values.
    pub(super) fn network(layers: &[toml::Table], latent_width: usize) -> Result<Network, (String, String)> {
        let network = Network::build(layers.to_vec(), &[latent_width]).map_err(|e| (e.key, e.message))?;
        if network.output_shape() != [2] {
            return Err((
                "layers".into(),
                format!(
                    "expected two values at the end (mean, log-variance), found shape {:?}",
                    network.output_shape()
                ),
            ));
        }
        Ok(network)
    }

    /// Latent width.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Scores of latents `[n, d]`, row by row.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn score(&self, latents: &[f32]) -> Result<Vec<Score>> {
        let z = rows(latents.to_vec(), self.width, &self.device);
        self.scores(self.network.forward(z, &Pass::frozen(&self.parameters)))
    }

    /// Scores and ∂ψ/∂z of the predicted ψ, row-major `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn score_and_gradient(&self, latents: &[f32]) -> Result<(Vec<Score>, Vec<f32>)> {
        let z = rows(latents.to_vec(), self.width, &self.device).autodiff().require_grad();
        let out = self.network.forward(z.clone(), &Pass::frozen(&self.parameters));
        // Rows are independent, so the gradient of the sum is each row's own gradient.
        let gradients = (out.clone().narrow(1, 0, 1).sum() * self.card.std).backward();
        let gradient =
            z.grad(&gradients).ok_or_else(|| Error::Bug("the reward does not depend on the latent".into()))?;
        Ok((self.scores(out.inner())?, host(gradient)?))
    }

    fn scores(&self, out: Rows) -> Result<Vec<Score>> {
        let scale = self.card.std;
        let values = host(out)?;
        let one = |v: &[f32]| Score {
            psi: self.card.mean + scale * f64::from(v[0]),
            std: scale * (0.5 * f64::from(v[1])).exp(),
        };
        Ok(values.chunks_exact(2).map(one).collect())
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
