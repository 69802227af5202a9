//! From described samples to the values of a table.

use super::bias::Bias;
use super::block::Described;
use crate::error::Result;
use crate::geometry::{DESCRIPTORS, Descriptor, LocalGeometry, Measured, measure_all, model_rank, psi_k};
use crate::reward::Calibration;
use crate::table::{Column, Table, Values};

/// Described samples with what their table needs.
pub struct Description {
    /// In order.
    pub rows: Vec<Row>,
    /// k of ψ_k.
    pub model_rank: usize,
    /// Way to the spectra.
    pub estimator: String,
    /// Directions of each.
    pub directions: usize,
    /// `seed` or `row`.
    pub column: String,
    /// Columns of descriptors, in order.
    pub names: Vec<String>,
    /// Of ψ, ψ_k and ν against the exact ones, where that was measured: (column, bias).
    pub biases: Vec<(String, Bias)>,
}

/// A sample with its values, one per name of its description.
pub struct Row {
    /// What was measured.
    pub described: Described,
    /// Values in the order of [`Description::names`].
    pub values: Vec<Measured>,
    /// The exact ψ, where it was measured too.
    pub psi_exact: Option<f64>,
}

/// Descriptors whose bias is measured.
const COMPARED: [&str; 3] = ["psi", "psi_k", "nu"];

impl Description {
    /// Reads the descriptors off the samples: ψ_k at `rank`, or at the model rank of `exact` or of the
    /// samples; `exact` holds exact spectra of some of them.
    pub fn new(
        samples: Vec<Described>,
        exact: &[Described],
        rank: Option<usize>,
        scales: &[f64],
        column: &str,
    ) -> Self {
        let values_of = |of: &[Described]| -> Vec<Vec<f64>> {
            of.iter().filter_map(|s| s.spectrum.as_ref()).map(|s| s.singular_values.clone()).collect()
        };
        let basis = if exact.is_empty() { values_of(&samples) } else { values_of(exact) };
        let k = rank.unwrap_or_else(|| model_rank(&basis));
        let wanted: Vec<&Descriptor> = DESCRIPTORS.iter().collect();
        let measured: Vec<Option<Vec<(String, Measured)>>> = samples
            .iter()
            .map(|s| {
                let spectrum = s.spectrum.as_ref()?;
                let g = LocalGeometry {
                    complexity: s.complexity.as_ref(),
                    scales,
                    ..LocalGeometry::new(spectrum, &s.latent, k)
                };
                Some(
                    measure_all(&g, &wanted)
                        .into_iter()
                        .map(|(name, m)| {
                            let m = with_stderr(m, s.stderr.get(&name), spectrum);
                            (name, m)
                        })
                        .collect(),
                )
            })
            .collect();
        // The longest list has every layer.
        let names: Vec<String> = measured.iter().flatten().max_by_key(|m| m.len()).map_or_else(
            || DESCRIPTORS.iter().map(|d| d.name.to_owned()).collect(),
            |m| m.iter().map(|(n, _)| n.clone()).collect(),
        );
        let one = samples.iter().find_map(|s| s.spectrum.as_ref());
        let (estimator, directions) = one.map_or(("", 0), |s| (s.estimator, s.n_directions));
        let (estimator, column) = (estimator.to_owned(), column.to_owned());
        let rows: Vec<Row> = samples
            .into_iter()
            .zip(measured)
            .map(|(described, found)| {
                let of = |name: &String| {
                    let value = found.as_ref().and_then(|f| f.iter().find(|(n, _)| n == name));
                    value.map_or(Measured::Undefined(crate::geometry::Undefined::NonFinite), |v| v.1)
                };
                let psi_exact =
                    exact.iter().find(|e| e.sample == described.sample).and_then(|e| exact_value(e, "psi", k));
                Row { values: names.iter().map(of).collect(), psi_exact, described }
            })
            .collect();
        let mut found = Self { rows, model_rank: k, estimator, directions, column, names, biases: Vec::new() };
        found.biases =
            COMPARED.iter().filter_map(|name| Some(((*name).to_owned(), found.bias(name, exact)?))).collect();
        found
    }

    fn bias(&self, name: &str, exact: &[Described]) -> Option<Bias> {
        let at = self.names.iter().position(|n| n == name)?;
        let pair = |e: &Described| {
            let row = self.rows.iter().find(|r| r.described.sample == e.sample)?;
            Some((row.values[at].value()?, exact_value(e, name, self.model_rank)?))
        };
        Bias::of(&exact.iter().filter_map(pair).collect::<Vec<_>>())
    }

    /// The values of one column.
    pub fn values(&self, name: &str) -> Vec<Option<f64>> {
        let at = self.names.iter().position(|n| n == name);
        self.rows.iter().map(|r| at.and_then(|at| r.values[at].value())).collect()
    }

    /// Number of samples with something that is not finite.
    pub fn not_finite(&self) -> usize {
        self.rows.iter().filter(|r| r.described.spectrum.is_none()).count()
    }

    /// The table: numbers, status, descriptors with their standard errors where they have one, how it was
    /// measured; novelty by `calibration`, which the caller gives only where it was made by the same
    /// estimator; the name of each sample's file, where it has one.
    ///
    /// # Errors
    /// Of the table.
    pub fn table(&self, calibration: Option<&Calibration>, files: &[Option<String>]) -> Result<Table> {
        let real = |get: &dyn Fn(&Row) -> Option<f64>| Values::F64(self.rows.iter().map(get).collect());
        let numbers = self.rows.iter().map(|r| i64::try_from(r.described.sample).ok()).collect();
        let mut columns = vec![Column::new(self.column.clone(), Values::I64(numbers))];
        if files.iter().any(Option::is_some) {
            columns.push(Column::new("file", Values::Text(files.to_vec())));
            columns.push(Column::new("residual", real(&|r| r.described.residual)));
        }
        let status = |r: &Row| Some(if r.described.spectrum.is_some() { "ok" } else { "not finite" }.to_owned());
        columns.push(Column::new("status", Values::Text(self.rows.iter().map(status).collect())));
        let exact =
            self.rows.iter().filter_map(|r| r.described.spectrum.as_ref()).all(|s| s.n_directions >= s.frame_of);
        for (i, name) in self.names.iter().enumerate() {
            columns.push(Column::new(name.clone(), real(&|r| r.values[i].value())));
            let has_error = self.rows.iter().any(|r| r.values[i].stderr().is_some_and(|e| e > 0.0));
            if name == "psi" || (!exact && has_error) {
                columns.push(Column::new(format!("{name}_stderr"), real(&|r| r.values[i].stderr())));
            }
        }
        let psi = self.names.iter().position(|n| n == "psi").unwrap_or(0);
        if let Some((_, bias)) = self.biases.iter().find(|(name, _)| name == "psi") {
            let corrected = |r: &Row| r.values[psi].value().map(|v| bias.corrected(v));
            columns.push(Column::new("psi_exact", real(&|r| r.psi_exact)));
            columns.push(Column::new("psi_calibrated", real(&|r| corrected(r).map(|c| c.0))));
            columns.push(Column::new("psi_calibrated_stderr", real(&|r| corrected(r).map(|c| c.1))));
        }
        if let Some(calibration) = calibration {
            let at = self.names.iter().position(|n| n == "psi_k").unwrap_or(0);
            let novelty = |r: &Row| r.values[at].value().map(|p| calibration.novelty_of(p));
            columns.push(Column::new("novelty", real(&|r| novelty(r).map(|n| n.percentile.percent()))));
            columns.push(Column::new("beyond", real(&|r| novelty(r).map(|n| n.beyond))));
        }
        let directions = |r: &Row| r.described.spectrum.as_ref().and_then(|s| i64::try_from(s.n_directions).ok());
        columns.push(Column::new("n_directions", Values::I64(self.rows.iter().map(directions).collect())));
        let estimator = |r: &Row| r.described.spectrum.as_ref().map(|s| s.estimator.to_owned());
        columns.push(Column::new("estimator", Values::Text(self.rows.iter().map(estimator).collect())));
        columns.push(Column::new("h", real(&|r| r.described.spectrum.as_ref().and_then(|s| s.h))));
        Table::new(columns)
    }
}

/// A stored standard error in place of an unknown one; unknown where directions are missing and none is stored.
fn with_stderr(m: Measured, stored: Option<&f64>, spectrum: &crate::geometry::Spectrum) -> Measured {
    match (m, stored) {
        (Measured::Value { value, stderr: 0.0 }, Some(stderr)) => Measured::Value { value, stderr: *stderr },
        (Measured::Value { value, stderr: 0.0 }, None) if spectrum.n_directions < spectrum.frame_of => {
            Measured::Value { value, stderr: f64::INFINITY }
        }
        (other, _) => other,
    }
}

fn exact_value(exact: &Described, name: &str, k: usize) -> Option<f64> {
    let spectrum = exact.spectrum.as_ref()?;
    if name == "psi_k" {
        return psi_k(&spectrum.singular_values, k);
    }
    let row = DESCRIPTORS.iter().find(|d| d.name == name)?;
    (row.measure)(&LocalGeometry::new(spectrum, &exact.latent, k)).value()
}
