//! A mixture of Gaussians, whose denoiser, score and likelihood are known in closed form: the reference that solvers,
//! guidance, dimension and likelihood are tested against, and a data set of known geometry.

use burn::tensor::{Tensor, TensorData, activation::softmax};
use isoline::diffusion::{Classes, Denoiser, State};
use isoline::error::{Error, Result};
use isoline::nn::{Rows, Tangents};

/// One Gaussian: N(mean, Σ_i variances_i u_i u_iᵀ).
#[derive(Clone, Debug)]
pub struct Component {
    /// Share of the mixture; the shares need not add up to 1.
    pub weight: f64,
    /// Of length D.
    pub mean: Vec<f64>,
    /// Along each axis; 0 for a direction in which the Gaussian is flat.
    pub variances: Vec<f64>,
    /// The axes u_i as columns of an orthogonal D×D matrix, row-major; `None` for the coordinates themselves.
    pub axes: Option<Vec<f64>>,
}

/// p(x) = Σ_k weight_k N(x; mean_k, C_k), noised: C_k + σ²I.
#[derive(Clone, Debug)]
pub struct Mixture {
    components: Vec<Component>,
    width: usize,
}

/// What one component says at a batch of points.
struct Seen {
    /// Its own denoised points, `[n, D]`.
    mean: Rows,
    /// (x − μ)U, `[n, D]`.
    along: Rows,
    /// Its log-weight and log-density, `[n, 1]`.
    log: Rows,
}

impl Mixture {
    /// A mixture of at least one component, all of the same width.
    ///
    /// # Panics
    /// Where the lengths differ: mixtures are written in code, not read from files.
    pub fn new(components: Vec<Component>) -> Self {
        let width = components[0].mean.len();
        for c in &components {
            assert!(c.mean.len() == width && c.variances.len() == width, "components of one width");
            assert!(c.axes.as_ref().is_none_or(|a| a.len() == width * width), "axes of one width");
        }
        Self { components, width }
    }

    /// N(mean, C) with C given by variances along the coordinates.
    pub fn gaussian(mean: Vec<f64>, variances: Vec<f64>) -> Self {
        Self::new(vec![Component { weight: 1.0, mean, variances, axes: None }])
    }

    fn row(&self, values: Vec<f64>, like: &Rows) -> Rows {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [1, n]), (&like.device(), like.dtype()))
    }

    fn axes(&self, c: &Component, like: &Rows) -> Option<Rows> {
        let data = TensorData::new(c.axes.clone()?, [self.width, self.width]);
        Some(Tensor::from_data(data, (&like.device(), like.dtype())))
    }

    fn turned(x: Rows, axes: Option<&Rows>, back: bool) -> Rows {
        match axes {
            Some(u) if back => x.matmul(u.clone().transpose()),
            Some(u) => x.matmul(u.clone()),
            None => x,
        }
    }

    fn see(&self, c: &Component, x: &Rows, sigma: f64) -> Seen {
        let axes = self.axes(c, x);
        let mean = self.row(c.mean.clone(), x);
        let along = Self::turned(x.clone() - mean.clone(), axes.as_ref(), false);
        let noised: Vec<f64> = c.variances.iter().map(|v| v + sigma * sigma).collect();
        let keep = c.variances.iter().zip(&noised).map(|(v, s)| v / s).collect();
        let kept = Self::turned(along.clone() * self.row(keep, x), axes.as_ref(), true);
        let inverse = self.row(noised.iter().map(|s| 1.0 / s).collect(), x);
        let square = (along.clone() * along.clone() * inverse).sum_dim(1);
        let constant = c.weight.ln() - 0.5 * noised.iter().map(|s| (s * 2.0 * std::f64::consts::PI).ln()).sum::<f64>();
        Seen { mean: kept + mean, along, log: square * -0.5 + constant }
    }

    /// ln p_σ(x) of the noised mixture, `[n, 1]`; weights are taken as they stand.
    pub fn log_density(&self, x: &Rows, sigma: f64) -> Rows {
        let logs: Vec<Rows> = self.components.iter().map(|c| self.see(c, x, sigma).log).collect();
        let logs = Tensor::cat(logs, 1);
        let top = logs.clone().max_dim(1);
        (logs - top.clone()).exp().sum_dim(1).log() + top
    }

    /// The weights of the components after seeing x, `[n, K]`.
    fn responsibilities(seen: &[Seen]) -> Rows {
        softmax(Tensor::cat(seen.iter().map(|s| s.log.clone()).collect(), 1), 1)
    }

    fn tangents(&self, seen: &[Seen], weights: &Rows, x: &Rows, sigma: f64, t: Tangents) -> Tangents {
        let [n, d] = x.dims();
        let cube = t.expanded(n);
        let k = cube.dims()[1];
        let rows = cube.reshape([n * k, d]);
        let spread = |r: Rows| r.reshape([n, 1, d]);
        let mut moved = Vec::new();
        let mut slopes = Vec::new();
        for (c, s) in self.components.iter().zip(seen) {
            let axes = self.axes(c, x);
            let turned = Self::turned(rows.clone(), axes.as_ref(), false);
            let noised: Vec<f64> = c.variances.iter().map(|v| v + sigma * sigma).collect();
            let keep = c.variances.iter().zip(&noised).map(|(v, s)| v / s).collect();
            moved.push(Self::turned(turned.clone() * self.row(keep, x), axes.as_ref(), true).reshape([n, k, d]));
            let inverse = self.row(noised.iter().map(|s| -1.0 / s).collect(), x);
            slopes.push((turned.reshape([n, k, d]) * spread(s.along.clone() * inverse)).sum_dim(2));
        }
        let weight = |i: usize| weights.clone().narrow(1, i, 1).reshape([n, 1, 1]);
        let mean = slopes.iter().enumerate().map(|(i, s)| s.clone() * weight(i)).reduce(|a, b| a + b);
        let sum = (0..seen.len()).map(|i| {
            let pull = match &mean {
                Some(mean) => slopes[i].clone() - mean.clone(),
                None => slopes[i].clone(),
            };
            (moved[i].clone() + pull * spread(seen[i].mean.clone())) * weight(i)
        });
        Tangents::from_cube(sum.reduce(|a, b| a + b).expect("at least one component"))
    }
}

impl Denoiser for Mixture {
    fn width(&self) -> usize {
        self.width
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if classes.is_some() {
            return Err(Error::key("class", "a mixture has no classes"));
        }
        let seen: Vec<Seen> = self.components.iter().map(|c| self.see(c, &x.value, sigma)).collect();
        let weights = Self::responsibilities(&seen);
        let parts = seen.iter().enumerate().map(|(i, s)| s.mean.clone() * weights.clone().narrow(1, i, 1));
        let value = parts.reduce(|a, b| a + b).expect("at least one component");
        let tangents = x.tangents.clone().map(|t| self.tangents(&seen, &weights, &x.value, sigma, t));
        Ok(State { value, tangents })
    }
}
