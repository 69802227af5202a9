//! Activations: a value rule and a slope rule make a layer.

use super::host::{HostLayer, HostParameters, HostTangents, Trace};
use super::{Layer, Pass, Rows, Tangents};
use std::sync::Arc;

/// An activation's two formulas. Slopes are exact derivatives; at a kink the right-hand convention
/// of the forward rule is used (relu: slope 0 at 0), as PyTorch and Burn do.
pub trait ElementwiseRule: Send + Sync + 'static {
    /// y = f(x)
    fn value(&self, x: Rows) -> Rows;
    /// f'(x), given x and y = f(x)
    fn slope(&self, x: Rows, y: Rows) -> Rows;
    /// f(x) and f'(x) of one number: the same formulas on host memory.
    fn at(&self, x: f32) -> (f32, f32);
    /// Whether f is piecewise linear.
    fn is_piecewise_linear(&self) -> bool;
    /// Kind and settings.
    fn describe(&self) -> String;
}

/// An activation as a layer.
pub struct Elementwise<R> {
    rule: Arc<R>,
    shape: Vec<usize>,
}

impl<R: ElementwiseRule> Elementwise<R> {
    /// The activation `rule` on samples of `shape`.
    pub fn new(rule: R, shape: &[usize]) -> Self {
        Self { rule: Arc::new(rule), shape: shape.to_vec() }
    }
}

impl<R: ElementwiseRule> Layer for Elementwise<R> {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Rows, _: &Pass) -> Rows {
        self.rule.value(x)
    }

    fn tangent(&self, x: Rows, t: Tangents, _: &Pass) -> (Rows, Tangents) {
        let y = self.rule.value(x.clone());
        let slope = self.rule.slope(x, y.clone());
        (y, t.scale(slope))
    }

    fn tap(&self, x: Rows, _: &Pass, taps: &mut Vec<Rows>) -> Rows {
        taps.push(x.clone());
        self.rule.value(x)
    }

    fn host(&self, _: &HostParameters) -> Option<Box<dyn HostLayer>> {
        Some(Box::new(OnHost(self.rule.clone())))
    }

    fn is_piecewise_linear(&self) -> bool {
        self.rule.is_piecewise_linear()
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.rule.describe()
    }
}

/// An activation on host memory; its trace holds the slopes.
struct OnHost<R>(Arc<R>);

impl<R: ElementwiseRule> HostLayer for OnHost<R> {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let (y, values) = x.iter().map(|x| self.0.at(*x)).unzip();
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
