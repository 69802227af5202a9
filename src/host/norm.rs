//! Group normalisation: each group of neighbouring values is brought to mean 0 and variance 1, then scaled and shifted.
//! The linearisation holds the normalised values x̂, followed by 1/std of each group.

use super::{HostLayer, HostRows, Linearisation};
use rayon::prelude::*;

/// y = scale·x̂ + shift, x̂ = (x − mean)/√(variance + eps), with mean and variance over each group and one scale and
/// shift per channel.
pub struct Norm {
    /// One scale per channel, `[channels]`.
    pub scale: Vec<f32>,
    /// One shift per channel, `[channels]`.
    pub shift: Vec<f32>,
    /// Added to the variance.
    pub eps: f64,
    /// Number of values in a group: neighbouring features that make up whole channels.
    pub group: usize,
    /// Number of values in a channel.
    pub area: usize,
    /// Whether the mean is taken off; if not, it counts as 0, and the variance is the mean square.
    pub centred: bool,
}

impl HostLayer for Norm {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let mut values = Vec::with_capacity(x.len() + x.len() / self.group);
        let mut inverse = Vec::new();
        for x in x.chunks_exact(self.group) {
            let count = self.group as f64;
            let mean = if self.centred { x.iter().map(|v| f64::from(*v)).sum::<f64>() / count } else { 0.0 };
            let variance = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
            let scale = 1.0 / (variance + self.eps).sqrt();
            values.extend(x.iter().map(|v| ((f64::from(*v) - mean) * scale) as f32));
            inverse.push(scale as f32);
        }
        let y = values.iter().enumerate().map(|(f, v)| v * self.scale[f / self.area] + self.shift[f / self.area]);
        let y = y.collect();
        values.extend(inverse);
        (y, Linearisation { values, inner: Vec::new() })
    }

    fn values(&self, x: HostRows) -> HostRows {
        let groups = x.features() / self.group;
        let (lanes, count) = (x.lanes(), self.group as f64);
        // Of each group the mean of every lane, then 1/std of every lane.
        let mut of_groups = vec![0.0f64; 2 * groups * lanes];
        of_groups.par_chunks_exact_mut(2 * lanes).enumerate().for_each(|(g, of)| {
            let (mean, inverse) = of.split_at_mut(lanes);
            let features = g * self.group..(g + 1) * self.group;
            if self.centred {
                for f in features.clone() {
                    mean.iter_mut().zip(x.row_or_zeros(f)).for_each(|(m, v)| *m += f64::from(*v));
                }
                mean.iter_mut().for_each(|m| *m /= count);
            }
            for f in features {
                for ((sum, v), mean) in inverse.iter_mut().zip(x.row_or_zeros(f)).zip(&*mean) {
                    let off = f64::from(*v) - mean;
                    *sum += off * off;
                }
            }
            inverse.iter_mut().for_each(|v| *v = 1.0 / (*v / count + self.eps).sqrt());
        });
        x.changed(|f, row| {
            let (scale, shift) = (self.scale[f / self.area], self.shift[f / self.area]);
            let (mean, inverse) = of_groups[f / self.group * 2 * lanes..][..2 * lanes].split_at(lanes);
            for ((v, mean), inverse) in row.iter_mut().zip(mean).zip(inverse) {
                *v = ((f64::from(*v) - mean) * inverse) as f32 * scale + shift;
            }
        })
    }

    // ∂y = scale/std · (t − mean(t) − x̂ · mean(x̂ t)), with means over the group, row by row.
    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        let (features, lanes, count) = (t.features(), t.lanes(), self.group as f32);
        let (hat, inverse) = point.values.split_at(features);
        // Of each group mean(t), then mean(x̂ t), in every lane.
        let mut means = vec![0.0f32; 2 * inverse.len() * lanes];
        means.par_chunks_exact_mut(2 * lanes).enumerate().for_each(|(g, means)| {
            let (mean, along) = means.split_at_mut(lanes);
            for (f, hat) in hat.iter().enumerate().skip(g * self.group).take(self.group) {
                let Some(row) = t.row(f) else { continue };
                if self.centred {
                    mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
                }
                along.iter_mut().zip(row).for_each(|(m, v)| *m += v * hat);
            }
            means.iter_mut().for_each(|m| *m /= count);
        });
        let row = |f: usize, into: &mut [f32]| {
            let g = f / self.group;
            let (scale, hat) = (self.scale[f / self.area] * inverse[g], hat[f]);
            let (mean, along) = means[g * 2 * lanes..][..2 * lanes].split_at(lanes);
            let moved = into.iter_mut().zip(mean).zip(along);
            match t.row(f) {
                Some(row) => moved.zip(row).for_each(|(((y, m), a), v)| *y = (v + (-m - hat * a)) * scale),
                None => moved.for_each(|((y, m), a)| *y = (-m - hat * a) * scale),
            }
        };
        t.made(features, |f| wanted.is_none_or(|w| w[f]), row)
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
