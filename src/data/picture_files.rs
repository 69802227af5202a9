//! The pictures of a folder, and a count of what else lies there, so that nothing is left out without a word.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Endings of pictures that are read.
pub(super) const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The pictures of a folder, by their names, and what was skipped.
#[derive(Debug, Default)]
pub struct PictureFiles {
    /// The files, sorted by name; those of subfolders at the place of the subfolder.
    pub files: Vec<PathBuf>,
    /// What lies there and is no picture.
    pub skipped: Skipped,
}

/// Counts of what lies in a folder and is not read as a picture.
#[derive(Debug, Default)]
pub struct Skipped {
    hidden: usize,
    folders: usize,
    /// Other files, by their ending.
    others: BTreeMap<String, usize>,
}

impl PictureFiles {
    /// Lists the pictures in `folder`, and with `subfolders` those one level below it. A picture is what ends in `.png`,
    /// `.jpg` or `.jpeg`; hidden files (`._x.png`, `.DS_Store`) are none.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be listed.
    pub fn list(folder: &Path, subfolders: bool) -> Result<Self> {
        let mut found = Self::default();
        found.add(folder, subfolders)?;
        Ok(found)
    }

    fn add(&mut self, folder: &Path, subfolders: bool) -> Result<()> {
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
        let mut paths = entries
            .map(|e| e.map(|e| e.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::io(folder, "list", e))?;
        paths.sort();
        for path in paths {
            let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            match (path.is_dir(), ending) {
                (true, _) if subfolders && !hidden && !path.is_symlink() => self.add(&path, false)?,
                (true, _) => self.skipped.folders += 1,
                _ if hidden => self.skipped.hidden += 1,
                (_, Some(ending)) if ENDINGS.contains(&ending.as_str()) => self.files.push(path),
                (_, ending) => *self.skipped.others.entry(ending.unwrap_or_default()).or_default() += 1,
            }
        }
        Ok(())
    }

    /// Refuses a folder without pictures, saying what lies there instead.
    ///
    /// # Errors
    /// [`Error::Input`].
    pub fn check(&self, folder: &Path) -> Result<()> {
        match (self.files.is_empty(), self.skipped.is_empty()) {
            (false, _) => Ok(()),
            (true, true) => Err(Error::input(folder, "expected PNG or JPEG pictures, found none")),
            (true, false) => {
                Err(Error::input(folder, format!("expected PNG or JPEG pictures, found none; {}", self.skipped)))
            }
        }
    }
}

impl Skipped {
    /// Whether everything in the folder was a picture.
    pub fn is_empty(&self) -> bool {
        self.hidden + self.folders + self.others.len() == 0
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut parts = Vec::new();
        if self.hidden > 0 {
            parts.push(many(self.hidden, "hidden file"));
        }
        let other = |(ending, n): (&String, &usize)| match ending.as_str() {
            "" => many(*n, "file without an ending"),
            ending => format!("{n} .{}", ending.escape_debug()),
        };
        let others: Vec<String> = self.others.iter().map(other).collect();
        if !others.is_empty() {
            parts.push(format!("{} (not read; give .png, .jpg or .jpeg)", others.join(", ")));
        }
        if self.folders > 0 {
            parts.push(many(self.folders, "folder"));
        }
        write!(f, "skipped {}", parts.join(", "))
    }
}
