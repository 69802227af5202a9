//! One error type for the whole library. Each variant has one process exit code.
//!
//! A message is a single line in lower case. It names the file or key, then what was expected and what was found;
//! advice follows a semicolon. The library names *keys*, never command-line flags, because only the caller knows
//! whether a value was typed as a flag, in a file or by a program: see [`Error::at`] and [`Error::at_flag`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A result with this crate's [`Error`] unless another is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, sorted by what the caller can do about it.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something typed at a known place cannot be used: a command-line flag or a key of a file. Exit code 2.
    #[error("{place}: {message}")]
    Config {
        /// The flag, as in `--novelty`, or `file: key`.
        place: String,
        /// What was expected and what was found; advice.
        message: String,
    },
    /// A setting cannot be used, named by its key. Where it was typed the caller adds with [`Error::at`] or
    /// [`Error::at_flag`]. Exit code 2.
    #[error("{}: {message}", key_shown(.key, .found.as_deref()))]
    Key {
        /// The key as it stands in a config, dotted where tables are nested (`sampler.steps`, `layers[3].out`).
        key: String,
        /// The value found there, where the message does not repeat it.
        found: Option<String>,
        /// What was expected and what was found; advice.
        message: String,
    },
    /// A model, data or picture file is damaged or does not fit its purpose. Exit code 3.
    #[error("{}: {message}", shown(.file))]
    Input {
        /// The offending file.
        file: PathBuf,
        /// The key or tensor, what was expected and what was found; advice.
        message: String,
    },
    /// Something needs a reward, and the model has none of its own. Exit code 3.
    #[error("{}: no reward here; make one with isoline train-reward{advice}", shown(.folder))]
    NoReward {
        /// The folder where it would be.
        folder: PathBuf,
        /// The model's folder.
        model: PathBuf,
        /// What follows the command's name, from whoever knows what it is going to take.
        advice: String,
    },
    /// The operating system refused to read or write. Exit code 4.
    #[error("{}: could not {action}: {source}; {advice}", shown(.path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// A verb that completes "could not …", as in "read".
        action: &'static str,
        /// The system's own error.
        source: std::io::Error,
        /// What to do about it; see [`Error::with_progress`].
        advice: Cow<'static, str>,
    },
    /// The device is missing from this build or this machine, or it failed at work. Exit code 5.
    #[error("device {device}: {message}")]
    Device {
        /// The name the user gave.
        device: String,
        /// What is missing or what failed; advice.
        message: String,
    },
    /// More memory is needed than is free. Exit code 5.
    #[error("{what} needs about {} of memory, {} are free and four fifths of that are used at most; {remedy}", mebibytes(*.needed), mebibytes(*.free))]
    Memory {
        /// What the memory is for.
        what: String,
        /// Estimated need in bytes.
        needed: u64,
        /// Free memory in bytes.
        free: u64,
        /// How to need less.
        remedy: String,
    },
    /// Some samples were not finite; all the others are in the run directory. Exit code 6.
    #[error("{count} of {total} samples were not finite; they are marked in the records and have no picture")]
    SamplesNotFinite {
        /// Samples that were not finite.
        count: usize,
        /// All samples asked for.
        total: usize,
    },
    /// Another process holds the run directory. Exit code 7.
    #[error("{}: another isoline process is working here ({holder}); wait for it, or choose another folder", shown(.path))]
    Busy {
        /// The run directory.
        path: PathBuf,
        /// Who holds it, in the words of the lock file.
        holder: String,
    },
    /// A fault of this program, not of its input. Exit code 70.
    #[error("internal error: {0}; please report this with the command that showed it")]
    Bug(String),
    /// Stopped by a signal other than SIGINT, or by a guard on numbers that are not finite. What is complete stays.
    /// Exit code 75.
    #[error("stopped: {0}; the same command resumes")]
    Stopped(String),
    /// Stopped by SIGINT. What is complete stays. Exit code 130.
    #[error("interrupted: {0}; the same command resumes")]
    Interrupted(String),
}

impl Error {
    /// [`Error::Config`] at a known place: a flag or `file: key`.
    pub fn config(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { place: plain(place), message: plain(message) }
    }

    /// [`Error::Key`] whose message already says what was found, or where nothing was.
    pub fn key(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Key { key: plain(key), found: None, message: plain(message) }
    }

    /// [`Error::Key`] that shows the value `found` after the key, control characters escaped.
    pub fn key_found(key: impl Into<String>, found: &str, message: impl Into<String>) -> Self {
        Self::Key { key: plain(key), found: Some(found.escape_debug().to_string()), message: plain(message) }
    }

    /// The same error seen from one table further out: `key` becomes `outer.key`. Other variants pass unchanged.
    #[must_use]
    pub fn inside(self, outer: &str) -> Self {
        match self {
            Self::Key { key, found, message } => {
                let key = if key.is_empty() { outer.to_owned() } else { format!("{outer}.{key}") };
                Self::Key { key, found, message }
            }
            other => other,
        }
    }

    /// The same error for a key typed in a file. `place` is everything that goes before the key, as in
    /// `job.toml: describe.`. Other variants pass unchanged.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Self::Key { key, found, message } => {
                Self::Config { place: format!("{place}{}", key_shown(&key, found.as_deref())), message }
            }
            other => other,
        }
    }

    /// The same error for a key typed as a flag: `model_rank` becomes `--model-rank`. Other variants pass unchanged.
    #[must_use]
    pub fn at_flag(self) -> Self {
        match self {
            Self::Key { key, found, message } => {
                let found = found.map_or(String::new(), |f| format!(" {f}"));
                Self::Config { place: format!("--{}{found}", key.replace('_', "-")), message }
            }
            other => other,
        }
    }

    /// [`Error::Input`]: a model, data or picture file that is not what it must be.
    pub fn input(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Input { file: file.into(), message: plain(message) }
    }

    /// [`Error::Io`]: a failed system call on `path`, with advice for its kind. `action` completes "could not …".
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        let advice = match source.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::StorageFull => {
                "free some space and run the same command again; what is complete is kept"
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder that you may write to"
            }
            std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => {
                "a file stands where a folder is needed; choose another path"
            }
            _ => "what is complete is kept; run the same command again",
        };
        Self::Io { path: path.as_ref().to_owned(), action, source, advice: advice.into() }
    }

    /// The same error with a remark on what is complete added to its advice, where reading or writing failed; other
    /// variants pass unchanged, and `complete` is not called.
    pub fn with_progress(mut self, complete: impl FnOnce() -> String) -> Self {
        if let Self::Io { advice, .. } = &mut self {
            *advice = format!("{advice}; {}", complete()).into();
        }
        self
    }

    /// The process exit code of this error, as listed at each variant.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::Key { .. } => 2,
            Self::Input { .. } | Self::NoReward { .. } => 3,
            Self::Io { .. } => 4,
            Self::Device { .. } | Self::Memory { .. } => 5,
            Self::SamplesNotFinite { .. } => 6,
            Self::Busy { .. } => 7,
            Self::Bug(_) => 70,
            Self::Stopped(_) => 75,
            Self::Interrupted(_) => 130,
        }
    }
}

/// A part of a message, on one line whatever a file has put into it: see [`escaped`].
fn plain(text: impl Into<String>) -> String {
    let text = text.into();
    match text.chars().any(drives) {
        true => escaped(&text, |_| false),
        false => text,
    }
}

/// `key`, or `key = "found"` where the value is known.
fn key_shown(key: &str, found: Option<&str>) -> String {
    found.map_or(key.to_owned(), |found| format!("{key} = \"{found}\""))
}

/// Bytes in whole MiB, rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// A path that is safe to print on a terminal: see [`escaped`].
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), |_| false)
}

/// `text` with control characters and Unicode direction marks escaped, so that a file name can neither command the
/// terminal nor reverse the text after it. Characters for which `keep` is true stay as they are.
pub fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if drives(c) && !keep(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// Whether a character commands a terminal or turns the text after it.
fn drives(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The candidate closest to `name` by edit distance, if one is close enough that `name` may be a typing error
/// (normalised Damerau-Levenshtein similarity of at least ½).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(name, c), c))
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// Ends a message about an unknown name: `; did you mean "x"?`, or `; known: a, b, c` where no candidate is close.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, candidates.clone()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => format!("; known: {}", candidates.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// A message of serde's TOML reader on one line. Its "unknown field" and "unknown variant" messages, which put names in
/// backticks, become `unknown key "x"` and `unknown value "x"` with a suggestion.
pub fn explain_toml(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown ") {
        return message.replace('\n', " ");
    }
    let Some(found) = names.next() else { return message.to_owned() };
    let known: Vec<&str> = names.collect();
    let what = if message.starts_with("unknown variant") { "value" } else { "key" };
    format!("unknown {what} \"{found}\"{}", did_you_mean(found, known))
}
