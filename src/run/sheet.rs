//! The contact sheet: one row per job, one column per seed.

use super::record::SampleRow;
use crate::error::Result;
use crate::render::grid::{BALANCED, Cell, NOVEL, Sheet, SheetRow, TYPICAL};
use crate::render::{Picture, png::read_picture};
use crate::steering::Status;
use std::path::Path;

/// Draws the finished jobs, each (name, run directory, rows); pictures are read back from disk.
///
/// # Errors
/// When a picture cannot be read.
pub fn contact_sheet(title: &str, jobs: &[(&str, &Path, &[SampleRow])]) -> Result<Picture> {
    let mut columns: Vec<u64> = Vec::new();
    for row in jobs.iter().flat_map(|j| j.2) {
        if !columns.contains(&row.seed) {
            columns.push(row.seed);
        }
    }
    let rows =
        jobs.iter().map(|(name, folder, rows)| sheet_row(name, folder, rows, &columns)).collect::<Result<_>>()?;
    Ok(Sheet {
        title: Some(title.to_owned()),
        rows,
        column_labels: columns.iter().map(|s| format!("seed {s}")).collect(),
    }
    .draw())
}

fn sheet_row(name: &str, folder: &Path, rows: &[SampleRow], columns: &[u64]) -> Result<SheetRow> {
    let asked = rows.iter().find_map(|r| r.novelty_asked);
    let cells = columns.iter().map(|seed| match rows.iter().find(|r| r.seed == *seed) {
        None => Ok(Cell { picture: None, caption: "not asked for".into(), flagged: false }),
        Some(row) => {
            let picture = row.file.as_ref().map(|f| read_picture(&folder.join(f))).transpose()?;
            let caption = row.novelty_reached.map_or("no value".to_owned(), |n| format!("{n:.1}"));
            Ok(Cell { picture, caption, flagged: row.status != Status::Ok })
        }
    });
    Ok(SheetRow {
        label: name.to_owned(),
        sublabel: asked.map_or("unguided".to_owned(), |a| format!("asked {a:.0}")),
        colour: match asked {
            Some(a) if a < 50.0 => TYPICAL,
            Some(a) if a > 50.0 => NOVEL,
            _ => BALANCED,
        },
        cells: cells.collect::<Result<_>>()?,
    })
}
