//! The contact sheet: one row per job, one column per seed.

use super::row::SampleRow;
use crate::error::Result;
use crate::render::grid::{BALANCED, Cell, MOST_COLUMNS, Mark, NOVEL, Sheet, SheetRow, TYPICAL};
use crate::render::{Picture, png::read_picture};
use crate::steer::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Draws the finished jobs, each given as (name, run directory, rows). Only the pictures that fit on the sheet are read
/// from disk; the sheet says how many columns are left out.
///
/// # Errors
/// When a picture cannot be read.
pub fn contact_sheet(title: &str, jobs: &[(&str, &Path, &[SampleRow])]) -> Result<Picture> {
    let mut columns: Vec<u64> = Vec::new();
    let mut known = BTreeSet::new();
    for row in jobs.iter().flat_map(|j| j.2).filter(|r| known.insert(r.seed)) {
        if columns.len() < MOST_COLUMNS {
            columns.push(row.seed);
        }
    }
    let rows =
        jobs.iter().map(|(name, folder, rows)| sheet_row(name, folder, rows, &columns)).collect::<Result<_>>()?;
    Ok(Sheet {
        title: Some(title.to_owned()),
        rows,
        column_labels: columns.iter().map(|s| format!("seed {s}")).collect(),
        more_columns: known.len() - columns.len(),
    }
    .draw())
}

fn sheet_row(name: &str, folder: &Path, rows: &[SampleRow], columns: &[u64]) -> Result<SheetRow> {
    let asked = rows.iter().find_map(|r| r.novelty_asked);
    let wanted: BTreeSet<u64> = columns.iter().copied().collect();
    let shown: BTreeMap<u64, &SampleRow> =
        rows.iter().filter(|r| wanted.contains(&r.seed)).map(|r| (r.seed, r)).collect();
    let cells = columns.iter().map(|seed| match shown.get(seed) {
        None => Ok(Cell { picture: None, caption: "not asked for".into(), mark: None }),
        Some(row) => {
            let picture = row.file.as_ref().map(|f| read_picture(&folder.join(f))).transpose()?;
            let caption = match (row.novelty_reached, row.status) {
                (Some(n), _) => format!("{n:.1}"),
                (None, Status::Unmeasured) => "not measured".to_owned(),
                (None, _) => "no value".to_owned(),
            };
            let mark = match row.status {
                Status::Ok | Status::Unmeasured => None,
                Status::Unreached => Some(Mark::Missed),
                Status::OffManifold | Status::NonFinite => Some(Mark::Odd),
            };
            Ok(Cell { picture, caption, mark })
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
