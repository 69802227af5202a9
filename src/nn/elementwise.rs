//! Activations: a value rule and a slope rule make a layer.

use super::{HostParameters, Layer, Pass, Plain, Rows, Tangents};
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
    /// f(x) and f'(x) of each number.
    fn at_each(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        x.iter().map(|x| self.at(*x)).unzip()
    }
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

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::Elementwise(self.rule.clone()))
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
