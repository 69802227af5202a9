//! Activations. A file in `layers/` gives only the formulas of value and slope; [`Elementwise`] turns them into a layer
//! with forward pass, tangents, taps and plain terms.

use super::{Character, HostParameters, Layer, Pass, Plain, Rows, Tangents, fast};
use std::sync::Arc;

/// The formulas of an activation f. Slopes are exact derivatives, not differences.
/// At a kink the slope is that of the side x ≤ 0 (for a relu, 0 at 0), as in PyTorch and Burn.
pub trait ElementwiseRule: Send + Sync + 'static {
    /// y = f(x), value by value, `[n, features]`.
    fn value(&self, x: Rows) -> Rows;
    /// f'(x), given x and y = f(x), all `[n, features]`.
    fn slope(&self, x: Rows, y: Rows) -> Rows;
    /// (f(x), f'(x)) of one number in host memory, by the same formulas.
    fn at(&self, x: f32) -> (f32, f32);
    /// f(x) and f'(x) of each number in `x`, as two lists.
    fn at_each(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        x.iter().map(|x| self.at(*x)).unzip()
    }
    /// Replaces each number in `x` by f of it. It may round otherwise than [`at`](Self::at), and is to be faster.
    fn replace_each(&self, x: &mut [f32]) {
        fast::each(x, |x| self.at(x).0);
    }
    /// Where f changes from one piece to another; an activation has its pre-activations there.
    fn kinks(&self) -> Vec<f64> {
        vec![0.0]
    }
    /// Whether f is piecewise linear.
    fn is_piecewise_linear(&self) -> bool;
    /// The kind and its settings in one line, for people.
    fn describe(&self) -> String;
}

/// An activation as a layer: the rule `R` applied to every value.
pub struct Elementwise<R> {
    rule: Arc<R>,
    shape: Vec<usize>,
}

impl<R: ElementwiseRule> Elementwise<R> {
    /// The activation `rule` on samples of the per-sample `shape`, which it keeps.
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

    fn tap(&self, x: &Rows, _: &Pass, taps: &mut Vec<Rows>) {
        let from = |kink: f64| if kink == 0.0 { x.clone() } else { x.clone() - kink };
        taps.extend(self.rule.kinks().into_iter().map(from));
    }

    fn plain(&self, _: &HostParameters) -> Option<Plain> {
        Some(Plain::Elementwise(self.rule.clone()))
    }

    fn character(&self) -> Character {
        if self.rule.is_piecewise_linear() { Character::PiecewiseLinear } else { Character::Smooth }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.rule.describe()
    }
}
