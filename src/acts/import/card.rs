//! The card of an imported model.

use super::{Noise, OnnxOptions};
use crate::error::{Error, Result, shown};
use crate::generator::Input;
use crate::onnx::Model;
use crate::store;
use std::fmt::Write;
use std::path::Path;

/// What a card says.
pub struct Facts<'a> {
    /// The model's id.
    pub id: String,
    /// The file it is from.
    pub source: &'a Path,
    /// That file as it was read.
    pub model: &'a Model,
    /// What the user said.
    pub options: &'a OnnxOptions,
    /// Shape of a latent.
    pub latent: &'a [usize],
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The values of black and of white.
    pub range: [f32; 2],
    /// SHA-256 of the graph file.
    pub graph_sha256: &'a str,
    /// SHA-256 of the weights.
    pub weights_sha256: &'a str,
}

/// The id of a model in `folder`: the folder's name.
///
/// # Errors
/// [`Error::Key`] at `outdir` for a name that is no id.
pub fn id(folder: &Path) -> Result<String> {
    let absolute = std::path::absolute(folder).map_err(|e| Error::io(folder, "find", e))?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    store::check_id(&name)
        .map_err(|m| Error::key_found("outdir", &shown(folder), format!("the model is named after its folder: {m}")))?;
    Ok(name)
}

/// A string as TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// How the model was made of its file.
fn how(name: &str, model: &Model, options: &OnnxOptions) -> String {
    let mut how = format!("isoline import {name} (opset {}, {})", model.opset, model.producer);
    for (input, value) in &options.fixed {
        let shown =
            if value.values.len() <= 8 { format!("{:?}", value.values) } else { format!("{:?} values", value.shape) };
        let _ = write!(how, ", {input} held at {shown}");
    }
    match options.noise {
        Some(Noise::Fixed) => how += ", random nodes fixed at the draw of seed 0",
        Some(Noise::Zero) => how += ", random nodes at their mean",
        None => {}
    }
    how
}

/// The text of the card.
pub fn text(f: &Facts) -> String {
    let [low, high] = f.range;
    let name = f.source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let how = how(&name, f.model, f.options);
    format!(
        r#"format = 2
id = {id}
family = "generator"
about = {about}

[latent]
shape = {latent:?}
prior = "normal"

[sample]
shape = {picture:?}
range = [{low:?}, {high:?}]

[provenance]
trained_on = "not said in the file"
licence = "not said in the file"
how = {how}

[weights]
file = "weights.safetensors"
sha256 = "{weights}"

[graph]
file = "graph.json"
sha256 = "{graph}"
"#,
        id = quoted(&f.id),
        about = quoted(&format!("imported from {name}")),
        latent = f.latent,
        picture = f.picture,
        how = quoted(&how),
        weights = f.weights_sha256,
        graph = f.graph_sha256,
    )
}

/// The card with figures that were measured.
pub fn with_figures(text: &str, figures: &[(String, f64)]) -> String {
    if figures.is_empty() {
        return text.to_owned();
    }
    let lines: String = figures.iter().map(|(name, value)| format!("{name} = {value:.1e}\n")).collect();
    text.replacen("\n[weights]\n", &format!("\n[provenance.figures]\n{lines}\n[weights]\n"), 1)
}

/// What the card of an encoder or a classifier says.
pub struct EncoderFacts<'a> {
    /// Its id.
    pub id: String,
    /// Its family.
    pub family: &'a str,
    /// The file it is from.
    pub source: &'a Path,
    /// That file as it was read.
    pub model: &'a Model,
    /// What the user said.
    pub options: &'a OnnxOptions,
    /// What it sees of a picture.
    pub input: &'a Input,
    /// SHA-256 of the graph file.
    pub graph_sha256: &'a str,
    /// SHA-256 of the weights.
    pub weights_sha256: &'a str,
}

/// The text of the card of an encoder or a classifier.
///
/// # Errors
/// [`Error::Bug`].
pub fn encoder_text(f: &EncoderFacts) -> Result<String> {
    let name = f.source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut how = how(&name, f.model, f.options);
    if let Some(output) = &f.options.output {
        let _ = write!(how, ", output {output}");
    }
    let input = toml::to_string(f.input).map_err(|e| Error::Bug(format!("card: {e}")))?;
    Ok(format!(
        r#"format = 2
id = {id}
family = {family}
about = {about}

[input]
{input}
[provenance]
trained_on = "not said in the file"
licence = "not said in the file"
how = {how}

[weights]
file = "weights.safetensors"
sha256 = "{weights}"

[graph]
file = "graph.json"
sha256 = "{graph}"
"#,
        id = quoted(&f.id),
        family = quoted(f.family),
        about = quoted(&format!("imported from {name}")),
        how = quoted(&how),
        weights = f.weights_sha256,
        graph = f.graph_sha256,
    ))
}
