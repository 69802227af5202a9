//! What people say of pictures: stars, tags, words, the bin. It is in the journal first; the database is how it is asked for.

use super::Db;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A change of the marks of some pictures; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Whether they have a star.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub star: Option<bool>,
    /// Whether they are in the bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binned: Option<bool>,
    /// What they show, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// Tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Tags to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Changes, each with the pictures that it is about.
pub type Changes = Vec<(Vec<String>, Change)>;

/// The marks of one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// Whether it has a star.
    pub star: bool,
    /// Whether it is in the bin.
    pub binned: bool,
    /// What it shows, in words.
    pub alt: String,
    /// Its tags.
    pub tags: BTreeSet<String>,
}

impl Marks {
    /// The change that brings back these marks from `now`.
    pub fn since(&self, now: &Self) -> Change {
        Change {
            star: (self.star != now.star).then_some(self.star),
            binned: (self.binned != now.binned).then_some(self.binned),
            alt: (self.alt != now.alt).then(|| self.alt.clone()),
            add: self.tags.difference(&now.tags).cloned().collect(),
            remove: now.tags.difference(&self.tags).cloned().collect(),
        }
    }
}

impl Db {
    /// The marks of a picture.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn marks(&self, id: &str) -> Result<Marks> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT star, binned, alt FROM marks WHERE picture = ?1")?;
            let mut rows = ask.query_map([id], |r| {
                Ok(Marks { star: r.get(0)?, binned: r.get(1)?, alt: r.get(2)?, tags: BTreeSet::new() })
            })?;
            let found = rows.next().transpose()?.unwrap_or_default();
            let mut ask = c.prepare("SELECT tag FROM tags WHERE picture = ?1")?;
            let tags = ask.query_map([id], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(Marks { tags, ..found })
        })
    }

    /// Changes the marks of pictures, all of them or none.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn mark(&self, changes: &[(Vec<String>, Change)]) -> Result<()> {
        self.with(|c| {
            let whole = c.transaction()?;
            for (ids, change) in changes {
                for id in ids {
                    whole.execute("INSERT OR IGNORE INTO marks (picture) VALUES (?1)", [id])?;
                    whole.execute(
                        "UPDATE marks SET star = coalesce(?2, star), binned = coalesce(?3, binned), alt = coalesce(?4, alt)
                         WHERE picture = ?1",
                        (id, change.star, change.binned, &change.alt),
                    )?;
                    for tag in &change.add {
                        whole.execute("INSERT OR IGNORE INTO tags VALUES (?1, ?2)", (id, tag))?;
                    }
                    for tag in &change.remove {
                        whole.execute("DELETE FROM tags WHERE picture = ?1 AND tag = ?2", (id, tag))?;
                    }
                }
            }
            whole.commit()
        })
    }

    /// Forgets every mark, before the journal is read anew.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn forget_marks(&self) -> Result<()> {
        self.with(|c| c.execute_batch("DELETE FROM marks; DELETE FROM tags"))
    }
}
