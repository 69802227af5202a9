//! What is in the folder of a pipeline, as `diffusers` writes it.

use super::super::output;
use crate::error::Result;
use crate::families::{Component, Folder};
use serde_json::{Value, json};
use std::path::Path;

/// Whether `path` is, or was meant to be, the folder of a pipeline or a file that should have been one, and not a model of isoline's own.
pub fn is_meant(path: &Path) -> bool {
    let has = |name: &str| path.join(name).exists();
    match path.is_file() {
        true => path.extension().is_some_and(|e| ["safetensors", "ckpt", "bin", "pt", "pth"].iter().any(|k| e == *k)),
        false if has("card.toml") => false,
        false => {
            let above = path.parent().is_some_and(Folder::is_one);
            path.is_dir()
                && (Folder::is_one(path) || above || ["unet", "vae", "transformer", "snapshots"].iter().any(|n| has(n)))
        }
    }
}

/// Prints what is in the folder.
///
/// # Errors
/// Those of [`Folder::read`].
pub fn run(path: &Path, as_json: bool) -> Result<()> {
    let folder = Folder::read(path, None)?;
    match as_json {
        true => output::print_json(&json_of(&folder)),
        false => output::print(&text_of(&folder)),
    }
}

/// A number of weights, in millions where there are many.
fn millions(n: usize) -> String {
    if n >= 10_000_000 { format!("{:.0} M", n as f64 / 1e6) } else { output::count(n) }
}

/// By how much the decoder enlarges.
fn factor(vae: &Component) -> u64 {
    let levels = vae.config.get("block_out_channels").and_then(Value::as_array).map_or(4, Vec::len);
    1 << levels.saturating_sub(1).min(16)
}

fn about(c: &Component) -> String {
    let text = |key: &str| c.config.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut parts = vec![c.class.clone()];
    if !c.tensors.is_empty() {
        let files = if c.files.len() > 1 { format!(" in {} files", c.files.len()) } else { String::new() };
        parts.push(format!("{} weights, {}{files}, {} tensors", millions(c.weights()), c.dtype(), c.tensors.len()));
    }
    parts.extend(text("prediction_type").map(|kind| format!("the network predicts {kind}")));
    parts.extend(text("timestep_spacing").map(|kind| format!("times {kind}")));
    parts.join(", ")
}

fn text_of(folder: &Folder) -> String {
    let mut rows = vec![output::row(["pipeline", &folder.class])];
    let net = folder.find("unet").or_else(|| folder.find("transformer"));
    if let (Some(net), Some(vae)) = (net, folder.find("vae"))
        && let Some(side) = net.number("sample_size").filter(|side| *side <= 65_536)
    {
        let channels = net.number("in_channels").unwrap_or(4);
        let pixels = side * factor(vae);
        rows.push(output::row([
            "pictures",
            &format!("{pixels} × {pixels}, from latents of {channels} × {side} × {side}"),
        ]));
    }
    rows.extend(folder.components.iter().map(|c| output::row([&c.name, &about(c)])));
    rows.extend(folder.notes.iter().map(|note| output::row(["note", note])));
    rows.push(output::row(["note", "this version reads what is in such a folder, and makes no pictures from it yet"]));
    output::wrapped(&rows)
}

fn json_of(folder: &Folder) -> Value {
    let component = |c: &Component| {
        json!({
            "name": c.name, "class": c.class, "parameters": c.weights(), "dtype": c.dtype(), "tensors": c.tensors.len(),
            "files": c.files.iter().filter_map(|f| f.file_name()?.to_str()).collect::<Vec<_>>(),
        })
    };
    json!({
        "pipeline": folder.class, "components": folder.components.iter().map(component).collect::<Vec<_>>(), "notes": folder.notes,
        "makes_pictures": false,
    })
}
