//! The plan: what a run directory is going to hold, fixed before the first tile is made.

use crate::error::{Error, Result, shown};
use crate::limits;
use crate::store;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The content of `plan.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format; 1.
    pub format: u32,
    /// What is made: the name of an act.
    pub kind: String,
    /// Number of shards, if the plan fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u64>,
    /// The act's own keys.
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

    /// The same plan, divided into `shards` shards.
    ///
    /// # Errors
    /// [`Error::Key`] for zero or too many shards.
    pub fn with_shards(mut self, shards: Option<u64>) -> Result<Self> {
        if let Some(n) = shards.filter(|n| !(1..=limits::SHARDS).contains(n)) {
            return Err(Error::key("shards", format!("expected 1 to {}, found {n}", limits::SHARDS)));
        }
        self.shards = shards;
        Ok(self)
    }

    /// 16 hex digits that identify what is planned; the number of shards does not change them.
    pub fn id(&self) -> String {
        let text = format!("{}\n{}", self.kind, toml::to_string(&self.work).unwrap_or_default());
        store::sha256_hex(text.as_bytes())[..16].to_owned()
    }

    /// Reads `folder/plan.toml`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none, or if this version cannot read it.
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
        Self::parse(&store::read_bounded(&path, limits::PLAN_BYTES)?, &path)
    }

    /// The plan in the bytes of the file `path`.
    ///
    /// # Errors
    /// [`Error::Input`] if this version cannot read it.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let text =
            std::str::from_utf8(bytes).map_err(|_| Error::input(path, "expected a plan, found no UTF-8 text"))?;
        let plan: Self = toml::from_str(text).map_err(|e| {
            let message = e.message().replace('\n', " ");
            Error::input(path, format!("not a plan of this version: {message}; plan the run again into another folder"))
        })?;
        if plan.format != 1 {
            let found = plan.format;
            return Err(Error::input(path, format!("format: expected 1, found {found}; a newer isoline wrote it")));
        }
        plan.with_shards_of(path)
    }

    fn with_shards_of(self, path: &Path) -> Result<Self> {
        let shards = self.shards;
        self.with_shards(shards).map_err(|e| Error::input(path, e.to_string()))
    }

    /// Writes the plan; it may replace one of the same kind.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder holds a run of another kind, [`Error::Input`] for a damaged plan there.
    pub fn write(&self, folder: &Path) -> Result<()> {
        if self.check(folder)?.is_some_and(|found| found == *self) {
            return Ok(());
        }
        let path = folder.join("plan.toml");
        let text = toml::to_string(self).map_err(|e| Error::Bug(format!("plan: {e}")))?;
        store::write_atomic(&path, text.as_bytes())
    }

    /// The plan already in `folder`, if there is one and this plan may replace it.
    ///
    /// # Errors
    /// Those of [`write`](Self::write).
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
