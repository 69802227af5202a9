//! FLIPD of the points themselves, without a network. The density of n points with noise of level δ has a known
//! denoiser; its FLIPD is Σ w_i·‖x − x_i‖²/δ² with weights w_i ∝ exp(−‖x − x_i‖²/(2δ²)) that add up to 1.

use super::MethodRow;
use crate::diffusion::lid::{Cloud, Local};
use rayon::prelude::*;

pub const ROW: MethodRow = MethodRow {
    name: "cfdm",
    about: "FLIPD of the empirical density, in closed form, at the noise level δ",
    setting: ("delta", &[0.03, 0.1, 0.3]),
    estimate,
};

fn estimate(points: &Cloud, queries: &Cloud, delta: f64) -> Vec<Local<f64>> {
    let dimension = |q: usize| {
        let query = queries.point(q);
        let square = |i: usize| points.point(i).iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let scaled: Vec<f64> = (0..points.len()).map(|i| square(i) / (delta * delta)).collect();
        let least = scaled.iter().copied().fold(f64::MAX, f64::min);
        let (total, sum) = scaled.iter().fold((0.0, 0.0), |(total, sum), s| {
            let w = (-0.5 * (s - least)).exp();
            (total + w, sum + w * s)
        });
        let dimension = sum / total;
        match dimension.is_finite() {
            true => Ok(dimension),
            false => Err(format!("{} points at δ = {delta} have no density in numbers of this size", points.len())),
        }
    };
    (0..queries.len()).into_par_iter().map(dimension).collect()
}
