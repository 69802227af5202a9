//! Maps of several inputs, value by value or side by side.

use super::{HostOperator, HostRows, Linearisation};
use crate::nn::PointwiseRule;
use std::sync::Arc;

/// f₀·a + f₁·b, such as a residual block and its shortcut.
pub struct Sum(pub [f32; 2]);

impl HostOperator for Sum {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        let [f, g] = self.0;
        let y = match self.0 {
            [1.0, 1.0] => x[0].iter().zip(x[1]).map(|(a, b)| a + b).collect(),
            _ => x[0].iter().zip(x[1]).map(|(a, b)| f * a + g * b).collect(),
        };
        (y, Linearisation::default())
    }

    fn tangent(&self, _: &Linearisation, t: Vec<Option<HostRows>>, wanted: Option<&[bool]>) -> HostRows {
        let parts: Vec<(f32, HostRows)> =
            self.0.into_iter().zip(t).filter_map(|(factor, t)| t.map(|t| (factor, t))).collect();
        match &parts[..] {
            [(1.0, _), (1.0, _)] => {
                let mut both = parts.into_iter().map(|p| p.1);
                let (first, second) = (both.next(), both.next());
                match (first, second) {
                    (Some(a), Some(b)) => a.plus(&b, wanted),
                    (Some(t), None) | (None, Some(t)) => t,
                    (None, None) => HostRows::units(0, 0, 0),
                }
            }
            _ => HostRows::combined(&parts.iter().map(|(f, t)| (*f, t)).collect::<Vec<_>>()),
        }
    }

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        let ([f, g], mut x) = (self.0, x.into_iter());
        let (Some(a), Some(b)) = (x.next(), x.next()) else { return HostRows::units(0, 0, 0) };
        a.changed(|i, row| match self.0 {
            [1.0, 1.0] => row.iter_mut().zip(b.row_or_zeros(i)).for_each(|(y, b)| *y += b),
            _ => row.iter_mut().zip(b.row_or_zeros(i)).for_each(|(y, b)| *y = f * *y + g * b),
        })
    }

    fn wanted(&self, _: &Linearisation, _: usize, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        wanted.map(<[bool]>::to_vec)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: &[usize]) -> usize {
        before[0]
    }
}

/// Several inputs, each viewed as `[outer, _]`, side by side along the second axis.
pub struct Concat {
    /// Number of rows of each input in that view.
    pub outer: usize,
}

impl Concat {
    /// The rows of all inputs side by side.
    fn joined(&self, all: &[HostRows]) -> HostRows {
        let joined = HostRows::concatenated(all);
        if self.outer == 1 {
            return joined;
        }
        let mut from = Vec::with_capacity(joined.features());
        for o in 0..self.outer {
            let mut start = 0;
            for part in all {
                let row = part.features() / self.outer;
                from.extend((0..row).map(|i| (start + o * row + i) as u32));
                start += part.features();
            }
        }
        joined.rearranged(&from)
    }
}

impl HostOperator for Concat {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        let mut y = Vec::with_capacity(x.iter().map(|x| x.len()).sum());
        for o in 0..self.outer {
            x.iter().for_each(|x| y.extend_from_slice(&x[o * x.len() / self.outer..(o + 1) * x.len() / self.outer]));
        }
        (y, Linearisation { values: x.iter().map(|x| f32::from_bits(x.len() as u32)).collect(), inner: Vec::new() })
    }

    // The linearisation holds the number of features of each input, as bits.
    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, _: Option<&[bool]>) -> HostRows {
        let Some(any) = t.iter().flatten().next().cloned() else { return HostRows::units(0, 0, 0) };
        let sizes = point.values.iter().map(|v| v.to_bits() as usize);
        let all: Vec<HostRows> = t.into_iter().zip(sizes).map(|(t, n)| t.unwrap_or_else(|| any.zeros(n))).collect();
        self.joined(&all)
    }

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        self.joined(&x)
    }

    fn wanted(&self, point: &Linearisation, input: usize, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let wanted = wanted?;
        let row = |v: &f32| v.to_bits() as usize / self.outer;
        let before: usize = point.values[..input].iter().map(row).sum();
        let (own, all) = (row(&point.values[input]), point.values.iter().map(row).sum::<usize>());
        Some((0..self.outer).flat_map(|o| wanted[o * all + before..][..own].iter().copied()).collect())
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: &[usize]) -> usize {
        before.iter().sum()
    }
}

/// The same function of the values at one place of all inputs, for every place. The linearisation holds the slopes by the
/// first input at all places, then those by the second, and so on.
pub struct Pointwise(pub Arc<dyn PointwiseRule>);

impl HostOperator for Pointwise {
    fn value(&self, x: &[&[f32]]) -> (Vec<f32>, Linearisation) {
        let (n, inputs) = (x[0].len(), x.len());
        let (mut y, mut values) = (Vec::with_capacity(n), vec![0.0; n * inputs]);
        let mut at = [0.0; 3];
        for f in 0..n {
            at.iter_mut().zip(x).for_each(|(at, x)| *at = x[f]);
            let (value, slopes) = self.0.at(at);
            y.push(value);
            slopes.iter().take(inputs).enumerate().for_each(|(i, s)| values[i * n + f] = *s);
        }
        (y, Linearisation { values, inner: Vec::new() })
    }

    fn tangent(&self, point: &Linearisation, t: Vec<Option<HostRows>>, wanted: Option<&[bool]>) -> HostRows {
        let n = point.values.len() / t.len();
        let mut sum: Option<HostRows> = None;
        for (t, slopes) in t.into_iter().zip(point.values.chunks_exact(n)) {
            let Some(moved) = t.map(|t| t.scaled(slopes, wanted)) else { continue };
            sum = Some(match sum {
                Some(sum) => sum.plus(&moved, wanted),
                None => moved,
            });
        }
        sum.unwrap_or_else(|| HostRows::units(0, 0, 0))
    }

    fn values(&self, x: Vec<HostRows>) -> HostRows {
        let mut x = x.into_iter();
        let (Some(first), others) = (x.next(), x.collect::<Vec<_>>()) else { return HostRows::units(0, 0, 0) };
        first.changed(|f, row| {
            let other = |i: usize| others.get(i).map_or(&[][..], |x| x.row_or_zeros(f));
            self.0.replace_each(row, [other(0), other(1)]);
        })
    }

    fn wanted(&self, point: &Linearisation, input: usize, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let n = point.values.len() / self.0.inputs();
        let open = point.values[input * n..][..n].iter().enumerate();
        Some(open.map(|(f, slope)| *slope != 0.0 && wanted.is_none_or(|w| w[f])).collect())
    }

    fn peak_rows(&self, before: usize) -> usize {
        3 * before
    }

    fn features(&self, before: &[usize]) -> usize {
        before[0]
    }
}
