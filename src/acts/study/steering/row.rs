//! One steered sample of a comparison, as records keep it and as a row of `samples.parquet`.

use crate::acts::generate::{SampleRow, samples_table};
use crate::acts::study::relations::LOOKS;
use crate::error::{Error, Result};
use crate::render::Picture;
use crate::render::png::{self, PngText};
use crate::steer::Status;
use crate::table::{Column, Table, Values};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One method, one seed, one level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRow {
    /// The sample, as `generate` would record it, without a picture.
    pub sample: SampleRow,
    /// Network evaluations, its measurements among them, see [`Engine::cost`](crate::steer::Engine::cost).
    pub evaluations: u64,
    /// Milliseconds of steering and measuring: the tile's, shared out evenly. Measuring again is not in it.
    pub ms: f64,
    /// Strength of the guide, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f64>,
    /// Measures of its picture, in the order of [`LOOKS`]; absent without a picture.
    pub looks: Option<[f64; LOOKS.len()]>,
    /// Its picture, a PNG file in base64, where pictures are kept for an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// A picture as records keep it.
///
/// # Errors
/// [`Error::Bug`](crate::error::Error::Bug) for a malformed picture.
pub fn kept(picture: &Picture) -> Result<String> {
    Ok(BASE64_STANDARD.encode(png::encode(picture, &PngText::default())?))
}

impl TrialRow {
    /// |asked − reached| by the measurement that steering chose by, in points of the percentile.
    pub fn miss(&self) -> Option<f64> {
        Some((self.sample.novelty_asked? - self.sample.novelty_reached?).abs())
    }

    /// The same by the measurement that is held out.
    pub fn miss_remeasured(&self) -> Option<f64> {
        Some((self.sample.novelty_asked? - self.sample.novelty_remeasured?).abs())
    }

    /// Seed, percentiles asked and reached, and ink, as [`Brightness::of`](super::super::relations::Brightness::of) takes
    /// them.
    pub fn of_brightness(&self) -> Option<(u64, f64, f64, f64)> {
        Some((self.sample.seed, self.sample.novelty_asked?, self.sample.novelty_reached?, self.looks?[0]))
    }

    /// The picture that was kept; `place` stands for the record in errors.
    ///
    /// # Errors
    /// [`Error::Input`] where it is no picture.
    pub fn picture(&self, place: &Path) -> Result<Option<Picture>> {
        let read = |text: &String| {
            let bytes = BASE64_STANDARD.decode(text).map_err(|e| {
                Error::input(place, format!("the picture of seed {} is not base64: {e}", self.sample.seed))
            })?;
            png::parse_picture(&bytes, place)
        };
        self.picture.as_ref().map(read).transpose()
    }

    /// Whether it has a picture that was not kept.
    pub fn lacks_picture(&self) -> bool {
        self.picture.is_none() && self.looks.is_some()
    }

    /// Whether it is off the manifold or not finite.
    pub fn is_off(&self) -> bool {
        matches!(self.sample.status, Status::OffManifold | Status::NonFinite)
    }
}

/// A table with one row for each method (by its short name), seed and level. Its columns are those of a run's samples, without what belongs to
/// a picture, and those of the comparison.
///
/// # Errors
/// When the columns do not make a valid table.
pub fn table(methods: &[(String, Vec<TrialRow>)]) -> Result<Table> {
    let names: Vec<(&str, &TrialRow)> =
        methods.iter().flat_map(|(name, rows)| rows.iter().map(|r| (name.as_str(), r))).collect();
    let samples: Vec<(&str, &SampleRow)> = names.iter().map(|(name, r)| (*name, &r.sample)).collect();
    let real = |name: &str, of: fn(&TrialRow) -> Option<f64>| {
        Column::new(name, Values::F64(names.iter().map(|(_, r)| of(r)).collect()))
    };
    let mut columns: Vec<Column> = samples_table(&samples)?
        .columns()
        .iter()
        .filter(|c| !["file", "sha256"].contains(&c.name.as_str()))
        .cloned()
        .map(|c| if c.name == "job" { Column { name: "method".into(), ..c } } else { c })
        .collect();
    columns.extend([
        real("miss", TrialRow::miss),
        real("miss_remeasured", TrialRow::miss_remeasured),
        Column::new("off_manifold", Values::Bool(names.iter().map(|(_, r)| Some(r.is_off())).collect())),
        Column::new("evaluations", Values::I64(names.iter().map(|r| i64::try_from(r.1.evaluations).ok()).collect())),
        real("ms", |r| Some(r.ms)),
        real("strength", |r| r.strength),
    ]);
    columns.extend(
        LOOKS.iter().enumerate().map(|(i, look)| {
            Column::new(*look, Values::F64(names.iter().map(|(_, r)| r.looks.map(|l| l[i])).collect()))
        }),
    );
    Table::new(columns)
}
