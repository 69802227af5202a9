//! The network behind a reward, on latents or on noised pictures (theory, 11).

use crate::diffusion::condition_rows;
use crate::error::{Error, Result};
use crate::nn::{Network, ParameterSpec, Parameters, Pass, Rows};
use crate::tensors::rows;
use serde::{Deserialize, Serialize};

/// `[noised]` of a reward config and of a reward's card: the network sees a picture with noise of a known level instead
/// of a latent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NoisedConfig {
    /// Least and greatest noise level. A finished picture is judged at the least one.
    pub sigma: [f64; 2],
    /// Standard deviation s of the pictures: the network is shown x/√(σ² + s²).
    pub sigma_data: f64,
    /// Share of the training pictures that are noised at the least level only.
    #[serde(default = "quarter")]
    pub clean: f64,
    /// Pairs [σ, Spearman correlation on the test split] at ten levels, written by the training. The reward guides only
    /// at levels where the correlation is at least [`WORTH`].
    #[serde(default)]
    pub levels: Vec<[f64; 2]>,
    /// Layers that turn ln σ/4 into the condition vector; written by the training.
    #[serde(default)]
    pub embed: Vec<toml::Table>,
}

fn quarter() -> f64 {
    0.25
}

/// A reward does not guide at a noise level where its Spearman correlation is below this (theory, 13).
pub const WORTH: f64 = 0.5;

impl NoisedConfig {
    /// Checks the keys that a user writes.
    ///
    /// # Errors
    /// The first key that is out of range.
    pub fn check(&self) -> Result<()> {
        let [low, high] = self.sigma;
        if !(low > 0.0 && low < high && high <= 1e4) {
            return Err(Error::key(
                "sigma",
                format!("expected [least, greatest] with 0 < least < greatest, found [{low}, {high}]"),
            ));
        }
        if !(self.sigma_data > 0.0 && self.sigma_data < 1e3) {
            return Err(Error::key("sigma_data", format!("expected a number above 0, found {}", self.sigma_data)));
        }
        if !(0.0..=1.0).contains(&self.clean) {
            return Err(Error::key("clean", format!("expected 0 to 1, found {}", self.clean)));
        }
        Ok(())
    }

    /// Ten noise levels from the least to the greatest, evenly spaced in ln σ.
    pub fn deciles(&self) -> Vec<f64> {
        let [low, high] = self.sigma;
        (0..10).map(|i| (low.ln() + (high / low).ln() * f64::from(i) / 9.0).exp()).collect()
    }

    /// Whether the reward is good enough to guide at σ, judged at the measured level nearest in ln σ.
    pub fn guides(&self, sigma: f64) -> bool {
        let [low, high] = self.sigma;
        let near = |l: &&[f64; 2]| (l[0].ln() - sigma.max(1e-12).ln()).abs();
        let nearest = self.levels.iter().min_by(|a, b| near(a).total_cmp(&near(b)));
        sigma >= low * 0.5 && sigma <= high * 1.1 && nearest.is_some_and(|l| l[1] >= WORTH)
    }
}

/// The network, together with the embedding of σ if it sees noise.
pub struct Predictor {
    network: Network,
    noised: Option<(Network, NoisedConfig)>,
}

impl Predictor {
    /// A predictor whose input rows have the shape `shape`.
    ///
    /// # Errors
    /// Where a layer does not fit, or the network does not end in two values per row.
    pub fn build(layers: &[toml::Table], noised: Option<&NoisedConfig>, shape: &[usize]) -> Result<Self> {
        let network = Network::build(layers.to_vec(), shape)?;
        if network.output_shape() != [2] {
            let message = format!(
                "expected two values at the end (mean, log-variance), found shape {:?}",
                network.output_shape()
            );
            return Err(Error::key("layers", message));
        }
        let embed = match noised {
            None => None,
            Some(config) => {
                let embed = Network::build_list(config.embed.clone(), &[1], "embed").map_err(|e| e.inside("noised"))?;
                Some((embed, config.clone()))
            }
        };
        let given = embed.as_ref().map(|(e, _)| e.output_shape().iter().product());
        if network.condition_width() != Ok(given) {
            let message = format!("modulate layers and embedding do not fit: the embedding gives {given:?} values");
            return Err(Error::key("noised.embed", message));
        }
        Ok(Self { network, noised: embed })
    }

    /// Number of values in one input row.
    pub fn width(&self) -> usize {
        self.network.input_shape().iter().product()
    }

    /// The `[noised]` config, if it sees noise.
    pub fn noised(&self) -> Option<&NoisedConfig> {
        self.noised.as_ref().map(|n| &n.1)
    }

    /// Every tensor that its layers read.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let embed = self.noised.iter().flat_map(|(e, _)| e.parameters());
        self.network.parameters().into_iter().chain(embed).collect()
    }

    /// Mean and log-variance of the level, `[n, 2]`, at rows `x` `[n, width]`. `sigmas` holds one noise level per row;
    /// it is ignored where the network sees latents.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn forward(&self, parameters: &Parameters, x: Rows, sigmas: &[f64]) -> Result<Rows> {
        let pass = Pass::frozen(parameters);
        let Some((embed, config)) = &self.noised else { return Ok(self.network.forward(x, &pass)) };
        let device = x.device();
        let times: Vec<f64> = sigmas.iter().map(|s| s.ln() / 4.0).collect();
        let condition = embed.forward(condition_rows(&times, None, 0, &device)?, &pass);
        let scale = |s: &f64| (1.0 / (s * s + config.sigma_data * config.sigma_data).sqrt()) as f32;
        let shown = x * rows(sigmas.iter().map(scale).collect(), 1, &device);
        Ok(self.network.forward(shown, &pass.under(condition)))
    }
}

/// Layers and embedding of a reward on noised pictures of `shape` [channels, height, width]; `width` is that of its
/// last hidden linear layer. One convolution at full size, two that halve the sides, one down to eight channels, then a
/// linear layer.
///
/// There are no norm layers: ψ goes with how much of something a picture holds, such as ink or grey edges, and a norm
/// would remove exactly that. The channels are cut to eight because the linear layer would otherwise have more weights
/// than there are labels to train it.
///
/// # Errors
/// [`crate::error::Error::Bug`].
pub fn picture_layers(shape: [usize; 3], width: usize) -> Result<(Vec<toml::Table>, Vec<toml::Table>)> {
    let [_, height, side] = shape;
    let base = (width / 4).max(8);
    let stage = |key: &str, out: usize, keys: &str| {
        format!(
            "{{ kind = \"conv2d\", key = \"{key}\", out = {out}, {keys} }},
             {{ kind = \"modulate\", key = \"{key}.level\", width = 32, scale = true }}, {{ kind = \"silu\" }}"
        )
    };
    let halve =
        if height >= 4 && side >= 4 { "kernel = 4, stride = 2, padding = 1" } else { "kernel = 3, padding = 1" };
    let text = format!(
        "layers = [{}, {}, {}, {{ kind = \"conv2d\", key = \"few\", out = 8, kernel = 1 }}, {{ kind = \"silu\" }},
           {{ kind = \"linear\", key = \"hidden\", out = {width} }}, {{ kind = \"silu\" }},
           {{ kind = \"linear\", key = \"out\", out = 2 }}]
         embed = [{{ kind = \"fourier\", count = 8, low = 0.5, high = 16.0 }}, {{ kind = \"linear\", key = \"level\", out = 32 }},
           {{ kind = \"silu\" }}]",
        stage("conv1", base, "kernel = 3, padding = 1"),
        stage("conv2", 2 * base, halve),
        stage("conv3", 2 * base, halve),
    );
    #[derive(Deserialize)]
    struct Text {
        layers: Vec<toml::Table>,
        embed: Vec<toml::Table>,
    }
    let parsed: Text = toml::from_str(&text).map_err(|e| crate::error::Error::Bug(e.to_string()))?;
    Ok((parsed.layers, parsed.embed))
}
