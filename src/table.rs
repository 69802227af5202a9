//! Tables by column, as they enter and leave the program: Parquet first, CSV on request.

mod file;
mod note;

pub use file::{read_parquet, write_parquet};
pub use note::Note;

use crate::error::{Error, Result};
use crate::limits;

/// The most columns of one table.
pub const COLUMNS: usize = 4_096;

/// The values of one column. `None` is a missing value, which is neither NaN nor `""`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Real numbers.
    F64(Vec<Option<f64>>),
    /// Whole numbers.
    I64(Vec<Option<i64>>),
    /// Whole numbers from 0 to 2^64 − 1, as seeds are.
    U64(Vec<Option<u64>>),
    /// UTF-8 text.
    Text(Vec<Option<String>>),
    /// Booleans.
    Bool(Vec<Option<bool>>),
}

impl Values {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::F64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::Text(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The CSV field of `row`; empty for a missing value.
    fn field(&self, row: usize) -> String {
        let written = match self {
            Self::F64(v) => v.get(row).copied().flatten().map(|v| format!("{v:?}")),
            Self::I64(v) => v.get(row).copied().flatten().map(|v| v.to_string()),
            Self::U64(v) => v.get(row).copied().flatten().map(|v| v.to_string()),
            Self::Bool(v) => v.get(row).copied().flatten().map(|v| v.to_string()),
            Self::Text(v) => v.get(row).and_then(|v| v.as_deref()).map(quoted),
        };
        written.unwrap_or_default()
    }
}

/// A named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Not empty, and unique within its table.
    pub name: String,
    /// One value per row.
    pub values: Values,
}

impl Column {
    /// A column called `name`.
    pub fn new(name: impl Into<String>, values: Values) -> Self {
        Self { name: name.into(), values }
    }
}

/// Columns of equal length under unique names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    columns: Vec<Column>,
}

impl Table {
    /// A table of these columns, in this order.
    ///
    /// # Errors
    /// [`Error::Bug`] if lengths differ, a name is empty or repeated, or a bound is exceeded.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        Self::checked(columns).map_err(Error::Bug)
    }

    fn checked(columns: Vec<Column>) -> Result<Self, String> {
        if columns.len() > COLUMNS {
            return Err(format!("a table has {} columns, expected at most {COLUMNS}", columns.len()));
        }
        let mut names = std::collections::HashSet::new();
        let rows = columns.first().map_or(0, |c| c.values.len());
        for Column { name, values } in &columns {
            if name.is_empty() || !names.insert(name.as_str()) {
                return Err(format!("column name {name:?} is empty or appears twice"));
            }
            if values.len() != rows || rows > limits::SAMPLES {
                let most = limits::SAMPLES;
                return Err(format!("column {name:?} has {} rows, expected {rows} and at most {most}", values.len()));
            }
        }
        Ok(Self { columns })
    }

    /// All columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }
}

/// The table as CSV (RFC 4180: comma, CRLF, quotes doubled) with a header line.
///
/// A missing value is an empty field; an empty text is `""`. A real number is written as the shortest text that reads
/// back to the same bits (`NaN`, `inf` or `-inf` if it is not finite).
pub fn write_csv(table: &Table) -> String {
    let mut csv = table.columns.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(",");
    csv.push_str("\r\n");
    for row in 0..table.rows() {
        for (index, column) in table.columns.iter().enumerate() {
            if index > 0 {
                csv.push(',');
            }
            csv.push_str(&column.values.field(row));
        }
        csv.push_str("\r\n");
    }
    csv
}

/// A CSV field, quoted if necessary.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains(['"', ',', '\r', '\n']) && text.trim() == text;
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests;
