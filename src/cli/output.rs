//! Results go to stdout, everything else to stderr. A reader that has gone away (`isoline … | head`) is no error.

use crate::error::{Error, Result, escaped};
pub use crate::render::page::row;
use std::io::{ErrorKind, Write};

/// Prints results to stdout. Control characters, which a foreign card may contain, are escaped; line breaks stay.
///
/// # Errors
/// [`Error::Io`] when stdout cannot be written to; a closed pipe does not count.
pub fn print(text: &str) -> Result<()> {
    write(&escaped(text, |c| c == '\n'))
}

/// Prints one JSON value to stdout, indented.
///
/// # Errors
/// Those of [`print`].
pub fn print_json(value: &serde_json::Value) -> Result<()> {
    write(&format!("{value:#}\n"))
}

/// Prints a report as JSON, or as a table.
///
/// # Errors
/// Those of [`print`].
pub fn print_report(json: bool, report: &impl serde::Serialize, rows: &[Vec<String>]) -> Result<()> {
    match json {
        true => print_json(&serde_json::to_value(report).map_err(|e| Error::Bug(format!("report: {e}")))?),
        false => print(&columns(rows)),
    }
}

fn write(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::io("<stdout>", "write", e)),
        _ => Ok(()),
    }
}

/// Prints one line to stderr. It does not matter if stderr is gone.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(text, |_| false));
}

/// Prints the line for an error: `isoline: <error>`.
pub fn complain(error: &Error) {
    tell(&format!("isoline: {}", error.to_string().trim_end().replace('\n', " ")));
}

/// Rows as aligned columns two spaces apart, one line each. A row may have fewer cells than others.
pub fn columns(rows: &[Vec<String>]) -> String {
    let widths = rows.iter().fold(Vec::new(), |mut widths: Vec<usize>, row| {
        widths.resize(widths.len().max(row.len()), 0);
        widths.iter_mut().zip(row).for_each(|(w, cell)| *w = (*w).max(cell.chars().count()));
        widths
    });
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}", w = *w));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// Width of a printed page in columns.
const PAGE: usize = 100;

/// The same as [`columns`], no wider than a page of 100 columns: the widest column of cells is broken between words and
/// goes on below its beginning. A single word that is too long is not broken.
pub fn wrapped(rows: &[Vec<String>]) -> String {
    let widths = rows.iter().fold(Vec::new(), |mut widths: Vec<usize>, row| {
        widths.resize(widths.len().max(row.len()), 0);
        widths.iter_mut().zip(row).for_each(|(w, cell)| *w = (*w).max(cell.chars().count()));
        widths
    });
    let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    let widest = widths.iter().enumerate().max_by_key(|(_, w)| **w).map_or(0, |(i, _)| i);
    let Some(room) = total.checked_sub(PAGE).map(|over| widths[widest].saturating_sub(over).max(PAGE / 4)) else {
        return columns(rows);
    };
    let broken = |row: &Vec<String>| -> Vec<Vec<String>> {
        let Some(cell) = row.get(widest) else { return vec![row.clone()] };
        let lines = lines(cell, room);
        let line = |(i, text): (usize, String)| {
            row.iter()
                .enumerate()
                .map(|(j, cell)| match (j == widest, i) {
                    (true, _) => text.clone(),
                    (false, 0) => cell.clone(),
                    (false, _) => String::new(),
                })
                .collect()
        };
        lines.into_iter().enumerate().map(line).collect()
    };
    columns(&rows.iter().flat_map(broken).collect::<Vec<_>>())
}

/// `text` in lines of at most `room` characters, broken between words.
fn lines(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        match lines[last].is_empty() {
            true => lines[last].push_str(word),
            false if lines[last].chars().count() + 1 + word.chars().count() <= room => {
                lines[last].push(' ');
                lines[last].push_str(word);
            }
            false => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A count with a comma before every third digit from the end.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let comma = |i: usize| i > 0 && (digits.len() - i).is_multiple_of(3);
    digits.char_indices().flat_map(|(i, c)| comma(i).then_some(',').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters() {
        let rows = [row(["a", "bc", ""]), row(["ψ∑x", "d"])];
        assert_eq!(columns(&rows), "a    bc\nψ∑x  d\n");
    }

    #[test]
    fn long_cells_go_on_below_themselves() {
        let long = "word ".repeat(60);
        let rows = [row(["a", long.trim(), "end"]), row(["b", "short", "END"])];
        let text = wrapped(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|l| l.chars().count() <= 100), "{text}");
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[0].starts_with("a  word") && lines[0].ends_with("  end"), "{text}");
        assert!(lines[1].starts_with("   word") && lines[4].starts_with("b  short"), "{text}");
        assert_eq!(text.matches("word").count(), 60);
        assert_eq!(wrapped(&[row(["a", "b"])]), columns(&[row(["a", "b"])]));
    }

    #[test]
    fn counts() {
        assert_eq!([0, 999, 1000, 1234567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc", |c| c == '\n'), "a\\u{1b}[2Jb\nc");
    }
}
