//! The folder of a pipeline as `diffusers` writes it and people download it: what is in it, and what is wrong with it, before anything is
//! loaded.

use crate::error::{Error, Result, did_you_mean, shown};
use crate::store::{Listed, list_shards, list_tensors, read_bounded, told};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Most bytes of a config.
const CONFIG: u64 = 4 << 20;
/// The file that makes a folder a pipeline.
pub const INDEX: &str = "model_index.json";

/// What is known of a class of pipelines.
struct PipelineRow {
    class: &'static str,
    /// Components that it cannot do without.
    needs: &'static [&'static str],
}

const STABLE: &[&str] = &["unet", "vae", "text_encoder", "tokenizer", "scheduler"];

static PIPELINES: &[PipelineRow] = &[
    PipelineRow { class: "StableDiffusionPipeline", needs: STABLE },
    PipelineRow { class: "LatentConsistencyModelPipeline", needs: STABLE },
    PipelineRow {
        class: "StableDiffusionXLPipeline",
        needs: &["unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"],
    },
    PipelineRow { class: "DiTPipeline", needs: &["transformer", "vae", "scheduler"] },
];

/// Components that say nothing about pictures.
const IDLE: &[&str] = &["safety_checker", "feature_extractor", "image_encoder"];

/// A pipeline's folder.
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The library's class of the pipeline.
    pub class: String,
    /// The keys of `model_index.json`.
    pub keys: Value,
    /// Its components, in the order of the index.
    pub components: Vec<Component>,
    /// What lies beside the components and is not read, or is read for lack of something better; a sentence each.
    pub notes: Vec<String>,
}

/// A component: a network, a tokenizer or a scheduler.
pub struct Component {
    /// Its name, which is that of its folder.
    pub name: String,
    /// The library's class.
    pub class: String,
    /// Where it is.
    pub folder: PathBuf,
    /// Its config; null where it has none.
    pub config: Value,
    /// Its files of weights.
    pub files: Vec<PathBuf>,
    /// What they hold.
    pub tensors: Vec<Listed>,
}

impl Component {
    /// Reads what is in the folder of a component, and a note where its weights left a choice.
    ///
    /// # Errors
    /// Those of [`Folder::read`].
    pub fn read(folder: &Path, name: &str, class: &str, variant: Option<&str>) -> Result<(Self, Option<String>)> {
        let mut component = Self {
            name: name.to_owned(),
            class: class.to_owned(),
            folder: folder.to_owned(),
            config: Value::Null,
            files: Vec::new(),
            tensors: Vec::new(),
        };
        let (config, has_weights) = match () {
            () if name.starts_with("tokenizer") => return Ok((component, None)),
            () if name == "scheduler" => ("scheduler_config.json", false),
            () => ("config.json", true),
        };
        component.config = json(&folder.join(config))?;
        if !has_weights {
            return Ok((component, None));
        }
        if let Some(found) = component.config.get("quantization_config").filter(|q| !q.is_null()) {
            let by = found.get("quant_method").and_then(Value::as_str).unwrap_or("a method of its own");
            let message = format!("quantization_config: quantised weights ({by}) are not read; use the f16 version");
            return Err(Error::input(folder.join(config), message));
        }
        let (files, note) = weights(folder, variant)?;
        for file in &files {
            component.tensors.extend(list_tensors(file)?);
        }
        component.files = files;
        Ok((component, note))
    }

    /// Number of its weights.
    pub fn weights(&self) -> usize {
        self.tensors.iter().filter(|t| t.dtype.starts_with(['F', 'B'])).map(Listed::size).sum()
    }

    /// The type of its weights: that of most of them.
    pub fn dtype(&self) -> &str {
        let sizes = |dtype: &str| self.tensors.iter().filter(|t| t.dtype == dtype).map(Listed::size).sum::<usize>();
        self.tensors.iter().map(|t| t.dtype.as_str()).max_by_key(|d| sizes(d)).unwrap_or_default()
    }

    /// What its config says under `key`, as `read` takes it; `usual` where it says nothing.
    fn said<T>(&self, key: &str, usual: T, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        match self.config.get(key).filter(|v| !v.is_null()) {
            None => Ok(usual),
            Some(value) => read(value).ok_or_else(|| {
                Error::input(self.folder.join("config.json"), format!("{key}: expected {expected}, found {value}"))
            }),
        }
    }

    /// A count of its config, at most `most`.
    ///
    /// # Errors
    /// [`Error::Input`] for what is none.
    pub fn count(&self, key: &str, usual: usize, most: usize) -> Result<usize> {
        let read = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=most).contains(n));
        self.said(key, usual, &format!("1 to {most}"), read)
    }

    /// A number of its config.
    ///
    /// # Errors
    /// [`Error::Input`] for what is none.
    pub fn real(&self, key: &str, usual: f64) -> Result<f64> {
        self.said(key, usual, "a number", Value::as_f64)
    }

    /// Yes or no in its config.
    ///
    /// # Errors
    /// [`Error::Input`] for what is neither.
    pub fn flag(&self, key: &str, usual: bool) -> Result<bool> {
        self.said(key, usual, "true or false", Value::as_bool)
    }

    /// A whole number of its config, if it says one.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.config.get(key).and_then(Value::as_u64)
    }
}

impl Folder {
    /// Whether this is the folder of a pipeline.
    pub fn is_one(path: &Path) -> bool {
        path.join(INDEX).is_file()
    }

    /// Reads what is in the folder at `path`. Where a component has weights in several types, `variant` chooses, as in `fp16`.
    ///
    /// # Errors
    /// [`Error::Input`] saying what is wrong with the folder and what to do; [`Error::Io`].
    pub fn read(path: &Path, variant: Option<&str>) -> Result<Self> {
        let index = path.join(INDEX);
        if !index.is_file() {
            return Err(no_index(path));
        }
        let keys = json(&index)?;
        let bad = |message: String| Err(Error::input(&index, message));
        let Some(map) = keys.as_object() else { return bad("expected a JSON object".into()) };
        let class = keys.get("_class_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let known: Vec<&str> = PIPELINES.iter().map(|row| row.class).collect();
        let Some(row) = PIPELINES.iter().find(|row| row.class == class) else {
            let near = did_you_mean(&class, known);
            return bad(format!("_class_name: the pipeline \"{}\" is not supported{near}", class.escape_debug()));
        };
        let mut folder =
            Self { path: path.to_owned(), class, keys: Value::Null, components: Vec::new(), notes: Vec::new() };
        for (name, of) in map.iter().filter(|(name, of)| !name.starts_with('_') && of.is_array()) {
            let said = of.get(1).and_then(Value::as_str);
            if IDLE.contains(&name.as_str()) {
                continue;
            }
            let Some(class) = said else {
                if row.needs.contains(&name.as_str()) {
                    let what = if name.starts_with("text") || name.starts_with("token") {
                        "prompts cannot be read"
                    } else {
                        "no picture can be made"
                    };
                    return bad(format!("{name}: expected a component, found null; {what} without it"));
                }
                continue;
            };
            if crate::store::check_id(&name.to_lowercase()).is_err() {
                return bad(format!("\"{}\": expected the name of a folder beside it", name.escape_debug()));
            }
            if !path.join(name).is_dir() {
                let message =
                    format!("the folder {name} is missing, which {INDEX} lists; the download is not complete");
                return Err(Error::input(path, message));
            }
            let (component, note) = Component::read(&path.join(name), name, class, variant)?;
            folder.components.push(component);
            folder.notes.extend(note.map(|note| format!("{name}: {note}")));
        }
        if let Some(missing) = row.needs.iter().find(|n| folder.find(n).is_none()) {
            return bad(format!("{missing}: missing; a {} has it", row.class));
        }
        folder.check()?;
        folder.notes.extend(lora(path)?);
        folder.keys = keys;
        Ok(folder)
    }

    /// The component of this name.
    pub fn find(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|c| c.name == name)
    }

    /// What does not fit together.
    fn check(&self) -> Result<()> {
        let bad = |of: &Component, key: &str, message: String| {
            Err(Error::input(of.folder.join("config.json"), format!("{key}: {message}")))
        };
        let Some(net) = self.find("unet").or_else(|| self.find("transformer")) else { return Ok(()) };
        let Some(vae) = self.find("vae") else { return Ok(()) };
        let [channels, codes] = [net.number("in_channels").unwrap_or(4), vae.number("latent_channels").unwrap_or(4)];
        match channels {
            9 => bad(
                net,
                "in_channels",
                "found 9, a model that paints into pictures; only text to picture is supported".into(),
            ),
            8 if codes == 4 => bad(
                net,
                "in_channels",
                "found 8, a model that edits pictures; only text to picture is supported".into(),
            ),
            n if n != codes => {
                let message = format!("found {codes}, the {} has {n}; this decoder belongs to another model", net.name);
                bad(vae, "latent_channels", message)
            }
            _ => Ok(()),
        }
    }
}

/// JSON of a folder.
fn json(path: &Path) -> Result<Value> {
    let bytes = read_bounded(path, CONFIG)?;
    let text = std::str::from_utf8(&bytes).ok();
    let parsed = text.and_then(|text| crate::diffusion::schedulers::python_json(text).ok());
    parsed.ok_or_else(|| {
        let found = told(&bytes).unwrap_or_else(|| "something else".into());
        Error::input(path, format!("expected JSON, found {found}"))
    })
}

/// Why a place without an index is no pipeline, and what to do.
fn no_index(path: &Path) -> Error {
    let has = |name: &str| path.join(name).exists();
    let above = path.parent().filter(|p| p.join(INDEX).is_file());
    let message = match () {
        () if path.is_file() => return single_file(path),
        () if !path.exists() => "no such folder".to_owned(),
        () if above.is_some() => format!("this is one component; give the folder above it, which has {INDEX}"),
        () if has("snapshots") => "this is a cache of downloads; give the folder below its snapshots/".to_owned(),
        () if has("unet") || has("vae") || has("transformer") => {
            format!("{INDEX} is missing beside its components; the download is not complete")
        }
        () => format!("expected a folder with {INDEX}, as diffusers writes it"),
    };
    Error::input(path, message)
}

/// What a single file of weights is, and what to do.
fn single_file(path: &Path) -> Error {
    let message = match list_tensors(path) {
        Ok(tensors) => {
            let any = |part: &str| tensors.iter().any(|t| t.name.contains(part));
            match () {
                () if any("lora") => "a LoRA, which changes a model and is none; merge it into its model first",
                () if any("ip_adapter") || any("image_proj") => {
                    "an IP-adapter, which adds to a model and is none; it is not supported"
                }
                () if any("model.diffusion_model.") => {
                    "a whole checkpoint in one file (model.diffusion_model…); save it as a folder with diffusers' from_single_file and \
                     save_pretrained"
                }
                () => "a file of weights; expected the folder of a pipeline",
            }
        }
        Err(e) if path.extension().is_some_and(|e| e == "safetensors") => return e,
        Err(_) => {
            "expected the folder of a pipeline; a checkpoint in one file becomes one with diffusers' from_single_file and save_pretrained"
        }
    };
    Error::input(path, message)
}

/// The files of weights of a component: whole, in shards, or of a variant. With a note where there was a choice.
fn weights(folder: &Path, variant: Option<&str>) -> Result<(Vec<PathBuf>, Option<String>)> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| Error::io(folder, "list", e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let of = |variant: Option<&str>| -> Option<String> {
        let mark = variant.map(|v| format!(".{v}")).unwrap_or_default();
        let found = |name: &&String| {
            ["diffusion_pytorch_model", "model"].iter().any(|stem| {
                [
                    format!("{stem}{mark}.safetensors"),
                    format!("{stem}.safetensors.index{mark}.json"),
                    format!("{stem}{mark}.safetensors.index.json"),
                ]
                .contains(name)
            })
        };
        names.iter().find(found).cloned()
    };
    let whole = |name: String| -> Result<Vec<PathBuf>> {
        let path = folder.join(&name);
        match name.ends_with(".json") {
            true => Ok(list_shards(&path)?.into_keys().map(|shard| folder.join(shard)).collect()),
            false => Ok(vec![path]),
        }
    };
    let half = of(Some("fp16"));
    match (variant, of(variant)) {
        (_, Some(name)) => {
            let note = (variant.is_none() && half.is_some())
                .then(|| "the weights are there as fp16 too; the variant fp16 takes those".to_owned());
            Ok((whole(name)?, note))
        }
        (Some(wanted), None) => {
            let message = format!("no weights of the variant \"{}\"; found {}", wanted.escape_debug(), told_of(&names));
            Err(Error::input(folder, message))
        }
        (None, None) => match half {
            Some(name) => {
                Ok((whole(name)?, Some("the weights are there as fp16 alone, and those are read".to_owned())))
            }
            None => Err(Error::input(folder, no_weights(&names))),
        },
    }
}

fn told_of(names: &[String]) -> String {
    let files: Vec<&str> = names.iter().map(String::as_str).filter(|n| n.contains("model")).collect();
    if files.is_empty() { "no file of weights".to_owned() } else { files.join(", ") }
}

fn no_weights(names: &[String]) -> String {
    match names
        .iter()
        .find(|n| n.ends_with(".bin") || n.ends_with(".pt") || n.ends_with(".ckpt") || n.ends_with(".pth"))
    {
        Some(pickle) => format!(
            "only {pickle}, a pickle, which may run code; save the pipeline again with diffusers' save_pretrained, which writes safetensors"
        ),
        None => format!("expected a file of weights (.safetensors), found {}", told_of(names)),
    }
}

/// LoRAs beside the components, which nothing applies.
fn lora(path: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(path).map_err(|e| Error::io(path, "list", e))?;
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let is_lora = |name: &String| {
        let tensors = || list_tensors(&path.join(name)).unwrap_or_default();
        name.ends_with(".safetensors")
            && (name.to_lowercase().contains("lora") || tensors().iter().any(|t| t.name.contains("lora")))
    };
    let found = names.iter().filter(|name| is_lora(name));
    Ok(found.map(|name| format!("{} lies beside the components and is not applied", shown(Path::new(name)))).collect())
}
