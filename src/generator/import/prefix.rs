//! Where in a checkpoint the tensors of a card lie. Training programs put a model's tensors under prefixes: those of the
//! dictionary that holds them (`state_dict.`, `generator.`, `g_ema.`), of a wrapper (`module.`, `_orig_mod.`), or of the
//! part of a larger model.

use crate::error::{Error, Result, shown};
use crate::nn::{Mismatch, ParameterSpec};
use crate::store::Weights;
use std::collections::{BTreeMap, BTreeSet};

/// The tensors of a checkpoint under one prefix.
pub struct Part {
    /// Its tensors, without the prefix.
    pub weights: Weights,
    /// The prefix, without its last dot; empty for the top level.
    pub prefix: String,
    /// Whether the prefix was found, not given.
    pub found: bool,
    /// Other prefixes under which all tensors fit as well.
    pub also: Vec<String>,
}

/// The part of `weights` with all tensors of `specs`: under the prefix `key` if one is given; else at the top level, or
/// under the only prefix where they all fit.
///
/// # Errors
/// [`Error::Key`] if `key` leads nowhere, or if the tensors fit under several prefixes and none is given;
/// [`Error::Input`] for the nearest miss if they fit nowhere.
pub fn part(weights: Weights, specs: &[ParameterSpec], key: Option<&str>) -> Result<Part> {
    let given = key.map(|key| key.trim_end_matches('.')).filter(|key| !key.is_empty());
    let fitting = fitting(&weights, specs);
    let inside = |prefix: &str| given.is_none_or(|key| prefix == key || prefix.starts_with(&format!("{key}.")));
    if let Some(key) = given
        && !weights.names().any(|name| name.starts_with(&format!("{key}.")))
    {
        return Err(nowhere(&weights, key));
    }
    let (inner, outer): (Vec<String>, Vec<String>) = fitting.into_iter().partition(|p| inside(p));
    let top = given.unwrap_or_default();
    let chosen = match &inner[..] {
        _ if inner.iter().any(|p| p == top) => top.to_owned(),
        [only] => only.clone(),
        [] => return Err(miss(weights, specs, top)),
        several => {
            let list: Vec<String> = several.iter().map(|p| told(p)).collect();
            let message = format!(
                "{} holds all tensors of this card {} times, under {}; give one of these prefixes",
                shown(weights.file()),
                list.len(),
                list.join(", ")
            );
            return Err(Error::key("key", message));
        }
    };
    let also = inner.into_iter().chain(outer).filter(|p| *p != chosen).collect();
    Ok(Part { weights: under(weights, &chosen), found: chosen != top, prefix: chosen, also })
}

/// A prefix in words, with a remark where its name says that it holds averaged weights.
pub fn told(prefix: &str) -> String {
    let average = |word: &str| ["ema", "averaged", "shadow", "swa"].contains(&word.to_ascii_lowercase().as_str());
    let place = if prefix.is_empty() { "the top level".to_owned() } else { format!("\"{}\"", prefix.escape_debug()) };
    match prefix.split(['.', '_', '-']).any(average) {
        true => format!("{place} (EMA: the weights averaged over training, which give better pictures)"),
        false => place,
    }
}

/// Every prefix under which all tensors of `specs` lie, in their shapes.
fn fitting(weights: &Weights, specs: &[ParameterSpec]) -> Vec<String> {
    let Some(first) = specs.first() else { return vec![String::new()] };
    let fits = |prefix: &str| {
        specs.iter().all(|s| weights.get(&joined(prefix, &s.key)).is_some_and(|tensor| tensor.shape == s.shape))
    };
    let found: BTreeSet<&str> = weights.names().filter_map(|n| prefix_of(n, &first.key)).filter(|p| fits(p)).collect();
    found.into_iter().map(str::to_owned).collect()
}

/// The prefix of `name` before `key`, without the dot between them.
fn prefix_of<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    let before = name.strip_suffix(key)?;
    if before.is_empty() { Some(before) } else { before.strip_suffix('.') }
}

fn joined(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn under(weights: Weights, prefix: &str) -> Weights {
    if prefix.is_empty() {
        return weights;
    }
    let prefix = format!("{prefix}.");
    weights.renamed(|name| name.strip_prefix(&prefix).map(str::to_owned))
}

/// The error for tensors that fit nowhere: what is wrong under the prefix where most of them are.
fn miss(weights: Weights, specs: &[ParameterSpec], top: &str) -> Error {
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    let keys: BTreeSet<&str> = specs.iter().map(|s| s.key.as_str()).collect();
    let all = weights.names().chain(weights.unread().keys().map(String::as_str));
    for name in all.filter(|n| top.is_empty() || n.starts_with(&format!("{top}."))) {
        let ends = std::iter::once(0).chain(name.match_indices('.').map(|(dot, _)| dot + 1));
        for start in ends.filter(|start| keys.contains(&name[*start..])) {
            *hits.entry(name[..start].trim_end_matches('.')).or_default() += 1;
        }
    }
    let most = hits.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0))).map_or(top, |(prefix, _)| prefix);
    let prefix = most.to_owned();
    let file = weights.file().to_owned();
    let mismatch = Mismatch::between(specs, &under(weights, &prefix), &[]);
    let place = if prefix.is_empty() { String::new() } else { format!("under \"{}\": ", prefix.escape_debug()) };
    let mut message = format!("{place}{}", Mismatch { extra: Vec::new(), ..mismatch }.message());
    let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    if let Some((_, of)) = stem.rsplit_once("-of-").filter(|(_, of)| of.bytes().all(|b| b.is_ascii_digit())) {
        let of = of.trim_start_matches('0');
        message += &format!("; this is one of {of} shards, give the .index.json beside it");
    }
    Error::input(file, message)
}

/// The error for a prefix that no tensor has, with those that there are.
fn nowhere(weights: &Weights, key: &str) -> Error {
    let first = |name: &str| name.split_once('.').map(|(first, _)| first.to_owned());
    let known: BTreeSet<String> = weights.names().filter_map(first).collect();
    let near = crate::error::did_you_mean(key, known.iter().map(String::as_str).take(12).collect::<Vec<_>>());
    Error::key("key", format!("no tensor of {} lies under \"{}\"{near}", shown(weights.file()), key.escape_debug()))
}
