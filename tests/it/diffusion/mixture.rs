//! Mixtures of Gaussians. Their denoiser, score and likelihood are known in closed form, and solvers, guidance,
//! dimensions and likelihoods are tested against them.
//!
//! With C_k + σ²I the covariance of component k at noise level σ, the denoiser is
//!
//!   D(x; σ) = Σ_k r_k(x)·[μ_k + C_k(C_k + σ²I)⁻¹(x − μ_k)],   r_k ∝ weight_k·N(x; μ_k, C_k + σ²I).

use burn::tensor::{Tensor, TensorData, activation::softmax};
use isoline::diffusion::{Classes, Denoiser, State};
use isoline::error::{Error, Result};
use isoline::nn::{Rows, Tangents};

/// One component of a mixture: N(mean, C) with C = Σ_i variances_i·u_i u_iᵀ.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its weight in the mixture; weights need not add up to 1.
    pub weight: f64,
    /// The mean, `[D]`.
    pub mean: Vec<f64>,
    /// The variance along each axis, `[D]`; 0 along a direction in which the Gaussian has no extent.
    pub variances: Vec<f64>,
    /// The axes u_i as the columns of an orthogonal matrix `[D, D]`, row-major; `None` for the coordinate axes.
    pub axes: Option<Vec<f64>>,
}

/// p(x) = Σ_k weight_k·N(x; mean_k, C_k), and its denoiser at every noise level.
#[derive(Clone, Debug)]
pub struct Mixture {
    components: Vec<Component>,
    width: usize,
}

/// One component evaluated at a batch of points x.
struct ComponentValues {
    /// The points as this component alone would denoise them, `[n, D]`.
    mean: Rows,
    /// (x − μ)U, the points in the axes of the component, `[n, D]`.
    along: Rows,
    /// ln(weight·density), `[n, 1]`.
    log: Rows,
}

impl Mixture {
    /// A mixture of at least one component, all of the same width.
    ///
    /// # Panics
    /// If the lengths differ. Mixtures are written in code, not read from files.
    pub fn new(components: Vec<Component>) -> Self {
        let width = components[0].mean.len();
        for c in &components {
            assert!(c.mean.len() == width && c.variances.len() == width, "components of one width");
            assert!(c.axes.as_ref().is_none_or(|a| a.len() == width * width), "axes of one width");
        }
        Self { components, width }
    }

    /// A single Gaussian with the given variances along the coordinate axes; both lists are `[D]`.
    pub fn gaussian(mean: Vec<f64>, variances: Vec<f64>) -> Self {
        Self::new(vec![Component { weight: 1.0, mean, variances, axes: None }])
    }

    /// A row `[1, D]` with the number type and device of `like`.
    fn row(&self, values: Vec<f64>, like: &Rows) -> Rows {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [1, n]), (&like.device(), like.dtype()))
    }

    /// U, `[D, D]`, or `None` for the identity.
    fn axes(&self, c: &Component, like: &Rows) -> Option<Rows> {
        let data = TensorData::new(c.axes.clone()?, [self.width, self.width]);
        Some(Tensor::from_data(data, (&like.device(), like.dtype())))
    }

    /// xU; or xUᵀ, which turns it `back`.
    fn turned(x: Rows, axes: Option<&Rows>, back: bool) -> Rows {
        match axes {
            Some(u) if back => x.matmul(u.clone().transpose()),
            Some(u) => x.matmul(u.clone()),
            None => x,
        }
    }

    /// The component `c` at x (`[n, D]`) and noise level σ.
    fn evaluate(&self, c: &Component, x: &Rows, sigma: f64) -> ComponentValues {
        let axes = self.axes(c, x);
        let mean = self.row(c.mean.clone(), x);
        let along = Self::turned(x.clone() - mean.clone(), axes.as_ref(), false);
        let noised: Vec<f64> = c.variances.iter().map(|v| v + sigma * sigma).collect();
        let keep = c.variances.iter().zip(&noised).map(|(v, s)| v / s).collect();
        let kept = Self::turned(along.clone() * self.row(keep, x), axes.as_ref(), true);
        let inverse = self.row(noised.iter().map(|s| 1.0 / s).collect(), x);
        let square = (along.clone() * along.clone() * inverse).sum_dim(1);
        let constant = c.weight.ln() - 0.5 * noised.iter().map(|s| (s * 2.0 * std::f64::consts::PI).ln()).sum::<f64>();
        ComponentValues { mean: kept + mean, along, log: square * -0.5 + constant }
    }

    /// ln p_σ(x) of the mixture at noise level σ, `[n, 1]`, for x `[n, D]`. Weights are not normalised.
    pub fn log_density(&self, x: &Rows, sigma: f64) -> Rows {
        let logs: Vec<Rows> = self.components.iter().map(|c| self.evaluate(c, x, sigma).log).collect();
        let logs = Tensor::cat(logs, 1);
        let top = logs.clone().max_dim(1);
        (logs - top.clone()).exp().sum_dim(1).log() + top
    }

    /// The responsibilities r_k(x), `[n, K]`: the probability of each component given x.
    fn responsibilities(seen: &[ComponentValues]) -> Rows {
        softmax(Tensor::cat(seen.iter().map(|s| s.log.clone()).collect(), 1), 1)
    }

    /// The tangents ∂D/∂x·t, for the tangents t of x.
    fn tangents(&self, seen: &[ComponentValues], weights: &Rows, x: &Rows, sigma: f64, t: Tangents) -> Tangents {
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
        let seen: Vec<ComponentValues> = self.components.iter().map(|c| self.evaluate(c, &x.value, sigma)).collect();
        let weights = Self::responsibilities(&seen);
        let parts = seen.iter().enumerate().map(|(i, s)| s.mean.clone() * weights.clone().narrow(1, i, 1));
        let value = parts.reduce(|a, b| a + b).expect("at least one component");
        let tangents = x.tangents.clone().map(|t| self.tangents(&seen, &weights, &x.value, sigma, t));
        Ok(State { value, tangents })
    }
}
