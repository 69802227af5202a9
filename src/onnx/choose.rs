//! What a user has to say about a model: which input is the latent, what the others are held at, which output is the
//! picture. Where the file leaves no choice, nothing has to be said.

use super::Limits;
use super::model::{Axis, Declared, Model};
use super::shapes::told;
use super::tensor::{Constant, Element, element_of, elements};
use crate::error::{Error, Result, did_you_mean};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// What a network reads, for messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Noise, of which it makes a picture.
    #[default]
    Latent,
    /// A picture, of which it makes features.
    Picture,
}

impl Reads {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Picture => "picture",
        }
    }

    /// What makes something of it, as in "a generator".
    fn network(self) -> &'static str {
        match self {
            Self::Latent => "a generator",
            Self::Picture => "an encoder",
        }
    }

    /// The word for the output.
    fn makes(self) -> &'static str {
        match self {
            Self::Latent => "the picture",
            Self::Picture => "the features",
        }
    }

    /// A shape of one, for advice.
    fn sizes(self, otherwise: &'static str) -> &'static str {
        match self {
            Self::Latent => otherwise,
            Self::Picture => "3x224x224",
        }
    }
}

/// What a user says about a model.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// What the network reads: a latent, or a picture, for which the words below stand too.
    pub reads: Reads,
    /// The input that is the latent.
    pub latent: Option<String>,
    /// The shape of one latent, without the batch, where the file leaves it open.
    pub shape: Option<Vec<usize>>,
    /// What the other inputs are held at.
    pub fixed: BTreeMap<String, Fixed>,
    /// The output that is the picture: one that the file declares, or any other value in it.
    pub output: Option<String>,
    /// What random nodes give.
    pub noise: Option<Noise>,
    /// Whether to keep every node as it is lowered, with a trace of the file's values; for comparing two batches.
    pub keep_all: bool,
    /// Fusions to leave out, by their names; `all` leaves out all.
    pub unfused: Vec<String>,
    /// Bounds on what the file may ask for.
    pub limits: Limits,
}

/// What an input is held at.
#[derive(Clone, Debug)]
pub enum Fixed {
    /// Numbers in the order of the input's shape.
    Numbers(Vec<f64>),
    /// A tensor, with or without the batch axis.
    Tensor {
        /// Its shape.
        shape: Vec<usize>,
        /// Its values.
        values: Vec<f64>,
    },
}

/// What random nodes give.
#[derive(Clone)]
pub enum Noise {
    /// One draw, kept in the model.
    Fixed(Arc<dyn Fn(Draw) -> Vec<f32> + Send + Sync>),
    /// The mean of what they would draw.
    Zero,
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if matches!(self, Self::Zero) { "Zero" } else { "Fixed" })
    }
}

/// A request for the draws of one random node.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Number of the random node, in the order of the graph.
    pub index: usize,
    /// The law.
    pub law: Law,
    /// How many draws.
    pub count: usize,
}

/// The law of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Mean 0, variance 1.
    Normal,
    /// From 0 to 1.
    Uniform,
}

/// The inputs of a model as they were chosen.
#[derive(Debug)]
pub(super) struct Inputs {
    pub latent: String,
    /// With the batch, where it has one.
    pub shape: Vec<usize>,
    pub fixed: BTreeMap<String, Constant>,
    /// Whether the file fixes the batch at one sample.
    pub batch_fixed: bool,
}

/// The output that is the picture.
pub(super) fn output(model: &Model, choices: &Choices) -> Result<Declared> {
    if let Some(name) = &choices.output {
        let declared = model.outputs.iter().find(|o| o.name == *name).cloned();
        let made = || model.graph.nodes.iter().flat_map(|n| &n.outputs).map(String::as_str).filter(|n| !n.is_empty());
        let inner = || made().any(|n| n == name).then(|| Declared { name: name.clone(), shape: None, element: 0 });
        return declared.or_else(inner).ok_or_else(|| {
            let all = model.outputs.iter().map(|o| o.name.as_str()).chain(made()).collect::<Vec<_>>();
            Error::key_found("output", name, format!("the model has no such output{}", did_you_mean(name, all)))
        });
    }
    match &model.outputs[..] {
        [only] => Ok(only.clone()),
        [] => Err(Error::input(&model.file, "the graph has no output; export it again")),
        several => {
            let (count, list) = (counted(several.len()), listed(several.iter().collect()));
            let (first, makes) = (several[0].name.escape_debug().to_string(), choices.reads.makes());
            let message = format!("the model has {count} outputs, {list}; say which is {makes}, as in {first}");
            Err(Error::key("output", message))
        }
    }
}

/// The latent and what the other inputs among `read` are held at.
pub(super) fn inputs(model: &Model, choices: &Choices, read: &BTreeSet<&str>, batch: usize) -> Result<Inputs> {
    let needed: Vec<&Declared> = model.inputs.iter().filter(|i| read.contains(i.name.as_str())).collect();
    let names = || model.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>();
    for name in choices.fixed.keys() {
        if !names().contains(&name.as_str()) {
            let message = format!("the model has no such input{}", did_you_mean(name, names()));
            return Err(Error::key_found("fix", name, message));
        }
    }
    let latent = latent(model, choices, &needed)?;
    let (shape, batch_fixed, batch_name) = latent_shape(model, choices, latent, batch)?;
    let mut fixed = BTreeMap::new();
    for input in needed.iter().filter(|i| i.name != latent.name) {
        let Some(value) = choices.fixed.get(&input.name) else {
            let (told, name) = (input.told(), input.name.escape_debug().to_string());
            let message = format!(
                "input {told} of type {} needs a value: say what it is held at, as in {name}=0 or \
                 {name}=FILE.safetensors",
                input.type_name(),
            );
            return Err(Error::key("fix", message));
        };
        fixed.insert(input.name.clone(), held(input, value, batch, batch_name.as_deref())?);
    }
    Ok(Inputs { latent: latent.name.clone(), shape, fixed, batch_fixed })
}

/// The input that is the latent.
fn latent<'a>(model: &'a Model, choices: &Choices, needed: &[&'a Declared]) -> Result<&'a Declared> {
    let names = || model.inputs.iter().map(|i| i.name.as_str()).collect::<Vec<_>>();
    let is_float = |i: &&&Declared| element_of(i.element) == Some(Element::Float);
    let free: Vec<&&Declared> = needed.iter().filter(|i| !choices.fixed.contains_key(&i.name)).collect();
    let found = match &choices.latent {
        Some(name) => {
            let found = model.inputs.iter().find(|i| i.name == *name);
            let missing = || format!("the model has no such input{}", did_you_mean(name, names()));
            let found = found.ok_or_else(|| Error::key_found("latent", name, missing()))?;
            if choices.fixed.contains_key(name) {
                let message = format!("input {} is the {}; it cannot be held", found.told(), choices.reads.word());
                return Err(Error::key("fix", message));
            }
            if !needed.iter().any(|i| i.name == found.name) {
                let message = format!("the output does not depend on {}", found.told());
                return Err(Error::input(&model.file, message));
            }
            found
        }
        None => match free.iter().copied().filter(is_float).collect::<Vec<_>>()[..] {
            [only] => only,
            [] if free.is_empty() => {
                let (network, word) = (choices.reads.network(), choices.reads.word());
                let message = format!("the output depends on no input that is left open; {network} has a {word}");
                return Err(Error::input(&model.file, message));
            }
            [] => free[0],
            ref several => {
                let (count, list) = (counted(several.len()), listed(several.iter().map(|i| **i).collect()));
                let (first, other) = (several[0].name.escape_debug(), several[1].name.escape_debug());
                let word = choices.reads.word();
                let message = format!(
                    "the model has {count} inputs, {list}: say which is the {word}, as in latent {first}, and what the \
                     other is held at, as in fix {other}=FILE.safetensors or fix {other}=0,1,0"
                );
                return Err(Error::key("latent", message));
            }
        },
    };
    match element_of(found.element) {
        Some(Element::Float) => Ok(found),
        _ => {
            let word = choices.reads.word();
            let message = format!("input {} is {}; a {word} is float", found.told(), found.type_name());
            Err(Error::input(&model.file, message))
        }
    }
}

/// The latent's shape with its batch, whether the file fixes the batch, and the name of the batch axis.
fn latent_shape(
    model: &Model,
    choices: &Choices,
    latent: &Declared,
    batch: usize,
) -> Result<(Vec<usize>, bool, Option<String>)> {
    let (given, word) = (choices.shape.as_deref(), choices.reads.word());
    let name = latent.name.escape_debug().to_string();
    let Some(axes) = &latent.shape else {
        let Some(given) = given else {
            let sizes = choices.reads.sizes("16");
            let message = format!("input \"{name}\" has no shape in the file; give the {word}'s shape, as in {sizes}");
            return Err(Error::key("shape", message));
        };
        return Ok((std::iter::once(batch).chain(given.iter().copied()).collect(), false, None));
    };
    // A vector without a batch is one latent.
    let alone = matches!(axes[..], [Axis::Fixed(n)] if n > 1);
    let (first, own) = match axes.split_first() {
        _ if alone => (Axis::Fixed(1), &axes[..]),
        Some((first, own)) => (first.clone(), own),
        None => {
            return Err(Error::input(
                &model.file,
                format!("input \"{name}\" is a single number; a {word} is a vector"),
            ));
        }
    };
    let batch_name = match &first {
        Axis::Fixed(1) if batch == 1 => None,
        Axis::Fixed(1) => {
            let message = format!("input \"{name}\" has a fixed batch of 1; a batch of {batch} cannot be tried");
            return Err(Error::input(&model.file, message));
        }
        Axis::Fixed(n) => {
            return Err(Error::input(
                &model.file,
                format!(
                    "input \"{name}\" has a fixed batch of {n}: the exporter froze it; export again from one {word} \
                     (batch 1), or with isoline.export"
                ),
            ));
        }
        Axis::Free(name) => name.clone(),
    };
    let given = match given {
        Some([1, rest @ ..]) if rest.len() == own.len() && own.len() + 1 == axes.len() => Some(rest),
        other => other,
    };
    if let Some(given) = given
        && given.len() != own.len()
    {
        let message =
            format!("{} has {} axes, the {word} {} has {}", told(given), given.len(), latent.told(), own.len());
        return Err(Error::key("shape", message));
    }
    let mut shape = if alone { Vec::new() } else { vec![batch] };
    for (at, axis) in own.iter().enumerate() {
        shape.push(match (axis, given.map(|g| g[at])) {
            (Axis::Fixed(n), None) => *n,
            (Axis::Fixed(n), Some(g)) if *n == g => g,
            (Axis::Free(_), Some(g)) if g > 0 => g,
            (Axis::Free(free), None) if free.is_some() && *free == batch_name => batch,
            (Axis::Free(free), None) => {
                let free = free.as_deref().unwrap_or("?").escape_debug().to_string();
                let sizes = choices.reads.sizes("8");
                let message =
                    format!("input \"{name}\" has the free axis \"{free}\"; give the {word}'s shape, as in {sizes}");
                return Err(Error::key("shape", message));
            }
            (_, Some(_)) => {
                let given = told(given.unwrap_or_default());
                return Err(Error::key("shape", format!("{given} does not fit the {word} {}", latent.told())));
            }
        });
    }
    Ok((shape, first == Axis::Fixed(1), batch_name))
}

/// The constant that an input is held at.
fn held(input: &Declared, value: &Fixed, batch: usize, batch_name: Option<&str>) -> Result<Constant> {
    let (values, given) = match value {
        Fixed::Numbers(values) => (values, None),
        Fixed::Tensor { shape, values } => (values, Some(shape)),
    };
    let refused = |what: String| Error::key("fix", format!("input {} {what}", input.told()));
    let Some(kind) = element_of(input.element) else {
        return Err(refused(format!("is {}; such inputs are not read", input.type_name())));
    };
    if values.is_empty() || values.iter().any(|v| !v.is_finite()) {
        return Err(refused("needs finite numbers".into()));
    }
    if given.is_some_and(|shape| elements(shape) != Some(values.len())) {
        return Err(refused("is given a tensor whose shape does not fit its values".into()));
    }
    let mut axes = input.shape.clone().unwrap_or_else(|| vec![Axis::Fixed(values.len())]);
    // A first axis of any size is the batch.
    let batched = matches!(axes.first(), Some(Axis::Free(_)));
    if batched {
        axes[0] = Axis::Fixed(1);
    }
    for axis in &mut axes {
        if matches!(axis, Axis::Free(Some(name)) if Some(name.as_str()) == batch_name) {
            *axis = Axis::Fixed(1);
        }
    }
    // A tensor says how long the free axes are; numbers leave one of them to be found out.
    if let Some(shape) = given {
        let own = if shape.len() + 1 == axes.len() { &mut axes[1..] } else { &mut axes[..] };
        for (axis, &side) in own.iter_mut().zip(shape) {
            if matches!(axis, Axis::Free(_)) {
                *axis = Axis::Fixed(side);
            }
        }
    }
    let sides: Vec<usize> = axes.iter().filter_map(|a| if let Axis::Fixed(n) = a { Some(*n) } else { None }).collect();
    let known = elements(&sides).unwrap_or(usize::MAX);
    let free = axes.len() - sides.len();
    let fits = if free == 1 { values.len() % known.max(1) == 0 } else { free == 0 && values.len() == known };
    if !fits {
        return Err(refused(format!("is given {} numbers, which do not fit its shape", values.len())));
    }
    let side = |axis: &Axis| if let Axis::Fixed(n) = axis { *n } else { values.len() / known.max(1) };
    let mut shape: Vec<usize> = axes.iter().map(side).collect();
    let mut values = values.clone();
    if batched && batch > 1 {
        shape[0] = batch;
        values = values.repeat(batch);
    }
    if kind != Element::Float && values.iter().any(|v| v.fract() != 0.0) {
        return Err(refused(format!("is {}; it needs whole numbers", input.type_name())));
    }
    Ok(match kind {
        Element::Float => Constant::floats(shape, values.iter().map(|&v| v as f32).collect()),
        Element::Int => Constant::ints(shape, values.iter().map(|&v| v as i64).collect()),
        Element::Bool => Constant::bools(shape, values.iter().map(|&v| v != 0.0).collect()),
    })
}

fn counted(count: usize) -> String {
    match count {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        more => more.to_string(),
    }
}

/// Inputs or outputs in words, as in `"z" [8] and "c" [3]`.
fn listed(list: Vec<&Declared>) -> String {
    let told: Vec<String> = list.iter().take(12).map(|d| d.told()).collect();
    match told.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => told.join(""),
    }
}
