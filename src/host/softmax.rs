//! Softmax along one axis, and its logarithm.

use super::{HostLayer, HostRows, Linearisation};
use crate::nn::fast;
use rayon::prelude::*;

/// aₛ = exp xₛ / Σ exp xᵣ over the middle axis of `[outer, size, inner]`, or ln aₛ. The linearisation holds a.
pub struct Softmax {
    /// The sizes outer, size and inner.
    pub sizes: [usize; 3],
    /// Whether the output is ln a.
    pub log: bool,
}

impl Softmax {
    /// The features of the group that (o, i) stands for.
    fn group(&self, o: usize, i: usize) -> impl Iterator<Item = usize> + Clone {
        let [_, size, inner] = self.sizes;
        (0..size).map(move |s| (o * size + s) * inner + i)
    }

    /// The groups, in the order of their features.
    fn groups(&self) -> impl Iterator<Item = (usize, usize)> {
        let [outer, _, inner] = self.sizes;
        (0..outer).flat_map(move |o| (0..inner).map(move |i| (o, i)))
    }
}

impl HostLayer for Softmax {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let (mut a, mut y) = (vec![0.0f32; x.len()], vec![0.0f32; x.len()]);
        for (o, i) in self.groups() {
            let group = self.group(o, i);
            let top = group.clone().map(|f| x[f]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = group.clone().map(|f| f64::from((x[f] - top).exp())).sum();
            for f in group {
                a[f] = (f64::from((x[f] - top).exp()) / sum) as f32;
                y[f] = if self.log { (f64::from(x[f] - top) - sum.ln()) as f32 } else { a[f] };
            }
        }
        (y, Linearisation { values: a, inner: Vec::new() })
    }

    fn values(&self, x: HostRows) -> HostRows {
        let ([outer, size, inner], lanes) = (self.sizes, x.lanes());
        // Of each group the greatest value of every lane, then what divides every lane.
        let mut of_groups = vec![0.0f32; 2 * outer * inner * lanes];
        of_groups.par_chunks_exact_mut(2 * lanes).enumerate().for_each(|(g, of)| {
            let (top, sum) = of.split_at_mut(lanes);
            let (mut total, mut shown) = (vec![0.0f64; lanes], vec![0.0f32; lanes]);
            top.fill(f32::NEG_INFINITY);
            for f in self.group(g / inner, g % inner) {
                top.iter_mut().zip(x.row_or_zeros(f)).for_each(|(top, v)| *top = top.max(*v));
            }
            for f in self.group(g / inner, g % inner) {
                shown.iter_mut().zip(x.row_or_zeros(f)).zip(&*top).for_each(|((s, v), top)| *s = v - top);
                fast::each(&mut shown, fast::exp);
                total.iter_mut().zip(&shown).for_each(|(total, s)| *total += f64::from(*s));
            }
            sum.iter_mut()
                .zip(&total)
                .for_each(|(s, total)| *s = if self.log { total.ln() } else { 1.0 / total } as f32);
        });
        x.changed(|f, row| {
            let g = f / (size * inner) * inner + f % inner;
            let (top, sum) = of_groups[g * 2 * lanes..][..2 * lanes].split_at(lanes);
            row.iter_mut().zip(top).for_each(|(y, top)| *y -= top);
            match self.log {
                true => row.iter_mut().zip(sum).for_each(|(y, sum)| *y -= sum),
                false => {
                    fast::each(row, fast::exp);
                    row.iter_mut().zip(sum).for_each(|(y, factor)| *y *= factor);
                }
            }
        })
    }

    // ∂aₛ = aₛ (tₛ − Σ aᵣ tᵣ); for the logarithm the factor aₛ is missing.
    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        let (a, lanes) = (&point.values, t.lanes());
        let [_, size, inner] = self.sizes;
        let mut means = vec![0.0f32; a.len() / size * lanes];
        means.par_chunks_exact_mut(lanes).enumerate().for_each(|(g, mean)| {
            for f in self.group(g / inner, g % inner) {
                if let Some(row) = t.row(f) {
                    mean.iter_mut().zip(row).for_each(|(m, v)| *m += a[f] * v);
                }
            }
        });
        let row = |f: usize, into: &mut [f32]| {
            let group = f / (size * inner) * inner + f % inner;
            let moved = into.iter_mut().zip(&means[group * lanes..][..lanes]);
            let factor = if self.log { 1.0 } else { a[f] };
            match t.row(f) {
                Some(row) => moved.zip(row).for_each(|((y, m), v)| *y = factor * (v - m)),
                None => moved.for_each(|(y, m)| *y = -factor * m),
            }
        };
        t.made(a.len(), |f| wanted.is_none_or(|w| w[f]), row)
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before + before / self.sizes[1]
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
