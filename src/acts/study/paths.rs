//! Latents on planes and paths between seeds.

/// A square grid on the plane through three latents: z(u, v) = a + u (b − a) + v (c − a), u and v from −0.25 to
/// 1.25, row by row from the lowest v. Gives latents `[size², d]` and (u, v) of each.
pub fn plane([a, b, c]: [&[f32]; 3], size: usize) -> (Vec<f32>, Vec<(f64, f64)>) {
    let at = |i: usize| if size > 1 { -0.25 + 1.5 * i as f64 / (size - 1) as f64 } else { 0.0 };
    let places: Vec<(f64, f64)> = (0..size).flat_map(|v| (0..size).map(move |u| (at(u), at(v)))).collect();
    let latent = |(u, v): &(f64, f64)| {
        let (u, v) = (*u, *v);
        let each = a.iter().zip(b).zip(c).map(move |((a, b), c)| {
            let (a, b, c) = (f64::from(*a), f64::from(*b), f64::from(*c));
            (a + u * (b - a) + v * (c - a)) as f32
        });
        each.collect::<Vec<f32>>()
    };
    (places.iter().flat_map(latent).collect(), places)
}

/// Where on the grid of [`plane`] a point (u, v) lies, in cells.
pub fn cell(u: f64, size: usize) -> f64 {
    (u + 0.25) / 1.5 * size.saturating_sub(1) as f64
}

/// `steps` latents from each latent to the next and the last one itself: along the great circle, the norm
/// linear (which stays where the prior lives), or straight.
pub fn path(points: &[&[f32]], steps: usize, straight: bool) -> Vec<f32> {
    let mut latents = Vec::new();
    for leg in points.windows(2) {
        for i in 0..steps {
            latents.extend(between(leg[0], leg[1], i as f64 / steps as f64, straight));
        }
    }
    latents.extend(points.last().into_iter().flat_map(|p| p.iter().copied()));
    latents
}

fn between(a: &[f32], b: &[f32], t: f64, straight: bool) -> Vec<f32> {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let (na, nb) = (dot(a, a).sqrt(), dot(b, b).sqrt());
    let angle = (dot(a, b) / (na * nb)).clamp(-1.0, 1.0).acos();
    let (p, q) = if straight || !(1e-6..std::f64::consts::PI - 1e-6).contains(&angle) {
        (1.0 - t, t)
    } else {
        let norm = na + t * (nb - na);
        let weight = |part: f64, of: f64| norm * (part * angle).sin() / (angle.sin() * of);
        (weight(1.0 - t, na), weight(t, nb))
    };
    a.iter().zip(b).map(|(a, b)| (p * f64::from(*a) + q * f64::from(*b)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_pass_through_their_seeds() {
        let (a, b, c) = ([1.0f32, 0.0, 0.5], [0.0f32, 2.0, 0.5], [3.0f32, -1.0, 0.0]);
        let (latents, places) = plane([&a, &b, &c], 7);
        for (z, (u, v)) in [(a, (0.0, 0.0)), (b, (1.0, 0.0)), (c, (0.0, 1.0))] {
            let i = places.iter().position(|p| (p.0 - u).abs() < 1e-9 && (p.1 - v).abs() < 1e-9).unwrap();
            assert!(latents[3 * i..3 * i + 3].iter().zip(z).all(|(x, y)| (x - y).abs() < 1e-6));
            assert_eq!((cell(u, 7).round() as usize, cell(v, 7).round() as usize), (i % 7, i / 7));
        }
    }

    #[test]
    fn paths_keep_the_norm_and_meet_their_ends() {
        let (a, b) = ([3.0f32, 4.0, 0.0], [0.0f32, 0.0, 10.0]);
        let along = path(&[&a, &b, &a], 4, false);
        assert_eq!(along.len(), 27);
        for (i, z) in along.chunks(3).enumerate() {
            let norm = z.iter().map(|v| v * v).sum::<f32>().sqrt();
            let expected = if i <= 4 { 5.0 + 5.0 * i as f32 / 4.0 } else { 10.0 - 5.0 * (i - 4) as f32 / 4.0 };
            assert!((norm - expected).abs() < 1e-5, "{i}: {norm}");
        }
        assert!(along[12..15].iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5));
        assert_eq!(path(&[&a, &b], 2, true)[3..6], [1.5, 2.0, 5.0]);
        assert_eq!(path(&[&a, &a], 3, false)[3..6], a);
    }
}
