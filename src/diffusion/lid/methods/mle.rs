//! Maximum likelihood (Levina and Bickel 2004): one over the mean of ln(T_k/T_j) over the k − 1 nearer neighbours j,
//! where T_j is the distance to neighbour j.

use super::MethodRow;
use crate::diffusion::lid::Cloud;

pub const ROW: MethodRow = MethodRow {
    name: "mle",
    about: "Levina and Bickel: inverse mean of ln(T_k/T_j) over k neighbours",
    setting: ("k", &[20.0, 100.0]),
    estimate,
};

fn estimate(points: &Cloud, queries: &Cloud, k: f64) -> Vec<f64> {
    let dimension = |near: Vec<(f64, usize)>| {
        let Some((farthest, nearer)) = near.split_last() else { return 0.0 };
        // Distances are squared, so each logarithm is halved.
        let sum: f64 = nearer.iter().map(|n| 0.5 * (farthest.0 / n.0).ln()).sum();
        nearer.len() as f64 / sum
    };
    points.nearest(queries, k as usize).into_iter().map(dimension).collect()
}
