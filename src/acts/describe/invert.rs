//! From a picture back to a latent: by the model's encoder if it has one, by gradient descent on ‖G(z) − x‖² if not.

use crate::error::{Error, Result};
use crate::generator::{BACK, Card, Generator, Spec, latent_encoder};
use crate::geometry::pushforward::rows_within;
use crate::nn::{Network, Parameters, Pass, Rows};
use crate::noise::{self, Stream};
use crate::tensors::{host, rows};
use burn::tensor::Tensor;
use std::path::Path;
use std::sync::Arc;

/// Bytes that a backward pass through the generator may take.
const MEMORY: usize = 1 << 30;

/// Number of starts of a descent without an encoder; the best result is kept.
const STARTS: usize = 4;
/// Initial step size of the descent; it falls to 0 along a cosine.
const RATE: f64 = 0.1;

/// Inverts pictures for one model.
pub struct Inverter {
    generator: Arc<dyn Generator>,
    encoder: Option<Way>,
    steps: usize,
}

/// What finds a latent in one go.
enum Way {
    /// A network that ends in the latent's means and log-variances.
    OfLatents(Network, Parameters),
    /// That of a model of two stages: it finds a code, and the probability flow run backwards finds the noise. A distilled
    /// model has no such flow.
    OfCodes,
}

/// A picture's latent.
pub struct Inversion {
    /// z, `[latent width]`.
    pub latent: Vec<f32>,
    /// Root mean square of G(z) − x, as a fraction of the range from black to white.
    pub residual: f64,
}

impl Inverter {
    /// An inverter for the model in `folder`, with `steps` steps of descent. The default is none after an encoder and
    /// 300 without one.
    ///
    /// # Errors
    /// When the card or the weights cannot be read.
    pub fn new(generator: Arc<dyn Generator>, folder: &Path, steps: Option<usize>) -> Result<Self> {
        let card = Card::read(&folder.join("card.toml"))?;
        let distilled = card.raw.denoiser.as_ref().is_some_and(|d| d.distilled);
        let encoder = match card.raw.encoder {
            Some(_) if distilled => None,
            Some(_) if card.raw.decoder.is_some() => Some(Way::OfCodes),
            Some(_) => {
                let (network, parameters) = latent_encoder(&card, folder, generator.device())?;
                Some(Way::OfLatents(network, parameters))
            }
            None => None,
        };
        let steps = steps.unwrap_or(if encoder.is_some() { 0 } else { 300 });
        Ok(Self { generator, encoder, steps })
    }

    /// What the generator is: shapes and ranges.
    pub fn spec(&self) -> &Spec {
        self.generator.spec()
    }

    /// Whether the model has an encoder.
    pub fn has_encoder(&self) -> bool {
        self.encoder.is_some()
    }

    /// How pictures are inverted, as the recipe says it.
    pub fn about(&self) -> String {
        match (&self.encoder, self.steps) {
            (Some(Way::OfCodes), 0) => format!("encoder and {BACK} levels back"),
            (Some(Way::OfCodes), steps) => format!("encoder, {BACK} levels back and {steps} steps"),
            (Some(_), 0) => "encoder".into(),
            (Some(_), steps) => format!("encoder and {steps} steps"),
            (None, steps) => format!("{STARTS} starts of {steps} steps"),
        }
    }

    /// Finds the latents of pictures, `[n × C·H·W]` row-major in the card's range. `samples` are the keys of the random
    /// starts, so a picture's latent does not depend on its neighbours.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn invert(&self, pictures: &[f32], samples: &[u64]) -> Result<Vec<Inversion>> {
        let spec = self.spec();
        let (d, width) = (spec.latent_width, spec.sample_shape.iter().product::<usize>());
        let device = self.generator.device();
        let x = rows(pictures.to_vec(), width, device);
        let found = match &self.encoder {
            Some(Way::OfLatents(network, parameters)) => {
                Some(network.forward(x.clone(), &Pass::frozen(parameters)).narrow(1, 0, d))
            }
            Some(Way::OfCodes) => self.generator.latents_of(self.generator.states_of(x.clone()))?,
            None => None,
        };
        if let Some(latents) = found {
            return self.descend(host(latents)?, &x, 1);
        }
        let starts = (0..STARTS as u32).flat_map(|k| samples.iter().map(move |s| (*s, k)));
        let z = starts.flat_map(|(s, k)| noise::normals(0, s, Stream::Inversion, k, d)).collect();
        self.descend(z, &x.repeat_dim(0, STARTS), STARTS)
    }

    /// Runs Adam on each row by itself from `start`, `[starts·n × d]`. For each sample the best of its `starts` last
    /// iterates is kept.
    fn descend(&self, start: Vec<f32>, x: &Rows, starts: usize) -> Result<Vec<Inversion>> {
        let d = self.spec().latent_width;
        let device = self.generator.device();
        let mut z = rows(start, d, device);
        let (mut m, mut v) = (z.zeros_like(), z.zeros_like());
        for step in 0..self.steps {
            let g = self.gradient(&z, x)?;
            m = m * 0.9 + g.clone() * 0.1;
            v = v * 0.999 + g.clone() * g * 0.001;
            let (c1, c2) = (1.0 - 0.9f64.powi(step as i32 + 1), 1.0 - 0.999f64.powi(step as i32 + 1));
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / self.steps as f64).cos());
            z = z - (m.clone() / c1) / ((v.clone() / c2).sqrt() + 1e-8) * rate;
        }
        let residuals = host(self.residuals(&z, x))?;
        let latents = host(z)?;
        let n = residuals.len() / starts;
        let best = |i: usize| {
            (0..starts).map(|k| k * n + i).min_by(|a, b| residuals[*a].total_cmp(&residuals[*b])).unwrap_or(i)
        };
        Ok((0..n)
            .map(best)
            .map(|row| Inversion {
                latent: latents[row * d..(row + 1) * d].to_vec(),
                residual: f64::from(residuals[row]),
            })
            .collect())
    }

    /// The gradient of ‖G(z) − x‖² for each row, as many rows at once as [`MEMORY`] allows.
    fn gradient(&self, z: &Rows, x: &Rows) -> Result<Rows> {
        // A backward pass keeps every activation and makes a gradient of the same size for each of them.
        let (n, most) = (z.dims()[0], rows_within(MEMORY, self.spec().activations.div_ceil(2)));
        let part = |first: usize| {
            let count = most.min(n - first);
            let tracked = z.clone().narrow(0, first, count).autodiff().require_grad();
            let off = self.generator.generate(tracked.clone()) - x.clone().narrow(0, first, count);
            let gradients = (off.clone() * off).sum().backward();
            tracked.grad(&gradients).ok_or_else(|| Error::Bug("a latent without a gradient".into()))
        };
        Ok(Tensor::cat((0..n).step_by(most).map(part).collect::<Result<Vec<_>>>()?, 0))
    }

    fn residuals(&self, z: &Rows, x: &Rows) -> Tensor<2> {
        let [low, high] = self.spec().range;
        let off = (self.generator.generate(z.clone()) - x.clone()) / f64::from(high - low);
        (off.clone() * off).mean_dim(1).sqrt()
    }
}
