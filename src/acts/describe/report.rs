//! What a description leaves behind: tables, spectra, settings, a page.

use super::block::{Sample, pack};
use super::measurer::Subject;
use super::recipe::Recipe;
use super::spread::spread;
use super::values::Description;
use crate::acts::columns;
use crate::error::Result;
use crate::generator::{Generator, pictures};
use crate::render::page::Page;
use crate::render::plot;
use crate::reward::Reward;
use crate::store;
use crate::table::{Table, write_csv, write_parquet};
use serde_json::{Value, json};
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
        let d = &self.description;
        let same = self.usual || d.estimator == "exact";
        let fits =
            |r: &&Reward| same && r.measures_as(&d.estimator, d.directions) && r.map_rank() == Some(d.model_rank);
        d.table(reward.filter(fits).map(|r| &r.calibration), &self.files)
    }

    /// Model, estimator, counts and biases.
    pub fn about(&self, generator: &dyn Generator) -> Value {
        let d = &self.description;
        let biases: serde_json::Map<String, Value> =
            d.biases.iter().map(|(n, bias)| (n.clone(), json!(bias))).collect();
        json!({
            "model": generator.spec().id, "model_sha256": generator.model_sha256(), "estimator": d.estimator,
            "model_rank": d.model_rank, "samples": d.rows.len(), "not_finite": d.not_finite(), "run_id": self.run_id,
            "scales": self.scales, "bias": biases,
        })
    }

    /// Writes `settings.toml`, `spectra.npz` if `spectra` gives the recipe for it, `report.html`, `descriptors.csv` on
    /// request, and `descriptors.parquet` last.
    ///
    /// # Errors
    /// When a file cannot be written or a picture cannot be made.
    pub fn write(&self, folder: &Path, subject: &Subject, csv: bool, spectra: Option<&Recipe>) -> Result<()> {
        let generator = &*subject.generator;
        let put = |name: &str, bytes: &[u8]| store::write_atomic(&folder.join(name), bytes);
        let table = self.table(subject.reward.as_ref())?;
        put("settings.toml", self.settings.as_bytes())?;
        if let Some(recipe) = spectra {
            let samples: Vec<Sample> = self.description.rows.iter().map(|r| r.sample.clone()).collect();
            let about = recipe.about(&self.run_id, None, &recipe.estimator, &samples);
            put("spectra.npz", &pack(&about, &samples)?)?;
        }
        put("report.html", page(&self.description, generator)?.as_bytes())?;
        if csv {
            put("descriptors.csv", write_csv(&table).as_bytes())?;
        }
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let about = self.about(generator);
        let mut metadata: Vec<(String, String)> =
            about.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
        metadata.push(("settings".into(), self.settings.clone()));
        metadata.push(columns::metadata("descriptors", &table));
        put("descriptors.parquet", &write_parquet(&table, &metadata)?)
    }
}

/// Mean, least and greatest value of each descriptor, below a header row.
pub fn summary(d: &Description) -> Vec<Vec<String>> {
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![row(["descriptor", "defined", "mean", "least", "greatest"])];
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
        rows.push(row([name, &n.to_string(), &number(mean), &number(least), &number(greatest)]));
    }
    rows
}

/// The page of a description: its numbers, a histogram of ψ_k, pictures from typical to novel.
fn page(d: &Description, generator: &dyn Generator) -> Result<String> {
    let id = &generator.spec().id;
    let mut page = Page::new(&format!("Local geometry of {id}"));
    let text = format!("{} samples, estimator {}, model rank {}.", d.rows.len(), d.estimator, d.model_rank);
    page.section("Descriptors", &text);
    page.table(&summary(d));
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
    let psi = d.values("psi_k");
    let defined: Vec<f64> = psi.iter().flatten().copied().collect();
    page.plot(&plot::histogram("Local scaling of the samples", "psi_k", &defined, 40, &[])?);
    page.section("From typical to novel", "Pictures in the order of psi_k, lowest first.");
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
