//! Group normalisation: each group of neighbouring values is brought to mean 0 and variance 1, then scaled and shifted.
//! The linearisation holds the normalised values x̂, followed by 1/std of each group.

use super::{HostLayer, HostTangents, Linearisation};

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

    // ∂y = scale/std · (t − mean(t) − x̂ · mean(x̂ t)), with means over the group, row by row.
    fn tangent(&self, point: &Linearisation, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        let features = t.features();
        let (hat, inverse) = point.values.split_at(features);
        let mut means = vec![vec![0.0f32; t.lanes()]; 2 * inverse.len()];
        for (f, hat) in hat.iter().enumerate() {
            let Some(row) = t.row(f) else { continue };
            let g = f / self.group;
            if self.centred {
                means[2 * g].iter_mut().zip(row).for_each(|(m, v)| *m += v);
            }
            means[2 * g + 1].iter_mut().zip(row).for_each(|(m, v)| *m += v * hat);
        }
        means.iter_mut().flatten().for_each(|m| *m /= self.group as f32);
        t.rebuilt(|t, f, into| {
            if wanted.is_some_and(|w| !w[f]) {
                return false;
            }
            let g = f / self.group;
            let scale = self.scale[f / self.area] * inverse[g];
            let moved = means[2 * g].iter().zip(&means[2 * g + 1]).map(|(mean, along)| -mean - hat[f] * along);
            match t.row(f) {
                Some(row) => into.extend(moved.zip(row).map(|(m, v)| (v + m) * scale)),
                None => into.extend(moved.map(|m| m * scale)),
            }
            true
        })
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
