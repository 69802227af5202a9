//! How good the reward is, measured on latents it was not trained on (theory, 13).

use super::{Calibration, QuantityRow};
use crate::error::Result;
use crate::render::plot;
use crate::statistics::{r_squared, spearman};
use crate::units::Level;
use serde_json::json;

/// Which part of the labelled set a latent belongs to. Its index alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// 80 %.
    Train,
    /// 10 %.
    Validation,
    /// 10 %.
    Test,
}

impl Split {
    /// The split of label `i`.
    pub fn of(i: usize) -> Self {
        match i % 10 {
            8 => Self::Validation,
            9 => Self::Test,
            _ => Self::Train,
        }
    }
}

/// The report's figures, and the data of its plots.
pub struct Report {
    /// Model id.
    pub model: String,
    /// What is predicted.
    pub quantity: &'static QuantityRow,
    /// Model rank k; 0 for a quantity without a spectrum.
    pub model_rank: usize,
    /// Labels for which the quantity is defined.
    pub labels: usize,
    /// Spearman correlation of prediction and truth on the test split.
    pub spearman: Option<f64>,
    /// Coefficient of determination (R²) of the levels on the test split.
    pub r_squared: Option<f64>,
    /// Expected calibration error: mean |nominal − actual coverage| over central intervals of 10 … 90 %.
    pub expected_calibration_error: f64,
    /// (nominal, actual) coverage of the predicted intervals.
    pub coverage: Vec<(f64, f64)>,
    /// (number of training labels, Spearman on the test split).
    pub learning_curve: Vec<(f64, f64)>,
    /// [σ, Spearman on test pictures with that much noise]; empty unless the reward sees noise.
    pub levels: Vec<[f64; 2]>,
    /// Share of latents whose own rank is below k, so that ψ_k includes negligible singular values.
    pub below_rank: f64,
    /// The labels' own calibration table.
    pub calibration: Calibration,
    validation_nll: f64,
    /// (truth, prediction) on the test split, both as levels.
    pairs: Vec<(f64, f64)>,
}

/// Central intervals of the standard normal distribution: (coverage, half-width).
const INTERVALS: [(f64, f64); 9] = [
    (0.1, 0.125_661),
    (0.2, 0.253_347),
    (0.3, 0.385_320),
    (0.4, 0.524_401),
    (0.5, 0.674_490),
    (0.6, 0.841_621),
    (0.7, 1.036_433),
    (0.8, 1.281_552),
    (0.9, 1.644_854),
];

impl Report {
    /// A report with no results yet. `calibration` is the labels' table, `spectra` the singular values of each label.
    pub fn new(
        model: &str,
        quantity: &'static QuantityRow,
        model_rank: usize,
        calibration: &Calibration,
        spectra: &[Vec<f64>],
    ) -> Self {
        let weak =
            spectra.iter().filter(|s| s.get(model_rank.saturating_sub(1)).is_none_or(|v| *v <= 1e-2 * s[0])).count();
        Self {
            model: model.to_owned(),
            quantity,
            model_rank,
            labels: calibration.sorted().len(),
            spearman: None,
            r_squared: None,
            expected_calibration_error: 0.0,
            coverage: Vec::new(),
            learning_curve: Vec::new(),
            levels: Vec::new(),
            below_rank: weak as f64 / spectra.len().max(1) as f64,
            calibration: calibration.clone(),
            validation_nll: 0.0,
            pairs: Vec::new(),
        }
    }

    /// Adds a point to the learning curve: the Spearman correlation on the test split of a fit on `n` labels. `mean`
    /// and `truth` hold one level per test label.
    pub fn add_curve_point(&mut self, n: usize, mean: &[f32], truth: &[f32]) {
        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        if let Some(rho) = spearman(&wide(mean), &wide(truth)) {
            self.learning_curve.push((n as f64, rho));
        }
    }

    /// Evaluates the predictions on the test split. The three slices hold one value per test label; `mean` and `truth`
    /// are levels, `log_var` the predicted log-variances of the level.
    pub fn test(&mut self, mean: &[f32], log_var: &[f32], truth: &[f32], validation_nll: f64) {
        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (m, t) = (wide(mean), wide(truth));
        self.spearman = spearman(&m, &t);
        self.r_squared = r_squared(&m, &t);
        let scores: Vec<f64> =
            m.iter().zip(&t).zip(log_var).map(|((m, t), s)| (t - m).abs() / (0.5 * f64::from(*s)).exp()).collect();
        self.coverage = INTERVALS
            .iter()
            .map(|(nominal, half)| {
                (*nominal, scores.iter().filter(|s| *s <= half).count() as f64 / scores.len().max(1) as f64)
            })
            .collect();
        self.expected_calibration_error = self.coverage.iter().map(|(a, b)| (a - b).abs()).sum::<f64>() / 9.0;
        self.validation_nll = validation_nll;
        self.pairs = t.into_iter().zip(m).collect();
    }

    /// The contents of `report.json`.
    pub fn json(&self) -> String {
        let mut value = json!({
            "model": self.model, "quantity": self.quantity.name, "model_rank": self.model_rank, "labels": self.labels, "test": self.pairs.len(),
            "spearman": self.spearman, "r_squared": self.r_squared,
            "expected_calibration_error": self.expected_calibration_error, "coverage": self.coverage,
            "validation_nll": self.validation_nll, "mean": self.calibration.mean(), "std": self.calibration.std(),
            "share_below_model_rank": self.below_rank, "learning_curve": self.learning_curve,
        });
        if !self.levels.is_empty() {
            value["levels"] = json!(self.levels);
        }
        format!("{value:#}\n")
    }
}

/// The contents of `report.html`, a page that opens offline: figures, scatter, residuals, coverage, histogram, learning
/// curve.
///
/// # Errors
/// Those of the plots.
pub fn report_html(report: &Report) -> Result<String> {
    let residuals: Vec<(f64, f64)> = report.pairs.iter().map(|(t, p)| (*p, t - p)).collect();
    let table = &report.calibration;
    let nats: Vec<_> =
        report.pairs.iter().map(|(t, p)| (table.psi_at_level(Level(*t)), table.psi_at_level(Level(*p)))).collect();
    let mut plots = vec![
        plot::scatter(
            "Predicted against measured (test split)",
            report.quantity.axis,
            &format!("predicted {}", report.quantity.axis),
            &nats,
            true,
        )?,
        plot::scatter("Residuals", "predicted level", "measured - predicted level", &residuals, false)?,
        plot::scatter(
            "Coverage of the predicted intervals",
            "nominal coverage",
            "actual coverage",
            &report.coverage,
            true,
        )?,
        plot::histogram("Unguided samples", report.quantity.axis, table.sorted(), 60, &[])?,
    ];
    if report.learning_curve.len() > 1 {
        plots.push(plot::lines(
            "Learning curve",
            "training labels",
            "Spearman on the test split",
            &[("reward", report.learning_curve.clone())],
            true,
        )?);
    }
    if !report.levels.is_empty() {
        let points = report.levels.iter().map(|[s, r]| (*s, *r)).collect();
        let title = "Worth at each noise level";
        plots.push(plot::lines(title, "sigma", "Spearman on the test split", &[("reward", points)], true)?);
    }
    let number = |v: Option<f64>| v.map_or("undefined".to_owned(), |v| format!("{v:.4}"));
    let rank = report.quantity.of_spectrum.then(|| ("Model rank k", report.model_rank.to_string()));
    let figures = [
        ("Quantity", report.quantity.axis.to_owned()),
        ("Labels", report.labels.to_string()),
        ("Spearman, test split", number(report.spearman)),
        ("R² of levels, test split", number(report.r_squared)),
        ("Expected calibration error", format!("{:.4}", report.expected_calibration_error)),
        ("Mean ± standard deviation", format!("{:.3} ± {:.3}", table.mean(), table.std())),
    ];
    let rows: String =
        figures.iter().chain(&rank).map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>")).collect();
    let figures: String = plots.iter().map(|svg| format!("<figure>{svg}</figure>")).collect();
    Ok(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Reward of {id}</title>\
         <style>body{{font:16px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}}\
         th{{text-align:left;padding-right:2rem;font-weight:normal;color:#555}}figure{{display:inline-block;margin:1rem}}svg{{max-width:100%}}</style>\
         <h1>Reward of {id}</h1><table>{rows}</table>{figures}</html>\n",
        id = report.model
    ))
}
