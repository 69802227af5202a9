//! The contact sheet: one row per job, one column per seed; where there are more levels than seeds, the other way round.
//! Many columns wrap, and very many go on over further pages.

use super::planned::PlannedJob;
use super::recipe::Recipe;
use super::row::SampleRow;
use super::scale::Sort;
use super::subject::NO_REWARD;
use crate::error::{Error, Result};
use crate::render::Picture;
use crate::render::grid::{BALANCED, Cell, Fit, Mark, NOVEL, Sheet, SheetRow, TYPICAL};
use crate::render::png::{self, read_picture};
use crate::steer::{Status, guide};
use crate::store;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// The most pages; the last one says what is left out.
const PAGES: usize = 64;
/// The most columns that are looked at: those of so many pages of 400 pictures.
const COLUMNS: usize = PAGES * 400;
/// Seeds that stand in one line before lines wrap.
const LINE: usize = 8;
/// Levels of a seed that stand in one line.
const STRIP: usize = 24;
/// Shorter side of a picture that is easy to look at, in pixels.
const LARGE: usize = 160;

/// A finished job, as sheets show it.
pub struct SheetJob<'a> {
    /// The job.
    pub planned: &'a PlannedJob,
    /// Its folder.
    pub folder: &'a Path,
    /// Its samples, in the order their seeds were typed.
    pub rows: &'a [SampleRow],
}

/// Writes the sheet of these jobs into `folder` as `grid.png`, or, if it takes more than one page, as `grid-001.png` and
/// so on, and removes what a sheet of another number of pages has left there.
///
/// # Errors
/// When a picture cannot be read or a page cannot be written.
pub fn write(folder: &Path, jobs: &[SheetJob]) -> Result<()> {
    let sheets = Sheets::of(jobs)?;
    let pages = sheets.pages();
    for page in 0..pages {
        let picture = sheets.page(page)?.draw();
        store::write_atomic(&folder.join(page_name(page, pages)), &png::encode(&picture, &png::PngText::default())?)?;
    }
    let written: BTreeSet<String> = (0..pages).map(|p| page_name(p, pages)).collect();
    for stale in sheet_pages(folder).into_iter().filter(|n| !written.contains(n)) {
        let path = folder.join(stale);
        std::fs::remove_file(&path).map_err(|e| Error::io(&path, "remove a page of an earlier sheet", e))?;
    }
    Ok(())
}

/// The names of the pages of the sheet in `folder`, in order.
pub fn sheet_pages(folder: &Path) -> Vec<String> {
    let names = std::iter::once(page_name(0, 1)).chain((0..PAGES).map(|p| page_name(p, PAGES)));
    names.filter(|n| folder.join(n).is_file()).collect()
}

fn page_name(page: usize, pages: usize) -> String {
    if pages == 1 { "grid.png".to_owned() } else { format!("grid-{:03}.png", page + 1) }
}

/// The pages of a sheet, of which only one is in memory at a time.
struct Sheets<'a> {
    jobs: Vec<&'a SheetJob<'a>>,
    /// The samples of each job by seed.
    samples: Vec<BTreeMap<u64, &'a SampleRow>>,
    /// In the order of the sheet.
    seeds: Vec<u64>,
    /// Whether levels are columns and seeds rows.
    levels_across: bool,
    fit: Fit,
}

impl<'a> Sheets<'a> {
    fn of(jobs: &'a [SheetJob<'a>]) -> Result<Self> {
        let mut known = BTreeSet::new();
        let mut seeds: Vec<u64> = jobs.iter().flat_map(|j| j.rows).map(|r| r.seed).collect();
        seeds.retain(|s| known.insert(*s));
        let levels_across = jobs.len() > seeds.len();
        let mut jobs: Vec<&SheetJob> = jobs.iter().collect();
        if levels_across {
            // A seed's own place first, then from typical to novel.
            jobs.sort_by(|a, b| asked(a).unwrap_or(-1.0).total_cmp(&asked(b).unwrap_or(-1.0)));
        }
        let samples: Vec<BTreeMap<u64, &SampleRow>> =
            jobs.iter().map(|j| j.rows.iter().map(|r| (r.seed, r)).collect()).collect();
        match jobs.iter().find_map(|j| j.planned.sort).unwrap_or_default() {
            Sort::Typed => {}
            Sort::Seed => seeds.sort_unstable(),
            Sort::Novelty => {
                // Where the seeds themselves lie, if that was made; otherwise what the first row reached.
                let by = jobs.iter().position(|j| asked(j).is_none()).unwrap_or(0);
                let place = |seed: &u64| {
                    let row = samples.get(by).and_then(|s| s.get(seed));
                    row.and_then(|r| Some((r.novelty_reached?, r.beyond.unwrap_or(0.0)))).unwrap_or((f64::MAX, 0.0))
                };
                seeds.sort_by(|a, b| {
                    let (a, b) = (place(a), place(b));
                    a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
                });
            }
        }
        let mut sheets = Self { jobs, samples, seeds, levels_across, fit: Fit { wrap: 1, page: 1 } };
        let columns = sheets.columns();
        // The first picture of each row stands for all, because those of a model have one size.
        let mut seen = BTreeSet::new();
        let outline =
            sheets.sheet(0..columns.min(COLUMNS), &mut |job, row| match row.file.is_some() && seen.insert(job) {
                true => picture(sheets.jobs[job].folder, row),
                false => Ok(None),
            })?;
        let outline = Sheet { more_columns: columns.saturating_sub(COLUMNS), ..outline };
        sheets.fit = outline.fit(if levels_across { STRIP } else { LINE });
        Ok(sheets)
    }

    fn columns(&self) -> usize {
        if self.levels_across { self.jobs.len() } else { self.seeds.len() }
    }

    fn pages(&self) -> usize {
        self.columns().div_ceil(self.fit.page).clamp(1, PAGES)
    }

    fn page(&self, page: usize) -> Result<Sheet> {
        let first = page * self.fit.page;
        let last = (first + self.fit.page).min(self.columns());
        let sheet = self.sheet(first..last, &mut |job, row| picture(self.jobs[job].folder, row))?;
        let pages = self.pages();
        let left_out = if page + 1 == pages { self.columns() - last } else { 0 };
        let page = if pages > 1 { format!("page {} of {pages}; ", page + 1) } else { String::new() };
        let sorted = self.jobs.iter().find_map(|j| j.planned.sort) == Some(Sort::Novelty);
        let sorted = if sorted { "; seeds in the order of their novelty" } else { "" };
        let below = match self.jobs.iter().any(|j| j.planned.recipe.has_reward()) {
            true => "below each picture: the novelty it reached, in percent of the model's own samples",
            false => "no reward yet, so that no novelty is known",
        };
        Ok(Sheet {
            title: Some(title(&self.jobs)),
            subtitle: Some(format!("{page}{below}{sorted}")),
            more_columns: left_out,
            ..sheet
        })
    }

    /// The columns `range`; `load` gives the picture of a sample of a job.
    fn sheet(
        &self,
        range: Range<usize>,
        load: &mut dyn FnMut(usize, &SampleRow) -> Result<Option<Picture>>,
    ) -> Result<Sheet> {
        let jobs: Vec<usize> = (0..self.jobs.len()).collect();
        let cell =
            |job: usize, seed: u64, load: &mut dyn FnMut(usize, &SampleRow) -> Result<Option<Picture>>| match self
                .samples[job]
                .get(&seed)
            {
                None => Ok(Cell { picture: None, caption: "not asked for".into(), mark: None }),
                Some(row) => Ok(Cell { picture: load(job, row)?, ..caption(row) }),
            };
        let varied = self.jobs.iter().all(|j| j.planned.recipe.vary.is_some());
        let named = |seed: &u64| match (varied, *seed < 1_000_000_000_000) {
            (true, _) => format!("no. {seed}"),
            (false, true) => format!("seed {seed}"),
            (false, false) => seed.to_string(),
        };
        let row = |label: String, sublabel: String, colour, cells: Result<Vec<Cell>>| {
            Ok(SheetRow { label, sublabel, colour, cells: cells? })
        };
        let rows: Result<Vec<SheetRow>> = match self.levels_across {
            true => {
                let shown = &jobs[range.clone()];
                let each = |seed: &u64| {
                    row(named(seed), String::new(), BALANCED, shown.iter().map(|j| cell(*j, *seed, load)).collect())
                };
                self.seeds.iter().map(each).collect()
            }
            false => {
                let shown = &self.seeds[range.clone()];
                let each = |j: &usize| {
                    let job = self.jobs[*j];
                    let cells = shown.iter().map(|seed| cell(*j, *seed, load)).collect();
                    let asks = asked(job).map_or("unguided".to_owned(), |a| format!("asked {a:.0}"));
                    row(job.planned.name.clone(), asks, colour(job), cells)
                };
                jobs.iter().map(each).collect()
            }
        };
        let column_labels = match self.levels_across {
            true => jobs[range].iter().map(|j| level_label(self.jobs[*j])).collect(),
            false => self.seeds[range].iter().map(named).collect(),
        };
        let least = if self.jobs.iter().any(|j| j.planned.large) { LARGE } else { 0 };
        Ok(Sheet { rows: rows?, column_labels, wrap: self.fit.wrap, least, ..Sheet::default() })
    }
}

fn asked(job: &SheetJob) -> Option<f64> {
    job.planned.recipe.novelty.map(|n| n.percent())
}

fn colour(job: &SheetJob) -> [u8; 3] {
    match asked(job) {
        Some(a) if a < 50.0 => TYPICAL,
        Some(a) if a > 50.0 => NOVEL,
        _ => BALANCED,
    }
}

/// What a level is called above its column.
fn level_label(job: &SheetJob) -> String {
    match asked(job) {
        Some(a) if job.planned.name == format!("novelty-{a}") => format!("asked {a}"),
        _ => job.planned.name.clone(),
    }
}

fn picture(folder: &Path, row: &SampleRow) -> Result<Option<Picture>> {
    row.file.as_ref().map(|f| read_picture(&folder.join(f))).transpose()
}

/// What stands below a sample, and its mark.
fn caption(row: &SampleRow) -> Cell {
    let mark = match row.status {
        Status::Flagged => Some(Mark::Flagged),
        Status::Unmeasured if row.unusual().is_some() => Some(Mark::Flagged),
        Status::Ok | Status::Unmeasured => None,
        Status::Unreached => Some(Mark::Missed),
        Status::OffManifold | Status::NonFinite => Some(Mark::Odd),
    };
    let caption = match (row.novelty_reached, row.status) {
        (Some(n), _) => format!("{n:.1}"),
        (None, Status::Unmeasured) => "not measured".to_owned(),
        (None, _) => "no value".to_owned(),
    };
    Cell { picture: None, caption, mark }
}

/// Model, reward, method and guidance of these jobs; what they have in common stands once.
fn title(jobs: &[&SheetJob]) -> String {
    let recipes = || jobs.iter().map(|j| &j.planned.recipe);
    let once = |texts: Vec<String>| {
        let mut known = BTreeSet::new();
        texts.into_iter().filter(|t| known.insert(t.clone())).collect::<Vec<_>>()
    };
    let listed = |one: &str, many: &str, all: Vec<String>| match all.len() {
        0 => None,
        1 => Some(format!("{one} {}", all[0])),
        _ => Some(format!("{many} {}", all.join(", "))),
    };
    let models = once(recipes().map(|r| r.model.clone()).collect()).join(", ");
    let own = |r: &Recipe| if r.has_reward() { "own".to_owned() } else { NO_REWARD.to_owned() };
    let rewards = once(recipes().map(|r| r.reward.clone().unwrap_or_else(|| own(r))).collect());
    let methods = once(recipes().filter(|r| r.is_steered()).map(|r| r.method.clone()).collect());
    let denoising = || recipes().filter_map(|r| Some((r, r.denoising.as_ref()?)));
    let strengths =
        once(denoising().filter(|(r, _)| guide(&r.method).is_some()).map(|(_, d)| d.strength.to_string()).collect());
    let class = |c: &usize, scale: f64| if scale == 1.0 { format!("{c}") } else { format!("{c} (scale {scale})") };
    let classes = once(
        denoising().filter_map(|(_, d)| d.condition.class.as_ref().map(|c| class(c, d.condition.scale()))).collect(),
    );
    let varied =
        once(recipes().filter_map(|r| r.vary.as_ref()).map(|v| format!("{} by {} rad", v.seed, v.angle)).collect());
    let ends = once(denoising().filter_map(|(_, d)| d.end.sentence()).collect());
    let unguided = methods.is_empty().then(|| "unguided".to_owned());
    let parts = [
        Some(models),
        match rewards.as_slice() {
            [one] if one == "own" => Some("own reward".to_owned()),
            [one] if one == NO_REWARD => Some("no reward".to_owned()),
            _ => listed("reward", "rewards", rewards),
        },
        unguided.or(listed("method", "methods", methods)),
        listed("guidance", "guidance", strengths),
        listed("class", "classes", classes),
        (!ends.is_empty()).then(|| ends.join(", ")),
        listed("variations of seed", "variations of seeds", varied),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Percentile;

    const RECIPE: &str = "format = 1\nversion = \"0\"\nnoise_scheme = 1\nmodel = \"digits-gan\"\nmodel_sha256 = \"\"\n\
reward_sha256 = \"\"\nmethod = \"gradient\"\nestimator = \"exact\"\ntile = 16\ndevice = \"cpu\"\nmetadata = true\n\
[settings]\nsteps = 1\nmax_angle = 0.1\ncorrections = 0\n";

    fn planned(novelty: Option<f64>, sort: Sort) -> PlannedJob {
        let recipe = toml::from_str::<Recipe>(RECIPE).unwrap();
        let method = if novelty.is_some() { "gradient" } else { "none" };
        PlannedJob {
            name: novelty.map_or("balanced".to_owned(), |n| format!("novelty-{n}")),
            folder: ".".into(),
            model: "digits-gan".into(),
            seeds: String::from("0").try_into().unwrap(),
            subdirs: false,
            large: false,
            sort: Some(sort),
            sweep: false,
            from: None,
            classifier: None,
            recipe: Recipe { novelty: novelty.map(Percentile::clamped), method: method.into(), ..recipe },
        }
    }

    fn rows(reached: &[(u64, Option<f64>)]) -> Vec<SampleRow> {
        let row = |(seed, reached): &(u64, Option<f64>)| {
            let json = serde_json::json!({"seed": seed, "file": null, "sha256": null, "novelty_asked": null,
                "novelty_predicted": null, "psi_predicted": null, "novelty_reached": reached, "beyond": 0.0, "psi_k": null,
                "distance": 0.0, "angle": 0.0, "steps": 0, "status": "ok"});
            serde_json::from_value(json).unwrap()
        };
        reached.iter().map(row).collect()
    }

    #[test]
    fn seeds_are_sorted_by_the_place_they_have_of_themselves() {
        let plain = rows(&[(9, Some(70.0)), (2, Some(20.0)), (5, None), (4, Some(50.0))]);
        let steered = rows(&[(9, Some(89.0)), (2, Some(91.0)), (5, Some(90.0)), (4, Some(90.5))]);
        let order = |sort: Sort, with_plain: bool| {
            let jobs = [planned(Some(90.0), sort), planned(None, sort)];
            let each = [(&jobs[0], &steered), (&jobs[1], &plain)];
            let views: Vec<SheetJob> = each
                .iter()
                .take(if with_plain { 2 } else { 1 })
                .map(|(planned, rows)| SheetJob { planned, folder: Path::new("."), rows })
                .collect();
            Sheets::of(&views).unwrap().seeds
        };
        assert_eq!(order(Sort::Typed, true), [9, 2, 5, 4]);
        assert_eq!(order(Sort::Seed, true), [2, 4, 5, 9]);
        assert_eq!(order(Sort::Novelty, true), [2, 4, 9, 5]);
        assert_eq!(order(Sort::Novelty, false), [9, 5, 4, 2]);
    }

    #[test]
    fn levels_lie_across_where_there_are_more_of_them_than_seeds() {
        let jobs = [planned(Some(95.0), Sort::Typed), planned(Some(5.0), Sort::Typed), planned(None, Sort::Typed)];
        let samples = rows(&[(3, Some(50.0))]);
        let views: Vec<SheetJob> =
            jobs.iter().map(|planned| SheetJob { planned, folder: Path::new("."), rows: &samples }).collect();
        let sheet = Sheets::of(&views).unwrap().page(0).unwrap();
        assert_eq!(sheet.column_labels, ["balanced", "asked 5", "asked 95"]);
        assert_eq!((sheet.rows.len(), sheet.rows[0].label.as_str()), (1, "seed 3"));
        assert_eq!(sheet.title.as_deref(), Some("digits-gan, own reward, method gradient"));
    }
}
