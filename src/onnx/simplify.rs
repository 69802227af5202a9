//! Makes a graph smaller without changing its values: neighbouring rearrangements become one, changes of shape vanish,
//! chains of affine maps become one, and what nobody reads goes.

use super::build::Built;
use super::kind::{Kind, View};
use super::tensor::Constant;
use std::sync::Arc;

/// A graph that is built.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Nodes in order.
    pub nodes: Vec<Built>,
    /// The number of the output.
    pub output: usize,
    /// Entries of the latent.
    pub latent: usize,
}

impl Graph {
    /// Does all of it. The output may lose its shape, which [`Self::shaped`] gives back.
    pub fn simplify(&mut self) {
        self.rearrangements();
        self.sweep();
        self.affines();
        // What is left of affine maps may be nothing.
        self.rearrangements();
        self.sweep();
    }

    /// Gives the output the shape `shape`.
    pub fn shaped(&mut self, shape: &[usize]) {
        let kept = self.output.checked_sub(1).and_then(|at| self.nodes.get(at));
        if kept.is_none_or(|node| node.shape != shape) {
            let source = kept.map_or(0, |node| node.source);
            let kind = Kind::Rearrange { index: None, fill: 0.0 };
            self.nodes.push(Built { kind, inputs: vec![self.output], shape: shape.to_vec(), source });
            self.output = self.nodes.len();
        }
    }

    /// Composes rearrangements, and leaves out those that keep all entries in place.
    fn rearrangements(&mut self) {
        let mut stands_for: Vec<usize> = (0..=self.nodes.len()).collect();
        for at in 0..self.nodes.len() {
            for input in &mut self.nodes[at].inputs {
                *input = stands_for[*input];
            }
            let node = &self.nodes[at];
            let Some(&input) = node.inputs.first() else { continue };
            let before = input.checked_sub(1).map(|b| &self.nodes[b]);
            let instead = match (&node.kind, before.map(|b| (&b.kind, b.inputs.first()))) {
                (Kind::Rearrange { index: None, .. }, _) => {
                    stands_for[at + 1] = input;
                    continue;
                }
                (
                    Kind::Rearrange { index: Some(outer), fill },
                    Some((Kind::Rearrange { index: Some(inner), fill: inner_fill }, Some(&from))),
                ) => compose(outer, *fill, inner, *inner_fill).map(|(index, fill)| (index, fill, from)),
                (Kind::Affine { scale, shift, .. }, _) if all(scale, 1.0) && all(shift, 0.0) => {
                    stands_for[at + 1] = input;
                    continue;
                }
                _ => None,
            };
            if let Some((index, fill, from)) = instead {
                let same = index.iter().enumerate().all(|(i, &j)| i as i32 == j);
                if same && self.features(from) == index.len() {
                    stands_for[at + 1] = from;
                    continue;
                }
                self.nodes[at].kind = Kind::Rearrange { index: Some(Arc::new(index)), fill };
                self.nodes[at].inputs = vec![from];
            }
        }
        self.output = stands_for[self.output];
    }

    /// Entries of a value.
    pub fn features(&self, id: usize) -> usize {
        id.checked_sub(1).map_or(self.latent, |at| self.nodes[at].shape.iter().product())
    }

    /// Merges an affine map with the one before it, where nobody else reads that.
    fn affines(&mut self) {
        let mut uses = vec![0usize; self.nodes.len() + 1];
        self.nodes.iter().flat_map(|n| &n.inputs).for_each(|&input| uses[input] += 1);
        uses[self.output] += 1;
        for at in 0..self.nodes.len() {
            let Some(&input) = self.nodes[at].inputs.first() else { continue };
            let Some(before) = input.checked_sub(1).filter(|_| uses[input] == 1) else { continue };
            if let Some(kind) = merged(&self.nodes[before].kind, &self.nodes[at].kind) {
                self.nodes[at].inputs = self.nodes[before].inputs.clone();
                self.nodes[at].kind = kind;
            }
        }
    }

    /// Drops nodes that the output does not need, and numbers the others anew.
    fn sweep(&mut self) {
        let mut needed = vec![false; self.nodes.len() + 1];
        needed[self.output] = true;
        for (at, node) in self.nodes.iter().enumerate().rev() {
            if needed[at + 1] {
                node.inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut number = vec![0; self.nodes.len() + 1];
        let mut kept = Vec::with_capacity(self.nodes.len());
        for (at, mut node) in std::mem::take(&mut self.nodes).into_iter().enumerate() {
            if needed[at + 1] {
                node.inputs.iter_mut().for_each(|input| *input = number[*input]);
                kept.push(node);
                number[at + 1] = kept.len();
            }
        }
        self.nodes = kept;
        self.output = number[self.output];
    }
}

/// Whether a constant is missing or has this value everywhere.
fn all(constant: &Option<Constant>, value: f32) -> bool {
    constant.as_ref().is_none_or(|c| c.uniform() == Some(value))
}

/// The index of a rearrangement after another, where one constant serves both.
fn compose(outer: &[i32], fill: f32, inner: &[i32], inner_fill: f32) -> Option<(Vec<i32>, f32)> {
    let index: Vec<i32> = outer.iter().map(|&at| usize::try_from(at).map_or(-1, |at| inner[at])).collect();
    let (from_outer, all) = (outer.contains(&-1), index.contains(&-1));
    let from_inner = outer.iter().any(|&at| usize::try_from(at).is_ok_and(|at| inner[at] < 0));
    match (from_outer, from_inner) {
        (true, true) if fill.to_bits() != inner_fill.to_bits() => None,
        (_, true) => Some((index, inner_fill)),
        _ => Some((index, if all { fill } else { 0.0 })),
    }
}

/// `second` after `first`, where both are affine and their views agree.
fn merged(first: &Kind, second: &Kind) -> Option<Kind> {
    let (Kind::Affine { view: v, scale: s, shift: t }, Kind::Affine { view: w, scale: p, shift: q }) = (first, second)
    else {
        return None;
    };
    if v != w && v.mid != 1 && w.mid != 1 {
        return None;
    }
    let view = if v.mid == 1 { *w } else { *v };
    let scale = match (s, p) {
        (Some(s), Some(p)) => Some(joined(view, [s, p], |a, b| a * b)?),
        (one, other) => one.as_ref().or(other.as_ref()).map(|c| widened(c, view)),
    };
    let moved = match (t, p) {
        (Some(t), Some(p)) => Some(joined(view, [t, p], |a, b| a * b)?),
        (t, _) => t.clone(),
    };
    let shift = match (moved, q) {
        (Some(t), Some(q)) => Some(joined(view, [&t, q], |a, b| a + b)?),
        (one, other) => one.as_ref().or(other.as_ref()).map(|c| widened(c, view)),
    };
    Some(Kind::Affine { view, scale, shift })
}

/// A constant of one entry or `mid` as one of `mid`.
fn widened(c: &Constant, view: View) -> Constant {
    if c.len() == view.mid { c.clone() } else { Constant::floats(vec![view.mid], vec![c.as_floats()[0]; view.mid]) }
}

/// Two constants entry by entry, unless a result is not finite.
fn joined(view: View, parts: [&Constant; 2], of: fn(f64, f64) -> f64) -> Option<Constant> {
    let [a, b] = parts.map(|c| c.as_floats());
    let at = |v: &[f32], i: usize| f64::from(if v.len() == 1 { v[0] } else { v[i] });
    let made: Vec<f32> = (0..view.mid).map(|i| of(at(&a, i), at(&b, i)) as f32).collect();
    made.iter().all(|v| v.is_finite()).then(|| Constant::floats(vec![view.mid], made))
}
