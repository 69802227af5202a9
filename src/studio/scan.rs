//! Looks through the run folders, so that what any isoline makes below the studio's folder is seen: those one and two levels
//! down that hold a plan. Only records that changed are read.

use super::app::App;
use super::db::{Recorded, RunRow};
use crate::acts::generate::{GeneratePlan, Pictures};
use crate::error::Result;
use crate::run::{Lookup, Plan, Work};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the records looked like when they were read.
#[derive(Default)]
pub struct Seen(BTreeMap<String, BTreeMap<PathBuf, String>>);

/// The event that a run has new pictures.
#[derive(Serialize)]
struct Told<'a> {
    run: &'a str,
    /// The new pictures; none are listed where there are many.
    ids: Vec<String>,
    wanted: u64,
    done: u64,
    flagged: u64,
}

/// Ids that an event lists at most.
const LISTED: usize = 64;

/// Looks through every run folder.
///
/// # Errors
/// [`crate::error::Error::Io`] where the index cannot be written.
pub fn scan(app: &App) -> Result<()> {
    let found = folders(&app.root);
    let known: BTreeMap<String, RunRow> = app.db.runs()?.into_iter().map(|r| (r.name.clone(), r)).collect();
    for name in &found {
        let stamp = stamp(&app.root.join(name));
        if known.get(name).is_none_or(|k| k.stamp != stamp) {
            read(app, name, stamp)?;
        }
    }
    for gone in known.keys().filter(|k| !found.contains(*k)) {
        app.db.forget_run(gone)?;
        app.seen().0.remove(gone);
        app.hub.tell("run", &Told { run: gone, ids: Vec::new(), wanted: 0, done: 0, flagged: 0 })?;
    }
    Ok(())
}

/// Reads what is new in one run.
///
/// # Errors
/// [`crate::error::Error::Io`] where the index cannot be written.
pub fn look_at(app: &App, name: &str) -> Result<()> {
    read(app, name, stamp(&app.root.join(name)))
}

/// Names of the run folders below `root`.
fn folders(root: &Path) -> BTreeSet<String> {
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let plain = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        plain.filter_map(|e| e.file_name().into_string().ok()).filter(|n| !n.starts_with('.')).collect::<Vec<_>>()
    };
    let is_run = |name: &str| root.join(name).join("plan.toml").is_file();
    let mut found = BTreeSet::new();
    for first in below(root) {
        if is_run(&first) {
            found.insert(first);
        } else {
            found.extend(below(&root.join(&first)).into_iter().map(|n| format!("{first}/{n}")).filter(|n| is_run(n)));
        }
    }
    found
}

/// What a folder looks like: its plan, and when anything was put among its records.
fn stamp(folder: &Path) -> String {
    let plan = looks(&folder.join("plan.toml"));
    let mut records = vec![looks(&folder.join("records"))];
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let below = entry.path().join("records");
        if below.is_dir() {
            records.push(looks(&below));
        }
    }
    records.sort();
    format!("{plan} {}", records.join(" "))
}

/// When a file or folder changed, and its length.
fn looks(path: &Path) -> String {
    let Ok(meta) = std::fs::metadata(path) else { return "-".into() };
    let at = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    if meta.is_dir() { at.to_string() } else { format!("{at}:{}", meta.len()) }
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn changed(path: &Path) -> f64 {
    std::fs::metadata(path).and_then(|m| m.modified()).map_or(0.0, seconds)
}

fn read(app: &App, name: &str, stamp: String) -> Result<()> {
    let folder = app.root.join(name);
    let made_at = changed(&folder.join("plan.toml"));
    let row = |kind: &str, stamp: String| RunRow {
        name: name.to_owned(),
        kind: kind.to_owned(),
        stamp,
        wanted: 0,
        done: 0,
        flagged: 0,
        damaged: 0,
        made_at,
    };
    // A plan that cannot be read, or one of another act, is listed and not looked into.
    let plan = Plan::read(&folder);
    let kind = plan.as_ref().map_or("unreadable".to_owned(), |p| p.kind.clone());
    let own = plan.and_then(|p| GeneratePlan::of(&p)).ok().flatten();
    let Some(pictures) = own.and_then(|own| Pictures::open(own, &folder).ok()) else {
        return app.db.keep_run(&row(&kind, stamp), &[], false);
    };
    let first = !app.seen().0.contains_key(name);
    let mut seen = app.seen().0.get(name).cloned().unwrap_or_default();
    let mut now = BTreeMap::new();
    let mut found = Vec::new();
    let mut run = row(&kind, stamp);
    for tile in 0..pictures.tiles() {
        run.wanted += pictures.wanted(tile);
        let file = pictures.record_file(tile);
        let look = looks(&file);
        let old = seen.remove(&file);
        if look == "-" {
            continue;
        }
        let same = old.as_ref() == Some(&look);
        now.insert(file.clone(), look);
        if same {
            continue;
        }
        match pictures.recorded(tile) {
            Lookup::Whole(all) => {
                let made_at = changed(&file);
                found.extend(all.into_iter().map(|(id, row, file)| Recorded {
                    id,
                    model: pictures.model(tile).to_owned(),
                    row,
                    file: file.and_then(|f| Some(f.strip_prefix(&app.root).ok()?.to_str()?.to_owned())),
                    made_at,
                }));
            }
            Lookup::Nothing => {}
            Lookup::Damaged(_) | Lookup::Foreign(_) => run.damaged += 1,
        }
    }
    // A record that is gone takes its pictures along; then, and the first time, everything is put in anew.
    let whole = first || !seen.is_empty();
    if whole && !first {
        app.seen().0.remove(name);
        return read(app, name, run.stamp);
    }
    app.db.keep_run(&run, &found, whole)?;
    (run.done, run.flagged) = app.db.count(name)?;
    app.db.keep_run(&run, &[], false)?;
    app.seen().0.insert(name.to_owned(), now);
    let ids = if found.len() <= LISTED { found.iter().map(|f| f.id.clone()).collect() } else { Vec::new() };
    app.hub.tell("run", &Told { run: name, ids, wanted: run.wanted, done: run.done, flagged: run.flagged })
}

/// Looks through the folders every two seconds for as long as the studio runs. Where the index cannot be written, on a full disk
/// say, the next time may do better.
pub async fn keep_scanning(app: Arc<App>) {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let looked = Arc::clone(&app);
        let _ = tokio::task::spawn_blocking(move || scan(&looked)).await;
    }
}
