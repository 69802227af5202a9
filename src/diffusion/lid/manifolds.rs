//! Synthetic manifolds of known local dimension, drawn from keyed noise: up to a common shift and scale, point i
//! depends only on the seed and on i.

use super::neighbours::Cloud;
use crate::noise::{Stream, normals, uniforms};

/// Points on a manifold, with the truth about each.
#[derive(Clone, Debug)]
pub struct Points {
    /// The points, `[n, width]`.
    pub cloud: Cloud,
    /// The local dimension at each point, `[n]`.
    pub dimension: Vec<f64>,
    /// Which part of the manifold each point lies in, counted from 0, `[n]`.
    pub part: Vec<usize>,
}

/// One row of the table of manifolds.
pub struct ManifoldRow {
    /// Its name, as in `--set NAME`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// (number of points, seed) → the points.
    pub make: fn(usize, u64) -> Points,
}

/// Every manifold that `isoline lid` knows.
pub static MANIFOLDS: &[ManifoldRow] = &[
    ManifoldRow {
        name: "lollipop",
        about: "a disc, a stick and a dot in the plane: dimensions 2, 1, 0",
        make: lollipop,
    },
    ManifoldRow { name: "swiss-roll", about: "a rolled sheet in space: dimension 2", make: swiss_roll },
    ManifoldRow { name: "doughnut", about: "a torus and its core circle: dimensions 2 and 1", make: doughnut },
    ManifoldRow {
        name: "planes-10",
        about: "cubes of 2, 4, 8 dimensions in R^10",
        make: |n, s| planes(n, s, 10, &[2, 4, 8]),
    },
    ManifoldRow {
        name: "planes-100",
        about: "cubes of 10, 30, 90 dimensions in R^100",
        make: |n, s| planes(n, s, 100, &[10, 30, 90]),
    },
];

/// `count` uniform numbers in [0, 1) for point `i`.
fn draws(seed: u64, i: usize, count: usize) -> Vec<f64> {
    uniforms(seed, i as u64, Stream::Training, 0, count).into_iter().map(f64::from).collect()
}

/// Assembles points from the (values, dimension, part) of each; `width` is the number of values of one.
fn collect(width: usize, points: impl Iterator<Item = (Vec<f64>, f64, usize)>) -> Points {
    let mut all = Points { cloud: Cloud { values: Vec::new(), width }, dimension: Vec::new(), part: Vec::new() };
    for (point, dimension, part) in points {
        all.cloud.values.extend(point);
        all.dimension.push(dimension);
        all.part.push(part);
    }
    all
}

/// A disc of radius 1 around (3, 3), a stick from its edge to (1.5, 1.5), and a dot at 0; they get 4 : 2 : 1 of the
/// points.
fn lollipop(n: usize, seed: u64) -> Points {
    let edge = 3.0 - 0.5f64.sqrt();
    collect(
        2,
        (0..n).map(|i| {
            let u = draws(seed, i, 3);
            match i % 7 {
                0..4 => {
                    let (r, a) = (u[0].sqrt(), std::f64::consts::TAU * u[1]);
                    (vec![3.0 + r * a.cos(), 3.0 + r * a.sin()], 2.0, 0)
                }
                4..6 => {
                    let at = 1.5 + u[0] * (edge - 1.5);
                    (vec![at, at], 1.0, 1)
                }
                _ => (vec![0.0, 0.0], 0.0, 2),
            }
        }),
    )
}

/// The Swiss roll of scikit-learn, (a cos a, 21v, a sin a)/7 with a = 1.5π(1 + 2u). The divisor brings the standard
/// deviations near 1.
fn swiss_roll(n: usize, seed: u64) -> Points {
    collect(
        3,
        (0..n).map(|i| {
            let u = draws(seed, i, 2);
            let a = 1.5 * std::f64::consts::PI * (1.0 + 2.0 * u[0]);
            (vec![a * a.cos() / 7.0, 3.0 * u[1], a * a.sin() / 7.0], 2.0, 0)
        }),
    )
}

/// A torus of radii 10 and 1, and its core circle; half of the points lie on each, and all are divided by 7.
fn doughnut(n: usize, seed: u64) -> Points {
    collect(
        3,
        (0..n).map(|i| {
            let u = draws(seed, i, 2);
            let (a, b) = (std::f64::consts::TAU * u[0], std::f64::consts::TAU * u[1]);
            let r = if i % 2 == 0 { 1.0 } else { 0.0 };
            let across = 10.0 + r * b.cos();
            let point = vec![across * a.cos() / 7.0, across * a.sin() / 7.0, r * b.sin() / 7.0];
            (point, if i % 2 == 0 { 2.0 } else { 1.0 }, i % 2)
        }),
    )
}

/// Cubes [−1, 1]^m, one for each m of `dimensions`, in random orientations in R^width, with centres 10 apart and equal
/// shares of the points. All coordinates are then centred and divided by a single number, their overall root mean
/// square, so that no direction is stretched relative to another.
fn planes(n: usize, seed: u64, width: usize, dimensions: &[usize]) -> Points {
    let frames: Vec<Vec<f64>> = dimensions
        .iter()
        .enumerate()
        .map(|(k, m)| {
            let drawn = normals(seed, k as u64, Stream::Frame, 0, width * m);
            crate::linalg::orthonormal_columns(&drawn.into_iter().map(f64::from).collect::<Vec<_>>(), width, *m)
        })
        .collect();
    let mut points = collect(
        width,
        (0..n).map(|i| {
            let k = i % dimensions.len();
            let m = dimensions[k];
            let u: Vec<f64> = draws(seed, i, m).into_iter().map(|u| 2.0 * u - 1.0).collect();
            let centre = |j: usize| if j == k { 10.0 / std::f64::consts::SQRT_2 } else { 0.0 };
            let point =
                (0..width).map(|j| centre(j) + (0..m).map(|a| frames[k][j * m + a] * u[a]).sum::<f64>()).collect();
            (point, m as f64, k)
        }),
    );
    let count = points.dimension.len() as f64;
    let values = &mut points.cloud.values;
    let means: Vec<f64> = (0..width).map(|j| values.iter().skip(j).step_by(width).sum::<f64>() / count).collect();
    values.iter_mut().enumerate().for_each(|(i, v)| *v -= means[i % width]);
    let rms = (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    values.iter_mut().for_each(|v| *v /= rms);
    points
}
