//! Compares three small computations on a device with the same in f64 on the host.
//!
//! For a sum of K products in f32, in any order, |computed − exact| ≤ K·u / (1 − K·u) · Σ|terms| with u = eps/2
//! (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1). So differences are taken relative to
//! Σ|terms|, and the tolerance is (K + 2)·eps: twice the bound and room for what is added at the end. A device that
//! rounds its factors to TF32 or f16 is off by some 1e-4 and fails.

use crate::device::Device;
use crate::error::Result;
use crate::noise::{Stream, normals};
use crate::panics::caught;
use crate::tensors::host;
use burn::tensor::{Tensor, TensorData, module::conv_transpose2d, ops::ConvTransposeOptions};
use std::borrow::Cow;

/// What one computation gave.
pub struct Check {
    /// Which computation.
    pub name: Cow<'static, str>,
    /// Largest difference from f64, relative to the sum of the magnitudes of the terms; or why there is none.
    pub difference: Result<f64, String>,
    /// Largest difference that rounding in f32 explains.
    pub tolerance: f64,
}

impl Check {
    /// Whether the device computed it, and correctly; NaN is not correct.
    pub fn passed(&self) -> bool {
        self.difference.as_ref().is_ok_and(|d| *d <= self.tolerance)
    }

    /// The fault in one line.
    pub fn fault(&self) -> String {
        match &self.difference {
            Ok(d) => format!(
                "self-check of {} is off by {d:.1e}, expected at most {:.1e}; use another device",
                self.name, self.tolerance
            ),
            Err(e) => format!("self-check of {} failed: {e}; use another device", self.name),
        }
    }
}

/// An exact value, and the sum of the magnitudes of its terms.
type Exact = (f64, f64);

/// Runs the three checks on `device`. A panic of the backend counts as a failed check.
pub fn check(device: &Device) -> Vec<Check> {
    let on = |name: &'static str, terms: usize, work: fn(&Device) -> Result<f64>| Check {
        name: name.into(),
        difference: caught(|| work(device)).map_err(|e| e.to_string()),
        tolerance: (terms + 2) as f64 * f64::from(f32::EPSILON),
    };
    vec![
        on("matmul 8x16x8", 16, matmul),
        on("conv_transpose2d 2x3x3 → 3x6x6", 9, conv),
        on("gradient of Σ tanh(xW)", 40, gradient),
    ]
}

/// `n` normal numbers that are the same on every machine; `what` selects which.
fn numbers(what: u32, n: usize) -> Vec<f32> {
    normals(0, u64::MAX, Stream::Preview, what, n)
}

fn on_device<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The largest |computed − exact| / Σ|terms|; NaN if a value is not finite or values are missing.
fn largest(computed: &[f32], exact: &[Exact]) -> f64 {
    if computed.len() != exact.len() || computed.iter().any(|v| !v.is_finite()) {
        return f64::NAN;
    }
    computed.iter().zip(exact).map(|(c, (value, terms))| (f64::from(*c) - value).abs() / terms).fold(0.0, f64::max)
}

fn matmul(device: &Device) -> Result<f64> {
    let (a, b) = (numbers(0, 8 * 16), numbers(1, 16 * 8));
    let product = on_device(&a, [8, 16], device).matmul(on_device(&b, [16, 8], device));
    Ok(largest(&host(product)?, &exact_product(&a, &b, 16, 8)))
}

/// The product of `[n, k]` and `[k, m]`, row-major.
fn exact_product(a: &[f32], b: &[f32], k: usize, m: usize) -> Vec<Exact> {
    let cell =
        |row: &[f32], j: usize| sum(row.iter().enumerate().map(|(i, v)| f64::from(*v) * f64::from(b[i * m + j])));
    a.chunks_exact(k).flat_map(|row| (0..m).map(move |j| cell(row, j))).collect()
}

fn sum(terms: impl Iterator<Item = f64>) -> Exact {
    terms.fold((0.0, 0.0), |(value, size), t| (value + t, size + t.abs()))
}

/// Two channels of 3×3, kernel 4, stride 2, padding 1: at most 2 · (4/2)² products in a value, plus the bias.
fn conv(device: &Device) -> Result<f64> {
    let (x, w, b) = (numbers(2, 2 * 9), numbers(3, 2 * 3 * 16), numbers(4, 3));
    let options = ConvTransposeOptions::new([2, 2], [1, 1], [0, 0], [1, 1], 1);
    let (input, weight) = (on_device(&x, [1, 2, 3, 3], device), on_device(&w, [2, 3, 4, 4], device));
    let y = conv_transpose2d(input, weight, Some(on_device(&b, [3], device)), options);
    Ok(largest(&host(y)?, &exact_conv(&x, &w, &b)))
}

/// Each input value adds its kernel to the output, which is the definition of the operation.
fn exact_conv(x: &[f32], w: &[f32], b: &[f32]) -> Vec<Exact> {
    let mut y: Vec<Exact> = (0..3 * 36).map(|i| sum(std::iter::once(f64::from(b[i / 36])))).collect();
    for (i, value) in x.iter().enumerate() {
        let (channel, row, column) = (i / 9, i / 3 % 3, i % 3);
        for (j, weight) in w[channel * 48..(channel + 1) * 48].iter().enumerate() {
            let (out, r, c) = (j / 16, 2 * row + j / 4 % 4, 2 * column + j % 4);
            if (1..7).contains(&r) && (1..7).contains(&c) {
                let term = f64::from(*value) * f64::from(*weight);
                let cell = &mut y[out * 36 + (r - 1) * 6 + c - 1];
                *cell = (cell.0 + term, cell.1 + term.abs());
            }
        }
    }
    y
}

/// ∂/∂x Σ tanh(xW) with x `[4, 8]`, W `[8, 16]`: sums of 8 and of 16 products, plus 16 eps for tanh and its slope.
fn gradient(device: &Device) -> Result<f64> {
    let (x, w) = (numbers(5, 4 * 8), numbers(6, 8 * 16));
    let input = on_device(&x, [4, 8], device).autodiff().require_grad();
    let gradients = input.clone().matmul(on_device(&w, [8, 16], device)).tanh().sum().backward();
    let found = input.grad(&gradients).map_or_else(|| Ok(Vec::new()), host)?;
    Ok(largest(&found, &exact_gradient(&x, &w)))
}

/// Σ_j W_ij (1 − tanh²h_j). A slope changes by less than h_j does, so term j counts as |W_ij| (1 + Σ_k |x_k W_kj|).
fn exact_gradient(x: &[f32], w: &[f32]) -> Vec<Exact> {
    let h = exact_product(x, w, 8, 16);
    let term = |h: &Exact, weight: f32| {
        (f64::from(weight) * (1.0 - h.0.tanh().powi(2)), f64::from(weight).abs() * (1.0 + h.1))
    };
    let cell = |h: &[Exact], i: usize| {
        let terms = h.iter().zip(&w[i * 16..]).map(|(h, weight)| term(h, *weight));
        terms.fold((0.0, 0.0), |a, t| (a.0 + t.0, a.1 + t.1))
    };
    h.chunks_exact(16).flat_map(|row| (0..8).map(move |i| cell(row, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_gradient_is_that_of_finite_differences() {
        let (x, w) = (numbers(5, 4 * 8), numbers(6, 8 * 16));
        let total = |x: &[f32]| exact_product(x, &w, 8, 16).iter().map(|h| h.0.tanh()).sum::<f64>();
        for (i, (exact, _)) in exact_gradient(&x, &w).iter().enumerate() {
            let step =
                |by: f32| x.iter().enumerate().map(|(j, v)| if i == j { v + by } else { *v }).collect::<Vec<_>>();
            let (up, down) = (step(1e-3), step(-1e-3));
            let width = f64::from(up[i]) - f64::from(down[i]);
            let slope = (total(&up) - total(&down)) / width;
            assert!((slope - exact).abs() < 1e-4, "{i}: {slope} {exact}");
        }
    }

    #[test]
    fn factors_rounded_to_tf32_fail() {
        let (a, b) = (numbers(0, 8 * 16), numbers(1, 16 * 8));
        let rounded = |v: &[f32]| v.iter().map(|v| f32::from_bits(v.to_bits() & !0x1fff)).collect::<Vec<_>>();
        let coarse = exact_product(&rounded(&a), &rounded(&b), 16, 8);
        let coarse: Vec<f32> = coarse.iter().map(|c| c.0 as f32).collect();
        let difference = largest(&coarse, &exact_product(&a, &b, 16, 8));
        assert!(difference > 20.0 * 18.0 * f64::from(f32::EPSILON), "{difference}");
    }

    #[test]
    fn what_is_not_finite_or_missing_fails() {
        for computed in [&[1.0, f32::NAN][..], &[1.0]] {
            let difference = Ok(largest(computed, &[(1.0, 1.0), (1.0, 1.0)]));
            assert!(!Check { name: "x".into(), difference, tolerance: 1.0 }.passed());
        }
        assert!(!Check { name: "x".into(), difference: Err("lost".into()), tolerance: 1.0 }.passed());
    }
}
