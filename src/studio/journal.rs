//! What people said, line by line: stars, tags, words, the bin, choices between pictures. It cannot be read from the run folders,
//! so it is written here and flushed before it is believed; the database can be made anew from it.

use super::db::{Change, Changes, Db};
use super::taste::Chosen;
use crate::error::{Error, Result};
use crate::store;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The open journal.
pub struct Journal {
    path: PathBuf,
    /// Opened with the next line where it is not.
    file: Mutex<Option<File>>,
}

/// One line: all of it counts, or none.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// Changes of marks.
    Marks(Changes),
    /// A choice between two pictures.
    Choice(Chosen),
    /// The last choice about pictures of this model is taken back.
    Unchosen(String),
}

impl Line {
    /// Whether it is about choices between pictures of this model.
    fn is_taste_of(&self, model: &str) -> bool {
        match self {
            Self::Marks(_) => false,
            Self::Choice(chosen) => chosen.model == model,
            Self::Unchosen(of) => of == model,
        }
    }
}

impl Journal {
    /// Opens the journal in `folder`. A line that a crash left unfinished is passed over by readers.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("journal.jsonl");
        Ok(Self { file: Mutex::new(Some(store::open_log(&path)?)), path })
    }

    /// Writes a change and puts it into the database.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing has changed.
    pub fn mark(&self, db: &Db, changes: &[(Vec<String>, Change)]) -> Result<()> {
        self.write(&Line::Marks(changes.to_vec()), || db.mark(changes))
    }

    /// Writes a choice and puts it into the database.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing has changed.
    pub fn choose(&self, db: &Db, chosen: &Chosen) -> Result<()> {
        self.write(&Line::Choice(chosen.clone()), || db.choose(chosen))
    }

    /// Takes back the last choice about pictures of a model.
    ///
    /// # Errors
    /// [`Error::Io`]; then nothing has changed.
    pub fn unchoose(&self, db: &Db, model: &str) -> Result<()> {
        self.write(&Line::Unchosen(model.to_owned()), || db.unchoose(model))
    }

    /// Forgets every choice about pictures of a model: the journal is written anew without them.
    ///
    /// # Errors
    /// [`Error::Io`]; then the journal still has all of them, or none.
    pub fn forget_choices(&self, db: &Db, model: &str) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::fs::read(&self.path).map_err(|e| Error::io(&self.path, "read", e))?;
        let stays = |line: &&[u8]| !serde_json::from_slice(line).is_ok_and(|l: Line| l.is_taste_of(model));
        let kept: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').filter(stays).collect();
        // Whatever becomes of it, no line goes into the file that it replaces.
        *file = None;
        store::write_atomic(&self.path, &kept.concat())?;
        db.forget_choices(Some(model))
    }

    /// Writes a line, so that it is on the disk, and does what it says.
    fn write(&self, line: &Line, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let text = serde_json::to_string(line).map_err(|e| Error::Bug(e.to_string()))?;
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match held.take() {
            Some(file) => file,
            None => store::open_log(&self.path)?,
        };
        let before = file.metadata().map_err(|e| Error::io(&self.path, "measure", e))?.len();
        let written = store::append_line(&mut file, &self.path, &text)
            .and_then(|()| file.sync_data().map_err(|e| Error::io(&self.path, "flush", e)))
            .and_then(|()| act());
        // Half a line would swallow the next one, and a line that was not followed would be when the journal is read again.
        if written.is_err() {
            let _ = file.set_len(before).and_then(|()| file.sync_data());
        }
        *held = Some(file);
        written
    }

    /// Puts everything that it says into the database.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn replay(&self, db: &Db) -> Result<()> {
        db.forget_marks()?;
        db.forget_choices(None)?;
        let file = File::open(&self.path).map_err(|e| Error::io(&self.path, "open", e))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.map_err(|e| Error::io(&self.path, "read", e))?;
            match serde_json::from_slice(&line) {
                Ok(Line::Marks(marks)) => db.mark(&marks)?,
                Ok(Line::Choice(chosen)) => db.choose(&chosen)?,
                Ok(Line::Unchosen(model)) => db.unchoose(&model)?,
                Err(_) => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::studio::db::Marks;

    #[test]
    fn a_database_made_anew_says_the_same() -> Result<()> {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let db = Db::open(folder.path())?;
        let journal = Journal::open(folder.path())?;
        let ids = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let tagged = |add: &[&str], remove: &[&str]| Change { add: ids(add), remove: ids(remove), ..Change::default() };
        journal.mark(&db, &[(ids(&["a", "b"]), Change { star: Some(true), ..tagged(&["red", "<b>"], &[]) })])?;
        journal.mark(&db, &[(ids(&["a"]), Change { alt: Some("a hat".into()), ..tagged(&[], &["red"]) })])?;
        journal.mark(&db, &[(ids(&["b"]), Change { star: Some(false), binned: Some(true), ..Change::default() })])?;
        let all = |db: &Db| Ok::<_, Error>([db.marks("a")?, db.marks("b")?, db.marks("c")?]);
        let before = all(&db)?;
        assert_eq!((before[0].star, before[0].alt.as_str(), before[0].tags.len()), (true, "a hat", 1));
        assert_eq!((before[1].binned, before[1].star, before[1].tags.len()), (true, false, 2));
        assert_eq!(before[2], Marks::default());
        // Undoing is a change like any other.
        let undo = Marks::default().since(&before[0]);
        // A crash in the midst of a line.
        drop(journal);
        let path = folder.path().join("journal.jsonl");
        let mut text = std::fs::read(&path).map_err(|e| Error::io(&path, "read", e))?;
        text.extend_from_slice(b"{\"marks\":[[[\"c\"],{\"st");
        store::write_atomic(&path, &text)?;
        let journal = Journal::open(folder.path())?;
        journal.replay(&db)?;
        assert_eq!(all(&db)?, before);
        journal.mark(&db, &[(ids(&["a"]), undo)])?;
        assert_eq!(db.marks("a")?, Marks::default());
        journal.replay(&db)?;
        assert_eq!(db.marks("a")?, Marks::default());
        Ok(())
    }
}
