//! Expected simplex skewness (Johnsson et al. 2015, version a, d = 1). Take the vectors from the neighbours' mean to
//! the neighbours. The mean sine of the angles between them, weighted by their lengths, is compared with its value for
//! random directions in m dimensions. The estimate is the m at which the two agree, interpolated.

use super::MethodRow;
use crate::diffusion::lid::neighbours::Neighbour;
use crate::diffusion::lid::{Cloud, Local};
use rayon::prelude::*;

pub const ROW: MethodRow = MethodRow {
    name: "ess",
    about: "expected simplex skewness of k neighbours, version a",
    setting: ("k", &[30.0, 100.0]),
    estimate,
};

fn estimate(points: &Cloud, queries: &Cloud, k: f64) -> Vec<Local<f64>> {
    let at = |near: Local<Vec<Neighbour>>| {
        let members: Vec<usize> = near?.iter().map(|n| n.1).collect();
        match skewness(points, &members) {
            skewness if skewness.is_finite() => Ok(dimension(skewness, points.width)),
            _ => Err("its neighbours cannot be told apart in numbers of this size".into()),
        }
    };
    points.neighbourhoods(queries, k as usize).into_par_iter().map(at).collect()
}

/// Σ |v_i||v_j| sin θ_ij / Σ |v_i||v_j| over the pairs of points with indices `members`; v are the vectors from their
/// mean. They must not all lie at one place.
fn skewness(points: &Cloud, members: &[usize]) -> f64 {
    let d = points.width;
    let n = members.len() as f64;
    let mean: Vec<f64> = (0..d).map(|j| members.iter().map(|i| points.point(*i)[j]).sum::<f64>() / n).collect();
    let vectors: Vec<Vec<f64>> =
        members.iter().map(|i| points.point(*i).iter().zip(&mean).map(|(a, b)| a - b).collect()).collect();
    let squares: Vec<f64> = vectors.iter().map(|v| v.iter().map(|x| x * x).sum()).collect();
    let (mut area, mut weight) = (0.0, 0.0);
    for i in 0..vectors.len() {
        for j in 0..i {
            let dot: f64 = vectors[i].iter().zip(&vectors[j]).map(|(a, b)| a * b).sum();
            let product = squares[i] * squares[j];
            area += (product - dot * dot).max(0.0).sqrt();
            weight += product.sqrt();
        }
    }
    area / weight
}

/// E sin θ between two random directions in m = 1, …, `most` dimensions: s(m) = Γ(m/2)²/(Γ((m + 1)/2)·Γ((m − 1)/2)),
/// computed from s(1) = 0, s(2) = 2/π and the recurrence s(m + 2) = s(m)·m²/((m + 1)(m − 1)).
fn reference(most: usize) -> Vec<f64> {
    let mut s = vec![0.0, 2.0 / std::f64::consts::PI, std::f64::consts::FRAC_PI_4];
    for m in 2..most {
        let f = m as f64;
        s.push(s[m - 1] * f * f / ((f + 1.0) * (f - 1.0)));
    }
    s.truncate(most.max(1));
    s
}

/// The dimension at which the reference equals `skewness`, linear between whole numbers and at most `width` + 20; 1 at
/// skewness 0.
fn dimension(skewness: f64, width: usize) -> f64 {
    let reference = reference(width + 20);
    let above = reference.partition_point(|r| *r <= skewness);
    match above {
        0 => 0.0,
        n if n == reference.len() => n as f64,
        n => n as f64 + (skewness - reference[n - 1]) / (reference[n] - reference[n - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_in_three_dimensions_by_hand() {
        // E sin θ = ½∫sin²θ dθ = π/4 on the sphere; in four dimensions (2/π)·4/3.
        let s = reference(6);
        assert!((s[2] - std::f64::consts::FRAC_PI_4).abs() < 1e-15);
        assert!((s[3] - 8.0 / (3.0 * std::f64::consts::PI)).abs() < 1e-15);
        assert!((dimension(s[3], 6) - 4.0).abs() < 1e-12);
    }
}
