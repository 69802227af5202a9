//! Whether a file keeps the samples of its own batch apart. Its graph for two samples, run as one value, must give what
//! the graph for one gives twice. If it does not, both are walked in step to name the node that mixes them.

use super::choose::Choices;
use super::finish::{Lowered, Trace};
use super::lower::lower;
use super::model::Model;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Largest difference that rounding explains, as a part of the largest value.
const TOLERANCE: f64 = 1e-4;

/// What a comparison of two samples with a batch of two found.
#[derive(Clone, Debug)]
pub enum Mixing {
    /// The samples are independent: the largest difference, as a part of the largest value.
    Independent(f64),
    /// The file cannot be read for a batch of two, and why not.
    Unknown(String),
}

/// Compares the graph for two samples with that for one. `evaluate` gives all values of a graph for one input, the
/// input first; `latents` are two different latents.
///
/// # Errors
/// [`Error::Input`] that names the node which mixes samples; errors of `evaluate`.
pub fn check(
    model: &Model,
    choices: &Choices,
    latents: [&[f32]; 2],
    mut evaluate: impl FnMut(&Lowered, &[f32]) -> Result<Vec<Vec<f32>>>,
) -> Result<Mixing> {
    let choices = Choices { keep_all: true, ..choices.clone() };
    let one = lower(model, &choices, 1)?;
    let two = match lower(model, &choices, 2) {
        Ok(two) => two,
        Err(error) => return Ok(Mixing::Unknown(error.to_string())),
    };
    let values = [evaluate(&one, latents[0])?, evaluate(&one, latents[1])?];
    let both = evaluate(&two, &latents.concat())?;
    let rows: Vec<f32> = values.iter().flat_map(|v| v[one.output].iter().copied()).collect();
    let found = &both[two.output];
    if rows.iter().chain(found).any(|v| !v.is_finite()) {
        return Ok(Mixing::Unknown("the pictures hold values that are not finite".into()));
    }
    let largest = rows.iter().fold(0f64, |a, v| a.max(f64::from(v.abs())));
    let pairs = rows.iter().zip(found);
    let difference = pairs.fold(0f64, |a, (x, y)| a.max(f64::from(x - y).abs())) / largest.max(f64::MIN_POSITIVE);
    if rows.len() == found.len() && difference <= TOLERANCE {
        return Ok(Mixing::Independent(difference));
    }
    let walk = Walk { one: &one, two: &two, values: &values, both: &both };
    Err(Error::input(&model.file, walk.culprit(model)))
}

struct Walk<'a> {
    one: &'a Lowered,
    two: &'a Lowered,
    values: &'a [Vec<Vec<f32>>; 2],
    both: &'a [Vec<f32>],
}

impl Walk<'_> {
    /// A message that names the first node whose value is neither equal for both samples nor both values side by side.
    fn culprit(&self, model: &Model) -> String {
        let ones: HashMap<&str, &Trace> = self.one.trace.iter().map(|t| (t.value.as_str(), t)).collect();
        for (at, both) in self.two.trace.iter().enumerate() {
            let Some(one) = ones.get(both.value.as_str()) else { continue };
            if !self.made_of(one, both) {
                return self.told(model, &self.two.trace[..at], both);
            }
        }
        "the file gives other pictures for two latents at once than for each alone; export it again from one latent \
         (batch 1)"
            .to_owned()
    }

    fn made_of(&self, one: &Trace, both: &Trace) -> bool {
        let (a, b) = (&self.values[0][one.id], &self.values[1][one.id]);
        let found = &self.both[both.id];
        let scale = a.iter().chain(b).fold(0f64, |m, v| m.max(f64::from(v.abs()))).max(f64::MIN_POSITIVE);
        let close = |x: f32, y: f32| {
            x == y || (x.is_nan() && y.is_nan()) || (f64::from(x) - f64::from(y)).abs() <= 1e-5 * scale
        };
        if one.shape == both.shape {
            return found.iter().zip(a).zip(b).all(|((f, a), b)| close(*f, *a) && close(*f, *b));
        }
        (0..one.shape.len().min(both.shape.len())).any(|axis| {
            let doubled = |(d, (x, y)): (usize, (&usize, &usize))| if d == axis { 2 * x == *y } else { x == y };
            let fits = one.shape.len() == both.shape.len();
            if !fits || !one.shape.iter().zip(&both.shape).enumerate().all(doubled) {
                return false;
            }
            let width: usize = one.shape[axis..].iter().product();
            let parts = found.chunks(2 * width.max(1)).zip(a.chunks(width.max(1)).zip(b.chunks(width.max(1))));
            parts.into_iter().all(|(f, (a, b))| f.iter().zip(a.iter().chain(b)).all(|(x, y)| close(*x, *y)))
        })
    }

    /// The axis along which a value holds both samples.
    fn doubled(&self, value: &str) -> Option<usize> {
        let both = self.two.trace.iter().find(|t| t.value == value)?;
        let one = self.one.trace.iter().find(|t| t.value == value)?;
        (one.shape.len() == both.shape.len()).then(|| one.shape.iter().zip(&both.shape).position(|(a, b)| a != b))?
    }

    fn told(&self, model: &Model, before: &[Trace], culprit: &Trace) -> String {
        let name = culprit.node.escape_debug();
        let nodes = &model.graph.nodes;
        let node = nodes.iter().find(|n| n.outputs.contains(&culprit.value));
        // The batch is on axis 0 of the latent itself, which has no entry in the trace.
        let input = node.and_then(|n| n.inputs.first()).map(String::as_str).unwrap_or_default();
        let axis = match before.iter().any(|t| t.value == input) {
            true => self.doubled(input),
            false => Some(0),
        };
        let start = format!("node \"{name}\" mixes samples: ");
        let end = "a generator must treat each latent alone";
        match axis {
            Some(0) => format!("{start}{} over axis 0, the batch; {end}", culprit.operator),
            Some(axis) => {
                let merged = self.merged(model, input, axis);
                let by = merged.map_or(String::new(), |by| format!(", merged there by node \"{}\"", by.escape_debug()));
                format!("{start}its axis {axis} holds the batch{by}; {end}")
            }
            None => format!("{start}{} puts values of several into one; {end}", culprit.operator),
        }
    }

    /// The node that put the batch into `axis` of the value `input`: the first on the way back whose own input has it
    /// elsewhere.
    fn merged(&self, model: &Model, input: &str, axis: usize) -> Option<String> {
        let mut value = input.to_owned();
        for _ in 0..model.graph.nodes.len() {
            let node = model.graph.nodes.iter().find(|n| n.outputs.contains(&value))?;
            let from = node.inputs.first()?;
            if !self.two.trace.iter().any(|t| t.value == *from) || self.doubled(from) != Some(axis) {
                return Some(node.name.clone());
            }
            value.clone_from(from);
        }
        None
    }
}
