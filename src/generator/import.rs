//! Turns a PyTorch state dict or a safetensors file, together with a draft card, into a model folder.

use super::card::{Card, finish_card};
use super::one_shot::card_parameters;
use crate::error::{Error, Result};
use crate::nn::Mismatch;
use crate::store::{self, WeightTensor, Weights};
use burn::store::pytorch::PytorchReader;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an import did.
pub struct Imported {
    /// The model's folder.
    pub folder: PathBuf,
    /// Tensors written.
    pub tensors: usize,
    /// Tensors of the source that no layer reads; they were left out.
    pub left_out: Vec<String>,
    /// Tensors that were not f32 in the source.
    pub cast: Vec<String>,
}

/// Reads `source` (`.pth`, `.pt`, `.bin`, `.ckpt` or safetensors), keeps the tensors that the draft's layers need, and
/// writes `folder/{weights.safetensors, card.toml}`. `top_level` is the key of the state dict in a nested checkpoint.
/// No pickle code is run.
///
/// # Errors
/// [`Error::Config`] for the draft, [`Error::Input`] for the source, [`Error::Io`] for the folder.
pub fn import(source: &Path, draft: &Path, folder: &Path, top_level: Option<&str>) -> Result<Imported> {
    let (raw, text) = store::read_toml(draft)?;
    let card = Card::check(raw, draft)?;
    let specs = card_parameters(&card)?;
    let pytorch =
        source.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e, "pth" | "pt" | "bin" | "ckpt"));
    let weights = if pytorch { read_pytorch(source, top_level)? } else { Weights::read(source)? };
    let mismatch = Mismatch::between(&specs, &weights, &[]);
    if !(mismatch.missing.is_empty() && mismatch.misshaped.is_empty()) {
        return Err(Error::input(source, Mismatch { extra: Vec::new(), ..mismatch }.message()));
    }
    let mut kept = BTreeMap::new();
    for spec in &specs {
        kept.insert(spec.key.clone(), weights.require(&spec.key)?.clone());
    }
    let bytes = store::write_safetensors(&kept)?;
    let done = finish_card(&text, draft, &store::sha256_hex(&bytes), None, &[])?;
    store::write_atomic(&folder.join("weights.safetensors"), &bytes)?;
    store::write_atomic(&folder.join("card.toml"), done.as_bytes())?;
    let cast = weights.cast().iter().filter(|name| kept.contains_key(*name)).cloned().collect();
    Ok(Imported { folder: folder.to_owned(), tensors: kept.len(), left_out: mismatch.extra, cast })
}

/// All floating-point tensors of a PyTorch file, converted to f32.
fn read_pytorch(source: &Path, top_level: Option<&str>) -> Result<Weights> {
    let size = std::fs::metadata(source).map_err(|e| Error::io(source, "read", e))?;
    if !size.is_file() || size.len() > crate::limits::WEIGHTS_BYTES {
        return Err(Error::input(source, "expected a PyTorch file within the size limit"));
    }
    let bad = |m: String| Error::input(source, format!("not a readable PyTorch state dict: {}", m.replace('\n', " ")));
    let reader = match top_level {
        Some(key) => PytorchReader::with_top_level_key(source, key),
        None => PytorchReader::new(source),
    }
    .map_err(|e| bad(e.to_string()))?;
    let mut tensors = BTreeMap::new();
    let mut cast = Vec::new();
    for (name, tensor) in reader.tensors() {
        let dtype = match format!("{:?}", tensor.dtype()).as_str() {
            "F32" => Dtype::F32,
            "F16" => Dtype::F16,
            "BF16" => Dtype::BF16,
            "F64" => Dtype::F64,
            _ => continue,
        };
        let at = |m: String| bad(format!("tensor \"{}\": {m}", name.escape_debug()));
        let bytes = tensor.read().map_err(|e| at(e.to_string()))?;
        let values = store::floats(dtype, &bytes).unwrap_or_default();
        if values.len() != tensor.num_elements() {
            return Err(at(format!("expected {} values, found {}", tensor.num_elements(), values.len())));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(at(format!("value {i} is {}, expected finite numbers", values[i])));
        }
        if dtype != Dtype::F32 {
            cast.push(name.clone());
        }
        tensors.insert(name.clone(), WeightTensor { shape: tensor.shape().to_vec(), values });
    }
    if tensors.is_empty() {
        return Err(Error::input(
            source,
            "no tensors found; in a nested checkpoint, key names the part that holds them, as in key = state_dict",
        ));
    }
    Ok(Weights::from_tensors(source, tensors, cast))
}
