//! CLIP's tokenizer: a prompt as numbers.
//!
//! The text is normalised (NFC, spaces, lower case), split into words, numbers and signs, and each of them is put together from pairs of
//! bytes by the merges of the folder. This is the work of the crate `tokenizers`, which the library that wrote the folders calls too; what
//! is done here is to read both forms that folders have, and to say what of a long prompt is not read.

use crate::error::{Error, Result};
use crate::store::read_bounded;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{NFC, Replace, Sequence as Normalizers, replace::ReplacePattern, utils::Lowercase};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splitters;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// Most bytes of a file of a tokenizer.
const FILE: u64 = 8 << 20;
/// Positions of CLIP's text networks, where a folder does not say.
const LENGTH: usize = 77;
/// Words, numbers and signs.
const PIECES: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The tokenizer of a folder.
pub struct ClipTokenizer {
    inner: Tokenizer,
    begin: u32,
    end: u32,
    pad: u32,
    length: usize,
}

/// A prompt as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// As many as the network has positions: the begin, the prompt, the end, and padding.
    pub ids: Vec<u32>,
    /// Position of the first end.
    pub end: usize,
    /// How many numbers the whole prompt has, without begin and end.
    pub count: usize,
    /// What of the prompt there was no room for.
    pub unread: Option<String>,
}

impl ClipTokenizer {
    /// Reads `tokenizer.json`, or `vocab.json` with `merges.txt`, and what pads from the files beside them.
    ///
    /// # Errors
    /// [`Error::Io`] for files that are not there, [`Error::Input`] naming the one that is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let whole = folder.join("tokenizer.json");
        let config = optional(&folder.join("tokenizer_config.json"))?;
        let special = optional(&folder.join("special_tokens_map.json"))?;
        // A special word, and whether it is looked for in the text as it is normalised, that is, in small letters.
        let word = |key: &str, usual: &str| match special.get(key).or_else(|| config.get(key)) {
            Some(Value::Object(said)) => {
                let text = said.get("content").and_then(Value::as_str).unwrap_or(usual);
                (text.to_owned(), said.get("normalized").and_then(Value::as_bool).unwrap_or(true))
            }
            said => (said.and_then(Value::as_str).unwrap_or(usual).to_owned(), false),
        };
        let [begin, end] = [word("bos_token", "<|startoftext|>"), word("eos_token", "<|endoftext|>")];
        let pad = word("pad_token", &end.0);
        let (inner, place) = match whole.is_file() {
            true => {
                let bytes = read_bounded(&whole, FILE)?;
                let read = Tokenizer::from_bytes(bytes);
                let mut read = read.map_err(|e| Error::input(&whole, format!("expected a tokenizer: {e}")))?;
                // Both are done here, so that what is cut off can be said.
                read.with_padding(None);
                read.with_truncation(None).map_err(|e| Error::Bug(e.to_string()))?;
                (read, whole)
            }
            false => {
                let (mut inner, place) = Self::of_pairs(folder, &end.0)?;
                // A word that pads is one word wherever it is typed, also where it is a mere sign. Of two words that are the same the
                // later one counts.
                let last = |i: usize, words: &[&(String, bool); 3]| words[i + 1..].iter().all(|w| w.0 != words[i].0);
                let words = [&begin, &end, &pad];
                let kept = (0..3).filter(|i| last(*i, &words)).map(|i| words[i]);
                let kept: Vec<AddedToken> = kept.map(|w| AddedToken::from(w.0.clone(), true).normalized(w.1)).collect();
                inner.add_special_tokens(&kept);
                (inner, place)
            }
        };
        let [begin, end, pad] = [begin.0, end.0, pad.0];
        let id = |word: &str| {
            let message = || format!("expected the word \"{}\" among its tokens, found none", word.escape_debug());
            inner.token_to_id(word).ok_or_else(|| Error::input(&place, message()))
        };
        let length = config.get("model_max_length").and_then(Value::as_f64).filter(|n| (3.0..=4096.0).contains(n));
        let [begin, end, pad] = [id(&begin)?, id(&end)?, id(&pad)?];
        Ok(Self { inner, begin, end, pad, length: length.map_or(LENGTH, |n| n as usize) })
    }

    /// The tokenizer of `vocab.json` and `merges.txt`, and the file to name where a word is missing.
    fn of_pairs(folder: &Path, unknown: &str) -> Result<(Tokenizer, std::path::PathBuf)> {
        let [vocab, merges] = ["vocab.json", "merges.txt"].map(|name| folder.join(name));
        let bytes = read_bounded(&vocab, FILE)?;
        let words: BTreeMap<String, u32> = serde_json::from_slice(&bytes)
            .map_err(|e| Error::input(&vocab, format!("expected words with their numbers: {e}")))?;
        let bytes = read_bounded(&merges, FILE)?;
        let text = String::from_utf8(bytes).map_err(|e| Error::input(&merges, format!("expected text: {e}")))?;
        let mut pairs = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with("#version") && !l.is_empty()) {
            let Some((a, b)) = line.split_once(' ') else {
                let message = format!(
                    "line {}: expected two parts with a space between, found \"{}\"",
                    i + 1,
                    line.escape_debug()
                );
                return Err(Error::input(&merges, message));
            };
            pairs.push((a.to_owned(), b.to_owned()));
        }
        let words: Vocab = words.into_iter().collect();
        let model = BPE::builder()
            .vocab_and_merges(words, pairs)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix("</w>".into())
            .unk_token(unknown.into())
            .build()
            .map_err(|e| Error::input(&merges, format!("does not fit vocab.json: {e}")))?;
        let bug = |e: tokenizers::Error| Error::Bug(e.to_string());
        let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ").map_err(bug)?;
        let pieces = SplitPattern::Regex(PIECES.into());
        let pieces = Split::new(pieces, SplitDelimiterBehavior::Removed, true).map_err(bug)?;
        let mut inner = Tokenizer::new(model);
        inner.with_normalizer(Some(Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()])));
        let bytes = ByteLevel::default().add_prefix_space(false);
        inner.with_pre_tokenizer(Some(Splitters::new(vec![pieces.into(), bytes.into()])));
        Ok((inner, vocab))
    }

    /// Number of positions of the text network.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The number that pads.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// A prompt as numbers. What does not fit between begin and end is not read.
    ///
    /// # Errors
    /// [`Error::Bug`] from the crate.
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        let found = self.inner.encode(text, false).map_err(|e| Error::Bug(format!("tokenizer: {e}")))?;
        let (all, room) = (found.get_ids(), self.length - 2);
        let read = &all[..all.len().min(room)];
        let mut ids = [&[self.begin], read, &[self.end]].concat();
        let end = ids.iter().position(|id| *id == self.end).unwrap_or(ids.len() - 1);
        ids.resize(self.length, self.pad);
        // The place of the first number that is left out, in bytes of the prompt as it was typed.
        let cut = (all.len() > room).then(|| found.get_offsets()[room].0);
        let unread = cut.and_then(|at| text.get(at..)).map(|rest| rest.trim().to_owned());
        Ok(Tokens { ids, end, count: all.len(), unread })
    }
}

/// The keys of a JSON file; none if it is not there.
fn optional(path: &Path) -> Result<Value> {
    if !path.is_file() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&read_bounded(path, FILE)?).map_err(|e| Error::input(path, format!("expected JSON: {e}")))
}
