//! From messages to nodes: functions of the file are put in place of their calls, attributes get their values, branches
//! become bodies, and each list of nodes is sorted.

use super::model::{Attribute, Body, Node, Stored};
use super::order;
use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use super::read::version;
use super::tensor::{self, Unread};
use super::{MAX_NODES, NAME_BYTES};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Calls of functions inside each other.
const CALLS: usize = 32;
/// Bytes that all calls together may copy of the functions they call.
const COPIED: usize = 256 << 20;

/// The functions of a file, and what is counted while they are put in place.
pub(super) struct Inliner<'a> {
    pub folder: &'a Path,
    pub functions: HashMap<(String, String, String), FunctionProto>,
    pub opset: i64,
    pub nodes: usize,
    pub parameters: usize,
    calls: usize,
    copied: usize,
}

/// How the names in one function's body read outside of it.
struct Scope {
    /// Names given by the caller.
    given: HashMap<String, String>,
    /// What stands before all others; empty in the graph of the file.
    prefix: String,
    /// Display name of the call, with a slash; empty in the graph of the file.
    path: String,
    /// Attributes of the call.
    attributes: BTreeMap<String, Attribute>,
    opset: i64,
    depth: usize,
}

impl Scope {
    fn name(&self, name: &str) -> String {
        match self.given.get(name) {
            Some(outer) => outer.clone(),
            None if name.is_empty() => String::new(),
            None => format!("{}{name}", self.prefix),
        }
    }
}

impl<'a> Inliner<'a> {
    pub(super) fn new(folder: &'a Path, functions: Vec<FunctionProto>, opset: i64) -> Self {
        let key = |f: &FunctionProto| (domain(&f.domain).to_owned(), f.name.clone(), f.overload.clone());
        let functions = functions.into_iter().map(|f| (key(&f), f)).collect();
        Self { folder, functions, opset, nodes: 0, parameters: 0, calls: 0, copied: 0 }
    }

    /// The graph of the file.
    pub(super) fn graph(&mut self, graph: GraphProto) -> Result<Body, String> {
        let opset = self.opset;
        let scope = Scope {
            given: HashMap::new(),
            prefix: String::new(),
            path: String::new(),
            attributes: BTreeMap::new(),
            opset,
            depth: 0,
        };
        self.body(graph, &scope)
    }

    fn body(&mut self, graph: GraphProto, scope: &Scope) -> Result<Body, String> {
        let mut constants = BTreeMap::new();
        for tensor in graph.initializer {
            let name = tensor.name.clone();
            if name.len() > NAME_BYTES {
                return Err(too_long("tensor", &name));
            }
            let stored = self.stored(tensor)?;
            if constants.insert(scope.name(&name), stored).is_some() {
                return Err(format!("tensor \"{}\" is there twice", name.escape_debug()));
            }
        }
        for sparse in graph.sparse_initializer {
            let name = sparse.values.map(|v| v.name).unwrap_or_default();
            let message = format!("tensor \"{}\" is sparse; such tensors are not read", name.escape_debug());
            constants.insert(scope.name(&name), Stored::Unusable(message));
        }
        let mut nodes = Vec::new();
        for node in graph.node {
            self.node(node, scope, &mut nodes)?;
        }
        let outputs = graph.output.iter().map(|o| scope.name(&o.name)).collect();
        Ok(Body { nodes: order::sort(nodes)?, constants, outputs })
    }

    fn stored(&mut self, proto: super::proto::TensorProto) -> Result<Stored, String> {
        match tensor::read(proto, self.folder) {
            Ok(constant) => {
                if constant.element() == tensor::Element::Float {
                    self.parameters += constant.len();
                }
                Ok(Stored::Read(constant))
            }
            Err(Unread::Unusable(why)) => Ok(Stored::Unusable(why)),
            Err(Unread::Refused(why)) => Err(why),
        }
    }

    fn node(&mut self, proto: NodeProto, scope: &Scope, into: &mut Vec<Node>) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} nodes, at most so many are read"));
        }
        let called = proto.output.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        let shown = if proto.name.is_empty() { called } else { &proto.name };
        for name in proto.input.iter().chain(&proto.output).chain([&proto.name, &proto.op_type, &proto.domain]) {
            if name.len() > NAME_BYTES {
                return Err(too_long("node or value", name));
            }
        }
        let name = match scope.path.is_empty() {
            true => shown.to_owned(),
            false => format!("{}{}", scope.path, shown.trim_start_matches('/')),
        };
        let mut attributes = BTreeMap::new();
        for attribute in proto.attribute {
            let key = attribute.name.clone();
            if let Some(value) = self.attribute(attribute, scope)? {
                attributes.insert(key, value);
            }
        }
        let node = Node {
            name,
            standard: domain(&proto.domain).is_empty(),
            operator: match domain(&proto.domain) {
                "" => proto.op_type.clone(),
                other => format!("{other}::{}", proto.op_type),
            },
            opset: scope.opset,
            inputs: proto.input.iter().map(|n| scope.name(n)).collect(),
            outputs: proto.output.iter().map(|n| scope.name(n)).collect(),
            attributes,
        };
        let key = (domain(&proto.domain).to_owned(), proto.op_type, proto.overload);
        match self.functions.get(&key).cloned() {
            Some(function) => self.call(node, function, scope.depth + 1, into),
            None => {
                into.push(node);
                Ok(())
            }
        }
    }

    /// The nodes of `function` in place of the node that calls it.
    fn call(&mut self, node: Node, function: FunctionProto, depth: usize, into: &mut Vec<Node>) -> Result<(), String> {
        if depth > CALLS {
            return Err(format!("function \"{}\" calls itself, or calls go too deep", function.name.escape_debug()));
        }
        self.calls += 1;
        self.copy(function.encoded_len())?;
        let opset = standard_opset(&function.opset_import).unwrap_or(self.opset);
        version(opset).map_err(|e| format!("function \"{}\": {e}", function.name.escape_debug()))?;
        let mut scope = Scope {
            given: HashMap::new(),
            prefix: format!("\u{1}{}\u{1}", self.calls),
            path: format!("{}/", node.name.trim_end_matches('/')),
            attributes: node.attributes,
            opset,
            depth,
        };
        for default in function.attribute_proto {
            let name = default.name.clone();
            if !scope.attributes.contains_key(&name)
                && let Some(value) = self.attribute(default, &scope)?
            {
                scope.attributes.insert(name, value);
            }
        }
        for (at, formal) in function.input.iter().enumerate() {
            scope.given.insert(formal.clone(), node.inputs.get(at).cloned().unwrap_or_default());
        }
        let mut passed = Vec::new();
        for (formal, actual) in function.output.iter().zip(&node.outputs).filter(|(_, actual)| !actual.is_empty()) {
            match scope.given.contains_key(formal) {
                true => passed.push((scope.name(formal), actual.clone())),
                false => drop(scope.given.insert(formal.clone(), actual.clone())),
            }
        }
        for inner in function.node {
            self.node(inner, &scope, into)?;
        }
        into.extend(passed.into_iter().map(|(from, to)| Node {
            name: node.name.clone(),
            operator: "Identity".to_owned(),
            standard: true,
            opset,
            inputs: vec![from],
            outputs: vec![to],
            attributes: BTreeMap::new(),
        }));
        Ok(())
    }

    fn copy(&mut self, bytes: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(bytes);
        match self.copied <= COPIED {
            true => Ok(()),
            false => Err(format!("its functions are called so often that copies take more than {COPIED} bytes")),
        }
    }

    fn attribute(&mut self, proto: AttributeProto, scope: &Scope) -> Result<Option<Attribute>, String> {
        if !proto.ref_attr_name.is_empty() {
            let value = scope.attributes.get(&proto.ref_attr_name);
            self.copy(match value {
                Some(Attribute::Ints(v)) => v.len().saturating_mul(8),
                Some(Attribute::Floats(v)) => v.len().saturating_mul(4),
                Some(Attribute::Text(v)) => v.len(),
                _ => 0,
            })?;
            return Ok(value.map(|v| if matches!(v, Attribute::Graph(_)) { Attribute::Other } else { v.clone() }));
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(match proto.kind {
            1 => Attribute::Float(proto.f),
            2 => Attribute::Int(proto.i),
            3 => Attribute::Text(text(&proto.s)),
            4 => match proto.t {
                Some(tensor) => Attribute::Tensor(self.stored(tensor)?),
                None => Attribute::Other,
            },
            5 => match proto.g {
                Some(graph) => Attribute::Graph(Box::new(self.body(graph, scope)?)),
                None => Attribute::Other,
            },
            6 => Attribute::Floats(proto.floats),
            7 => Attribute::Ints(proto.ints),
            _ => Attribute::Other,
        }))
    }
}

/// A domain's name, of which the standard one has two.
pub(super) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// The version of the standard operator set among `imports`.
pub(super) fn standard_opset(imports: &[super::proto::OperatorSetIdProto]) -> Option<i64> {
    imports.iter().find(|o| domain(&o.domain).is_empty()).map(|o| o.version)
}

fn too_long(what: &str, name: &str) -> String {
    let start: String = name.chars().take(40).collect();
    format!(
        "a {what} has a name of {} bytes, at most {NAME_BYTES} are read: \"{}...\"",
        name.len(),
        start.escape_debug()
    )
}
