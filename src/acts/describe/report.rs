//! What a description leaves behind: tables, spectra, settings, a page.

use super::block::{Sample, pack};
use super::measurer::Subject;
use super::recipe::Recipe;
use super::spread::spread;
use super::values::Description;
use crate::acts::columns;
use crate::error::Result;
use crate::generator::pictures;
use crate::render::page::Page;
use crate::render::plot;
use crate::reward::{Calibration, Reward};
use crate::store;
use crate::table::{Table, write_csv, write_parquet};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// A description, with what its files say about it.
pub struct Report {
    /// The measured values.
    pub description: Description,
    /// Whether the directions have the default key and radius; a reward's labels always do.
    pub usual: bool,
    /// The file of each sample, where it has one.
    pub files: Vec<Option<String>>,
    /// Id of the recipe.
    pub run_id: String,
    /// Scales of the intrinsic dimension.
    pub scales: Vec<f64>,
    /// Every setting with its default spelt out, as TOML.
    pub settings: String,
}

impl Report {
    /// The table. It has novelty if the reward's calibration was made by the same estimator at the same model rank.
    ///
    /// # Errors
    /// When the columns do not make a valid table.
    pub fn table(&self, reward: Option<&Reward>) -> Result<Table> {
        self.description.table(self.calibration(reward).as_ref().map(|c| *c).map_err(String::as_str), &self.files)
    }

    /// The calibration that gives novelty, or why there is none.
    fn calibration<'a>(&self, reward: Option<&'a Reward>) -> Result<&'a Calibration, String> {
        let d = &self.description;
        let Some(reward) = reward else { return Err("the model has no reward".into()) };
        let (own, k) = (&reward.card.estimator, d.model_rank);
        match reward.map_rank() {
            None => Err(format!("the reward's quantity is {}, not psi_k of the map", reward.quantity.row().name)),
            Some(_) if !reward.measures_as(&d.estimator, d.directions) => {
                Err(format!("the reward is calibrated by {own}, not by {} of {} directions", d.estimator, d.directions))
            }
            Some(_) if !(self.usual || d.estimator == "exact") => {
                Err("the reward is calibrated along other directions, or with another radius".into())
            }
            Some(rank) if rank != k => Err(format!("the reward is calibrated at model rank {rank}, not {k}")),
            Some(_) => Ok(&reward.calibration),
        }
    }

    /// What has no value, with the reason: descriptors, and the novelty.
    pub fn missing(&self, reward: Option<&Reward>) -> Vec<(String, String)> {
        let named = self.description.missing().into_iter().map(|(name, why)| (name.to_owned(), why));
        named.chain(self.calibration(reward).err().map(|why| ("novelty".to_owned(), why))).collect()
    }

    /// Those of them that a user looks for first.
    pub fn missed(&self, reward: Option<&Reward>) -> Vec<(String, String)> {
        let first = |(name, _): &(String, String)| ["psi_k", "novelty"].contains(&name.as_str());
        self.missing(reward).into_iter().filter(first).collect()
    }

    /// Model, estimator, counts, biases, and what is missing.
    pub fn about(&self, subject: &Subject) -> Value {
        let (d, generator) = (&self.description, &subject.generator);
        let missing: serde_json::Map<String, Value> =
            self.missing(subject.reward.as_ref()).into_iter().map(|(name, why)| (name, json!(why))).collect();
        let biases: serde_json::Map<String, Value> =
            d.biases.iter().map(|(n, bias)| (n.clone(), json!(bias))).collect();
        json!({
            "model": generator.spec().id, "model_sha256": generator.model_sha256(), "estimator": d.estimator,
            "model_rank": d.model_rank, "samples": d.rows.len(), "not_finite": d.not_finite(), "run_id": self.run_id,
            "scales": self.scales, "bias": biases, "undefined": missing,
        })
    }

    /// Writes `settings.toml`, `spectra.npz` if `spectra` gives the recipe for it, `report.html`, `descriptors.csv` on
    /// request, and `descriptors.parquet` last.
    ///
    /// # Errors
    /// When a file cannot be written or a picture cannot be made.
    pub fn write(&self, folder: &Path, subject: &Subject, csv: bool, spectra: Option<&Recipe>) -> Result<()> {
        let put = |name: &str, bytes: &[u8]| store::write_atomic(&folder.join(name), bytes);
        let table = self.table(subject.reward.as_ref())?;
        put("settings.toml", self.settings.as_bytes())?;
        if let Some(recipe) = spectra {
            let samples: Vec<Sample> = self.description.rows.iter().map(|r| r.sample.clone()).collect();
            let about = recipe.about(&self.run_id, None, &recipe.estimator, &samples);
            put("spectra.npz", &pack(&about, &samples)?)?;
        }
        put("report.html", page(self, subject)?.as_bytes())?;
        if csv {
            put("descriptors.csv", write_csv(&table).as_bytes())?;
        }
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let about = self.about(subject);
        let mut metadata: Vec<(String, String)> =
            about.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
        metadata.push(("settings".into(), self.settings.clone()));
        metadata.push(columns::metadata("descriptors", &table));
        put("descriptors.parquet", &write_parquet(&table, &metadata)?)
    }
}

/// Mean, least and greatest value of each descriptor, below a header row.
pub fn summary(d: &Description) -> Vec<Vec<String>> {
    let row = |cells: [&str; 6]| cells.map(str::to_owned).to_vec();
    let missing: BTreeMap<&str, String> = d.missing().into_iter().collect();
    let head = if missing.is_empty() { "" } else { "missing" };
    let mut rows = vec![row(["descriptor", "defined", "mean", "least", "greatest", head])];
    for name in &d.names {
        let values: Vec<f64> = d.values(name).into_iter().flatten().collect();
        let n = values.len();
        let number = |v: f64| match v.abs() {
            _ if n == 0 => "-".to_owned(),
            a if a == 0.0 || (1e-3..1e6).contains(&a) => format!("{v:.4}"),
            _ => format!("{v:.4e}"),
        };
        let mean = values.iter().sum::<f64>() / n.max(1) as f64;
        let (least, greatest) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let why = missing.get(name.as_str()).map_or("", String::as_str);
        rows.push(row([name, &n.to_string(), &number(mean), &number(least), &number(greatest), why]));
    }
    rows
}

/// The page of a description: its numbers, a histogram of ψ_k, pictures from typical to novel.
fn page(report: &Report, subject: &Subject) -> Result<String> {
    let (d, generator) = (&report.description, &*subject.generator);
    let id = &generator.spec().id;
    let mut page = Page::new(&format!("Local geometry of {id}"));
    let text = format!("{} samples, estimator {}, model rank {}.", d.rows.len(), d.estimator, d.model_rank);
    page.section("Descriptors", &text);
    page.table(&summary(d));
    if let Err(why) = report.calibration(subject.reward.as_ref()) {
        page.section("No novelty", &format!("The column is empty: {why}."));
    }
    for (name, b) in &d.biases {
        let text = format!(
            "{name} differs from the exact value by {:.4} ± {:.4} on average over {} samples, and by {:.4} (standard deviation) \
             without that; Spearman {}.",
            b.bias,
            1.96 * b.bias_stderr,
            b.n,
            b.sd,
            b.spearman.map_or("undefined".into(), |r| format!("{r:.3}"))
        );
        page.section(&format!("Bias of {name}"), &text);
    }
    // With fewer directions than the model rank there is ψ alone.
    let (by, psi) = d.scaling();
    let defined: Vec<f64> = psi.iter().flatten().copied().collect();
    page.plot(&plot::histogram("Local scaling of the samples", by, &defined, 40, &[])?);
    page.section("From typical to novel", &format!("Pictures in the order of {by}, lowest first."));
    let mut shown = Vec::new();
    for i in spread(&psi, 60) {
        let row = &d.rows[i].sample;
        if let (Some(Some(picture)), Some(psi)) = (pictures(generator, &row.latent)?.pop(), psi[i]) {
            shown.push((picture, format!("{} {}: {psi:.2}", d.column, row.number)));
        }
    }
    page.pictures(&shown)?;
    Ok(page.html())
}
