//! Activations: the same function applied to every value. The linearisation holds the slopes f'(x).

use super::{HostLayer, HostRows, Linearisation};
use crate::nn::ElementwiseRule;
use std::sync::Arc;

/// An activation, with the rule it has as a layer of tensors.
pub struct Elementwise(pub Arc<dyn ElementwiseRule>);

impl HostLayer for Elementwise {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let (y, values) = self.0.at_each(x);
        (y, Linearisation { values, inner: Vec::new() })
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        t.scaled(&point.values, wanted)
    }

    fn values(&self, x: HostRows) -> HostRows {
        x.mapped(|values| self.0.replace_each(values))
    }

    fn wanted(&self, point: &Linearisation, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let open = point.values.iter().map(|s| *s != 0.0);
        Some(match wanted {
            Some(wanted) => open.zip(wanted).map(|(a, b)| a && *b).collect(),
            None => open.collect(),
        })
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}

/// x where positive, else x times the slope of its place.
pub struct Slopes(pub Vec<f32>);

impl HostLayer for Slopes {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let values: Vec<f32> = x.iter().zip(&self.0).map(|(x, slope)| if *x > 0.0 { 1.0 } else { *slope }).collect();
        (x.iter().zip(&values).map(|(x, slope)| x * slope).collect(), Linearisation { values, inner: Vec::new() })
    }

    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        t.scaled(&point.values, wanted)
    }

    fn values(&self, x: HostRows) -> HostRows {
        x.changed(|f, row| row.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { *x * self.0[f] }))
    }

    fn wanted(&self, point: &Linearisation, wanted: Option<&[bool]>) -> Option<Vec<bool>> {
        let open = point.values.iter().enumerate();
        Some(open.map(|(f, slope)| *slope != 0.0 && wanted.is_none_or(|w| w[f])).collect())
    }

    fn peak_rows(&self, before: usize) -> usize {
        2 * before
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
