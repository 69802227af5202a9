//! Walks through a model's nodes at a fixed batch, and builds the graph that is left.

use super::build::{Builder, Live, Value};
use super::choose::{self, Choices, Draw, Law, Noise};
use super::finish::{self, Lowered, Report, Trace};
use super::kind::Kind;
use super::model::{Attribute, Body, Model, Node, Stored};
use super::operators::{self, Call};
use super::tensor::{Constant, Data, Element, type_name};
use super::{Limits, fuse, order, simplify};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The graph of `model` for a batch of `batch` samples, seen as one value: 1 for use, 2 to find out whether samples
/// mix.
///
/// # Errors
/// [`Error::Key`] if something must be chosen (`latent`, `fix`, `output`, `shape`, `noise`) or a fusion that is to be
/// left out is unknown (`fuse`); [`Error::Input`] if the model is not one that can be run.
pub fn lower(model: &Model, choices: &Choices, batch: usize) -> Result<Lowered> {
    let fusions = fuse::chosen(&choices.unfused)?;
    let output = choose::output(model, choices)?;
    let (marks, read) = order::needed(&model.graph.nodes, &[output.name.as_str()]);
    let needed: Vec<&Node> = model.graph.nodes.iter().zip(&marks).filter(|(_, m)| **m).map(|(n, _)| n).collect();
    supported(&model.file, &needed)?;
    let inputs = choose::inputs(model, choices, &read, batch)?;
    let mut walk = Walk {
        build: Builder::new(&model.file, limits(model, choices, batch), batch),
        scopes: vec![Scope { body: &model.graph, values: HashMap::new() }],
        trace: Vec::new(),
        noise: choices.noise.as_ref(),
        draws: 0,
        folded: 0,
    };
    walk.build.batch_fixed = inputs.batch_fixed;
    walk.build.size(&inputs.shape)?;
    walk.build.warnings = dead(model, &marks);
    let latent = Live { id: 0, shape: inputs.shape.clone(), element: Element::Float };
    let values = &mut walk.scopes[0].values;
    values.insert(&inputs.latent, Value::Live(latent));
    for (name, constant) in &inputs.fixed {
        values.insert(name, Value::Constant(constant.clone()));
    }
    walk.nodes(&needed)?;
    let value = walk.value(&output.name, &output.name)?;
    let result = checked(&walk.build, &inputs.latent, &output, &value)?;
    let mut report = Report { read: needed.len(), folded: walk.folded, ..Report::default() };
    let Walk { build, trace, .. } = walk;
    let mut graph = simplify::Graph { nodes: build.nodes, output: result, latent: inputs.shape.iter().product() };
    if !choices.keep_all {
        graph.simplify();
        report.fused = fuse::apply(&mut graph, &fusions);
        graph.shaped(value.shape());
    }
    let input = finish::Input { name: inputs.latent.clone(), shape: inputs.shape.clone() };
    let trace = if choices.keep_all { trace } else { Vec::new() };
    finish::finish(graph, &build.sources, input, build.warnings, trace, report)
        .map_err(|message| Error::input(&model.file, message))
}

/// The limits for a batch. Samples of a larger one share no weights, so these are there once for each.
fn limits(model: &Model, choices: &Choices, batch: usize) -> Limits {
    let given = choices.limits;
    let more = batch.saturating_sub(1).saturating_mul(model.parameters);
    Limits {
        value: given.value.saturating_mul(batch).min(1 << 29),
        folded: given.folded.saturating_mul(batch).saturating_add(more),
        indices: given.indices.saturating_mul(batch),
        ..given
    }
}

/// Remarks on nodes that no output needs and that are unknown.
fn dead(model: &Model, marks: &[bool]) -> Vec<String> {
    let unknown = |n: &&Node| !n.standard || operators::find(&n.operator).is_none();
    let dead = model.graph.nodes.iter().zip(marks).filter(|(_, m)| !**m).map(|(n, _)| n).filter(unknown);
    let told = |n: &Node| {
        let (operator, name) = (n.operator.escape_debug(), n.name.escape_debug());
        format!("operator {operator} (node \"{name}\") is not known; the output does not need it")
    };
    model.warnings.iter().cloned().chain(dead.take(20).map(told)).collect()
}

const LISTED: &str = "isoline list operators names those that are";

/// What to do about an operator that is not read.
fn advice(operator: &str) -> &'static str {
    match operator {
        "Loop" | "Scan" => "export a model without loops (the dynamo exporter unrolls them)",
        "LSTM" | "GRU" | "RNN" => "export a model without recurrent layers, or with its steps unrolled",
        "TopK" | "Unique" | "NonMaxSuppression" | "Compress" => {
            "what it picks depends on the latent; a tangent needs one fixed graph"
        }
        "Bernoulli" | "Multinomial" => "it draws what has no derivative; export the means",
        _ if operator.contains("Quantize") || operator.ends_with("Integer") || operator.starts_with("QLinear") => {
            "a quantised model has no derivative; export the float model"
        }
        _ if operator.contains("Sequence") => "lists of tensors are not read; export with the dynamo exporter",
        _ => LISTED,
    }
}

/// Refuses nodes of operators that are not read, all in one error, and attributes that their operators do not have.
fn supported(file: &Path, nodes: &[&Node]) -> Result<()> {
    let mut unknown: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for node in nodes.iter().filter(|n| !n.standard || operators::find(&n.operator).is_none()) {
        unknown.entry(&node.operator).or_insert((&node.name, 0)).1 += 1;
    }
    let refused = |message: String| Err(Error::input(file, message));
    let one = |(operator, (name, count)): (&&str, &(&str, usize))| {
        let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        format!("{} (node \"{}\"{more})", operator.escape_debug(), name.escape_debug())
    };
    let list: Vec<String> = unknown.iter().take(20).map(one).collect();
    let advice = match unknown.keys().next() {
        Some(operator) if unknown.len() == 1 => advice(operator),
        _ => LISTED,
    };
    match &list[..] {
        [] => {}
        [only] => return refused(format!("operator {only} is not supported; {advice}")),
        _ => return refused(format!("{} operators are not supported: {}; {advice}", unknown.len(), list.join(", "))),
    }
    for node in nodes {
        let known = operators::find(&node.operator).map_or(&[][..], |o| o.attributes);
        if let Some(other) = node.attributes.keys().find(|a| !known.contains(&a.as_str())) {
            let (name, other) = (node.name.escape_debug(), other.escape_debug());
            return refused(format!("node \"{name}\" ({}): its attribute \"{other}\" is not known", node.operator));
        }
    }
    Ok(())
}

/// The number of the output in the graph, if it is floats that depend on the latent and a derivative leads to it.
fn checked(build: &Builder, latent: &str, output: &super::Declared, value: &Value) -> Result<usize> {
    build.no_noise(&[value])?;
    let (name, latent) = (output.name.escape_debug(), latent.escape_debug());
    let Value::Live(live) = value else {
        return Err(
            build.fault(format!("output \"{name}\" does not depend on \"{latent}\"; there is nothing to measure"))
        );
    };
    let from = |id: usize| build.nodes.get(id.wrapping_sub(1)).map(|n| &build.sources[n.source]);
    // The node before changes of shape.
    let mut maker = live.id;
    while let Some(node) = build.nodes.get(maker.wrapping_sub(1))
        && let (Kind::Rearrange { .. }, [before]) = (&node.kind, &node.inputs[..])
    {
        maker = *before;
    }
    if live.element != Element::Float
        && let Some(source) = from(maker)
    {
        let kind = match output.element {
            0 | 1 | 10 | 11 | 16 if live.element == Element::Bool => "bool",
            0 | 1 | 10 | 11 | 16 => "an integer",
            kind => type_name(kind),
        };
        return Err(build.fault(format!(
            "output \"{name}\" is {kind}: the {} before it (node \"{}\") has no derivative; export the float picture, \
             before rounding",
            source.operator,
            source.name.escape_debug()
        )));
    }
    // From the output back along ways with a derivative.
    let mut reached = vec![false; build.nodes.len() + 1];
    reached[live.id] = true;
    let mut last = None;
    for (at, node) in build.nodes.iter().enumerate().rev().filter(|(at, _)| *at < live.id) {
        if !reached[at + 1] {
            continue;
        }
        let smooth = match node.kind {
            Kind::Step(_) => {
                last = last.or(Some(at + 1));
                &[]
            }
            Kind::Select => &node.inputs[1..],
            _ => &node.inputs[..],
        };
        smooth.iter().for_each(|&input| reached[input] = true);
    }
    match (reached[0], last.and_then(from)) {
        (true, _) => Ok(live.id),
        (false, Some(step)) => Err(build.fault(format!(
            "the output does not depend smoothly on \"{latent}\": every way passes through {} (node \"{}\"), whose \
             derivative is 0; there is no geometry to measure",
            step.operator,
            step.name.escape_debug()
        ))),
        (false, None) => Err(build.fault(format!("the output does not depend smoothly on \"{latent}\""))),
    }
}

struct Walk<'a> {
    build: Builder<'a>,
    /// The graph and, inside branches, those branches.
    scopes: Vec<Scope<'a>>,
    trace: Vec<Trace>,
    noise: Option<&'a Noise>,
    draws: usize,
    folded: usize,
}

struct Scope<'a> {
    body: &'a Body,
    values: HashMap<&'a str, Value>,
}

impl<'a> Walk<'a> {
    fn nodes(&mut self, nodes: &[&'a Node]) -> Result<()> {
        for node in nodes {
            let made = self.node(node)?;
            self.folded += usize::from(made.iter().all(|v| matches!(v, Value::Constant(_))));
            for (name, value) in node.outputs.iter().zip(made).filter(|(name, _)| !name.is_empty()) {
                if let Value::Live(live) = &value {
                    let (node, operator) = (node.name.clone(), node.operator.clone());
                    let shape = live.shape.clone();
                    self.trace.push(Trace { value: name.clone(), node, operator, id: live.id, shape });
                }
                if let Some(scope) = self.scopes.last_mut() {
                    scope.values.insert(name, value);
                }
            }
        }
        Ok(())
    }

    /// The value `name`, which `reader` reads: made by a node, an input, or a constant of the file.
    fn value(&mut self, name: &'a str, reader: &str) -> Result<Value> {
        for scope in self.scopes.iter_mut().rev() {
            if let Some(value) = scope.values.get(name) {
                return Ok(value.clone());
            }
            match scope.body.constants.get(name) {
                Some(Stored::Read(constant)) => {
                    if let Some(message) = not_a_number(name, constant) {
                        return Err(self.build.fault(message));
                    }
                    scope.values.insert(name, Value::Constant(constant.clone()));
                    return Ok(Value::Constant(constant.clone()));
                }
                Some(Stored::Unusable(why)) => return Err(self.build.fault(why.clone())),
                None => {}
            }
        }
        let makes = |n: &&Node| n.outputs.iter().any(|o| o == name);
        let maker = self.scopes.iter().rev().find_map(|scope| scope.body.nodes.iter().find(makes));
        let (name, reader) = (name.escape_debug(), reader.escape_debug());
        if let Some(maker) = maker {
            let (node, operator) = (maker.name.escape_debug(), &maker.operator);
            return Err(self.build.fault(format!(
                "node \"{reader}\" needs \"{name}\", a further result of node \"{node}\" ({operator}), which is not \
                 read"
            )));
        }
        Err(self
            .build
            .fault(format!("node \"{reader}\" reads \"{name}\", which nothing makes; export the model again")))
    }

    fn node(&mut self, node: &'a Node) -> Result<Vec<Value>> {
        self.build.enter(&node.name, &node.operator);
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(if name.is_empty() { None } else { Some(self.value(name, &node.name)?) });
        }
        if node.operator == "If" {
            return self.branch(node, inputs.first().cloned().flatten());
        }
        let Some(operator) = operators::find(&node.operator) else {
            return Err(self.build.refuse("it is not supported"));
        };
        let (noise, draws) = (self.noise, &mut self.draws);
        let mut random = |build: &mut Builder, law, shape: Vec<usize>| drawn(build, noise, draws, law, shape);
        let mut call = Call { build: &mut self.build, node, inputs, random: &mut random };
        (operator.lower)(&mut call)
    }

    /// The branch that a constant condition takes.
    fn branch(&mut self, node: &'a Node, condition: Option<Value>) -> Result<Vec<Value>> {
        let Some(Value::Constant(condition)) = condition else {
            return Err(self.build.fault(format!(
                "operator If (node \"{}\") chooses its branch from values of the latent; a tangent needs one fixed \
                 graph: export the branch you want",
                node.name.escape_debug()
            )));
        };
        let taken = condition.as_bools().first().copied().unwrap_or(false);
        let name = if taken { "then_branch" } else { "else_branch" };
        let Some(Attribute::Graph(body)) = node.attributes.get(name) else {
            return Err(self.build.refuse(format!("it has no {name}")));
        };
        let wanted: Vec<&str> = body.outputs.iter().map(String::as_str).collect();
        let (marks, _) = order::needed(&body.nodes, &wanted);
        let needed: Vec<&Node> = body.nodes.iter().zip(&marks).filter(|(_, m)| **m).map(|(n, _)| n).collect();
        supported(self.build.file, &needed)?;
        self.scopes.push(Scope { body, values: HashMap::new() });
        self.nodes(&needed)?;
        let made = wanted.iter().map(|name| self.value(name, &node.name)).collect();
        self.scopes.pop();
        made
    }
}

/// A message about the first value of a tensor that is not a number.
fn not_a_number(name: &str, constant: &Constant) -> Option<String> {
    let Data::Float(values) = &*constant.data else { return None };
    let at = values.iter().position(|v| v.is_nan())?;
    Some(format!("tensor \"{}\": value {at} is NaN, expected finite numbers", name.escape_debug()))
}

/// What a random node gives.
fn drawn(build: &mut Builder, noise: Option<&Noise>, draws: &mut usize, law: Law, shape: Vec<usize>) -> Result<Value> {
    let count = build.size(&shape)?;
    let Some(noise) = noise else { return Ok(Value::Noise(shape, build.source().name)) };
    build.spend(count)?;
    let values = match noise {
        Noise::Zero => vec![if law == Law::Normal { 0.0 } else { 0.5 }; count],
        Noise::Fixed(draw) => {
            // All samples of a batch get the same.
            let times = if build.batch > 1 && shape.first() == Some(&build.batch) { build.batch } else { 1 };
            let values = draw(Draw { index: *draws, law, count: count / times });
            *draws += 1;
            if values.len() != count / times {
                return Err(build.refuse(format!("{} draws were asked for and {} given", count / times, values.len())));
            }
            values.repeat(times)
        }
    };
    Ok(Value::Constant(Constant::floats(shape, values)))
}
