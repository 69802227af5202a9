//! The page of an evaluation: the table, sheets of both sets, what looks copied, what looks real, and a map of the features.

use super::Report;
use super::source::Source;
use crate::error::{Result, shown};
use crate::evaluate::neighbours::{Origin, Points, nearest_between, nearest_within};
use crate::evaluate::principal::Axes;
use crate::evaluate::{Features, Sets, Settings, realism_scores};
use crate::render::Picture;
use crate::render::page::{Page, row};
use crate::render::plot;

/// Pictures of each sheet.
const SHEET: usize = 32;
/// Pictures at each end of the strip by realism, and pairs that look copied.
const STRIP: usize = 12;
/// The metrics that tell copies, side by side.
const COPYING: [&str; 4] = ["auth_pct", "c_t", "ct_modified", "fls_pog"];

/// What the page shows of the samples.
#[derive(Clone, Debug, Default)]
pub struct Material {
    real: Vec<Picture>,
    sets: Vec<OfSet>,
}

#[derive(Clone, Debug)]
struct OfSet {
    name: String,
    sheet: Vec<Picture>,
    /// A generated sample, the real one nearest to it, and how near: its distance as a part of that one's own nearest distance.
    copies: Vec<(Option<[Picture; 2]>, String)>,
    /// Generated samples by realism, the most real first; and whether those between were left out.
    strip: Vec<(Picture, String)>,
    /// Points of real and generated samples along the two leading axes of the real ones.
    map: [Vec<(f64, f64)>; 2],
}

impl Material {
    /// Takes what the page shows of a generated set.
    pub fn add(&mut self, real: &Source, made: &Source, sets: &Sets, settings: &Settings) -> Result<()> {
        let sheet = |source: &Source| source.pictures().map_or(Vec::new(), |p| p[..p.len().min(SHEET)].to_vec());
        if self.sets.is_empty() {
            self.real = sheet(real);
        }
        let pictures = made.pictures();
        let mut strip = Vec::new();
        // Where realism is not defined there is no strip; the table says why.
        if let (Some(pictures), Ok(scores)) = (pictures, realism_scores(sets, settings)) {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            let ends = if order.len() <= 2 * STRIP {
                order
            } else {
                [&order[..STRIP], &order[order.len() - STRIP..]].concat()
            };
            strip = ends.into_iter().map(|i| (pictures[i].clone(), format!("{i}: {:.2}", scores[i]))).collect();
        }
        self.sets.push(OfSet {
            name: shown(&made.path),
            sheet: sheet(made),
            copies: copies(real, made, sets)?,
            strip,
            map: map(sets, settings.seed),
        });
        Ok(())
    }

    /// The page of a report.
    pub fn page(&self, report: &Report) -> Result<Page> {
        let mut page = Page::new("How far generated samples are from real ones");
        let text = format!(
            "{} real samples, compared by {} ({} values each). Intervals are at 95 %, of the value as it is, bias included.",
            report.real.samples, report.features, report.width
        );
        page.section("Metrics", &text);
        page.table(&report.rows());
        page.section("Samples", "Shares of the generated samples of which something holds that should hold of none.");
        page.table(&report.constraints());
        for remark in &report.remarks {
            page.section("Note", remark);
        }
        for comparison in &report.generated {
            let Some(rows) = &comparison.classes else { continue };
            page.section(
                &format!("Class by class: {}", shown(&comparison.set.path)),
                "Real and generated samples by the class that the classifier gives them, which may be wrong, with their share of all; \
                 and the metrics of each class by itself. Few samples of a class make a bias, which the note says.",
            );
            page.table(&super::classes::shown_rows(rows));
        }
        page.section(
            "Was it copied?",
            "No single number tells. AuthPct falls towards 0 where generated samples lie closer to training samples than those lie \
             to each other; C_T is far below 0 where they lie closer to the training samples than held-out ones do; FLS-POG is \
             above 0 where their likelihood is higher under the training samples than under held-out ones.",
        );
        page.table(&self.copying(report));
        let numbered = |pictures: &[Picture]| -> Vec<(Picture, String)> {
            pictures.iter().enumerate().map(|(i, p)| (p.clone(), i.to_string())).collect()
        };
        if !self.real.is_empty() {
            page.section("Real", &format!("The first {}.", self.real.len()));
            page.pictures(&numbered(&self.real))?;
        }
        for set in &self.sets {
            if !set.sheet.is_empty() {
                page.section(&format!("Generated: {}", set.name), &format!("The first {}.", set.sheet.len()));
                page.pictures(&numbered(&set.sheet))?;
            }
            page.section(
                &format!("Nearest to a real sample: {}", set.name),
                "Generated samples and the real one next to each, the most suspicious first. The number is their distance as a part \
                 of the distance from that real sample to its own nearest; 0 is an exact copy.",
            );
            let pairs: Vec<(Picture, String)> = set
                .copies
                .iter()
                .flat_map(|(pair, text)| {
                    pair.iter()
                        .flat_map(move |[made, real]| [(made.clone(), text.clone()), (real.clone(), "real".to_owned())])
                })
                .collect();
            match pairs.is_empty() {
                false => page.pictures(&pairs)?,
                true => {
                    let head = std::iter::once(row(["generated, real, part"]));
                    page.table(&head.chain(set.copies.iter().map(|(_, text)| vec![text.clone()])).collect::<Vec<_>>());
                }
            }
            if !set.strip.is_empty() {
                let text = "By realism: how deep a sample lies in the surroundings of real ones. Above 1 it lies within one. The most \
                            and the least real.";
                page.section(&format!("Realism: {}", set.name), text);
                page.pictures(&set.strip)?;
            }
            let series = [("real", set.map[0].clone()), ("generated", set.map[1].clone())];
            page.section(
                &format!("Map: {}", set.name),
                "Features along the two axes in which the real ones vary most.",
            );
            page.plot(&plot::clouds("Real and generated samples", "first axis", "second axis", &series)?);
        }
        page.section("What was compared", report.world.about);
        page.table(&report.world.rows());
        Ok(page)
    }

    fn copying(&self, report: &Report) -> Vec<Vec<String>> {
        let mut rows = vec![std::iter::once("set").chain(COPYING).map(str::to_owned).collect::<Vec<_>>()];
        for comparison in &report.generated {
            let value = |name: &&str| {
                let found = comparison.findings.iter().find(|f| f.metric == *name).and_then(|f| f.value);
                found.map_or("-".to_owned(), super::figure)
            };
            let name = shown(&comparison.set.path);
            rows.push(std::iter::once(name).chain(COPYING.iter().map(value)).collect());
        }
        rows
    }
}

/// The generated samples that lie nearest to a real one, beside how far that one is from its own nearest.
fn copies(real: &Source, made: &Source, sets: &Sets) -> Result<Vec<(Option<[Picture; 2]>, String)>> {
    let origin = Origin::of(&[sets.real, sets.generated])?;
    let points = |set| Points::new(set, &origin, super::BLOCK);
    let (a, b) = (points(sets.generated), points(sets.real));
    let (nearest, own) = (nearest_between(&a, &b, 1), nearest_within(&b, 1));
    let part = |i: usize| {
        let to = nearest.numbers(i)[0] as usize;
        let (here, there) = (nearest.squared(i)[0].sqrt(), own.squared(to)[0].sqrt());
        (
            if there > 0.0 {
                here / there
            } else if here == 0.0 {
                0.0
            } else {
                f64::INFINITY
            },
            i,
            to,
        )
    };
    let mut all: Vec<(f64, usize, usize)> = (0..sets.generated.rows()).map(part).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let shown = |(part, i, to): &(f64, usize, usize)| {
        let pair = made.pictures().zip(real.pictures()).map(|(m, r)| [m[*i].clone(), r[*to].clone()]);
        (pair, format!("{i}, {to}: {part:.2}"))
    };
    Ok(all.iter().take(STRIP).map(shown).collect())
}

fn map(sets: &Sets, seed: u64) -> [Vec<(f64, f64)>; 2] {
    let axes = Axes::of(sets.real, 2, seed);
    let points = |set: &Features| {
        let along = axes.project(set);
        let point = |row: &[f32]| (f64::from(row[0]), row.get(1).map_or(0.0, |v| f64::from(*v)));
        along.values.chunks_exact(along.width).map(point).collect()
    };
    [points(sets.real), points(sets.generated)]
}
