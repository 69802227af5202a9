//! The ONNX operators that are read: one function and one row of [`OPERATORS`] each. A function takes the inputs and
//! attributes of a node and builds what the operator means.

mod convolution;
mod elementwise;
mod gather;
mod layout;
mod linear;
mod normalise;
mod pool;
mod random;
mod reduce;
mod resize;
mod shape;
mod table;

use super::build::{Builder, Value};
use super::model::{Attribute, Node, Stored};
use super::tensor::Constant;
use crate::error::Result;
pub use table::OPERATORS;

/// An operator of the standard set that is read.
pub struct OnnxOperator {
    /// Its name.
    pub name: &'static str,
    /// The first version of the operator set that has it in a form read here.
    pub since: i64,
    /// What it becomes, by the kinds of a graph file.
    pub becomes: &'static str,
    /// The attributes that are read; a node with another is refused.
    pub attributes: &'static [&'static str],
    pub(super) lower: fn(&mut Call) -> Result<Vec<Value>>,
}

/// The row of the operator `name`.
pub fn find(name: &str) -> Option<&'static OnnxOperator> {
    OPERATORS.iter().find(|o| o.name == name)
}

/// What gives the draws of a random node, for a law and a shape.
pub(super) type Random<'r> = dyn FnMut(&mut Builder, super::Law, Vec<usize>) -> Result<Value> + 'r;

/// One node while it is lowered.
pub struct Call<'b, 'f> {
    /// The graph being built.
    pub build: &'b mut Builder<'f>,
    pub(super) node: &'b Node,
    /// Its inputs; none where an optional one is left out.
    pub inputs: Vec<Option<Value>>,
    pub(super) random: &'b mut Random<'b>,
}

impl Call<'_, '_> {
    /// Version of the operator set.
    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// Number of results.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Input `at`, which must be there.
    pub fn x(&self, at: usize) -> Result<Value> {
        self.optional(at).ok_or_else(|| self.build.refuse(format!("input {at} is missing")))
    }

    /// Input `at`, where it is there.
    pub fn optional(&self, at: usize) -> Option<Value> {
        self.inputs.get(at).cloned().flatten()
    }

    /// Input `at` where it is there, which must not depend on the latent.
    pub fn constant(&self, at: usize, what: &str) -> Result<Option<Constant>> {
        match self.optional(at) {
            None => Ok(None),
            Some(Value::Constant(c)) => Ok(Some(c)),
            Some(value) => {
                self.build.no_noise(&[&value])?;
                Err(self.build.refuse(format!("its {what} depends on the latent; a tangent needs one fixed graph")))
            }
        }
    }

    /// Integers of input `at` where it is there.
    pub fn ints_of(&self, at: usize, what: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.constant(at, what)?.map(|c| c.as_ints().into_owned()))
    }

    /// One number of input `at` where it is there.
    pub fn number_of(&self, at: usize, what: &str) -> Result<Option<f32>> {
        match self.constant(at, what)? {
            None => Ok(None),
            Some(c) => match c.as_floats()[..] {
                [only] => Ok(Some(only)),
                _ => Err(self.build.refuse(format!("its {what} has {} values, expected one", c.len()))),
            },
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.node.attributes.get(name)
    }

    fn mistyped(&self, name: &str) -> crate::error::Error {
        self.build.refuse(format!("its attribute \"{name}\" is of the wrong kind"))
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, missing: i64) -> Result<i64> {
        match self.attribute(name) {
            None => Ok(missing),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(_) => Err(self.mistyped(name)),
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str, missing: f32) -> Result<f32> {
        match self.attribute(name) {
            None => Ok(missing),
            Some(Attribute::Float(v)) if v.is_finite() => Ok(*v),
            Some(_) => Err(self.mistyped(name)),
        }
    }

    /// A text attribute, one of `known`, the first of which is meant where it is missing.
    pub fn text(&self, name: &str, known: &[&'static str]) -> Result<&'static str> {
        let found = match self.attribute(name) {
            None => return Ok(known.first().copied().unwrap_or_default()),
            Some(Attribute::Text(text)) => text,
            Some(_) => return Err(self.mistyped(name)),
        };
        match known.iter().find(|k| *k == found) {
            Some(known) => Ok(known),
            None => {
                let known = known.join(", ");
                let found = found.escape_debug();
                Err(self.build.refuse(format!("its attribute \"{name}\" is \"{found}\", expected one of {known}")))
            }
        }
    }

    /// A list of integers, where the attribute is there.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v.clone())),
            Some(_) => Err(self.mistyped(name)),
        }
    }

    /// A list of floats, where the attribute is there.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v.clone())),
            Some(_) => Err(self.mistyped(name)),
        }
    }

    /// A tensor, where the attribute is there.
    pub fn tensor(&self, name: &str) -> Result<Option<Constant>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Tensor(Stored::Read(constant))) => Ok(Some(constant.clone())),
            Some(Attribute::Tensor(Stored::Unusable(why))) => Err(self.build.refuse(why)),
            Some(_) => Err(self.mistyped(name)),
        }
    }

    /// Any text.
    pub fn any_text(&self, name: &str) -> Result<String> {
        match self.attribute(name) {
            Some(Attribute::Text(text)) => Ok(text.clone()),
            _ => Err(self.mistyped(name)),
        }
    }

    /// An axis of a value of `rank` axes, counted from the end where it is negative.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let from_end = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        match from_end.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank) {
            Some(axis) => Ok(axis),
            None => Err(self.build.refuse(format!("it names axis {axis} of a value of {rank} axes"))),
        }
    }

    /// Different axes of a value of `rank` axes, in order of size.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut found = axes.iter().take(rank + 1).map(|&a| self.axis(a, rank)).collect::<Result<Vec<_>>>()?;
        found.sort_unstable();
        match found.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(self.build.refuse("it names an axis twice")),
            false => Ok(found),
        }
    }

    /// A list from the attribute `name` or from input `at`, as the versions of an operator have it.
    pub fn list(&self, name: &str, at: usize) -> Result<Option<Vec<i64>>> {
        match self.ints(name)? {
            Some(list) => Ok(Some(list)),
            None => self.ints_of(at, name),
        }
    }

    /// Small sizes: each from `least` to 2³⁰.
    pub fn sizes(&self, what: &str, list: &[i64], least: i64, count: usize) -> Result<Vec<usize>> {
        if list.len() != count {
            return Err(self.build.refuse(format!("its {what} has {} values, expected {count}", list.len())));
        }
        let size = |&v: &i64| usize::try_from(v).ok().filter(|_| (least..=1 << 30).contains(&v));
        match list.iter().map(size).collect() {
            Some(sizes) => Ok(sizes),
            None => Err(self.build.refuse(format!("its {what} is {list:?}; such a size is not read"))),
        }
    }
}
