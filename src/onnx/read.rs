//! From bytes to a [`Model`]: what kind of file it is, its messages within limits, its inputs and outputs.

use super::inline::{Inliner, standard_opset};
use super::model::{Declared, Model};
use super::proto::ModelProto;
use super::{OPSETS, wire};
use crate::error::{Error, Result};
use prost::Message;
use std::collections::BTreeSet;
use std::path::Path;

/// Bytes of a model file: the format's own limit.
const BYTES: u64 = 2 << 30;

/// Reads the ONNX file at `path`, with the values that lie in files beside it.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Input`] if it is no sound ONNX file or of a version that is not read.
pub fn read(path: &Path) -> Result<Model> {
    let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
    if !about.is_file() {
        return Err(Error::input(path, "not an ONNX file: it is no plain file"));
    }
    let size = about.len();
    if size > BYTES {
        let message = format!("{size} bytes, at most {BYTES} are read; export with external_data=True");
        return Err(Error::input(path, message));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", e))?;
    parse(bytes, path)
}

/// The model in `bytes`, which came from the file `path`.
///
/// # Errors
/// [`Error::Input`] if they are no sound ONNX file or of a version that is not read.
pub fn parse(bytes: Vec<u8>, path: &Path) -> Result<Model> {
    let refused = |message: String| Error::input(path, message);
    if let Some(what) = foreign(&bytes) {
        return Err(refused(format!("not an ONNX file: {what}")));
    }
    wire::check(&bytes).map_err(refused)?;
    let model = ModelProto::decode(&bytes[..]).map_err(|e| refused(format!("not a sound ONNX file: {e}")))?;
    drop(bytes);
    model_of(model, path).map_err(refused)
}

fn model_of(mut proto: ModelProto, path: &Path) -> Result<Model, String> {
    let Some(graph) = proto.graph.take().filter(|_| proto.ir_version > 0) else {
        return Err("not a whole ONNX file: it holds no graph or no format version; copy it again".into());
    };
    let Some(opset) = standard_opset(&proto.opset_import) else {
        return Err("not a whole ONNX file: it does not say which operator set it uses; export it again".into());
    };
    version(opset)?;
    let given: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<Declared> =
        graph.input.iter().filter(|i| !given.contains(i.name.as_str())).map(Declared::of).collect();
    let outputs: Vec<Declared> = graph.output.iter().map(Declared::of).collect();
    for (what, list) in [("inputs", &inputs), ("outputs", &outputs)] {
        let mut names = BTreeSet::new();
        if let Some(twice) = list.iter().find(|d| !names.insert(&d.name)) {
            return Err(format!("two {what} have the name \"{}\"", twice.name.escape_debug()));
        }
    }
    if outputs.is_empty() {
        return Err("the graph has no output; export it again".into());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut inliner = Inliner::new(folder, proto.functions, opset);
    let graph = inliner.graph(graph)?;
    Ok(Model {
        file: path.to_owned(),
        opset,
        producer: format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned(),
        inputs,
        outputs,
        node_count: inliner.nodes,
        parameters: inliner.parameters,
        warnings: Vec::new(),
        graph,
    })
}

/// Refuses a version of the operator set that is not read.
pub(super) fn version(opset: i64) -> Result<(), String> {
    let (low, high) = (OPSETS.start(), OPSETS.end());
    match opset {
        old if old < *low => {
            Err(format!("opset {old} is too old, expected {low} to {high}; export again with a newer opset_version"))
        }
        new if new > *high => {
            Err(format!("opset {new} is too new, expected {low} to {high}; export with opset_version={high}"))
        }
        _ => Ok(()),
    }
}

/// What a file is that is not ONNX, told from its first bytes.
fn foreign(bytes: &[u8]) -> Option<String> {
    let again = "export with torch.onnx.export or isoline.export";
    let known: [(&[u8], &str); 6] = [
        (b"PK\x03\x04", "it starts like a zip archive, as torch.save writes"),
        (b"\x80\x02", "it starts like a Python pickle, as torch.save once wrote"),
        (b"\x89HDF", "it starts like an HDF5 file, as Keras writes"),
        (b"\x1f\x8b", "it is compressed with gzip; unpack it first"),
        (b"version https://git-lfs", "it is a Git LFS pointer, which stands for the file; fetch the file itself"),
        (b"\x7fELF", "it is a program"),
    ];
    if bytes.is_empty() {
        return Some("it is empty".into());
    }
    if let Some((_, what)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(format!("{what}; {again}"));
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some(format!("it starts like a TensorFlow Lite model; {again}"));
    }
    let start = &bytes[..bytes.len().min(256)];
    let text = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..0x7f);
    if bytes.get(8) == Some(&b'{') && bytes.get(9) == Some(&b'"') {
        return Some("it starts like a safetensors file, which holds weights and no graph".into());
    }
    start.iter().all(text).then(|| "it is text".to_owned())
}
