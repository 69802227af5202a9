//! Shards: equal shares of a plan's tiles, for processes that know nothing of one another.

use crate::error::{Error, Result};
use crate::limits;
use crate::store;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// Shard `index` of `count`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of the shard, from 0.
    pub index: u64,
    /// Number of shards in all.
    pub count: u64,
}

impl Shard {
    /// Parses `i/N`, or `auto`, which takes index and count from the environment that a cluster gives the tasks of a
    /// job array. `planned` is the count fixed by the plan: a resubmitted array has gaps, so only the plan knows the
    /// full count.
    ///
    /// # Errors
    /// [`Error::Key`] for anything else, an index beyond the count, or a count that is not the plan's;
    /// [`Error::Config`] naming an environment variable that cannot be used.
    pub fn parse(text: &str, planned: Option<u64>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let bad = |message: String| Err(Error::key_found("shard", text, message));
        let shard = match text.split_once('/') {
            None if text == "auto" => Self::auto(planned, variable)?,
            Some((i, n)) => match (i.parse(), n.parse()) {
                (Ok(index), Ok(count)) => Self { index, count },
                _ => return bad("expected i/N, as in 0/8, or auto".into()),
            },
            None => return bad("expected i/N, as in 0/8, or auto".into()),
        };
        if let Some(planned) = planned.filter(|p| *p != shard.count) {
            return bad(format!("the plan has {planned} shards, found {}", shard.count));
        }
        if shard.count > limits::SHARDS || shard.index >= shard.count {
            let most = limits::SHARDS;
            return bad(format!("expected an index from 0 below a count of at most {most}, found {}", shard.label()));
        }
        Ok(shard)
    }

    fn auto(planned: Option<u64>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let number = |name: &str| match variable(name) {
            None => Ok(None),
            Some(text) => match text.trim().parse::<u64>() {
                Ok(n) => Ok(Some(n)),
                Err(_) => {
                    let found = text.escape_debug();
                    Err(Error::config(name, format!("expected a whole number, found \"{found}\"")))
                }
            },
        };
        for (index, count) in [("SHARD_INDEX", "SHARD_COUNT"), ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")] {
            if let Some(i) = number(index)? {
                let Some(count) = number(count)?.or(planned) else {
                    return Err(Error::config(index, format!("{count} is not set, and the plan fixes no count")));
                };
                return Ok(Self { index: i, count });
            }
        }
        let Some(id) = number("SLURM_ARRAY_TASK_ID")? else {
            let message = "expected SHARD_INDEX and SHARD_COUNT, SLURM_ARRAY_TASK_ID, or JOB_COMPLETION_INDEX in the environment, found none; give i/N";
            return Err(Error::key_found("shard", "auto", message));
        };
        let (first, last) = (number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0), number("SLURM_ARRAY_TASK_MAX")?);
        let size = number("SLURM_ARRAY_TASK_COUNT")?;
        // An array without gaps need not start at 0.
        let whole = size.filter(|count| id >= first && last.is_none_or(|l| l + 1 == first + count));
        match (planned, whole) {
            (None, Some(count)) => Ok(Self { index: id - first, count }),
            // The array holds as many tasks as the plan has shards, so it is the whole array, and its numbers are
            // counted from `first`.
            (Some(count), Some(size)) if size == count => Ok(Self { index: id - first, count }),
            // Only some of them, resubmitted under their own numbers.
            (Some(count), _) => Ok(Self { index: id, count }),
            _ => Err(Error::key_found(
                "shard",
                "auto",
                "this job array has gaps or does not tell its size; fix the number of shards in the plan, or give i/N",
            )),
        }
    }

    /// The tiles of this shard among `tiles`. The shards are contiguous, leave no tile out, and differ in size by at
    /// most one.
    pub fn range(self, tiles: u64) -> Range<u64> {
        let edge = |i: u64| (u128::from(i) * u128::from(tiles) / u128::from(self.count)) as u64;
        edge(self.index)..edge(self.index + 1)
    }

    /// As `i/N`.
    pub fn label(self) -> String {
        format!("{}/{}", self.index, self.count)
    }

    /// The form used in file names.
    pub fn name(self) -> String {
        format!("{:05}-of-{:05}", self.index, self.count)
    }
}

/// The last file written for a shard: it says that the shard is finished and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub format: u32,
    /// Id of the plan.
    pub plan: String,
    /// Number of the shard, from 0.
    pub index: u64,
    /// Number of shards in all.
    pub count: u64,
    /// First tile, counted over all jobs of the run.
    pub first: u64,
    /// Last tile; less than `first` for a shard without tiles.
    pub last: i64,
    /// Number of samples.
    pub rows: u64,
    /// SHA-256 over the lines `hash  path` of its files, in their order.
    pub hash: String,
    /// How many times the shard was started.
    pub attempt: u64,
    /// The machine that finished it.
    pub host: String,
    /// Version of the program.
    pub version: String,
    /// Duration of the last attempt, in seconds.
    pub seconds: f64,
}

impl Manifest {
    /// Path below the run directory.
    pub fn path(shard: Shard) -> String {
        format!("shards/{}.json", shard.name())
    }

    /// The manifest of a shard of `plan`, if there is a whole one.
    pub fn find(folder: &Path, shard: Shard, plan: &str) -> Option<Self> {
        let bytes = store::read_bounded(&folder.join(Self::path(shard)), limits::CONFIG_BYTES).ok()?;
        let found: Self = serde_json::from_slice(&bytes).ok()?;
        (found.format == 1 && found.plan == plan && (found.index, found.count) == (shard.index, shard.count))
            .then_some(found)
    }

    /// Writes the manifest into the run directory `folder`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let shard = Shard { index: self.index, count: self.count };
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Bug(e.to_string()))?;
        store::write_atomic(&folder.join(Self::path(shard)), text.as_bytes())
    }
}

/// Counts one more attempt at a shard and returns its number, from 1.
///
/// # Errors
/// [`Error::Io`].
pub fn attempt(folder: &Path, shard: Shard) -> Result<u64> {
    let path = folder.join(format!("shards/{}.attempt", shard.name()));
    let before = store::read_bounded(&path, 64).ok().and_then(|b| String::from_utf8(b).ok()?.trim().parse().ok());
    let now = before.unwrap_or(0u64).saturating_add(1);
    store::write_atomic(&path, format!("{now}\n").as_bytes())?;
    Ok(now)
}

/// Ascending numbers in the notation of job arrays: `3,17-19`.
pub fn array_expression(numbers: &[u64]) -> String {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => parts.push((*n, *n)),
        }
    }
    let part = |(a, b): &(u64, u64)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_every_tile_once() {
        for (tiles, count) in [(0, 3), (1, 7), (10, 3), (64, 64), (1_000_003, 977)] {
            let mut next = 0;
            for index in 0..count {
                let range = Shard { index, count }.range(tiles);
                assert_eq!(range.start, next);
                assert!(range.end - range.start <= tiles / count + 1);
                next = range.end;
            }
            assert_eq!(next, tiles);
        }
    }

    #[test]
    fn array_expressions() {
        assert_eq!(array_expression(&[3, 17, 18, 19]), "3,17-19");
        assert_eq!(array_expression(&[]), "");
        assert_eq!(array_expression(&[0, 1, 4]), "0-1,4");
    }

    fn auto(planned: Option<u64>, environment: &[(&str, &str)]) -> Result<Shard> {
        let get = |name: &str| environment.iter().find(|e| e.0 == name).map(|e| e.1.to_owned());
        Shard::parse("auto", planned, &get)
    }

    #[test]
    fn clusters_tell_the_shard() {
        let at = |index, count| Some(Shard { index, count });
        assert_eq!(auto(None, &[("SHARD_INDEX", "2"), ("SHARD_COUNT", "5")]).ok(), at(2, 5));
        assert_eq!(auto(None, &[("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETIONS", "5")]).ok(), at(2, 5));
        assert_eq!(auto(Some(5), &[("JOB_COMPLETION_INDEX", "2")]).ok(), at(2, 5));
        let slurm = |id, count, min, max| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
            ]
        };
        assert_eq!(auto(None, &slurm("3", "4", "1", "4")).ok(), at(2, 4));
        assert_eq!(auto(Some(4), &slurm("4", "4", "1", "4")).ok(), at(3, 4));
        assert_eq!(auto(Some(4), &slurm("0", "4", "0", "3")).ok(), at(0, 4));
        // 1-3 of 4, resubmitted.
        assert_eq!(auto(Some(4), &slurm("1", "3", "1", "3")).ok(), at(1, 4));
        // 3,17-19 of 20, resubmitted: the plan knows the count, the array does not.
        assert_eq!(auto(Some(20), &slurm("17", "4", "3", "19")).ok(), at(17, 20));
        assert!(auto(None, &slurm("17", "4", "3", "19")).is_err());
        assert!(auto(Some(4), &slurm("17", "4", "3", "19")).is_err());
        assert!(auto(None, &[]).is_err() && auto(None, &[("SHARD_INDEX", "x"), ("SHARD_COUNT", "5")]).is_err());
        let none = |_: &str| None;
        for bad in ["", "3", "3/", "/3", "3/3", "0/0", "-1/2", "0/200000", "a/b", "1/2/3"] {
            assert!(Shard::parse(bad, None, &none).is_err(), "{bad}");
        }
        assert!(Shard::parse("0/3", Some(4), &none).is_err());
    }
}
