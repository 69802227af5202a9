//! From measured samples to the values of a table.

use super::bias::Bias;
use super::block::Sample;
use crate::error::Result;
use crate::geometry::{
    DESCRIPTORS, Descriptor, LocalGeometry, Measured, ShownIn, Undefined, measure_all, model_rank, psi_k, shown_in,
};
use crate::reward::Calibration;
use crate::table::{Column, Table, Values};
use std::collections::BTreeMap;

/// Samples with the values of their descriptors.
pub struct Description {
    /// The samples, in order.
    pub rows: Vec<Row>,
    /// The k of ψ_k.
    pub model_rank: usize,
    /// Name of the estimator of the spectra.
    pub estimator: String,
    /// Number of directions of each spectrum.
    pub directions: usize,
    /// Name of the column that numbers the samples: `seed` or `row`.
    pub column: String,
    /// Names of the descriptor columns, in order.
    pub names: Vec<String>,
    /// Biases of ψ, ψ_k and ν against the exact values, where those were measured: (column, bias).
    pub biases: Vec<(String, Bias)>,
}

/// A sample with its values, one for each name of its description.
pub struct Row {
    /// What was measured.
    pub sample: Sample,
    /// Values in the order of [`Description::names`].
    pub values: Vec<Measured>,
    /// The exact ψ, if it was measured too.
    pub psi_exact: Option<f64>,
}

impl Description {
    /// Reads the descriptors off the samples. `exact` holds the exact spectra of some of them. ψ_k is taken at `rank`;
    /// without one, at the model rank of `exact`, or of the samples if there are no exact spectra.
    pub fn new(samples: Vec<Sample>, exact: &[Sample], rank: Option<usize>, scales: &[f64], column: &str) -> Self {
        let values_of = |of: &[Sample]| -> Vec<Vec<f64>> {
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
        // The longest list has the columns of every layer.
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
            .map(|(sample, found)| {
                let of = |name: &String| {
                    let value = found.as_ref().and_then(|f| f.iter().find(|(n, _)| n == name));
                    value.map_or(Measured::Undefined(Undefined::NonFinite), |v| v.1)
                };
                let psi_exact = exact.iter().find(|e| e.number == sample.number).and_then(|e| exact_value(e, "psi", k));
                Row { values: names.iter().map(of).collect(), psi_exact, sample }
            })
            .collect();
        let mut found = Self { rows, model_rank: k, estimator, directions, column, names, biases: Vec::new() };
        let compared = shown_in(ShownIn::Compared);
        found.biases = compared.filter_map(|d| Some((d.name.to_owned(), found.bias(d.name, exact)?))).collect();
        found
    }

    fn bias(&self, name: &str, exact: &[Sample]) -> Option<Bias> {
        let at = self.names.iter().position(|n| n == name)?;
        let pair = |e: &Sample| {
            let row = self.rows.iter().find(|r| r.sample.number == e.number)?;
            Some((row.values[at].value()?, exact_value(e, name, self.model_rank)?))
        };
        Bias::of(&exact.iter().filter_map(pair).collect::<Vec<_>>())
    }

    /// The values of one column; all `None` if there is no such column.
    pub fn values(&self, name: &str) -> Vec<Option<f64>> {
        let at = self.names.iter().position(|n| n == name);
        self.rows.iter().map(|r| at.and_then(|at| r.values[at].value())).collect()
    }

    /// What samples are ordered by, with its name: ψ_k, or ψ where no sample has a ψ_k.
    pub fn scaling(&self) -> (&'static str, Vec<Option<f64>>) {
        let leading = self.values("psi_k");
        match leading.iter().any(Option::is_some) {
            true => ("psi_k", leading),
            false => ("psi", self.values("psi")),
        }
    }

    /// Number of samples without a spectrum because something was not finite.
    pub fn not_finite(&self) -> usize {
        self.rows.iter().filter(|r| r.sample.spectrum.is_none()).count()
    }

    /// Why a column has no value in some rows, for each that lacks one: the commonest reason. Samples that were not finite
    /// are not counted, since their status says it.
    pub fn missing(&self) -> Vec<(&str, String)> {
        let reason = |i: usize| {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            let rows = self.rows.iter().filter(|r| r.sample.spectrum.is_some());
            rows.filter_map(|r| self.reason(r.values[i])).for_each(|why| *counts.entry(why).or_default() += 1);
            counts.into_iter().max_by_key(|(_, n)| *n).map(|(why, _)| why)
        };
        self.names.iter().enumerate().filter_map(|(i, name)| Some((name.as_str(), reason(i)?))).collect()
    }

    /// Why there is no value.
    fn reason(&self, value: Measured) -> Option<String> {
        match value {
            Measured::Value { .. } => None,
            Measured::Undefined(Undefined::FewDirections) => {
                Some(format!("{} directions, fewer than the model rank {}", self.directions, self.model_rank))
            }
            Measured::Undefined(why) => Some(why.to_string()),
        }
    }

    /// The table: numbers, status, descriptors with their standard errors where they have any, and how they were
    /// measured. Novelty comes from `calibration`, which the caller gives only if it was made by the same estimator; else it
    /// says why there is none. The column `undefined` names what is missing in a row, with the reason. `files` holds the
    /// name of each sample's file, where it has one.
    ///
    /// # Errors
    /// When the columns do not make a valid table.
    pub fn table(&self, calibration: Result<&Calibration, &str>, files: &[Option<String>]) -> Result<Table> {
        let real = |get: &dyn Fn(&Row) -> Option<f64>| Values::F64(self.rows.iter().map(get).collect());
        let numbers = self.rows.iter().map(|r| Some(r.sample.number)).collect();
        let mut columns = vec![Column::new(self.column.clone(), Values::U64(numbers))];
        if files.iter().any(Option::is_some) {
            columns.push(Column::new("file", Values::Text(files.to_vec())));
            columns.push(Column::new("residual", real(&|r| r.sample.residual)));
        }
        let status = |r: &Row| Some(if r.sample.spectrum.is_some() { "ok" } else { "not finite" }.to_owned());
        columns.push(Column::new("status", Values::Text(self.rows.iter().map(status).collect())));
        let exact = self.rows.iter().filter_map(|r| r.sample.spectrum.as_ref()).all(|s| s.n_directions >= s.frame_of);
        for (i, name) in self.names.iter().enumerate() {
            columns.push(Column::new(name.clone(), real(&|r| r.values[i].value())));
            let has_error = self.rows.iter().any(|r| r.values[i].stderr().is_some_and(|e| e > 0.0));
            if name == "psi" || (!exact && has_error) {
                columns.push(Column::new(format!("{name}_stderr"), real(&|r| r.values[i].stderr())));
            }
        }
        if let Some((_, bias)) = self.biases.iter().find(|(name, _)| name == "psi") {
            let each = || self.values("psi").into_iter().map(|v| v.map(|v| bias.corrected(v)));
            columns.push(Column::new("psi_exact", real(&|r| r.psi_exact)));
            columns.push(Column::new("psi_calibrated", Values::F64(each().map(|c| c.map(|c| c.0)).collect())));
            columns.push(Column::new("psi_calibrated_stderr", Values::F64(each().map(|c| c.map(|c| c.1)).collect())));
        }
        let each = || self.values("psi_k").into_iter().map(|v| Some(calibration.ok()?.novelty_of(v?)));
        columns.push(Column::new("novelty", Values::F64(each().map(|n| Some(n?.percentile.percent())).collect())));
        columns.push(Column::new("beyond", Values::F64(each().map(|n| Some(n?.beyond)).collect())));
        let undefined = |r: &Row| {
            let values = self.names.iter().zip(&r.values);
            let values = values.filter_map(|(name, v)| Some(format!("{name}: {}", self.reason(*v)?)));
            let novelty = calibration.err().map(|why| format!("novelty: {why}"));
            let all: Vec<String> = values.chain(novelty).collect();
            (r.sample.spectrum.is_some() && !all.is_empty()).then(|| all.join("; "))
        };
        columns.push(Column::new("undefined", Values::Text(self.rows.iter().map(undefined).collect())));
        let directions = |r: &Row| r.sample.spectrum.as_ref().and_then(|s| i64::try_from(s.n_directions).ok());
        columns.push(Column::new("n_directions", Values::I64(self.rows.iter().map(directions).collect())));
        let estimator = |r: &Row| r.sample.spectrum.as_ref().map(|s| s.estimator.to_owned());
        columns.push(Column::new("estimator", Values::Text(self.rows.iter().map(estimator).collect())));
        columns.push(Column::new("h", real(&|r| r.sample.spectrum.as_ref().and_then(|s| s.h))));
        Table::new(columns)
    }
}

/// Puts a stored standard error in place of an unknown one. It stays unknown (infinite) if the spectrum lacks
/// directions and none is stored.
fn with_stderr(m: Measured, stored: Option<&f64>, spectrum: &crate::geometry::Spectrum) -> Measured {
    match (m, stored) {
        (Measured::Value { value, stderr: 0.0 }, Some(stderr)) => Measured::Value { value, stderr: *stderr },
        (Measured::Value { value, stderr: 0.0 }, None) if spectrum.n_directions < spectrum.frame_of => {
            Measured::Value { value, stderr: f64::INFINITY }
        }
        (other, _) => other,
    }
}

fn exact_value(exact: &Sample, name: &str, k: usize) -> Option<f64> {
    let spectrum = exact.spectrum.as_ref()?;
    if name == "psi_k" {
        return psi_k(&spectrum.singular_values, k);
    }
    let row = DESCRIPTORS.iter().find(|d| d.name == name)?;
    (row.measure)(&LocalGeometry::new(spectrum, &exact.latent, k)).value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Spectrum;

    #[test]
    fn a_column_that_is_not_there_gives_no_value_and_not_another_ones() {
        let sample = Sample {
            number: 3,
            latent: vec![0.5],
            residual: None,
            spectrum: None,
            complexity: None,
            stderr: BTreeMap::new(),
        };
        let row = Row { sample, values: vec![Measured::exact(1.5)], psi_exact: None };
        let found = Description {
            rows: vec![row],
            model_rank: 1,
            estimator: "exact".into(),
            directions: 1,
            column: "seed".into(),
            names: vec!["nu".into()],
            biases: Vec::new(),
        };
        assert_eq!((found.values("nu"), found.values("psi_k")), (vec![Some(1.5)], vec![None]));
        let calibration = Calibration::new((0..5000).map(f64::from).collect());
        let table = found.table(calibration.as_ref().ok_or("none"), &[None]);
        let Ok(table) = table else { panic!("a table") };
        for name in ["novelty", "beyond"] {
            let values = table.column(name).map(|c| &c.values);
            assert!(matches!(values, Some(Values::F64(v)) if *v == [None]), "{name}");
        }
    }

    #[test]
    fn what_is_missing_says_why() {
        // Three directions where the model rank is five.
        let spectrum = Spectrum::whole(vec![3.0, 2.0, 1.0], vec![0.0; 3], 16, "exact");
        let sample = Sample {
            number: 0,
            latent: vec![0.5; 3],
            residual: None,
            spectrum: Some(spectrum),
            complexity: None,
            stderr: BTreeMap::new(),
        };
        let found = Description::new(vec![sample], &[], Some(5), &[], "seed");
        let why = "3 directions, fewer than the model rank 5";
        assert!(found.missing().contains(&("psi_k", why.to_owned())), "{:?}", found.missing());
        assert!(found.missing().contains(&("delta", "not measured".to_owned())));
        let table = found.table(Err("the model has no reward"), &[None]).unwrap();
        let Some(Values::Text(undefined)) = table.column("undefined").map(|c| &c.values) else { panic!("no column") };
        let said = undefined[0].as_deref().unwrap_or_default();
        for part in [&format!("psi_k: {why}"), "delta: not measured", "novelty: the model has no reward"] {
            assert!(said.contains(part), "{said}");
        }
    }
}
