//! Pictures beside what is usual.

use super::measure::over;
use crate::acts::study::dimension::{Pictures, diffusion};
use crate::acts::study::{Provenance, Report, write_page, write_table};
use crate::cancel::Cancel;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::{Detection, frontier, wilson};
use crate::generator::Generator;
use crate::progress::Progress;
use crate::render::page::{Page, row};
use crate::render::plot;
use crate::steer::guard::{FitFile, Pair, Place, Verdict, usual_place};
use crate::table::{Column, Table, Values};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Scores that are asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Score {
    /// Diffusion model, name or path
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// What isoline ood fit wrote [default: runs/ood-MODEL/ood.toml]
    #[arg(long, value_name = "FILE")]
    pub fit: Option<PathBuf>,
    /// Seeds of the model's own pictures, as in 0-7; with --pictures, places in the set
    #[arg(long, value_name = "LIST", default_value = "0-15")]
    pub seeds: String,
    /// Pictures to judge instead of the model's own: an IDX file, or a folder or .zip of pictures
    #[arg(long, value_name = "PATH")]
    pub pictures: Option<PathBuf>,
    /// Other pictures of the distribution, at the same places, to see how well the two sets are told apart
    #[arg(long, value_name = "PATH")]
    pub against: Option<PathBuf>,
    /// The share of pictures of the distribution that may be said to be outside
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub alpha: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct ScoreReport {
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// The level of the verdicts.
    pub alpha: f64,
    /// Noise level of both numbers.
    pub sigma: f64,
    /// Number of pictures in the fit.
    pub fitted: usize,
    /// Numbers of the pictures of the fit.
    #[serde(skip)]
    pub usual: Vec<Pair>,
    /// The pictures.
    pub pictures: Vec<Scored>,
    /// How well they are told from the other set, if there is one.
    pub separation: Option<Separation>,
}

/// One judged picture.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Scored {
    /// Its seed, or its place in the set.
    pub seed: u64,
    /// Its numbers.
    #[serde(flatten)]
    pub pair: Pair,
    /// Where they stand.
    pub place: Place,
    /// The verdict.
    pub verdict: Verdict,
}

/// How well pictures are told from others of the distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Separation {
    /// By a low likelihood alone.
    pub likelihood: Detection,
    /// By a low dimension alone.
    pub dimension: Detection,
    /// By the lower of the two places among the fit's pictures: nothing is chosen with these pictures at hand.
    pub pair: Detection,
    /// By the two thresholds that separate these very pictures best: an upper bound, as in the original protocol.
    pub oracle: f64,
    /// The share of the others that is said to be outside.
    pub false_alarms: f64,
}

impl Separation {
    /// The separation of pictures `outside` from others `inside`; `None` where a number is not finite.
    pub fn of(fit: &FitFile, outside: &[Pair], inside: &[Pair], alpha: f64) -> Option<Self> {
        if !outside.iter().chain(inside).all(|p| p.is_finite()) {
            return None;
        }
        let values = |of: &[Pair], value: &dyn Fn(&Pair) -> f64| of.iter().map(value).collect::<Vec<f64>>();
        let by = |value: &dyn Fn(&Pair) -> f64| Detection::of(&values(outside, value), &values(inside, value));
        let both = |of: &[Pair]| of.iter().map(|p| [p.log_likelihood, p.dimension]).collect::<Vec<_>>();
        let alarms = inside.iter().filter(|p| fit.place(**p).verdict(alpha) != Verdict::In).count();
        Some(Self {
            likelihood: by(&|p| -p.log_likelihood)?,
            dimension: by(&|p| -p.dimension)?,
            pair: by(&|p| -fit.place(*p).score())?,
            oracle: frontier(&both(inside), &both(outside))?,
            false_alarms: alarms as f64 / inside.len() as f64,
        })
    }
}

impl Score {
    /// Checks everything that needs no model.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn check(&self) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha < 1.0) {
            return Err(Error::key("alpha", format!("expected a share between 0 and 1, found {}", self.alpha)));
        }
        Pictures { seeds: self.seeds.clone(), pictures: None, probes: 0 }.seeds().map(drop)
    }

    /// Judges the pictures.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), of the fit, the model, the pictures and the device, or a stop.
    pub fn run(&self, device: &Device, progress: &Progress, cancel: &Cancel) -> Result<ScoreReport> {
        self.check()?;
        let sampler = diffusion(&self.model, device)?;
        let spec = sampler.spec();
        let path = self.fit.clone().unwrap_or_else(|| usual_place(&spec.id));
        let fit = FitFile::of_model(&path, sampler.model_sha256())?;
        let of = |set: &Option<PathBuf>, label: &str| {
            let pictures = Pictures { seeds: self.seeds.clone(), pictures: set.clone(), probes: fit.measures.probes };
            over(&fit.measures, (&sampler, &pictures), label, progress, cancel)
        };
        let (seeds, pairs) = of(&self.pictures, "pictures")?;
        let against = self.against.as_ref().map(|set| of(&Some(set.clone()), "the others")).transpose()?;
        let separation = match &against {
            Some((_, inside)) => Some(Separation::of(&fit, &pairs, inside, self.alpha).ok_or_else(|| {
                let all = pairs.iter().chain(inside);
                Error::SamplesNotFinite { count: all.clone().filter(|p| !p.is_finite()).count(), total: all.count() }
            })?),
            None => None,
        };
        let scored = |(seed, pair): (u64, Pair)| {
            let place = fit.place(pair);
            Scored { seed, pair, place, verdict: place.verdict(self.alpha) }
        };
        Ok(ScoreReport {
            model: spec.id.clone(),
            model_sha256: sampler.model_sha256().to_owned(),
            alpha: self.alpha,
            sigma: fit.measures.sigma,
            fitted: fit.pairs.len(),
            pictures: seeds.into_iter().zip(pairs).map(scored).collect(),
            usual: fit.pairs,
            separation,
        })
    }
}

impl ScoreReport {
    /// The verdicts counted, in one line.
    pub fn conclusion(&self) -> String {
        let n = self.pictures.len();
        let count = |v: Verdict| self.pictures.iter().filter(|p| p.verdict == v).count();
        let all = [Verdict::In, Verdict::OffManifold, Verdict::DenseWithoutMass, Verdict::Unknown];
        let counts: Vec<String> = all.iter().map(|v| format!("{} {}", count(*v), v.name())).collect();
        let outside = n - count(Verdict::In);
        let [low, high] = wilson(outside as f64 / n.max(1) as f64, n).map(|v| 100.0 * v);
        format!(
            "of {n} pictures {}; outside: {:.1} % (95 % interval {low:.1} to {high:.1}), where {:.0} % would be of the distribution's own",
            counts.join(", "),
            100.0 * outside as f64 / n.max(1) as f64,
            100.0 * self.alpha
        )
    }

    /// The printed table of how well the sets are told apart, header first.
    pub fn separation_rows(&self) -> Option<Vec<Vec<String>>> {
        let s = self.separation?;
        let line = |name: &str, d: Detection| {
            let [low, high] = d.auc_interval;
            row([name, &format!("{:.3} ({low:.3} to {high:.3})", d.auc), &format!("{:.3}", d.tpr)])
        };
        Some(vec![
            row(["told apart by", "AUC (95 %)", "found at 1 % false alarms"]),
            line("likelihood alone", s.likelihood),
            line("dimension alone", s.dimension),
            line("both, calibrated on the fit's pictures alone", s.pair),
            row(["both, the best thresholds for these pictures (upper bound)", &format!("{:.3}", s.oracle), "-"]),
        ])
    }

    fn table(&self) -> Result<Table> {
        let numbers = |of: fn(&Scored) -> f64| {
            Values::F64(self.pictures.iter().map(|p| Some(of(p)).filter(|v| v.is_finite())).collect())
        };
        Table::new(vec![
            Column::new("seed", Values::U64(self.pictures.iter().map(|p| Some(p.seed)).collect())),
            Column::new(
                "verdict",
                Values::Text(self.pictures.iter().map(|p| Some(p.verdict.name().to_owned())).collect()),
            ),
            Column::new("log_likelihood", numbers(|p| p.pair.log_likelihood)),
            Column::new("dimension", numbers(|p| p.pair.dimension)),
            Column::new("likelihood_place", numbers(|p| p.place.likelihood)),
            Column::new("dimension_place", numbers(|p| p.place.dimension)),
        ])
    }
}

impl Report for ScoreReport {
    fn rows(&self) -> Vec<Vec<String>> {
        let line = |p: &Scored| {
            row([
                &p.seed.to_string(),
                p.verdict.name(),
                &format!("{:.1}", p.pair.log_likelihood),
                &format!("{:.3}", p.place.likelihood),
                &format!("{:.1}", p.pair.dimension),
                &format!("{:.3}", p.place.dimension),
            ])
        };
        let head = row(["seed", "verdict", "ln p", "place", "dimension", "place"]);
        [head].into_iter().chain(self.pictures.iter().map(line)).collect()
    }

    /// Writes `ood.csv`, `ood.parquet`, `ood.svg`, `report.html` and `study.json`.
    fn write(&self, folder: &Path, provenance: &Provenance) -> Result<()> {
        crate::store::create_dir(folder)?;
        let metadata = [("model", self.model.as_str()), ("model_sha256", &self.model_sha256)];
        write_table(folder, "ood", &self.table()?, &metadata)?;
        let mut page = Page::new(&format!("Pictures that {} would not make", self.model));
        let text = format!(
            "{}. Both numbers are of pictures with noise of sigma {}; no likelihood of a picture without noise is meant. A place is \
             the share of the {} pictures of the fit whose number is not higher.",
            self.conclusion(),
            self.sigma,
            self.fitted
        );
        page.section("Verdicts", &text);
        let points = |of: &mut dyn Iterator<Item = Pair>| {
            of.filter(|p| p.is_finite()).map(|p| (p.dimension, p.log_likelihood)).collect::<Vec<_>>()
        };
        let usual = points(&mut self.usual.iter().copied());
        let judged = points(&mut self.pictures.iter().map(|p| p.pair));
        let svg = plot::clouds(
            "Likelihood and dimension",
            "dimension",
            "ln p",
            &[("the distribution", usual), ("these pictures", judged)],
        )?;
        super::super::write_text(folder, "ood.svg", &svg)?;
        page.plot(&svg);
        if let Some(rows) = self.separation_rows() {
            page.section(
                "Told apart",
                "AUC is the probability that one of these pictures looks less usual than one of the distribution.",
            );
            page.table(&rows);
        }
        page.section("Every picture", "");
        page.table(&self.rows());
        write_page(folder, page, self, provenance)
    }
}
