//! `samples.parquet`: one row per sample.

use super::likeness::Likeness;
use super::row::{SampleRow, Shown};
use crate::error::Result;
use crate::steer::guard::Watched;
use crate::table::{Column, Table, Values};

/// The rows as a table; each row comes with the name of its job. Latents, where they were kept, become columns `z_0`,
/// `z_1`, …; what was measured again has its column only where it was, and the comparisons with the unguided pictures,
/// where they were made, have six, and what the guard measured has five.
///
/// # Errors
/// When the columns do not make a valid table.
pub fn samples_table(rows: &[(&str, &SampleRow)]) -> Result<Table> {
    let number = |name: &str, get: fn(&SampleRow) -> Option<f64>| {
        Column::new(name, Values::F64(rows.iter().map(|r| get(r.1)).collect()))
    };
    let text = |name: &str, get: &dyn Fn(&(&str, &SampleRow)) -> Option<String>| {
        Column::new(name, Values::Text(rows.iter().map(get).collect()))
    };
    let mut columns = vec![
        text("job", &|r| Some(r.0.to_owned())),
        Column::new("seed", Values::U64(rows.iter().map(|r| Some(r.1.seed)).collect())),
        number("novelty_asked", |r| r.novelty_asked),
        number("novelty_predicted", |r| r.novelty_predicted),
        number("novelty_reached", |r| r.novelty_reached),
        number("beyond", |r| r.beyond),
        number("psi_predicted", |r| r.psi_predicted),
        number("psi_k", |r| r.psi_k),
        number("measured", |r| r.measured),
    ];
    columns.extend(
        Shown::descriptors()
            .map(|d| Column::new(d.name, Values::F64(rows.iter().map(|r| r.1.descriptors.get(d.name)).collect()))),
    );
    columns.extend([
        number("distance", |r| Some(r.distance)),
        number("angle", |r| Some(r.angle)),
        number("steps", |r| Some(r.steps as f64)),
        number("attempts", |r| Some(r.attempts as f64)),
        number("effective_size", |r| r.effective_sizes.iter().copied().reduce(f64::min)),
        text("status", &|r| serde_json::to_value(r.1.status).ok().and_then(|v| v.as_str().map(str::to_owned))),
        text("missed", &|r| r.1.missed.map(|m| m.name().to_owned())),
        text("file", &|r| r.1.file.clone()),
        text("sha256", &|r| r.1.sha256.clone()),
    ]);
    if rows.iter().any(|r| r.1.novelty_remeasured.is_some()) {
        let after = columns.iter().position(|c| c.name == "novelty_reached").map_or(0, |i| i + 1);
        columns.insert(after, number("novelty_remeasured", |r| r.novelty_remeasured));
    }
    if rows.iter().any(|r| r.1.likeness.is_some()) {
        columns.extend(likeness_columns(rows));
    }
    if rows.iter().any(|r| r.1.guard.is_some()) {
        columns.extend(guard_columns(rows));
    }
    let d = rows.iter().map(|r| r.1.latent.len()).max().unwrap_or(0);
    let value = |i: usize| rows.iter().map(|r| r.1.latent.get(i).map(|v| f64::from(*v))).collect();
    columns.extend((0..d).map(|i| Column::new(format!("z_{i}"), Values::F64(value(i)))));
    Table::new(columns)
}

/// What the guard measured.
fn guard_columns(rows: &[(&str, &SampleRow)]) -> Vec<Column> {
    let number = |name: &str, get: fn(&Watched) -> Option<f64>| {
        Column::new(name, Values::F64(rows.iter().map(|r| r.1.guard.as_ref().and_then(get)).collect()))
    };
    let verdict = rows.iter().map(|r| r.1.guard.map(|w| w.verdict.name().to_owned())).collect();
    vec![
        Column::new("guard", Values::Text(verdict)),
        number("guard_log_likelihood", |w| w.log_likelihood),
        number("guard_dimension", |w| w.dimension),
        number("guard_caught", |w| Some(w.caught as f64)),
        number("guard_resampled", |w| Some(w.resampled as f64)),
    ]
}

/// What is left of the unguided picture of each row's seed.
fn likeness_columns(rows: &[(&str, &SampleRow)]) -> Vec<Column> {
    let number = |name: &str, get: fn(&Likeness) -> Option<f64>| {
        Column::new(name, Values::F64(rows.iter().map(|r| r.1.likeness.as_ref().and_then(get)).collect()))
    };
    let class = |name: &str, i: usize| {
        let of = |r: &(&str, &SampleRow)| r.1.likeness.as_ref()?.classes.map(|c| c[i] as i64);
        Column::new(name, Values::I64(rows.iter().map(of).collect()))
    };
    let note = |r: &(&str, &SampleRow)| r.1.likeness.as_ref()?.note.clone();
    vec![
        number("picture_correlation", |l| l.correlation),
        number("picture_angle", |l| l.picture_angle),
        number("latent_angle", |l| l.latent_angle),
        class("class", 0),
        class("class_unguided", 1),
        Column::new("likeness_note", Values::Text(rows.iter().map(note).collect())),
    ]
}
