//! Choices between two pictures. Like marks they are in the journal first.

use super::Db;
use crate::error::Result;
use crate::studio::taste::{Answer, Chosen};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

impl ToSql for Answer {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Tie => "tie",
            Self::Skip => "skip",
        }))
    }
}

impl FromSql for Answer {
    fn column_result(value: ValueRef) -> FromSqlResult<Self> {
        match value.as_str()? {
            "left" => Ok(Self::Left),
            "right" => Ok(Self::Right),
            "tie" => Ok(Self::Tie),
            "skip" => Ok(Self::Skip),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl Db {
    /// The choices about a model's pictures, the oldest first, each with its number.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn choices(&self, model: &str) -> Result<Vec<(i64, Chosen)>> {
        self.with(|c| {
            let mut ask = c.prepare(
                "SELECT id, \"left\", \"right\", answer, blind, at FROM choices WHERE model = ?1 ORDER BY id",
            )?;
            let chosen = |r: &rusqlite::Row| {
                let model = model.to_owned();
                Ok((
                    r.get(0)?,
                    Chosen {
                        model,
                        left: r.get(1)?,
                        right: r.get(2)?,
                        answer: r.get(3)?,
                        check: r.get(4)?,
                        at: r.get(5)?,
                    },
                ))
            };
            ask.query_map([model], chosen)?.collect()
        })
    }

    /// Keeps a choice.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn choose(&self, chosen: &Chosen) -> Result<()> {
        let Chosen { model, left, right, answer, check, at } = chosen;
        self.with(|c| {
            let put =
                "INSERT INTO choices (model, \"left\", \"right\", answer, blind, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            c.execute(put, (model, left, right, answer, check, at)).map(drop)
        })
    }

    /// Takes back the last choice about a model's pictures.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn unchoose(&self, model: &str) -> Result<()> {
        self.with(|c| {
            let last = "DELETE FROM choices WHERE id = (SELECT max(id) FROM choices WHERE model = ?1)";
            c.execute(last, [model]).map(drop)
        })
    }

    /// Forgets every choice about a model's pictures, or about those of all models, so that no byte of them is left in the file.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn forget_choices(&self, model: Option<&str>) -> Result<()> {
        self.with(|c| {
            // What is deleted is overwritten, also in the log of changes.
            c.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
            c.execute("DELETE FROM choices WHERE ?1 IS NULL OR model = ?1", [model])?;
            c.execute("DELETE FROM worths WHERE ?1 IS NULL OR model = ?1", [model])?;
            c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }
}
