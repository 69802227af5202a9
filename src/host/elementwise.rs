//! The same function of each value; its trace holds the slopes.

use super::{HostLayer, HostTangents, Trace};
use crate::nn::ElementwiseRule;
use std::sync::Arc;

/// An activation.
pub struct Elementwise(pub Arc<dyn ElementwiseRule>);

impl HostLayer for Elementwise {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let (y, values) = self.0.at_each(x);
        (y, Trace { values, inner: Vec::new() })
    }

    fn tangent(&self, trace: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        t.scaled(&trace.values, wanted)
    }

    fn wanted(&self, trace: &Trace, wanted: Option<Vec<bool>>) -> Option<Vec<bool>> {
        let open = trace.values.iter().map(|s| *s != 0.0);
        Some(match wanted {
            Some(wanted) => open.zip(wanted).map(|(a, b)| a && b).collect(),
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
