//! One error type for the whole library, each variant tied to one process exit code.
//!
//! A message is one line, lower case: it names the file and the key, what was expected and what
//! was found; advice follows a semicolon.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, sorted by what the caller can do about it.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command-line flag, a config file or an API argument is not usable. Exit code 2.
    #[error("{place}: {message}")]
    Config {
        /// Flag (`--novelty`) or `file: key`.
        place: String,
        /// Expected, found; advice.
        message: String,
    },
    /// A setting is not usable, by the name of its key: who called the library knows where it was typed, see [`Error::at`]
    /// and [`Error::at_flag`]. Exit code 2.
    #[error("{}: {message}", key_shown(.key, .found.as_deref()))]
    Key {
        /// The key, as in a config.
        key: String,
        /// Its value, where the message is about that.
        found: Option<String>,
        /// Expected, found; advice.
        message: String,
    },
    /// A model, data or picture file is not what it must be. Exit code 3.
    #[error("{}: {message}", shown(.file))]
    Input {
        /// The offending file.
        file: PathBuf,
        /// Key or tensor, expected, found; advice.
        message: String,
    },
    /// The operating system refused to read or write. Exit code 4.
    #[error("{}: could not {action}: {source}; {advice}", shown(.path))]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Verb phrase, as in "could not {action}".
        action: &'static str,
        /// The system's own word.
        source: std::io::Error,
        /// What is complete and how to go on.
        advice: Cow<'static, str>,
    },
    /// No such device in this build or on this machine, or it failed. Exit code 5.
    #[error("--device {device}: {message}")]
    Device {
        /// As the user asked for it.
        device: String,
        /// What is missing; advice.
        message: String,
    },
    /// More memory is needed than is free. Exit code 5.
    #[error("{what} needs about {} of memory, {} are free and four fifths of that are used at most; {remedy}", mebibytes(*.needed), mebibytes(*.free))]
    Memory {
        /// What was about to be allocated.
        what: String,
        /// Estimated bytes.
        needed: u64,
        /// Free bytes.
        free: u64,
        /// How to need less.
        remedy: String,
    },
    /// Some samples were not finite; the others are delivered. Exit code 6.
    #[error("{count} of {total} samples were not finite; they are marked in the records and have no picture")]
    SamplesNotFinite {
        /// Non-finite samples.
        count: usize,
        /// All samples asked for.
        total: usize,
    },
    /// Another process holds the run directory. Exit code 7.
    #[error("{}: another isoline process is working here ({holder}); wait for it or choose another --outdir", shown(.path))]
    Busy {
        /// The run directory.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
    /// A broken promise of this program. Exit code 70.
    #[error("internal error: {0}; please report this with the command that showed it")]
    Bug(String),
    /// Stopped by SIGTERM or a numeric guard; what is complete stays, the same command resumes. Exit code 75.
    #[error("stopped: {0}; the same command resumes")]
    Stopped(String),
    /// Stopped by SIGINT; what is complete stays. Exit code 130.
    #[error("interrupted: {0}; the same command resumes")]
    Interrupted(String),
}

impl Error {
    /// A config error at a flag or at `file: key`.
    pub fn config(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config { place: place.into(), message: message.into() }
    }

    /// A setting that is not usable.
    pub fn key(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Key { key: key.into(), found: None, message: message.into() }
    }

    /// A setting that is not usable because of its value `found`.
    pub fn key_found(key: impl Into<String>, found: &str, message: impl Into<String>) -> Self {
        Self::Key { key: key.into(), found: Some(found.escape_debug().to_string()), message: message.into() }
    }

    /// The same seen from one table further out: at `outer.key`.
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

    /// The same where the key was typed in a file: `place` is all that stands before the key, as in `job.toml: describe.`.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Self::Key { key, found, message } => {
                Self::Config { place: format!("{place}{}", key_shown(&key, found.as_deref())), message }
            }
            other => other,
        }
    }

    /// The same where the key was typed as a flag: `--model-rank` for `model_rank`.
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

    /// A bad model, data or picture file.
    pub fn input(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Input { file: file.into(), message: message.into() }
    }

    /// A failed system call on `path`; `action` completes "could not …".
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

    /// The same with a word on what is complete, where reading or writing failed.
    pub fn with_progress(mut self, complete: impl FnOnce() -> String) -> Self {
        if let Self::Io { advice, .. } = &mut self {
            *advice = format!("{advice}; {}", complete()).into();
        }
        self
    }

    /// The process exit code of this error (`docs/architecture.md`, decision 6).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::Key { .. } => 2,
            Self::Input { .. } => 3,
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

/// A key with the value that was found under it.
fn key_shown(key: &str, found: Option<&str>) -> String {
    found.map_or(key.to_owned(), |found| format!("{key} = \"{found}\""))
}

/// Bytes as whole MiB, rounded up.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// A path as it is safe to print on a terminal.
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), |_| false)
}

/// `text` with every character escaped that drives a terminal or turns the direction of what follows, but those to `keep`.
pub fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let drives = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if drives(c) && !keep(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// The candidate nearest to `name` by edit distance, where one is near enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::normalized_damerau_levenshtein(name, c), c))
        .filter(|(score, _)| *score >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// `; did you mean "x"?` for the nearest candidate, or `; known: a, b, c`.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, candidates.clone()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => format!("; known: {}", candidates.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// Adds a suggestion to serde's "unknown field/variant" messages, whose names stand in backticks.
pub fn explain_toml(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    if !message.starts_with("unknown ") {
        return message.replace('\n', " ");
    }
    let Some(found) = names.next() else { return message.to_owned() };
    let known: Vec<&str> = names.collect();
    format!("unknown key \"{found}\"{}", did_you_mean(found, known))
}
