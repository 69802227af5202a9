//! Asking the index for pictures.

use super::Db;
use crate::acts::generate::SampleRow;
use crate::error::Result;
use rusqlite::types::Value;

/// Which pictures are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Text: a seed, a tag, or a part of a run's name.
    pub text: Option<String>,
    /// Name of the model.
    pub model: Option<String>,
    /// Name of the run.
    pub run: Option<String>,
    /// kept, starred, flagged or binned; binned ones are in no other list.
    pub mark: Option<String>,
    /// Least novelty reached.
    pub from: Option<f64>,
    /// Greatest novelty reached.
    pub to: Option<f64>,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sorting {
    /// From typical to novel.
    #[default]
    Level,
    /// The newest first.
    Newest,
    /// By seed.
    Seed,
    /// What is liked most first, as it was noted last.
    Taste,
}

/// A picture of the index.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its model.
    pub model: String,
    /// Its row.
    pub row: SampleRow,
    /// Whether it is among those that were kept.
    pub kept: bool,
    /// Whether it has a star.
    pub star: bool,
    /// What people say it shows.
    pub alt: String,
    /// When it was made, seconds since 1970.
    pub made_at: f64,
    /// How much it is liked, as it was noted last.
    pub worth: Option<f64>,
}

/// What is read of a picture.
const COLUMNS: &str =
    "p.id, p.model, p.row, EXISTS (SELECT 1 FROM places k WHERE k.picture = p.id AND k.run LIKE 'kept-%'),
    coalesce(m.star, 0), coalesce(m.alt, ''), p.made_at, w.worth";
const FROM: &str = "FROM pictures p LEFT JOIN marks m ON m.picture = p.id LEFT JOIN worths w ON w.picture = p.id";

/// What a list is sorted by. There is an index for each but the taste, which changes with every choice.
fn key(sorting: Sorting) -> &'static str {
    match sorting {
        // What has no level comes last.
        Sorting::Level => "coalesce(p.reached, 1e9)",
        Sorting::Newest => "-p.made_at",
        Sorting::Seed => "p.seed",
        Sorting::Taste => "coalesce(-w.worth, 1e9)",
    }
}

/// Asks for some pictures in order.
fn listing(sorting: Sorting, wheres: &str) -> String {
    format!("SELECT {COLUMNS} {FROM} WHERE {wheres} ORDER BY {}, p.id LIMIT ?", key(sorting))
}

impl Db {
    /// The pictures that a filter leaves: how many there are, and at most `limit` of them after the place `after`, which is
    /// what the last answer ended with.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn pictures(
        &self,
        filter: &Filter,
        sorting: Sorting,
        after: Option<(Value, String)>,
        limit: usize,
    ) -> Result<(u64, Vec<Found>)> {
        let (wheres, mut values) = conditions(filter);
        self.with(|c| {
            let total = c.query_row(
                &format!("SELECT count(*) {FROM} WHERE {wheres}"),
                rusqlite::params_from_iter(&values),
                |r| r.get::<_, i64>(0),
            )?;
            let mut more = String::new();
            if let Some((value, id)) = after {
                more = format!(" AND ({}, p.id) > (?, ?)", key(sorting));
                values.extend([value, Value::Text(id)]);
            }
            values.push(Value::Integer(limit as i64));
            let mut ask = c.prepare(&listing(sorting, &format!("{wheres}{more}")))?;
            let rows = ask.query_map(rusqlite::params_from_iter(&values), found)?;
            Ok((total as u64, rows.flat_map(Result::transpose).collect::<rusqlite::Result<_>>()?))
        })
    }

    /// A picture by its id.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn picture(&self, id: &str) -> Result<Option<Found>> {
        self.with(|c| {
            let mut ask = c.prepare(&format!("SELECT {COLUMNS} {FROM} WHERE p.id = ?1"))?;
            let mut rows = ask.query_map([id], found)?;
            rows.next().transpose().map(Option::flatten)
        })
    }

    /// Ids of a model's pictures.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn pictures_of(&self, model: &str) -> Result<Vec<String>> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT id FROM pictures WHERE model = ?1")?;
            ask.query_map([model], |r| r.get(0))?.collect()
        })
    }

    /// Notes how much pictures of a model are liked, in place of what was noted before.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn keep_worths(&self, model: &str, worths: &[(&str, Option<f64>)]) -> Result<()> {
        self.with(|c| {
            let whole = c.transaction()?;
            whole.execute("DELETE FROM worths WHERE model = ?1", [model])?;
            {
                let mut put = whole.prepare("INSERT OR REPLACE INTO worths VALUES (?1, ?2, ?3)")?;
                worths.iter().try_for_each(|(id, worth)| put.execute((id, model, worth)).map(drop))?;
            }
            whole.commit()
        })
    }

    /// Where the file of a picture lies: the runs that hold it, each with the file below the studio's folder.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn places(&self, id: &str) -> Result<Vec<(String, Option<String>)>> {
        self.with(|c| {
            let mut ask = c.prepare("SELECT run, file FROM places WHERE picture = ?1 ORDER BY run")?;
            ask.query_map([id], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        })
    }
}

/// The place of a picture in a list, for the next request.
pub fn place(sorting: Sorting, last: &Found) -> (Value, String) {
    let value = match sorting {
        Sorting::Level => Value::Real(last.row.novelty_reached.unwrap_or(1e9)),
        Sorting::Newest => Value::Real(-last.made_at),
        Sorting::Seed => Value::Text(format!("{:020}", last.row.seed)),
        Sorting::Taste => Value::Real(last.worth.map_or(1e9, |w| -w)),
    };
    (value, last.id.clone())
}

/// A row of the index; `None` for one of another version, which the next scan replaces.
fn found(r: &rusqlite::Row) -> rusqlite::Result<Option<Found>> {
    let Ok(row) = serde_json::from_str(&r.get::<_, String>(2)?) else { return Ok(None) };
    Ok(Some(Found {
        id: r.get(0)?,
        model: r.get(1)?,
        row,
        kept: r.get(3)?,
        star: r.get(4)?,
        alt: r.get(5)?,
        made_at: r.get(6)?,
        worth: r.get(7)?,
    }))
}

fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut wheres: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let bin = if filter.mark.as_deref() == Some("binned") { 1 } else { 0 };
    wheres.push(format!("coalesce(m.binned, 0) = {bin}"));
    match filter.mark.as_deref() {
        Some("kept") => {
            wheres.push("EXISTS (SELECT 1 FROM places k WHERE k.picture = p.id AND k.run LIKE 'kept-%')".into());
        }
        Some("starred") => wheres.push("m.star = 1".into()),
        Some("flagged") => wheres.push("p.status NOT IN ('ok', 'unmeasured')".into()),
        _ => {}
    }
    let mut with = |text: &str, value: Value| {
        wheres.push(text.to_owned());
        values.push(value);
    };
    if let Some(model) = &filter.model {
        with("p.model = ?", Value::Text(model.clone()));
    }
    if let Some(run) = &filter.run {
        with("EXISTS (SELECT 1 FROM places r WHERE r.picture = p.id AND r.run = ?)", Value::Text(run.clone()));
    }
    if let Some(from) = filter.from {
        with("p.reached >= ?", Value::Real(from));
    }
    if let Some(to) = filter.to {
        with("p.reached <= ?", Value::Real(to));
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        let like = format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let seed = text.parse::<u64>().map_or("-".to_owned(), |n| format!("{n:020}"));
        wheres.push(
            "(p.seed = ? OR EXISTS (SELECT 1 FROM tags t WHERE t.picture = p.id AND t.tag LIKE ? ESCAPE '\\')
             OR EXISTS (SELECT 1 FROM places r WHERE r.picture = p.id AND r.run LIKE ? ESCAPE '\\'))"
                .into(),
        );
        values.extend([Value::Text(seed), Value::Text(like.clone()), Value::Text(like)]);
    }
    (wheres.join(" AND "), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of 20,000 pictures is not sorted to show 200 of them.
    #[test]
    fn a_list_comes_in_order_from_an_index() -> Result<()> {
        let folder = tempfile::tempdir().unwrap_or_else(|e| unreachable!("{e}"));
        let db = Db::open(folder.path())?;
        let (wheres, _) = conditions(&Filter::default());
        for sorting in [Sorting::Level, Sorting::Newest, Sorting::Seed] {
            for more in [String::new(), format!(" AND ({}, p.id) > (5.0, 'x')", key(sorting))] {
                let text = format!("EXPLAIN QUERY PLAN {}", listing(sorting, &format!("{wheres}{more}")));
                let plan = db.with(|c| {
                    let mut ask = c.prepare(&text)?;
                    ask.query_map([200], |r| r.get::<_, String>(3))?.collect::<rusqlite::Result<Vec<_>>>()
                })?;
                assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sorting:?}: {plan:?}");
            }
        }
        Ok(())
    }
}
