//! Functions of several values at the same place, such as products. A file in `operators/` gives only the formulas of value
//! and slopes; [`Pointwise`] turns them into a node.

use super::{Character, HostParameters, Operator, Pass, Plain, Rows, Tangents};
use std::sync::Arc;

/// The formulas of a function f of one to three numbers. Slopes are exact derivatives; at a kink they are PyTorch's.
pub trait PointwiseRule: Send + Sync + 'static {
    /// Number of inputs, at most 3.
    fn inputs(&self) -> usize;

    /// y = f(x₀, x₁, …), place by place, `[n, features]` each.
    fn value(&self, x: &[Rows]) -> Rows;

    /// ∂f/∂xᵢ for each input i, given the inputs and y. `None` for an input by which every slope is 0.
    fn slopes(&self, x: &[Rows], y: &Rows) -> Vec<Option<Rows>>;

    /// f and its slopes at numbers in host memory, by the same formulas; places beyond the number of inputs are not read.
    fn at(&self, x: [f32; 3]) -> (f32, [f32; 3]);

    /// Replaces each number of the first input by f of it and of those at its place in the others; a list beyond the number of
    /// inputs is empty.
    fn replace_each(&self, x: &mut [f32], others: [&[f32]; 2]) {
        let other = |list: &[f32], i: usize| list.get(i).copied().unwrap_or(0.0);
        for (i, x) in x.iter_mut().enumerate() {
            *x = self.at([*x, other(others[0], i), other(others[1], i)]).0;
        }
    }

    /// What kind of map it is.
    fn character(&self) -> Character;

    /// What decides which piece of the map a sample lies in, if it has pieces: where this changes its sign.
    fn tap(&self, x: &[Rows]) -> Option<Rows> {
        let _ = x;
        None
    }

    /// The kind and its settings in one line, for people.
    fn describe(&self) -> String;
}

/// The rule `R` applied at every place.
pub struct Pointwise<R> {
    rule: Arc<R>,
    shape: Vec<usize>,
}

impl<R: PointwiseRule> Pointwise<R> {
    /// The function `rule` of inputs of the per-sample `shape`, which the output has too.
    pub fn new(rule: R, shape: &[usize]) -> Self {
        Self { rule: Arc::new(rule), shape: shape.to_vec() }
    }
}

impl<R: PointwiseRule> Operator for Pointwise<R> {
    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn forward(&self, x: Vec<Rows>, _: &Pass) -> Rows {
        self.rule.value(&x)
    }

    fn tangent(&self, x: Vec<Rows>, t: Vec<Option<Tangents>>, _: &Pass) -> (Rows, Option<Tangents>) {
        let y = self.rule.value(&x);
        let slopes = self.rule.slopes(&x, &y);
        let moved = t.into_iter().zip(slopes).filter_map(|(t, slope)| Some(t?.scale(slope?)));
        (y, moved.reduce(Tangents::plus))
    }

    fn tap(&self, x: &[Rows], _: &Pass, taps: &mut Vec<Rows>) {
        taps.extend(self.rule.tap(x));
    }

    fn character(&self) -> Character {
        self.rule.character()
    }

    fn plain(&self, _: &HostParameters) -> Option<Vec<Plain>> {
        Some(vec![Plain::Pointwise(self.rule.clone())])
    }

    fn describe(&self) -> String {
        self.rule.describe()
    }
}
