//! Builds the lowered graph. Each method takes values that are constants or depend on the latent. A node whose inputs
//! are all constants is worked out at once and leaves a constant; so folding needs no code of its own.

use super::kind::{Kind, View};
use super::tensor::{Constant, Data, Element, RANK, elements};
pub use super::value::{Built, Live, Source, Value};
use super::{Limits, host, shapes};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The graph being built.
pub struct Builder<'a> {
    /// The model's file, for errors.
    pub file: &'a Path,
    /// Nodes so far.
    pub nodes: Vec<Built>,
    /// Nodes of the file that were looked at.
    pub sources: Vec<Source>,
    /// What a user should know.
    pub warnings: Vec<String>,
    /// Whether the file's own batch is fixed at 1, so that a mean over it would go unnoticed.
    pub batch_fixed: bool,
    /// Samples that axis 0 holds.
    pub batch: usize,
    limits: Limits,
    folded: usize,
    indexed: usize,
    worked: usize,
    /// Constant matrices that were transposed, by their values, with both forms.
    transposed: HashMap<(usize, usize), (Constant, Constant)>,
}

impl<'a> Builder<'a> {
    /// An empty graph.
    pub fn new(file: &'a Path, limits: Limits, batch: usize) -> Self {
        let (nodes, sources, warnings) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            file,
            nodes,
            sources,
            warnings,
            batch_fixed: false,
            batch,
            limits,
            folded: 0,
            indexed: 0,
            worked: 0,
            transposed: HashMap::new(),
        }
    }

    /// Says which node of the file is looked at from now on.
    pub fn enter(&mut self, name: &str, operator: &str) {
        self.sources.push(Source { name: name.into(), operator: operator.into() });
    }

    /// The node of the file that is looked at.
    pub fn source(&self) -> Source {
        self.sources.last().cloned().unwrap_or_default()
    }

    /// An error about the node that is looked at.
    pub fn refuse(&self, message: impl AsRef<str>) -> Error {
        let source = self.source();
        self.fault(format!("node \"{}\" ({}): {}", source.name.escape_debug(), source.operator, message.as_ref()))
    }

    /// An error about the file.
    pub fn fault(&self, message: impl Into<String>) -> Error {
        Error::input(self.file, message)
    }

    /// Adds a remark on the node that is looked at.
    pub fn warn(&mut self, message: &str) {
        let source = self.source();
        let line = format!("node \"{}\" ({}) {message}", source.name.escape_debug(), source.operator);
        if !self.warnings.contains(&line) && self.warnings.len() < 1000 {
            self.warnings.push(line);
        }
    }

    /// Number of entries of a shape, within the limits.
    pub fn size(&self, shape: &[usize]) -> Result<usize> {
        if shape.len() > RANK {
            return Err(self.refuse(format!("its result has {} axes, at most {RANK} are read", shape.len())));
        }
        let full: Vec<usize> = shape.iter().map(|&side| side.max(1)).collect();
        match elements(&full).filter(|n| *n <= self.limits.value) {
            Some(count) => Ok(if shape.contains(&0) { 0 } else { count }),
            None => {
                let (shape, most) = (shapes::told(shape), self.limits.value);
                Err(self.refuse(format!("its result of shape {shape} has more than {most} values")))
            }
        }
    }

    /// Counts values that are about to be made for good.
    pub fn spend(&mut self, values: usize) -> Result<()> {
        self.folded = self.folded.saturating_add(values);
        match self.folded <= self.limits.folded {
            true => Ok(()),
            false => {
                let most = self.limits.folded;
                Err(self.refuse(format!("the parts that do not depend on the latent take more than {most} values")))
            }
        }
    }

    /// Counts entries of an index vector that is about to be made.
    pub fn index(&mut self, entries: usize) -> Result<()> {
        self.indexed = self.indexed.saturating_add(entries);
        match self.indexed <= self.limits.indices {
            true => Ok(()),
            false => Err(self.refuse(format!("the rearrangements take more than {} entries", self.limits.indices))),
        }
    }

    /// Counts multiplications that are about to be done.
    pub fn work(&mut self, steps: usize) -> Result<()> {
        self.worked = self.worked.saturating_add(steps);
        match self.worked <= self.limits.work {
            true => Ok(()),
            false => Err(self.refuse("the parts that do not depend on the latent take too long to work out")),
        }
    }

    /// A node of the given kind, or its value where no input depends on the latent.
    pub fn emit(&mut self, kind: Kind, inputs: &[&Value], shape: Vec<usize>, element: Element) -> Result<Value> {
        let features = self.size(&shape)?;
        self.no_noise(inputs)?;
        if features == 0 {
            return Ok(empty(shape, element));
        }
        if inputs.iter().any(|v| v.features() == 0) {
            return Err(self.refuse("an input is empty"));
        }
        let constants: Option<Vec<&Constant>> = inputs.iter().map(|v| v.constant()).collect();
        if let Some(constants) = constants {
            self.work(host::work(&kind, features))?;
            self.spend(features)?;
            let floats: Vec<Cow<[f32]>> = constants.iter().map(|c| c.as_floats()).collect();
            let floats: Vec<&[f32]> = floats.iter().map(|c| &**c).collect();
            let made = host::evaluate(&kind, &floats, features);
            if made.len() != features {
                return Err(self.refuse("its sizes do not fit together"));
            }
            let made = Constant::floats(shape.clone(), made);
            return Ok(Value::Constant(match element {
                Element::Float => made,
                Element::Int => Constant::ints(shape, made.as_ints().into_owned()),
                Element::Bool => Constant::bools(shape, made.as_bools().into_owned()),
            }));
        }
        let inputs = inputs.iter().map(|v| self.number(v)).collect::<Result<Vec<_>>>()?;
        self.push(kind, inputs, shape, element)
    }

    /// Refuses values of random nodes.
    pub fn no_noise(&self, values: &[&Value]) -> Result<()> {
        match values.iter().find_map(|v| if let Value::Noise(_, name) = v { Some(name) } else { None }) {
            Some(name) => Err(Error::key(
                "noise",
                format!(
                    "node \"{}\" draws new noise in every call; say fixed (one draw, kept in the model) or zero",
                    name.escape_debug()
                ),
            )),
            None => Ok(()),
        }
    }

    fn push(&mut self, kind: Kind, inputs: Vec<usize>, shape: Vec<usize>, element: Element) -> Result<Value> {
        if self.nodes.len() >= self.limits.nodes {
            return Err(self.refuse(format!("the graph has more than {} nodes", self.limits.nodes)));
        }
        let source = self.sources.len().saturating_sub(1);
        self.nodes.push(Built { kind, inputs, shape: shape.clone(), source });
        Ok(Value::Live(Live { id: self.nodes.len(), shape, element }))
    }

    /// The number of a value in the graph; a constant gets a node.
    fn number(&mut self, value: &Value) -> Result<usize> {
        match value {
            Value::Live(live) => Ok(live.id),
            Value::Constant(c) => {
                let kind = Kind::Constant(c.clone());
                match self.push(kind, Vec::new(), c.shape.clone(), c.element())? {
                    Value::Live(live) => Ok(live.id),
                    _ => Ok(0),
                }
            }
            Value::Noise(..) => self.no_noise(&[value]).map(|()| 0),
        }
    }

    /// The same entries in another shape.
    pub fn reshape(&mut self, x: &Value, shape: Vec<usize>) -> Result<Value> {
        let features = self.size(&shape)?;
        if features != x.features() {
            let found = x.features();
            return Err(self.refuse(format!("needs {features} values and is given {found}")));
        }
        match x {
            _ if x.shape() == shape => Ok(x.clone()),
            Value::Constant(c) => Ok(Value::Constant(c.reshaped(shape))),
            Value::Live(l) => self.push(Kind::Rearrange { index: None, fill: 0.0 }, vec![l.id], shape, l.element),
            Value::Noise(_, name) => Ok(Value::Noise(shape, name.clone())),
        }
    }

    /// For each place of `shape` the entry that `index` names, or `fill` where it is -1. The index must fit.
    pub fn rearrange(&mut self, x: &Value, index: Vec<i32>, fill: f32, shape: Vec<usize>) -> Result<Value> {
        let features = self.size(&shape)?;
        if index.len() != features {
            return Err(self.refuse("its sizes do not fit together"));
        }
        match x {
            Value::Constant(c) => {
                self.spend(features)?;
                let take = |at: i32| usize::try_from(at).ok();
                Ok(Value::Constant(match &*c.data {
                    Data::Float(v) => {
                        let one = |&at: &i32| take(at).and_then(|at| v.get(at)).copied().unwrap_or(fill);
                        Constant::floats(shape, index.iter().map(one).collect())
                    }
                    Data::Int(v) => {
                        let one = |&at: &i32| take(at).and_then(|at| v.get(at)).copied().unwrap_or(fill as i64);
                        Constant::ints(shape, index.iter().map(one).collect())
                    }
                    Data::Bool(v) => {
                        let one = |&at: &i32| take(at).and_then(|at| v.get(at)).copied().unwrap_or(fill != 0.0);
                        Constant::bools(shape, index.iter().map(one).collect())
                    }
                }))
            }
            Value::Live(live) => {
                let same = index.len() == x.features() && index.iter().enumerate().all(|(i, &at)| i as i32 == at);
                if same {
                    return self.reshape(x, shape);
                }
                if features == 0 {
                    return Ok(empty(shape, live.element));
                }
                let kind = Kind::Rearrange { index: Some(Arc::new(index)), fill };
                self.push(kind, vec![live.id], shape, live.element)
            }
            Value::Noise(_, name) => Ok(Value::Noise(shape, name.clone())),
        }
    }

    /// Each axis goes through a list of its coordinates (`None`: as it is), -1 in a list gives `fill`.
    pub fn pick(&mut self, x: &Value, lists: Vec<Option<Vec<i32>>>, fill: f32) -> Result<Value> {
        let from = x.shape().to_vec();
        let shape: Vec<usize> =
            lists.iter().zip(&from).map(|(list, &side)| list.as_ref().map_or(side, Vec::len)).collect();
        let features = self.size(&shape)?;
        self.size(&from)?;
        if lists.iter().all(Option::is_none) {
            return Ok(x.clone());
        }
        self.index(features)?;
        let index = if features == 0 { Vec::new() } else { shapes::picked(&from, &lists) };
        self.rearrange(x, index, fill, shape)
    }

    /// Spreads a value over a shape to which it broadcasts.
    pub fn spread(&mut self, x: &Value, shape: &[usize]) -> Result<Value> {
        let features = self.size(shape)?;
        let from = x.shape().to_vec();
        if shapes::broadcast(&from, shape).as_deref() != Some(shape) {
            let (from, to) = (shapes::told(&from), shapes::told(shape));
            return Err(self.refuse(format!("a value of shape {from} does not broadcast to {to}")));
        }
        if features == x.features() {
            return self.reshape(x, shape.to_vec());
        }
        self.index(features)?;
        let index = if features == 0 { Vec::new() } else { shapes::spread(&from, shape) };
        self.rearrange(x, index, 0.0, shape.to_vec())
    }

    /// Reorders axes: axis i of the result is axis `order[i]`, each once.
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Result<Value> {
        let from = x.shape().to_vec();
        self.size(&from)?;
        let shape: Vec<usize> = order.iter().map(|&axis| from[axis]).collect();
        let long: Vec<usize> = order.iter().copied().filter(|&axis| from[axis] != 1).collect();
        if long.is_sorted() {
            return self.reshape(x, shape);
        }
        let features = self.size(&shape)?;
        self.index(features)?;
        let strides = shapes::strides(&from);
        let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
        let index = if features == 0 { Vec::new() } else { shapes::walk(&shape, &steps) };
        self.rearrange(x, index, 0.0, shape)
    }

    /// Joins values along an axis; all other sides are equal.
    pub fn concat(&mut self, parts: &[Value], axis: usize) -> Result<Value> {
        let Some(first) = parts.first() else { return Err(self.refuse("it joins nothing")) };
        let mut shape = first.shape().to_vec();
        for part in &parts[1..] {
            let other = part.shape();
            let fits = other.len() == shape.len() && (0..shape.len()).all(|a| a == axis || other[a] == shape[a]);
            if !fits || axis >= shape.len() {
                let (a, b) = (shapes::told(&shape), shapes::told(other));
                return Err(self.refuse(format!("values of shapes {a} and {b} cannot be joined along axis {axis}")));
            }
            shape[axis] = shape[axis].saturating_add(other[axis]);
        }
        let element = first.element();
        let outer: usize = shape[..axis].iter().product();
        let full: Vec<&Value> = parts.iter().filter(|p| p.features() > 0).collect();
        let features = self.size(&shape)?;
        let ints: Option<Vec<&Constant>> = parts.iter().map(|v| v.constant()).collect();
        if let (Some(parts), true) = (ints, element == Element::Int) {
            self.spend(features)?;
            let values: Vec<Cow<[i64]>> = parts.iter().map(|c| c.as_ints()).collect();
            let mut joined = Vec::with_capacity(features);
            for o in 0..outer {
                for part in &values {
                    let width = part.len() / outer;
                    joined.extend_from_slice(&part[o * width..(o + 1) * width]);
                }
            }
            return Ok(Value::Constant(Constant::ints(shape, joined)));
        }
        match full[..] {
            [only] if only.shape() == shape => Ok(only.clone()),
            _ => self.emit(Kind::Concat { outer }, &full, shape, element),
        }
    }

    /// A matrix along the axes `axes` taken together, which get the sides `into`.
    pub fn axis_mix(
        &mut self,
        x: &Value,
        axes: std::ops::Range<usize>,
        matrix: Constant,
        into: &[usize],
    ) -> Result<Value> {
        let view = shapes::view(x.shape(), axes.clone());
        let mut shape = x.shape()[..axes.start].to_vec();
        shape.extend_from_slice(into);
        shape.extend_from_slice(&x.shape()[axes.end..]);
        self.emit(Kind::AxisMix { matrix, view }, &[x], shape, Element::Float)
    }

    /// `scale * x + shift` along the middle axis of `view`.
    pub fn affine(&mut self, x: &Value, view: View, scale: Option<Constant>, shift: Option<Constant>) -> Result<Value> {
        self.emit(Kind::Affine { view, scale, shift }, &[x], x.shape().to_vec(), x.element())
    }

    /// `scale * x + shift` with numbers.
    pub fn line(&mut self, x: &Value, scale: f32, shift: f32) -> Result<Value> {
        let number = |v: f32, neutral: f32| (v != neutral).then(|| Constant::floats(vec![1], vec![v]));
        let view = View { outer: 1, mid: 1, inner: x.features() };
        self.affine(x, view, number(scale, 1.0), number(shift, 0.0))
    }

    /// A function of each entry.
    pub fn unary(&mut self, x: &Value, function: &'static str, a: Option<f32>, b: Option<f32>) -> Result<Value> {
        self.emit(Kind::Unary { function, a, b }, &[x], x.shape().to_vec(), Element::Float)
    }

    /// A constant matrix transposed, once for each.
    pub fn transposed(&mut self, c: &Constant) -> Result<Constant> {
        let [rows, columns] = c.shape[..] else { return Err(self.refuse("its weight is no matrix")) };
        let key = (Arc::as_ptr(&c.data) as usize, rows);
        if let Some((_, done)) = self.transposed.get(&key) {
            return Ok(done.clone());
        }
        let values = c.as_floats();
        let made = (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect();
        let mut made = Constant::floats(vec![columns, rows], made);
        made.name = c.name.as_ref().map(|name| format!("{name}.transposed").into());
        self.transposed.insert(key, (c.clone(), made.clone()));
        Ok(made)
    }
}

/// A value without entries, which depends on nothing.
fn empty(shape: Vec<usize>, element: Element) -> Value {
    Value::Constant(match element {
        Element::Float => Constant::floats(shape, Vec::new()),
        Element::Int => Constant::ints(shape, Vec::new()),
        Element::Bool => Constant::bools(shape, Vec::new()),
    })
}
