//! What an evaluation says class by class, where the network that makes the features tells classes.

use super::extract::Extracted;
use super::source::Source;
use super::{Comparison, figure};
use crate::error::{Result, shown};
use crate::evaluate::{Settings, class_metrics, per_class, wilson};
use crate::table::{Column, Table, Values};
use serde::Serialize;

/// One class of a generated set.
#[derive(Clone, Debug, Serialize)]
pub struct ClassRow {
    /// The class, counted from 0.
    pub class: usize,
    /// Real samples of it, by the classifier.
    pub real: usize,
    /// Generated samples of it, by the classifier.
    pub generated: usize,
    /// Their share of all real samples.
    pub real_share: f64,
    /// Their share of all generated samples.
    pub generated_share: f64,
    /// What each metric says of them.
    pub findings: Vec<ClassFinding>,
    /// What one must know: too few samples for a metric, or few enough for a bias.
    pub note: Option<String>,
}

/// What a metric says of one class.
#[derive(Clone, Debug, Serialize)]
pub struct ClassFinding {
    /// The metric's name.
    pub metric: &'static str,
    /// Its value; none if it was not measured.
    pub value: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<[f64; 2]>,
}

/// How often a classifier gives samples the class that lies beside them.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// Where the samples lie.
    pub set: String,
    /// How many have a class beside them.
    pub labelled: usize,
    /// How many of these the classifier gives it.
    pub right: usize,
    /// That share.
    pub share: f64,
    /// Ends of its 95 % interval (Wilson).
    pub interval: [f64; 2],
}

/// The rows of a generated set; none where no classes are told.
///
/// # Errors
/// Those of [`per_class`].
pub fn rows(real: &Extracted, made: &Extracted, settings: &Settings) -> Result<Option<Vec<ClassRow>>> {
    let (Some(of_real), Some(of_made), Some(probabilities)) = (real.classes(), made.classes(), &real.probabilities)
    else {
        return Ok(None);
    };
    let found = per_class(&real.features, &made.features, [&of_real, &of_made], probabilities.width, settings)?;
    let all = [of_real.len(), of_made.len()].map(|n| n as f64);
    let width = real.features.width;
    let row = |of: crate::evaluate::OfClass| {
        let [real, generated] = of.samples;
        let mut missing: Vec<(Vec<&str>, String)> = Vec::new();
        let mut biased = Vec::new();
        for (metric, found) in class_metrics().zip(&of.findings) {
            let least = (metric.biased_below)(width);
            match found {
                Err(why) => match missing.iter_mut().find(|(_, other)| other == why) {
                    Some((names, _)) => names.push(metric.name),
                    None => missing.push((vec![metric.name], why.clone())),
                },
                Ok(_) if real.min(generated) < least => biased.push(format!("{} below {least}", metric.name)),
                Ok(_) => {}
            }
        }
        let mut notes: Vec<String> =
            missing.into_iter().map(|(names, why)| format!("{} not measured: {why}", names.join(", "))).collect();
        if !biased.is_empty() {
            notes.push(format!("biased by {} samples: {}", real.min(generated), biased.join(", ")));
        }
        let finding =
            |(metric, found): (&'static crate::evaluate::MetricRow, &Result<crate::evaluate::Measured, String>)| {
                let found = found.as_ref().ok();
                ClassFinding { metric: metric.name, value: found.map(|f| f.value), interval: found.map(|f| f.interval) }
            };
        ClassRow {
            class: of.class,
            real,
            generated,
            real_share: real as f64 / all[0],
            generated_share: generated as f64 / all[1],
            findings: class_metrics().zip(&of.findings).map(finding).collect(),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    };
    Ok(Some(found.into_iter().map(row).collect()))
}

/// How often the classifier agrees with the classes beside a set; none where there are none.
pub fn agreement(source: &Source, seen: &Extracted) -> Option<Agreement> {
    let (labels, found) = (source.labels.as_ref()?, seen.classes()?);
    let right = labels.iter().zip(&found).filter(|(label, found)| **label as usize == **found).count();
    let share = right as f64 / labels.len() as f64;
    let (set, labelled) = (shown(&source.path), labels.len());
    Some(Agreement { set, labelled, right, share, interval: wilson(share, labelled) })
}

impl Agreement {
    /// The agreement in words.
    pub fn told(&self) -> String {
        let [low, high] = self.interval.map(|v| 100.0 * v);
        format!(
            "{}: the classifier names the class of {:.2} % of {} labelled samples ({low:.2} to {high:.2} %)",
            self.set,
            100.0 * self.share,
            self.labelled
        )
    }
}

/// One row per set and class; none where no set has any.
///
/// # Errors
/// [`crate::error::Error::Bug`].
pub fn table(comparisons: &[Comparison]) -> Result<Option<Table>> {
    let all: Vec<(String, &ClassRow)> =
        comparisons.iter().flat_map(|c| c.classes.iter().flatten().map(|row| (shown(&c.set.path), row))).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let count = |of: fn(&ClassRow) -> usize| Values::I64(all.iter().map(|(_, r)| Some(of(r) as i64)).collect());
    let number = |of: &dyn Fn(&ClassRow) -> Option<f64>| Values::F64(all.iter().map(|(_, r)| of(r)).collect());
    let mut columns = vec![
        Column::new("set", Values::Text(all.iter().map(|(set, _)| Some(set.clone())).collect())),
        Column::new("class", count(|r| r.class)),
        Column::new("real", count(|r| r.real)),
        Column::new("generated", count(|r| r.generated)),
        Column::new("real_share", number(&|r| Some(r.real_share))),
        Column::new("generated_share", number(&|r| Some(r.generated_share))),
    ];
    for (at, metric) in class_metrics().enumerate() {
        let end = |end: usize| number(&move |r| r.findings[at].interval.map(|i| i[end]));
        columns.push(Column::new(metric.name, number(&|r| r.findings[at].value)));
        columns.push(Column::new(format!("{}_low", metric.name), end(0)));
        columns.push(Column::new(format!("{}_high", metric.name), end(1)));
    }
    columns.push(Column::new("note", Values::Text(all.iter().map(|(_, r)| r.note.clone()).collect())));
    Table::new(columns).map(Some)
}

/// The rows as the page shows them, header first.
pub fn shown_rows(rows: &[ClassRow]) -> Vec<Vec<String>> {
    let head = ["class", "real", "generated"].into_iter().chain(class_metrics().map(|m| m.name)).chain(["note"]);
    let percent = |count: usize, share: f64| format!("{count} ({:.1} %)", 100.0 * share);
    let one = |r: &ClassRow| {
        let first = [r.class.to_string(), percent(r.real, r.real_share), percent(r.generated, r.generated_share)];
        let values = r.findings.iter().map(|f| f.value.map_or("-".to_owned(), figure));
        first.into_iter().chain(values).chain([r.note.clone().unwrap_or_default()]).collect()
    };
    std::iter::once(head.map(str::to_owned).collect()).chain(rows.iter().map(one)).collect()
}
