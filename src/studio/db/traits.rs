//! What pictures are like, measured once: what a taste is about. It can be measured again from the files.

use super::Db;
use crate::error::Result;
use crate::studio::taste::{NAMED, Traits};

/// A picture's id, the first digits of its file's SHA-256, and what was measured; `None` where there is no picture.
pub type Kept = (String, String, Option<Traits>);

impl Db {
    /// What was measured of a picture.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn traits(&self, id: &str) -> Result<Option<Kept>> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT picture, sha8, named, small FROM traits WHERE picture = ?1")?;
            let mut rows = ask.query_map([id], |r| {
                let named: Option<String> = r.get(2)?;
                let small: Option<Vec<u8>> = r.get(3)?;
                let named =
                    named.and_then(|text: String| serde_json::from_str::<[Option<f64>; NAMED.len()]>(&text).ok());
                let named = named.map(|all| all.map(|v| v.unwrap_or(f64::NAN)));
                Ok((r.get(0)?, r.get(1)?, named.zip(small).map(|(named, small)| Traits { named, small })))
            })?;
            rows.next().transpose()
        })
    }

    /// Keeps what was measured of pictures.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_traits(&self, all: &[Kept]) -> Result<()> {
        self.with(|c| {
            let whole = c.transaction()?;
            {
                let mut put = whole.prepare("INSERT OR REPLACE INTO traits VALUES (?1, ?2, ?3, ?4)")?;
                for (id, sha8, traits) in all {
                    let finite = |v: f64| v.is_finite().then_some(v);
                    let named = traits.as_ref().map(|m| serde_json::json!(m.named.map(finite)).to_string());
                    put.execute((id, sha8, named, traits.as_ref().map(|m| &m.small)))?;
                }
            }
            whole.commit()
        })
    }
}
