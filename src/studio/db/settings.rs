//! Settings of the page, kept for the next time it is opened.

use super::Db;
use crate::error::Result;
use std::collections::BTreeMap;

impl Db {
    /// Every setting, as JSON by its name.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn settings(&self) -> Result<BTreeMap<String, String>> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT key, value FROM settings")?;
            ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Keeps settings, all of them or none.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_settings(&self, settings: &[(&str, String)]) -> Result<()> {
        self.with(|c| {
            let change = c.transaction()?;
            for (key, value) in settings {
                let put = "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                change.execute(put, (key, value))?;
            }
            change.commit()
        })
    }
}
