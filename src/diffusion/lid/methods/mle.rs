//! Maximum likelihood (Levina and Bickel 2004): one over the mean of ln(T_k/T_j) over the k − 1 nearer neighbours j,
//! where T_j is the distance to neighbour j.

use super::MethodRow;
use crate::diffusion::lid::neighbours::Neighbour;
use crate::diffusion::lid::{Cloud, Local};

pub const ROW: MethodRow = MethodRow {
    name: "mle",
    about: "Levina and Bickel: inverse mean of ln(T_k/T_j) over k neighbours",
    setting: ("k", &[20.0, 100.0]),
    estimate,
};

fn estimate(points: &Cloud, queries: &Cloud, k: f64) -> Vec<Local<f64>> {
    let dimension = |near: Local<Vec<Neighbour>>| {
        let near = near?;
        let (farthest, nearer) = (near[near.len() - 1], &near[..near.len() - 1]);
        // Distances are squared, so each logarithm is halved.
        let sum: f64 = nearer.iter().map(|n| 0.5 * (farthest.0 / n.0).ln()).sum();
        let dimension = nearer.len() as f64 / sum;
        match dimension.is_finite() {
            true => Ok(dimension),
            false => Err(format!("its {} neighbours are all equally far away", near.len())),
        }
    };
    points.neighbourhoods(queries, k as usize).into_iter().map(dimension).collect()
}
