//! Local PCA (Fukunaga and Olsen): the number of eigenvalues of the neighbours' covariance above 5 % of the largest.

use super::MethodRow;
use crate::diffusion::lid::neighbours::Neighbour;
use crate::diffusion::lid::{Cloud, Local};
use nalgebra::DMatrix;
use rayon::prelude::*;

pub const ROW: MethodRow = MethodRow {
    name: "lpca",
    about: "local PCA: eigenvalues of k neighbours' covariance above 5 % of the largest",
    setting: ("k", &[30.0, 100.0, 300.0]),
    estimate,
};

/// Eigenvalues count when they are above this share of the largest.
const SHARE: f64 = 0.05;

fn estimate(points: &Cloud, queries: &Cloud, k: f64) -> Vec<Local<f64>> {
    let at = |near: Local<Vec<Neighbour>>| match dimension(points, near?.iter().map(|n| n.1)) {
        0.0 => Err("its neighbours cannot be told apart in numbers of this size".into()),
        dimension => Ok(dimension),
    };
    points.neighbourhoods(queries, k as usize).into_par_iter().map(at).collect()
}

/// The dimension at the neighbours with indices `members`, which must not all lie at one place.
fn dimension(points: &Cloud, members: impl Iterator<Item = usize>) -> f64 {
    let rows: Vec<&[f64]> = members.map(|i| points.point(i)).collect();
    let m = DMatrix::from_fn(rows.len(), points.width, |i, j| rows[i][j]);
    let mean = m.row_mean();
    let centred = DMatrix::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] - mean[j]);
    // Both Gram matrices have the same eigenvalues above 0, so the smaller one is used.
    let gram = if m.nrows() < m.ncols() { &centred * centred.transpose() } else { centred.transpose() * &centred };
    let eigenvalues = gram.symmetric_eigenvalues();
    let first = eigenvalues.max();
    eigenvalues.iter().filter(|v| **v > SHARE * first).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_in_five_dimensions() {
        let values: Vec<f64> = (0..400)
            .flat_map(|i| {
                let (a, b) = (f64::from(i % 20), f64::from(i / 20));
                [a, b, a + b, a - 2.0 * b, 0.0]
            })
            .collect();
        let cloud = Cloud { values, width: 5 };
        let queries = Cloud { values: cloud.point(210).to_vec(), width: 5 };
        assert_eq!(estimate(&cloud, &queries, 40.0), [Ok(2.0)]);
    }
}
