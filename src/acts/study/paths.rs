//! Latents on planes and on paths between seeds.

use crate::steer::{arc, chord};
use crate::units::Latents;

/// A square grid on the plane through three latents: z(u, v) = a + u (b − a) + v (c − a), with u and v from −0.25 to
/// 1.25, row by row from the lowest v. Returns the latents, `[size², d]`, and the (u, v) of each.
pub fn plane([a, b, c]: [&[f32]; 3], size: usize) -> (Latents, Vec<(f64, f64)>) {
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
    (Latents::new(places.iter().flat_map(latent).collect(), a.len()), places)
}

/// The grid position of a point (u, v) on the grid of [`plane`], in cells along one side.
pub fn cell(u: f64, size: usize) -> f64 {
    (u + 0.25) / 1.5 * size.saturating_sub(1) as f64
}

/// `steps` latents on the way from each latent to the next, plus the last latent itself: `[(n − 1)·steps + 1, d]`. The
/// way is a great circle, along which the norm changes linearly so that latents stay where the prior lives, or a
/// straight line.
pub fn path(points: &Latents, steps: usize, straight: bool) -> Latents {
    let between = if straight { chord } else { arc };
    let stations: Vec<&[f32]> = points.rows().collect();
    let leg = |leg: &[&[f32]]| {
        let (from, to) = (leg[0], leg[1]);
        (0..steps).flat_map(|i| between(from, to, i as f64 / steps as f64)).collect::<Vec<f32>>()
    };
    let mut values: Vec<f32> = stations.windows(2).flat_map(leg).collect();
    values.extend(stations.last().into_iter().copied().flatten());
    Latents::new(values, points.width())
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
            assert!(latents.row(i).iter().zip(z).all(|(x, y)| (x - y).abs() < 1e-6));
            assert_eq!((cell(u, 7).round() as usize, cell(v, 7).round() as usize), (i % 7, i / 7));
        }
    }

    #[test]
    fn paths_keep_the_norm_and_meet_their_ends() {
        let (a, b) = ([3.0f32, 4.0, 0.0], [0.0f32, 0.0, 10.0]);
        let of = |points: &[[f32; 3]]| Latents::new(points.concat(), 3);
        let along = path(&of(&[a, b, a]), 4, false);
        assert_eq!(along.len(), 9);
        for (i, z) in along.rows().enumerate() {
            let norm = z.iter().map(|v| v * v).sum::<f32>().sqrt();
            let expected = if i <= 4 { 5.0 + 5.0 * i as f32 / 4.0 } else { 10.0 - 5.0 * (i - 4) as f32 / 4.0 };
            assert!((norm - expected).abs() < 1e-5, "{i}: {norm}");
        }
        assert!(along.row(4).iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5));
        assert_eq!(path(&of(&[a, b]), 2, true).row(1), [1.5, 2.0, 5.0]);
        assert_eq!(path(&of(&[a, a]), 3, false).row(1), a);
    }
}
