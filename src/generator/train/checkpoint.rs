//! Checkpoints: one safetensors file per saved step, written atomically. The last two are kept.

use super::State;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::Parameters;
use crate::nn::adam::AdamState;
use crate::store::{self, WeightTensor, Weights};
use crate::tensors::host;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Saves the state under its step number, with the hash of the recipe beside it.
pub fn save(work: &Path, recipe: &str, state: &State) -> Result<()> {
    let mut tensors = BTreeMap::new();
    let mut put = |prefix: String, parameters: &Parameters| -> Result<()> {
        for (name, tensor) in parameters.iter() {
            let values = host(tensor.clone())?;
            tensors.insert(format!("{prefix}/{name}"), WeightTensor { shape: vec![values.len()], values });
        }
        Ok(())
    };
    put("parameters".into(), &state.parameters)?;
    put("average".into(), &state.average)?;
    for (group, adam) in &state.adam {
        put(format!("first.{group}"), &adam.first)?;
        put(format!("second.{group}"), &adam.second)?;
    }
    // f32 holds whole numbers exactly only up to 2^24, so every counter is stored as two parts.
    let split = |n: u64| [(n >> 20) as f32, (n & 0xf_ffff) as f32];
    let mut counters: Vec<(String, u64)> = vec![("step".into(), state.step), ("skipped".into(), state.skipped)];
    counters.extend(state.adam.iter().map(|(g, a)| (format!("adam.{g}"), u64::from(a.steps))));
    for (name, n) in counters {
        tensors.insert(format!("counter/{name}"), WeightTensor { shape: vec![2], values: split(n).to_vec() });
    }
    store::write_atomic(&work.join("recipe.sha256"), recipe.as_bytes())?;
    store::write_atomic(
        &work.join(format!("checkpoint-{:09}.safetensors", state.step)),
        &store::write_safetensors(&tensors)?,
    )?;
    let kept = list(work)?;
    for old in kept.iter().rev().skip(2) {
        std::fs::remove_file(old).map_err(|e| Error::io(old, "remove", e))?;
    }
    Ok(())
}

/// The newest checkpoint that can be read in full. A damaged one is skipped in favour of the one before.
///
/// # Errors
/// [`Error::Config`] when the folder belongs to another config.
pub fn latest(work: &Path, recipe: &str, device: &Device) -> Result<Option<State>> {
    let checkpoints = list(work)?;
    if checkpoints.is_empty() {
        return Ok(None);
    }
    let found = store::read_bounded(&work.join("recipe.sha256"), 256)?;
    if found != recipe.as_bytes() {
        let message = "holds checkpoints of another config or card; choose another folder, or remove them";
        return Err(Error::config(crate::error::shown(work), message));
    }
    Ok(checkpoints.iter().rev().find_map(|path| Weights::read(path).ok().and_then(|w| restore(&w, device))))
}

fn restore(weights: &Weights, device: &Device) -> Option<State> {
    let under = |prefix: &str| {
        let prefix = format!("{prefix}/");
        let values = weights.names().filter_map(|n| {
            n.strip_prefix(&prefix).and_then(|name| weights.get(n).map(|t| (name.to_owned(), t.values.clone())))
        });
        Parameters::from_values(values.collect::<Vec<_>>(), device)
    };
    let counter = |name: &str| match weights.get(&format!("counter/{name}"))?.values.as_slice() {
        [high, low] => Some(((*high as u64) << 20) + *low as u64),
        _ => None,
    };
    let groups = weights.names().filter_map(|n| n.strip_prefix("counter/adam.")).map(str::to_owned);
    let adam = groups.map(|g| {
        let state = AdamState {
            first: under(&format!("first.{g}")),
            second: under(&format!("second.{g}")),
            steps: counter(&format!("adam.{g}"))? as u32,
        };
        Some((g, state))
    });
    Some(State {
        parameters: under("parameters"),
        average: under("average"),
        adam: adam.collect::<Option<BTreeMap<_, _>>>()?,
        step: counter("step")?,
        skipped: counter("skipped")?,
    })
}

fn list(work: &Path) -> Result<Vec<PathBuf>> {
    store::create_dir(work)?;
    let entries = std::fs::read_dir(work).map_err(|e| Error::io(work, "list", e))?;
    let ours = |p: &PathBuf| {
        p.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with("checkpoint-") && n.ends_with(".safetensors"))
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(ours).collect();
    found.sort();
    Ok(found)
}
