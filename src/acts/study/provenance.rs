//! Where a report comes from: version, command, model, reward, seeds, settings, device, time. Every study says it in the
//! same way, at the foot of its page and in its JSON.

use super::Model;
use crate::error::Result;
use crate::render::page::row;
use crate::reward::reward_folder;
use crate::store;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The command that a report is made by, and when it began.
#[derive(Clone, Debug)]
pub struct Origin {
    command: String,
    started: SystemTime,
    clock: Instant,
}

impl Origin {
    /// A command that begins now.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), started: SystemTime::now(), clock: Instant::now() }
    }
}

/// A reward, by what tells it from others.
#[derive(Clone, Debug, Serialize)]
pub struct RewardNote {
    /// Its name; absent for the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 of its card, which holds the hashes of its other files.
    pub sha256: String,
}

impl RewardNote {
    /// The reward called `name` of the model in `folder`, or its own; `None` if it has none.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`].
    pub fn beside(folder: &Path, name: Option<&str>) -> Result<Option<Self>> {
        let card = reward_folder(folder, name).join("card.toml");
        if !card.is_file() {
            return Ok(None);
        }
        Ok(Some(Self { name: name.map(str::to_owned), sha256: store::sha256_file(&card)? }))
    }
}

/// What a study goes over.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Its seeds, as typed or as its default for the model.
    pub seeds: String,
    /// The percentiles it asks for, if it does.
    pub levels: Vec<f64>,
    /// Samples per tile, if it works in tiles.
    pub tile: Option<usize>,
    /// Its other settings, by key.
    pub settings: Map<String, Value>,
}

/// Where a report comes from.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// Version of the program.
    pub isoline: &'static str,
    /// The command line.
    pub command: String,
    /// Model id; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// SHA-256 over its card and weights.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_sha256: String,
    /// Its reward, if one was there to be used.
    pub reward: Option<RewardNote>,
    /// Seeds.
    pub seeds: String,
    /// Percentiles asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f64>,
    /// Samples per tile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<usize>,
    /// The device, as `--device` takes it.
    pub device: String,
    /// When the command began, in UTC.
    pub started: String,
    /// Seconds of this command. What an earlier one had finished is not in them.
    pub seconds: f64,
    /// Settings, by key, with the defaults that do not depend on the model.
    pub settings: Map<String, Value>,
}

impl Provenance {
    /// The provenance of a study of `model` that ends now.
    ///
    /// # Errors
    /// Those of [`RewardNote::beside`].
    pub fn of(origin: &Origin, model: &Model, scope: Scope) -> Result<Self> {
        let reward = RewardNote::beside(&model.folder, None)?;
        let id = (model.id(), model.generator.model_sha256());
        Ok(Self::new(origin, id, reward, &model.device_name.to_string(), scope))
    }

    /// The provenance of a report that ends now, on the model of this id and hash.
    pub fn new(
        origin: &Origin,
        (model, model_sha256): (&str, &str),
        reward: Option<RewardNote>,
        device: &str,
        scope: Scope,
    ) -> Self {
        Self {
            isoline: env!("CARGO_PKG_VERSION"),
            command: origin.command.clone(),
            model: model.to_owned(),
            model_sha256: model_sha256.to_owned(),
            reward,
            seeds: scope.seeds,
            levels: scope.levels,
            tile: scope.tile,
            device: device.to_owned(),
            started: utc(origin.started),
            seconds: (origin.clock.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            settings: scope.settings,
        }
    }

    /// Each item with its value, for the foot of a page.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let levels: Vec<String> = self.levels.iter().map(f64::to_string).collect();
        let reward = self.reward.as_ref().map_or("there is none".to_owned(), |r| {
            format!("{}, SHA-256 {}", r.name.as_deref().unwrap_or("the model's own"), r.sha256)
        });
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let settings: Vec<String> = self.settings.iter().map(|(k, v)| format!("{k} = {}", text(v))).collect();
        let mut rows = vec![
            row(["isoline", self.isoline]),
            row(["command", &self.command]),
            row([
                "model",
                &if self.model.is_empty() {
                    String::new()
                } else {
                    format!("{}, SHA-256 {}", self.model, self.model_sha256)
                },
            ]),
            row(["reward", if self.model.is_empty() { "" } else { &reward }]),
            row(["seeds", &self.seeds]),
            row(["levels", &levels.join(", ")]),
            row(["tile", &self.tile.map_or(String::new(), |t| format!("{t} samples"))]),
            row(["device", &self.device]),
            row(["begun", &format!("{}, {:.1} seconds", self.started, self.seconds)]),
            row(["settings", &settings.join(", ")]),
        ];
        rows.retain(|r| !r[1].is_empty());
        rows
    }
}

/// A time as in 2026-11-29T02:18:58Z (RFC 3339).
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March on, so that the leap day is the last of a year: 400 of them have 146,097 days, and the
    // first of March 2000 is day 11,017. Days before that are shifted by whole cycles.
    let day = days + 4 * 146_097 - 11_017;
    let (cycle, day) = (day / 146_097, day % 146_097);
    let century = (day / 36_524).min(3);
    let day = day - century * 36_524;
    let four = (day / 1_461).min(24);
    let day = day - four * 1_461;
    let year = (day / 365).min(3);
    let day = day - year * 365;
    // Months of 31, 30, 31, 30, 31 days in turn.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * cycle + 100 * century + 4 * four + year + 400 + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// As `date -u -d @SECONDS +%FT%TZ` prints them.
    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_918_738, "2026-11-29T02:18:58Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
