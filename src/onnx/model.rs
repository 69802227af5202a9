//! A model as read: its inputs, outputs and constants, and its nodes with all functions of the file put in place.

use super::proto::ValueInfoProto;
use super::tensor::{Constant, type_name};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An ONNX model that was read and not yet looked into.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file it came from.
    pub file: PathBuf,
    /// Version of the operator set.
    pub opset: i64,
    /// The program that wrote it, with its version, as in `pytorch 2.15.0`.
    pub producer: String,
    /// Inputs, without the constants that old files list among them.
    pub inputs: Vec<Declared>,
    /// Outputs.
    pub outputs: Vec<Declared>,
    /// Nodes in the file, those inside functions once for each call.
    pub node_count: usize,
    /// Values of all constant tensors in the file that are floats.
    pub parameters: usize,
    /// What a user should know.
    pub warnings: Vec<String>,
    pub(super) graph: Body,
}

/// An input or output as the file declares it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Its axes, the batch first, where the file has a shape.
    pub shape: Option<Vec<Axis>>,
    /// The type's number in the format; see [`Declared::type_name`].
    pub element: i32,
}

/// One axis of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A fixed size.
    Fixed(usize),
    /// Any size, with the name that the exporter gave to it.
    Free(Option<String>),
}

impl Declared {
    pub(super) fn of(proto: &ValueInfoProto) -> Self {
        let tensor = proto.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let shape = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
            let axis = |d: &super::proto::DimensionProto| match d.dim_value.and_then(|v| usize::try_from(v).ok()) {
                Some(size) if size > 0 => Axis::Fixed(size),
                _ => Axis::Free(d.dim_param.clone().filter(|name| !name.is_empty())),
            };
            shape.dim.iter().map(axis).collect()
        });
        Self { name: proto.name.clone(), shape, element: tensor.map_or(0, |t| t.elem_type) }
    }

    /// The type of its values, as in `float32`.
    pub fn type_name(&self) -> &'static str {
        type_name(self.element)
    }

    /// Its name and the shape of one sample, as in `"z" [1, 8, 8]`.
    pub fn told(&self) -> String {
        let name = self.name.escape_debug();
        let Some(axes) = &self.shape else { return format!("\"{name}\"") };
        let side = |axis: &Axis| match axis {
            Axis::Fixed(n) => n.to_string(),
            Axis::Free(Some(name)) => name.escape_debug().to_string(),
            Axis::Free(None) => "?".to_owned(),
        };
        let sides: Vec<String> = axes.iter().skip(1).map(side).collect();
        format!("\"{name}\" [{}]", sides.join(", "))
    }
}

/// Nodes and the constants they read: the graph of the file, or a branch of an `If`.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    pub nodes: Vec<Node>,
    pub constants: BTreeMap<String, Stored>,
    pub outputs: Vec<String>,
}

/// A constant of the file, or why it cannot be used.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    Read(Constant),
    Unusable(String),
}

/// One application of an operator.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The name for messages: the user's, or that of the first output.
    pub name: String,
    /// Operator of the standard set, or `domain::operator` of another.
    pub operator: String,
    /// Whether the operator is of the standard set.
    pub standard: bool,
    /// Version of the operator set it was written for.
    pub opset: i64,
    /// Names of values; empty where an optional one is left out.
    pub inputs: Vec<String>,
    /// Names of the values it makes; empty where nobody wants one.
    pub outputs: Vec<String>,
    pub attributes: BTreeMap<String, Attribute>,
}

/// A setting of a node.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Tensor(Stored),
    Graph(Box<Body>),
    /// A kind that no operator here reads.
    Other,
}
