//! Training on pictures with Gaussian noise on them (theory, 36).
//!
//! With one level for all, the model learns noised pictures. Where its networks are told the level, which is then drawn anew for each
//! picture from 0 up, it learns pictures of every level, and is asked for those without noise: *conditional denoising* (Loaiza-Ganem
//! et al.). The level is one more channel of what a network reads. At level 0 that channel adds nothing, so the weights that read it
//! are left out of the model.

use super::StepInput;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::{Network, ParameterSpec, Rows};
use crate::noise::{self, Stream};
use crate::tensors::rows;
use burn::tensor::Tensor;

/// Parts of a step's noise that draw the noise of the pictures, and its levels.
const DRAW: u32 = 93;
const LEVEL: u32 = 94;

/// Objectives that can be trained on noised pictures. A denoiser learns every noise level as it is.
const OBJECTIVES: [&str; 2] = ["gan", "vae"];

/// Noise on the pictures that are learnt.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseConfig {
    /// Its standard deviation, in units of the model's values; 0 for none.
    pub sigma: f64,
    /// Whether the networks are told the level, which is then uniform from 0 to `sigma`.
    pub conditional: bool,
}

impl NoiseConfig {
    /// Checks the keys for an `objective`, of a training that starts from a model or not.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self, objective: &str, starts: bool) -> Result<()> {
        let bad = |key: &str, message: String| Err(Error::key(key, message).inside("noise"));
        match self {
            Self { sigma, .. } if !(0.0..=100.0).contains(sigma) => {
                bad("sigma", format!("expected 0 to 100, in units of the sample's values, found {sigma}"))
            }
            Self { sigma: 0.0, conditional: true } => {
                bad("conditional", "expected a sigma above 0 beside it, the greatest level".into())
            }
            Self { sigma, .. } if *sigma > 0.0 && !OBJECTIVES.contains(&objective) => {
                let known = OBJECTIVES.join(" and ");
                bad("sigma", format!("goes with the objectives {known}, found \"{objective}\""))
            }
            Self { conditional: true, .. } if starts => {
                bad("conditional", "expected no start beside it: a model does not keep what reads the level".into())
            }
            _ => Ok(()),
        }
    }

    /// The network of `layers` for samples of this shape, with one more channel where it is told the level.
    ///
    /// # Errors
    /// [`Error::Config`] naming a layer.
    pub fn network(&self, layers: &[toml::Table], shape: &[usize]) -> Result<Network> {
        let mut shape = shape.to_vec();
        if self.conditional {
            shape[0] += 1;
        }
        Network::build(layers.to_vec(), &shape)
    }

    /// Puts noise on the pictures of a step.
    pub fn apply(&self, input: &mut StepInput, device: &Device) {
        if self.sigma == 0.0 {
            return;
        }
        let [n, width] = input.real.dims();
        let noise = input.noise(n, width, DRAW, device);
        input.real = input.real.clone()
            + match self.conditional {
                false => noise * self.sigma,
                true => {
                    let drawn = noise::uniforms(input.seed, input.step, Stream::Training, LEVEL, n);
                    let levels = rows(drawn.into_iter().map(|u| u * self.sigma as f32).collect(), 1, device);
                    input.levels = Some(levels.clone());
                    noise * levels
                }
            };
    }
}

/// Rows as a network reads them that is told their `levels`, `[n, 1]`: with one more channel.
pub fn told(network: &Network, x: Rows, levels: Option<&Rows>) -> Rows {
    let Some(levels) = levels else { return x };
    let area = network.input_shape()[1..].iter().product();
    Tensor::cat(vec![x, levels.clone().repeat_dim(1, area)], 1)
}

/// Rows as a network reads them that may be told a level, for level 0.
pub fn without_noise(network: &Network, x: Rows) -> Rows {
    let [n, width] = x.dims();
    match network.input_shape().iter().product::<usize>() - width {
        0 => x,
        more => Tensor::cat(vec![x.clone(), Tensor::zeros([n, more], &x.device())], 1),
    }
}

/// The `values` of the tensor that was trained as `trained` and is kept as `spec`: without what reads a level.
pub fn without_level(values: Vec<f32>, trained: &ParameterSpec, spec: &ParameterSpec) -> Vec<f32> {
    let Some(axis) = (0..spec.shape.len()).find(|i| trained.shape[*i] != spec.shape[*i]) else { return values };
    let inner: usize = spec.shape[axis + 1..].iter().product();
    let (whole, kept) = (trained.shape[axis] * inner, spec.shape[axis] * inner);
    values.chunks_exact(whole).flat_map(|part| &part[..kept]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Parameters, Pass};
    use crate::tensors::host;

    /// A network that is told the level 0 is the network that is kept, whatever its first layer; at another level it is not.
    #[test]
    fn what_is_kept_is_the_network_at_level_0() {
        let device = crate::device::open("cpu").unwrap().1;
        let told_of = NoiseConfig { sigma: 0.3, conditional: true };
        for (first, shape) in [
            ("kind = \"linear\"\nkey = \"a\"\nout = 5", vec![4]),
            ("kind = \"linear\"\nkey = \"a\"\nout = 5", vec![2, 3, 3]),
            ("kind = \"conv2d\"\nkey = \"a\"\nout = 3\nkernel = 3\npadding = 1", vec![2, 3, 3]),
            ("kind = \"conv_transpose2d\"\nkey = \"a\"\nout = 3\nkernel = 4", vec![2, 1, 1]),
        ] {
            let layers: Vec<toml::Table> =
                vec![toml::from_str(first).unwrap(), toml::from_str("kind = \"silu\"").unwrap()];
            let wide = told_of.network(&layers, &shape).unwrap();
            let plain = NoiseConfig::default().network(&layers, &shape).unwrap();
            let values: Vec<(ParameterSpec, Vec<f32>)> =
                wide.parameters().into_iter().map(|s| (s.clone(), s.start(1, Some(0.5)))).collect();
            let all = Parameters::from_values(values.iter().map(|(s, v)| (s.key.clone(), v.clone())), &device);
            let kept = plain.parameters().into_iter().zip(&values);
            let kept = kept.map(|(s, (wide, v))| (s.key.clone(), without_level(v.clone(), wide, &s)));
            let kept = Parameters::from_values(kept, &device);
            let width = shape.iter().product();
            let x = rows(noise::normals(0, 0, Stream::Latent, 0, 3 * width), width, &device);
            let of = |x: Rows| host(wide.forward(x, &Pass::frozen(&all))).unwrap();
            let expected = host(plain.forward(x.clone(), &Pass::frozen(&kept))).unwrap();
            let level = |s: f32| rows(vec![s; 3], 1, &device);
            for found in [of(without_noise(&wide, x.clone())), of(told(&wide, x.clone(), Some(&level(0.0))))] {
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{first}");
            }
            let other = of(told(&wide, x, Some(&level(0.3))));
            assert!(other.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-3), "{first}");
        }
    }

    #[test]
    fn noise_has_the_level_it_is_said_to_have() {
        let device = crate::device::open("cpu").unwrap().1;
        let (n, width) = (400, 100);
        let input = |step: u64| StepInput {
            real: rows(vec![0.25; n * width], width, &device),
            levels: None,
            picked: Vec::new(),
            classes: None,
            given: Vec::new(),
            learning_rate: 0.1,
            step,
            seed: 7,
        };
        let noise_of = |config: &NoiseConfig, step: u64| {
            let mut input = input(step);
            config.apply(&mut input, &device);
            let noise: Vec<f64> = host(input.real).unwrap().into_iter().map(|v| f64::from(v) - 0.25).collect();
            (noise, input.levels.map(|l| host(l).unwrap()))
        };
        let square = |noise: &[f64]| noise.iter().map(|v| v * v).sum::<f64>() / noise.len() as f64;
        let (noise, levels) = noise_of(&NoiseConfig { sigma: 0.2, conditional: false }, 0);
        // Standard error of the variance of 40,000 normal numbers: √(2/40000) of it.
        assert!(levels.is_none() && (square(&noise) / 0.04 - 1.0).abs() < 0.04, "{}", square(&noise));
        let (noise, levels) = noise_of(&NoiseConfig { sigma: 0.2, conditional: true }, 0);
        let levels = levels.unwrap();
        // The mean of σ² over σ uniform from 0 to s is s²/3; its standard error over 400 levels, 0.9/√400 of that.
        assert!((square(&noise) / (0.04 / 3.0) - 1.0).abs() < 0.18, "{}", square(&noise));
        for (noise, level) in noise.chunks(width).zip(&levels) {
            // 100 squares have a relative standard deviation of 0.14.
            assert!((square(noise) / f64::from(*level).powi(2) - 1.0).abs() < 0.8, "{level}");
        }
        assert_ne!(noise, noise_of(&NoiseConfig { sigma: 0.2, conditional: true }, 1).0);
        assert!(noise_of(&NoiseConfig::default(), 0).0.iter().all(|v| *v == 0.0));
    }

    #[test]
    fn keys_that_make_no_sense_are_refused() {
        let config = |sigma: f64, conditional: bool| NoiseConfig { sigma, conditional };
        assert!(config(0.1, true).check("gan", false).is_ok() && config(0.0, false).check("edm", true).is_ok());
        for (config, objective, starts, words) in [
            (config(-1.0, false), "gan", false, "noise.sigma: expected 0 to 100"),
            (config(f64::NAN, false), "gan", false, "noise.sigma: expected 0 to 100"),
            (config(0.0, true), "vae", false, "noise.conditional: expected a sigma above 0"),
            (config(0.1, false), "edm", false, "noise.sigma: goes with the objectives gan and vae, found \"edm\""),
            (config(0.1, true), "vae", true, "noise.conditional: expected no start"),
        ] {
            let found = config.check(objective, starts).unwrap_err().to_string();
            assert!(found.contains(words), "{found}");
        }
    }
}
