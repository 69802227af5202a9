//! The denoiser of a finite set of points: closed-form diffusion. For points x_i with weights w_i that add up to 1, noise of level σ
//! makes the density Σ w_i·N(x; x_i, σ²I), whose denoiser is
//!
//!   D(x; σ) = Σ r_i(x)·x_i,   r_i ∝ w_i·exp(−‖x − x_i‖²/(2σ²)),
//!
//! with the Jacobian Σ r_i (x_i − D)(x_i − D)ᵀ/σ². It is what a network would learn that knew its training set by heart, so samples
//! from it are copies, and its FLIPD is the dimension of the set itself at the scale σ.

use super::{host64, rows64};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use isoline::diffusion::lid::{Cloud, METHODS};
use isoline::diffusion::{Classes, Denoiser, State, Trace, flipd};
use isoline::error::{Error, Result};
use isoline::nn::{Rows, Tangents};
use isoline::noise::{Stream, normals};

/// A finite set of weighted points, and its denoiser at every noise level.
#[derive(Clone, Debug)]
pub struct Empirical {
    values: Vec<f64>,
    logs: Vec<f64>,
    width: usize,
}

impl Empirical {
    /// Points `[n, width]` row-major with n weights above 0, which need not add up to 1.
    ///
    /// # Errors
    /// [`Error::Key`] for no points, or weights that do not fit them.
    pub fn new(values: Vec<f64>, width: usize, weights: &[f64]) -> Result<Self> {
        let n = values.len() / width.max(1);
        if n == 0
            || n * width != values.len()
            || weights.len() != n
            || weights.iter().any(|w| *w <= 0.0 || !w.is_finite())
        {
            let message = format!("expected {n} weights above 0 for {} values, {width} to a point", values.len());
            return Err(Error::key("weights", message));
        }
        Ok(Self { values, logs: weights.iter().map(|w| w.ln()).collect(), width })
    }

    /// Number of points.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    fn like(values: &[f64], shape: [usize; 2], like: &Rows) -> Rows {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (&like.device(), like.dtype()))
    }

    fn points(&self, like: &Rows) -> Rows {
        Self::like(&self.values, [self.count(), self.width], like)
    }

    /// ln(w_i·exp(−‖x − x_i‖²/(2σ²))) without what all i share, ‖x‖², `[n, N]`.
    fn logs(&self, x: &Rows, points: &Rows, sigma: f64) -> Rows {
        let squares: Vec<f64> =
            self.values.chunks_exact(self.width).map(|p| p.iter().map(|v| v * v).sum::<f64>()).collect();
        let own: Vec<f64> = squares.iter().zip(&self.logs).map(|(s, l)| l - 0.5 * s / (sigma * sigma)).collect();
        let along = x.clone().matmul(points.clone().transpose()) * (1.0 / (sigma * sigma));
        along + Self::like(&own, [1, self.count()], x)
    }
}

impl Denoiser for Empirical {
    fn width(&self) -> usize {
        self.width
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        if classes.is_some() {
            return Err(Error::key("class", "a set of points has no classes"));
        }
        let points = self.points(&x.value);
        let near = softmax(self.logs(&x.value, &points, sigma), 1);
        let value = near.clone().matmul(points.clone());
        let tangents = x.tangents.clone().map(|t| {
            let [n, d] = x.value.dims();
            let cube = t.expanded(n);
            let k = cube.dims()[1];
            let along = cube.clone().reshape([n * k, d]).matmul(points.clone().transpose());
            let along = along.reshape([n, k, self.count()]) * near.reshape([n, 1, self.count()]);
            let second = along.reshape([n * k, self.count()]).matmul(points).reshape([n, k, d]);
            let mean = value.clone().reshape([n, 1, d]);
            let first = (cube * mean.clone()).sum_dim(2) * mean;
            Tangents::from_cube((second - first) * (1.0 / (sigma * sigma)))
        });
        Ok(State { value, tangents })
    }
}

fn points() -> Vec<f64> {
    normals(3, 0, Stream::Latent, 0, 60).into_iter().map(f64::from).collect()
}

/// The FLIPD of the denoiser is that of the formula for points, which is computed without tensors.
#[test]
fn its_dimension_is_that_of_the_points() {
    let set = Empirical::new(points(), 3, &[1.0; 20]).unwrap();
    let at = vec![0.1, -0.3, 0.2, 1.0, 1.0, 1.0];
    let cfdm = METHODS.iter().find(|m| m.name == "cfdm").unwrap();
    for sigma in [0.1, 0.5, 2.0] {
        let own = flipd(&set, &rows64(at.clone(), 3), sigma, Trace::Exact).unwrap();
        let known =
            (cfdm.estimate)(&Cloud { values: points(), width: 3 }, &Cloud { values: at.clone(), width: 3 }, sigma);
        for (a, b) in own.iter().zip(known) {
            assert!((a.dimension().value - b.unwrap()).abs() < 1e-9, "{sigma}: {a:?}");
        }
    }
}

/// Tangents against central differences, error O(h²), and a weight that counts as often as it says.
#[test]
fn tangents_are_differences_and_weights_are_copies() {
    let weights: Vec<f64> = (0..20).map(|i| 1.0 + f64::from(i % 3)).collect();
    let set = Empirical::new(points(), 3, &weights).unwrap();
    let copies: Vec<f64> = points().chunks(3).zip(&weights).flat_map(|(p, w)| p.repeat(*w as usize)).collect();
    let same = Empirical::new(copies.clone(), 3, &vec![1.0; copies.len() / 3]).unwrap();
    let (x, v, h, sigma) = ([0.2, 0.4, -0.1], [0.3, -1.0, 0.5], 1e-5, 0.7);
    let value = |set: &Empirical, by: f64| {
        let moved = x.iter().zip(v).map(|(x, v)| x + by * v).collect();
        host64(set.denoise(&State::plain(rows64(moved, 3)), sigma, None).unwrap().value)
    };
    let state = State { value: rows64(x.to_vec(), 3), tangents: Some(Tangents::shared(rows64(v.to_vec(), 3))) };
    let along = set.denoise(&state, sigma, None).unwrap().tangents.unwrap().cube().try_into_vec_as::<f64>().unwrap();
    let (up, down) = (value(&set, h), value(&set, -h));
    for i in 0..3 {
        assert!((along[i] - (up[i] - down[i]) / (2.0 * h)).abs() < 1e-8, "{along:?}");
    }
    for (a, b) in value(&set, 0.0).iter().zip(value(&same, 0.0)) {
        assert!((a - b).abs() < 1e-12);
    }
    assert!(Empirical::new(points(), 3, &[1.0; 19]).is_err() && Empirical::new(vec![], 3, &[]).is_err());
}
