//! The animation of a sweep: a seed at every level that was asked for, from the most typical to the most novel and back.

use super::recipe::Recipe;
use super::row::SampleRow;
use super::sheet::SheetJob;
use crate::error::Result;
use crate::render::animation::{Frame, encode};
use crate::render::png::read_picture;
use crate::steer::Status;
use crate::store;
use std::path::Path;

/// Path of the animation of a seed below the run directory. Sweeps that differ in more than their levels are numbered.
pub fn animation_path(seed: u64, sweep: usize) -> String {
    match sweep {
        0 => format!("sweep-{seed:06}.png"),
        more => format!("sweep-{seed:06}-{}.png", more + 1),
    }
}

/// Writes an animation into `folder` for each seed of the jobs that are frames of one.
///
/// # Errors
/// When a picture cannot be read or an animation cannot be written.
pub fn write(folder: &Path, jobs: &[SheetJob]) -> Result<()> {
    for (number, levels) in sweeps(jobs).iter().enumerate() {
        for row in levels[0].rows {
            let frames = levels.iter().filter_map(|job| frame(job, row.seed)).collect::<Result<Vec<Frame>>>()?;
            if frames.len() > 1 {
                let what = match &levels[0].planned.recipe.vary {
                    None => format!("seed {}", row.seed),
                    Some(v) => format!("seed {}, variation {}", v.seed, row.seed),
                };
                let path = folder.join(animation_path(row.seed, number));
                store::write_atomic(&path, &encode(&what, &frames)?)?;
            }
        }
    }
    Ok(())
}

/// The jobs of each sweep in the order of their levels: those that differ in nothing else.
fn sweeps<'a>(jobs: &'a [SheetJob<'a>]) -> Vec<Vec<&'a SheetJob<'a>>> {
    let other = |r: &Recipe| Recipe { novelty: None, ..r.clone() };
    let asked = |j: &SheetJob| j.planned.recipe.novelty.map_or(0.0, |n| n.percent());
    let mut sweeps: Vec<(Recipe, Vec<&SheetJob>)> = Vec::new();
    for job in jobs.iter().filter(|j| j.planned.sweep && j.planned.recipe.novelty.is_some()) {
        let recipe = other(&job.planned.recipe);
        match sweeps.iter_mut().find(|s| s.0 == recipe) {
            Some(sweep) => sweep.1.push(job),
            None => sweeps.push((recipe, vec![job])),
        }
    }
    sweeps
        .into_iter()
        .map(|(_, mut jobs)| {
            jobs.sort_by(|a, b| asked(a).total_cmp(&asked(b)));
            jobs
        })
        .collect()
}

fn frame(job: &SheetJob, seed: u64) -> Option<Result<Frame>> {
    let row: &SampleRow = job.rows.iter().find(|r| r.seed == seed)?;
    let asked = row.novelty_asked?;
    let picture = row.file.as_ref().map(|f| read_picture(&job.folder.join(f))).transpose();
    Some(picture.map(|picture| Frame {
        picture,
        asked,
        reached: row.novelty_reached,
        odd: matches!(row.status, Status::OffManifold | Status::Flagged | Status::NonFinite),
    }))
}
