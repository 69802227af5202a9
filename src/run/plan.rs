//! The plan: what a run directory is to hold, fixed before the first tile is made.

use crate::error::{Error, Result, shown};
use crate::limits;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `plan.toml`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format; 1.
    pub format: u32,
    /// What is made: the name of an act.
    pub kind: String,
    /// Number of shards, where it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u64>,
    /// The kind's own keys.
    pub work: toml::Table,
}

impl Plan {
    /// A plan of `kind` with the keys of `work`.
    ///
    /// # Errors
    /// [`Error::Bug`].
    pub fn new(kind: &str, work: &impl Serialize) -> Result<Self> {
        let work = toml::Table::try_from(work).map_err(|e| Error::Bug(format!("plan: {e}")))?;
        Ok(Self { format: 1, kind: kind.to_owned(), shards: None, work })
    }

    /// The same in `shards` shards.
    ///
    /// # Errors
    /// [`Error::Config`] for none or too many.
    pub fn with_shards(mut self, shards: Option<u64>) -> Result<Self> {
        if let Some(n) = shards.filter(|n| !(1..=limits::SHARDS).contains(n)) {
            return Err(Error::key("shards", format!("expected 1 to {}, found {n}", limits::SHARDS)));
        }
        self.shards = shards;
        Ok(self)
    }

    /// 16 hex digits that name what is planned, however many shards make it.
    pub fn id(&self) -> String {
        let text = format!("{}\n{}", self.kind, toml::to_string(&self.work).unwrap_or_default());
        store::sha256_hex(text.as_bytes())[..16].to_owned()
    }

    /// Reads `folder/plan.toml`.
    ///
    /// # Errors
    /// [`Error::Input`] where there is none, or one that this version did not write.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("plan.toml");
        if !path.exists() {
            let above = folder.parent().filter(|p| p.join("plan.toml").exists());
            let hint = above
                .map_or("give the folder that isoline generate or isoline plan has written".to_owned(), |p| {
                    format!("the run's folder is {}", if p.as_os_str().is_empty() { ".".into() } else { shown(p) })
                });
            return Err(Error::input(folder, format!("no plan.toml here, so this is no run folder; {hint}")));
        }
        let bytes = store::read_bounded(&path, limits::PLAN_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::input(&path, "expected a plan, found no UTF-8 text"))?;
        let plan: Self = toml::from_str(&text).map_err(|e| {
            let message = e.message().replace('\n', " ");
            Error::input(
                &path,
                format!("not a plan of this version: {message}; plan the run again into another folder"),
            )
        })?;
        if plan.format != 1 {
            let found = plan.format;
            return Err(Error::input(path, format!("format: expected 1, found {found}; a newer isoline wrote it")));
        }
        plan.with_shards_of(&path)
    }

    fn with_shards_of(self, path: &Path) -> Result<Self> {
        let shards = self.shards;
        self.with_shards(shards).map_err(|e| Error::input(path, e.to_string()))
    }

    /// Writes it, over one of the same kind.
    ///
    /// # Errors
    /// [`Error::Config`] where the folder holds a run of another kind, [`Error::Input`] for a damaged plan there.
    pub fn write(&self, folder: &Path) -> Result<()> {
        if self.check(folder)?.is_some_and(|found| found == *self) {
            return Ok(());
        }
        let path = folder.join("plan.toml");
        let text = toml::to_string(self).map_err(|e| Error::Bug(format!("plan: {e}")))?;
        store::write_atomic(&path, text.as_bytes())
    }

    /// The plan in `folder`, if there is one; it may be replaced by this.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn check(&self, folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("plan.toml");
        if !path.exists() {
            return Ok(None);
        }
        let found = Self::read(folder)?;
        if found.kind == self.kind {
            return Ok(Some(found));
        }
        let (found, wanted) = (found.kind, &self.kind);
        let message = format!("this folder holds a run of kind {found}, not {wanted}; choose another folder");
        Err(Error::config(shown(&path), message))
    }
}
