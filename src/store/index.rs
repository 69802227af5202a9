//! Weights in several files: `*.index.json` names, for each tensor, the file (shard) beside it that holds the tensor.

use super::{Weights, read_bounded};
use crate::error::{Error, Result, shown};
use crate::limits;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest index in bytes: ten thousand tensors take 3 MB.
const BYTES: u64 = 16 << 20;

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The shards that the index at `path` lists, each with the tensors that it should hold. Every one lies beside the index.
///
/// # Errors
/// [`Error::Input`] naming a shard that is missing, or for an index that is none.
pub fn list_shards(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let bad = |message: String| Error::input(path, message);
    let bytes = read_bounded(path, BYTES)?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|e| {
        let found = super::told(&bytes).filter(|_| !bytes.starts_with(b"{"));
        bad(format!("expected an index of shards: {}", found.unwrap_or_else(|| e.to_string())))
    })?;
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, shard) in index.weight_map {
        if shard.is_empty() || shard.starts_with('.') || shard.contains(['/', '\\']) {
            let (tensor, shard) = (tensor.escape_debug(), shard.escape_debug());
            return Err(bad(format!("tensor \"{tensor}\": expected the name of a file beside it, found \"{shard}\"")));
        }
        shards.entry(shard).or_default().push(tensor);
    }
    let missing: Vec<String> =
        shards.keys().filter(|s| !path.with_file_name(s).exists()).map(|s| shown(Path::new(s))).collect();
    if !missing.is_empty() {
        let (count, all) = (missing.len(), shards.len());
        let missing = missing.join(", ");
        return Err(bad(format!("{count} of {all} shards missing beside it: {missing}; the download is not complete")));
    }
    Ok(shards)
}

/// Reads all shards that the index at `path` lists, each by `read`, and checks that each holds just the tensors that the
/// index says.
///
/// # Errors
/// [`Error::Input`] naming the shard that is missing or holds something else, or for an index that is none; those of
/// `read`.
pub fn read_sharded(path: &Path, read: impl Fn(&Path) -> Result<Weights>) -> Result<Weights> {
    let bad = |message: String| Error::input(path, message);
    let shards = list_shards(path)?;
    let file = |shard: &str| path.with_file_name(shard);
    let size: u64 = shards.keys().filter_map(|s| std::fs::metadata(file(s)).ok()).map(|m| m.len()).sum();
    if size > limits::WEIGHTS_BYTES {
        return Err(bad(format!("shards of {size} bytes, at most {} are read", limits::WEIGHTS_BYTES)));
    }
    let mut all = Weights::empty(path);
    for (shard, listed) in shards {
        let weights = read(&file(&shard))?;
        let odd = |tensor: &str, how: &str| {
            let message =
                format!("tensor \"{}\" {how}; this shard is of another model or version", tensor.escape_debug());
            Error::input(file(&shard), message)
        };
        if let Some(tensor) =
            listed.iter().find(|t| weights.get(t).is_none() && !weights.unread().contains_key(t.as_str()))
        {
            return Err(odd(tensor, "is missing, but the index lists it here"));
        }
        let names = weights.names().chain(weights.unread().keys().map(String::as_str));
        if let Some(tensor) = names.into_iter().find(|n| !listed.iter().any(|l| l == n)) {
            return Err(odd(tensor, "is in it, but the index does not list it here"));
        }
        all.absorb(weights);
    }
    Ok(all)
}
