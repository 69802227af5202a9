//! What a comparison leaves behind: a row per sample, plots, a page.

use super::figures::{ComparisonReport, MethodFigures};
use super::row::{TrialRow, table};
use super::{Comparison, DRAWS};
use crate::acts::study::provenance::{Origin, Provenance, RewardNote, Scope};
use crate::acts::study::{Report, json, write_page, write_table, write_text};
use crate::error::Result;
use crate::evaluate::NEIGHBOURHOODS;
use crate::render::Picture;
use crate::render::page::Page;
use crate::render::plot;
use std::path::Path;

/// Most lines of one plot: there are no more colours.
const LINES: usize = 7;

/// Why guides are not in a comparison.
pub const LEFT_OUT: &str = "Guides are left out: a guided picture is not made from a known noise, and this reward measures noises. A \
reward of pictures measures them, see isoline list quantities.";

/// What the evaluation of steered pictures says.
pub const EVALUATED: &str = "The first row is what no steering gives: unguided pictures of the steered seeds. Precision is the share of \
pictures in the surroundings of a compared one; what is asked to be novel may leave them, and so does junk, so look at the pictures. \
Recall is the share of compared pictures that lie in the surroundings of these; steering to one level leaves some unvisited. 95 % \
intervals of each value as it is, bias included";

/// What is counted as an evaluation, for people.
const COUNTED: &str = "An evaluation is one sample through one network once: the reward where it sees latents, else a denoiser \
call or a pass of a one-shot generator; a tangent or adjoint, one for each direction of a Jacobian, counts as one more. \
Measurements are among them; a gradient counts with its value. The search gets as many candidates as cost what the closed loop \
of gradient cost on average; finding the strength of a guide is not counted. Milliseconds stand beside it and depend on the \
machine. Measured again at the end is outside of both.";

impl ComparisonReport {
    /// Where this report comes from: made by the command `origin` for `asked` on a device.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn provenance(&self, origin: &Origin, asked: &Comparison, device: &str) -> Result<Provenance> {
        let recipe = &self.recipe;
        let mut settings = match json(&recipe.settings)? {
            serde_json::Value::Object(settings) => settings,
            _ => serde_json::Map::new(),
        };
        for (key, value) in [
            ("quantity", &recipe.quantity),
            ("estimator", &recipe.estimator),
            ("remeasured_by", &recipe.remeasured),
            ("noise_scheme", &recipe.noise_scheme.to_string()),
        ] {
            settings.insert(key.to_owned(), value.as_str().into());
        }
        if let Some(found) = &self.evaluation {
            let real = [
                ("real", &found.real),
                ("real_sha256", &found.real_sha256),
                ("features_sha256", &found.features_sha256),
            ];
            let given = real.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
            settings
                .extend(given.chain([("features", &found.features)]).map(|(k, v)| (k.to_owned(), v.as_str().into())));
        }
        if !asked.methods.is_empty() {
            settings.insert("methods".to_owned(), asked.methods.join(",").into());
        }
        let reward = RewardNote { name: self.reward.clone(), sha256: self.reward_sha256.clone() };
        let scope =
            Scope { seeds: recipe.seeds.clone(), levels: recipe.levels.clone(), tile: Some(recipe.tile), settings };
        Ok(Provenance::new(origin, (&self.model, &self.model_sha256), Some(reward), device, scope))
    }

    /// Draws a line for each method, at most [`LINES`] of them in a plot: each plot as `NAME-1.svg` and so on, and on the
    /// page. The horizontal axis is logarithmic.
    fn draw(
        &self,
        (folder, page): (&Path, &mut Page),
        name: &str,
        title: &str,
        [x, y]: [&str; 2],
        line: impl Fn(&MethodFigures, &[TrialRow]) -> Vec<(f64, f64)>,
    ) -> Result<()> {
        let all = self.methods.iter().zip(&self.samples);
        let lines: Vec<(&str, Vec<(f64, f64)>)> = all.map(|(m, (_, rows))| (m.short.as_str(), line(m, rows))).collect();
        let count = lines.len().div_ceil(LINES);
        for (i, some) in lines.chunks(LINES).enumerate() {
            let title = if count > 1 { format!("{title} ({} of {count})", i + 1) } else { title.to_owned() };
            let svg = plot::lines(&title, x, y, some, true)?;
            write_text(folder, &format!("{name}-{}.svg", i + 1), &svg)?;
            page.plot(&svg);
        }
        Ok(())
    }
}

/// (x, share of samples off by more than x) for each miss x.
fn tail(rows: &[TrialRow], miss: impl Fn(&TrialRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let mut misses: Vec<f64> = rows.iter().filter_map(miss).filter(|m| *m > 0.0).collect();
    misses.sort_by(f64::total_cmp);
    let n = rows.len().max(1) as f64;
    let last = misses.len();
    // The sample itself still counts at its own miss, so that the largest one is drawn above 0.
    misses.into_iter().enumerate().map(|(i, m)| (m, (last - i) as f64 / n)).collect()
}

impl Report for ComparisonReport {
    fn rows(&self) -> Vec<Vec<String>> {
        self.miss_rows()
    }

    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        let id = &self.model;
        let mut page = Page::new(&format!("Steering on {id}: asked and reached"));
        page.section(
            "Misses",
            &format!(
                "Seeds {}, each to {} levels of {}, measured by {}. A miss is |asked - reached| in points of the percentile. \
                 In brackets 95 % intervals of {DRAWS} draws of seeds: all levels of a seed are drawn together. Spearman is \
                 first plain, then as a share of the ceiling that tied levels leave it.",
                self.recipe.seeds,
                self.recipe.levels.len(),
                self.quantity,
                self.estimator
            ),
        );
        page.table(&self.miss_rows());
        if self.guides_left_out {
            page.section("Left out", LEFT_OUT);
        }
        page.section("Cost", COUNTED);
        page.table(&self.cost_rows());
        let order = ["network evaluations per sample", "Spearman of asked and reached"];
        self.draw((folder, &mut page), "cost", "Order reached, over cost", order, |m, _| {
            m.spearman_unadjusted.map(|rho| (m.evaluations, rho)).into_iter().collect()
        })?;
        page.section(
            "Tails",
            "Share of samples that are off by at least so much. A curve that falls early is a method whose worst samples are good \
             too.",
        );
        let misses = ["|asked - reached|, points", "share of samples"];
        self.draw((folder, &mut page), "tail", "How far samples are off", misses, |_, r| tail(r, TrialRow::miss))?;
        self.held_out_section(folder, &mut page)?;
        page.section(
            "What is left of the unguided pictures",
            "Correlation of pixels with the unguided picture of the same seed, angles between pictures and between latents, and \
             the share that keeps its class where a classifier was named.",
        );
        page.table(&self.identity_rows());
        self.evaluation_section(folder, &mut page)?;
        page.section(
            "How much of it is brightness",
            "Rank correlations over the samples of a method. What is left of asked and reached among pictures of equal \
             brightness is the last column.",
        );
        page.table(&self.brightness_rows());
        page.section(
            "Asked and reached",
            "One dot for each seed and level; on the dashed line reached is what was asked.",
        );
        let mut scatters = Vec::new();
        for (m, (_, rows)) in self.methods.iter().zip(&self.samples) {
            let points = rows.iter().filter_map(|r| Some((r.sample.novelty_asked?, r.sample.novelty_reached?)));
            let points: Vec<(f64, f64)> = points.collect();
            let svg = plot::scatter(&m.name, "asked, percentile", "reached, percentile", &points, true)?;
            write_text(folder, &format!("reached-{}.svg", m.short), &svg)?;
            scatters.push(svg);
        }
        page.plots(&scatters);
        page.section("Level by level", "");
        page.table(&self.level_rows());
        let metadata = [
            ("model", id.as_str()),
            ("model_sha256", &self.model_sha256),
            ("reward_sha256", &self.reward_sha256),
            ("remeasured_by", &self.remeasured_by),
        ];
        write_table(folder, "samples", &table(&self.samples)?, &metadata)?;
        write_page(folder, page, self, provenance)
    }
}

impl ComparisonReport {
    fn evaluation_section(&self, folder: &Path, page: &mut Page) -> Result<()> {
        let Some(found) = &self.evaluation else { return Ok(()) };
        for (i, against) in found.references().into_iter().enumerate() {
            let title = format!("New pictures or junk: beside {against} ones");
            let text = if i == 0 {
                format!("{}. {EVALUATED}.", found.said(against))
            } else {
                format!("{}.", found.said(against))
            };
            page.section(&title, &text);
            page.table(&found.rows(against));
        }
        let notes = found.notes();
        if !notes.is_empty() {
            page.section("What to know of these numbers", &format!("{}.", notes.join(". ")));
        }
        let mut plots = Vec::new();
        for metric in NEIGHBOURHOODS {
            let name = metric.name;
            let svg = plot::lines(name, "asked, percentile", name, &found.lines(name), false)?;
            write_text(folder, &format!("{name}.svg"), &svg)?;
            plots.push(svg);
        }
        page.plots(&plots);
        let mut sheets: Vec<(&str, Vec<(Picture, String)>)> = Vec::new();
        for set in &found.sets {
            let said = set.asked.map_or(String::new(), |a| format!("at {a}"));
            let pictures = set.shown.iter().map(|p| (p.clone(), said.clone()));
            match sheets.last_mut().filter(|(name, _)| *name == set.method) {
                Some((_, all)) => all.extend(pictures),
                None => sheets.push((&set.method, pictures.collect())),
            }
        }
        for (name, pictures) in sheets.iter().filter(|(_, pictures)| !pictures.is_empty()) {
            page.section(&format!("The first pictures: {name}"), "");
            page.pictures(pictures)?;
        }
        write_table(folder, "evaluation", &found.table()?, &[("model_sha256", &self.model_sha256)])
    }

    fn held_out_section(&self, folder: &Path, page: &mut Page) -> Result<()> {
        let Some(rows) = self.held_out_rows() else {
            let text = format!(
                "Reached was measured by {}, so choosing by it flatters nothing ({}).",
                self.estimator, self.remeasured_by
            );
            page.section("Held out", &text);
            return Ok(());
        };
        page.section(
            "Held out",
            &format!(
                "The closed loop keeps the attempt whose own measurement ({}) came nearest, which makes it look better than it is. \
                 Here each sample was measured once more, by {}, which steering never used, brought to the same mean and \
                 spread by 128 unguided samples, and placed in the same calibration. Two sets of directions order samples \
                 differently also where nothing was chosen: in the row of unguided samples, apart is that difference, the median of |reached - held out|; it is part of every held-out miss.",
                self.estimator, self.remeasured_by
            ),
        );
        page.table(&rows);
        let title = "How far samples are off by the measurement held out";
        let labels = ["|asked - held out|, points", "share of samples"];
        self.draw((folder, page), "tail-held-out", title, labels, |_, r| tail(r, TrialRow::miss_remeasured))
    }
}
