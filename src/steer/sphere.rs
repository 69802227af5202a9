//! Geometry of latents: norms, angles, arcs. Every slice is one latent, `[d]`; all is computed in f64 on the host.

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// ‖z‖
pub fn norm(z: &[f32]) -> f64 {
    dot(z, z).sqrt()
}

/// ‖a − b‖
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt()
}

/// Angle between two latents, in radians; 0 where one of them is zero. Computed by the arctangent of the half-angle,
/// which stays exact to rounding near 0 and π, where the arccosine does not.
pub fn angle_between(a: &[f32], b: &[f32]) -> f64 {
    let (na, nb) = (norm(a), norm(b));
    if na == 0.0 || nb == 0.0 {
        return 0.0;
    }
    let unit = |z: &[f32], n: f64| z.iter().map(|v| f64::from(*v) / n).collect::<Vec<f64>>();
    let (a, b) = (unit(a, na), unit(b, nb));
    let minus: f64 = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum();
    let plus: f64 = a.iter().zip(&b).map(|(x, y)| (x + y).powi(2)).sum();
    2.0 * minus.sqrt().atan2(plus.sqrt())
}

/// The part of `g` that is tangent to the sphere at `z`: g − z (g·z)/‖z‖².
pub fn tangent(g: &[f32], z: &[f32]) -> Vec<f64> {
    let share = dot(g, z) / dot(z, z);
    g.iter().zip(z).map(|(g, z)| f64::from(*g) - share * f64::from(*z)).collect()
}

/// The point at angle `theta` (radians) from `z` along the tangent `direction`, at the same norm.
pub fn walk(z: &[f32], direction: &[f64], theta: f64) -> Vec<f32> {
    let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
    if length == 0.0 {
        return z.to_vec();
    }
    let scale = theta.sin() * norm(z) / length;
    z.iter().zip(direction).map(|(z, t)| (f64::from(*z) * theta.cos() + t * scale) as f32).collect()
}

/// The point at fraction `part` (0 … 1) of the arc from `a` to `b`, with a norm between theirs. Falls back to the
/// straight line where there is no unique arc: when the latents point the same way or opposite ways, or when one is
/// zero.
pub fn arc(a: &[f32], b: &[f32], part: f64) -> Vec<f32> {
    let theta = angle_between(a, b);
    let (na, nb) = (norm(a), norm(b));
    if !(1e-9..std::f64::consts::PI - 1e-6).contains(&theta) {
        return chord(a, b, part);
    }
    let size = na + part * (nb - na);
    let (wa, wb) = (((1.0 - part) * theta).sin() / theta.sin(), (part * theta).sin() / theta.sin());
    a.iter().zip(b).map(|(x, y)| (size * (wa * f64::from(*x) / na + wb * f64::from(*y) / nb)) as f32).collect()
}

/// The point at fraction `part` (0 … 1) of the straight line from `a` to `b`.
pub fn chord(a: &[f32], b: &[f32], part: f64) -> Vec<f32> {
    a.iter().zip(b).map(|(x, y)| ((1.0 - part) * f64::from(*x) + part * f64::from(*y)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walking_keeps_the_norm_and_turns_by_the_angle() {
        let z: Vec<f32> = (0..20).map(|i| ((i * 7) as f32).sin()).collect();
        let g: Vec<f32> = (0..20).map(|i| ((i * 3) as f32).cos()).collect();
        let moved = walk(&z, &tangent(&g, &z), 0.3);
        assert!((norm(&moved) / norm(&z) - 1.0).abs() < 1e-6);
        assert!((angle_between(&z, &moved) - 0.3).abs() < 1e-6);
        assert!((angle_between(&z, &arc(&z, &moved, 0.25)) - 0.075).abs() < 1e-6);
        assert_eq!(angle_between(&z, &z), 0.0);
    }
}
