//! Working on a shard, and putting the results of all shards together.

use super::plan::Plan;
use super::shard::{Manifest, Shard, array_expression, attempt};
use super::status::survey;
use super::work::{Drive, Maker, Work};
use crate::error::{Error, Result, shown};
use crate::store;
use std::path::Path;

/// Whether `shard` is finished: its manifest belongs to this plan and every file still has its hash.
pub fn is_finished(folder: &Path, plan: &Plan, shard: Shard, work: &dyn Work) -> bool {
    let Some(manifest) = Manifest::find(folder, shard, &plan.id()) else { return false };
    let mut files = Vec::new();
    for tile in shard.range(work.tiles()) {
        let mut state = work.state(tile, true);
        if !state.is_done() {
            return false;
        }
        files.append(&mut state.files);
    }
    manifest.hash == hash_of(&files)
}

/// Makes the unfinished tiles of a shard and writes its manifest last.
///
/// # Errors
/// Those of [`Drive::run`].
pub fn work_shard(drive: &Drive, work: &dyn Work, maker: &mut dyn Maker) -> Result<()> {
    let (Some(folder), Some(plan), Some(shard)) = (drive.folder, drive.plan, drive.shard) else {
        return Err(Error::Bug("a shard of no run".into()));
    };
    let attempt = attempt(folder, shard)?;
    let tally = drive.run(work, maker)?;
    let range = shard.range(work.tiles());
    let manifest = Manifest {
        format: 1,
        plan: plan.id(),
        index: shard.index,
        count: shard.count,
        first: range.start,
        last: range.end as i64 - 1,
        rows: tally.done,
        hash: hash_of(&tally.files),
        attempt,
        host: store::host(),
        version: env!("CARGO_PKG_VERSION").into(),
        seconds: (tally.seconds * 1e3).round() / 1e3,
    };
    manifest.write(folder)
}

/// SHA-256 over the lines `hash  path`, as `sha256sum` prints them.
fn hash_of(files: &[(String, String)]) -> String {
    let lines: String = files.iter().map(|(hash, path)| format!("{hash}  {path}\n")).collect();
    store::sha256_hex(lines.as_bytes())
}

/// Checks every hash, compares the manifests if the plan fixes the shards, puts the tiles together, and writes
/// `provenance.json` last. Returns (samples, how many of them were not finite).
///
/// # Errors
/// [`Error::Input`] naming the tiles or shards to be run again.
pub fn merge(folder: &Path, plan: &Plan, work: &dyn Work) -> Result<(u64, u64)> {
    let found = survey(folder, plan, work, true)?;
    if let Some(problem) = found.problems.iter().find(|p| p.tile.is_some()) {
        let more = found.problems.len() - 1;
        let message =
            format!("{} and {more} more faults; run isoline resume, or isoline work for its shard", problem.what);
        return Err(Error::input(folder, message));
    }
    if let Some(missing) = found.missing_shards.as_ref().filter(|m| !m.is_empty()) {
        let (n, all) = (missing.len(), plan.shards.unwrap_or(0));
        let message =
            format!("{n} of {all} shards are not finished: {}; run isoline work for these", array_expression(missing));
        return Err(Error::input(folder, message));
    }
    if !found.missing.is_empty() {
        let (n, all) = (found.missing.len(), found.tiles.0);
        let message =
            format!("{n} of {all} tiles are not finished: {}; run isoline resume", array_expression(&found.missing));
        return Err(Error::input(folder, message));
    }
    let mut manifests = Vec::new();
    for index in 0..plan.shards.unwrap_or(0) {
        let shard = Shard { index, count: plan.shards.unwrap_or(0) };
        let manifest = Manifest::find(folder, shard, &plan.id());
        let range = shard.range(found.tiles.0);
        let files = &found.files[found.starts[range.start as usize]..found.starts[range.end as usize]];
        match manifest.filter(|m| m.hash == hash_of(files)) {
            Some(manifest) => manifests.push(manifest),
            None => {
                let (place, label) = (Manifest::path(shard), shard.label());
                let message = format!("{place}: its hash is not that of its files; make shard {label} again");
                return Err(Error::input(folder, message));
            }
        }
    }
    work.finish()?;
    let provenance = serde_json::json!({
        "format": 1,
        "plan": plan.id(),
        "kind": plan.kind,
        "version": env!("CARGO_PKG_VERSION"),
        "samples": found.done,
        "non_finite": found.non_finite,
        "files": found.files.len(),
        "hash": hash_of(&found.files),
        "shards": manifests,
    });
    let path = folder.join("provenance.json");
    store::write_atomic(&path, format!("{provenance:#}\n").as_bytes())?;
    if found.done == 0 {
        return Err(Error::Bug(format!("{}: a plan without samples", shown(folder))));
    }
    Ok((found.done, found.non_finite))
}
