//! Turns weights of others, together with a draft card, into a model folder.

mod prefix;
mod pytorch;

use super::card::{Card, finish_card};
use super::one_shot::card_parameters;
use crate::error::{Error, Result, shown};
use crate::nn::Mismatch;
use crate::store::{self, Weights};
pub use prefix::told as prefix_told;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an import may be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions<'a> {
    /// Prefix of the tensors' names, as in `state_dict.generator`; without it the only prefix is taken under which all
    /// of the card's tensors fit.
    pub key: Option<&'a str>,
    /// Whether a model that lies in the folder is replaced; its rewards and other files stay.
    pub force: bool,
}

/// What an import did.
pub struct Imported {
    /// The model's folder.
    pub folder: PathBuf,
    /// Tensors written.
    pub tensors: usize,
    /// The prefix that their names had in the source, without its last dot; empty for none.
    pub prefix: String,
    /// Whether that prefix was found, not given.
    pub found: bool,
    /// Other prefixes under which the source holds all of these tensors too.
    pub also: Vec<String>,
    /// Tensors under the prefix that no layer reads; they were left out.
    pub left_out: Vec<String>,
    /// Number of tensors outside of the prefix.
    pub outside: usize,
    /// Tensors that were not f32 in the source.
    pub cast: Vec<String>,
    /// Rewards in the folder that were taught on another model.
    pub other_rewards: Vec<String>,
}

/// Reads `source` (a PyTorch file, safetensors, or the `.index.json` of several of either), keeps the tensors that the
/// draft's layers need, and writes `folder/{weights.safetensors, card.toml}`, both at once. No pickle code is run.
///
/// # Errors
/// [`Error::Config`] for the draft, [`Error::Key`] for an option or a folder that holds a model, [`Error::Input`] for
/// the source, [`Error::Io`] for the folder.
pub fn import(source: &Path, draft: &Path, folder: &Path, options: ImportOptions) -> Result<Imported> {
    let (raw, text) = store::read_toml(draft)?;
    let card = Card::check(raw, draft)?;
    let specs = card_parameters(&card)?;
    check_import_folder(folder, source, draft, options.force)?;
    let weights = read_source(source)?;
    let all = weights.names().count();
    let part = prefix::part(weights, &specs, options.key)?;
    let mut kept = BTreeMap::new();
    for spec in &specs {
        kept.insert(spec.key.clone(), part.weights.require(&spec.key)?.clone());
    }
    let bytes = store::write_safetensors(&kept)?;
    let done = finish_card(&text, draft, &store::sha256_hex(&bytes), None, &[])?;
    put_model(folder, &[("weights.safetensors", &bytes), ("card.toml", done.as_bytes())])?;
    let cast = part.weights.cast().iter().filter(|name| kept.contains_key(*name)).cloned().collect();
    Ok(Imported {
        folder: folder.to_owned(),
        tensors: kept.len(),
        outside: all - part.weights.names().count(),
        prefix: part.prefix,
        found: part.found,
        also: part.also,
        left_out: Mismatch::between(&specs, &part.weights, &[]).extra,
        cast,
        other_rewards: super::other_rewards(folder)?,
    })
}

/// Writes the files of a model: into a folder that holds none one by one, in this order; else all at once.
///
/// # Errors
/// [`Error::Io`].
pub fn put_model(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    if folder.join("weights.safetensors").exists() || !folder.exists() {
        return store::replace_folder(folder, files);
    }
    files.iter().try_for_each(|(name, bytes)| store::write_atomic(&folder.join(name), bytes))
}

/// The tensors of a source of any kind that is read; what it is, its name says, or else its first bytes.
///
/// # Errors
/// [`Error::Input`] for a file that is damaged or of no such kind, [`Error::Io`].
pub fn read_source(source: &Path) -> Result<Weights> {
    let name = source.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|e| name.ends_with(e));
    if ends(&[".index.json"]) {
        return store::read_sharded(source, |shard| match shard.to_string_lossy().ends_with(".index.json") {
            true => Err(Error::input(shard, "expected a file of tensors, found another index")),
            false => read_source(shard),
        });
    }
    if ends(&[".pth", ".pt", ".bin", ".ckpt"]) {
        return pytorch::read(source);
    }
    if !ends(&[".safetensors"]) {
        let head = store::read_head(source)?;
        if head.starts_with(b"PK\x03\x04") || matches!(head[..], [0x80, 2..=5, ..]) {
            return pytorch::read(source);
        }
    }
    Weights::read(source)
}

/// Refuses a folder in which something would be lost: a model, or the source itself.
///
/// # Errors
/// [`Error::Key`] at `outdir`.
pub fn check_import_folder(folder: &Path, source: &Path, draft: &Path, force: bool) -> Result<()> {
    let [weights, card] = ["weights.safetensors", "card.toml"].map(|name| folder.join(name));
    let same = |a: &Path, b: &Path| matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(&weights, source) {
        let message = "holds the source itself, which would be replaced; choose another folder";
        return Err(Error::key_found("outdir", &shown(folder), message));
    }
    // A draft may lie where the finished card will.
    let there = weights.exists() || (card.exists() && !same(&card, draft));
    if !there || force {
        return Ok(());
    }
    let id = Card::read(&card).map_or(String::new(), |c| format!(" \"{}\"", c.raw.id.escape_debug()));
    let rewards = super::rewards(folder);
    let with = if rewards.is_empty() { String::new() } else { format!(" with {}", rewards.join(", ")) };
    let message = format!(
        "holds a model{id}{with}; choose another folder, or force to replace card and weights and leave all else"
    );
    Err(Error::key_found("outdir", &shown(folder), message))
}
