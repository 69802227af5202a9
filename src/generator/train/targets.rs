//! What a classifier is to tell of pictures: from the columns of a table of attributes to the outputs of its card, and to
//! the values that its network is taught.

use crate::data::Attributes;
use crate::error::{Error, Result};
use crate::generator::{OutputKind, OutputSpec};
use crate::limits;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The class of pictures for which a column holds null.
const NONE: &str = "none";

/// One thing to be told: a `[[targets]]` table of a training config.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// The column.
    pub column: String,
    /// "class": a text, a whole number or a truth value, where null is a class of its own, "none"; or "number".
    pub kind: OutputKind,
    /// Which number of a column of lists, from 0.
    #[serde(default)]
    pub component: Option<usize>,
    /// What its error counts in the sum that is minimised.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// What is so of each picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    /// The number of its class; `None` for one that is not among the output's classes.
    Classes(Vec<Option<usize>>),
    /// The number.
    Numbers(Vec<f64>),
}

impl TargetConfig {
    /// What the output is called: the column, with the component in brackets.
    pub fn name(&self) -> String {
        self.component.map_or_else(|| self.column.clone(), |c| format!("{}[{c}]", self.column))
    }

    /// Its classes as texts, or its numbers.
    fn texts(&self, table: &Attributes) -> Result<Vec<String>> {
        let values = table.column(&self.column);
        let (null, none) = (values.iter().any(Value::is_null), values.iter().any(|v| v.as_str() == Some(NONE)));
        if null && none {
            let message =
                format!("\"{}\" holds null, which becomes the class \"{NONE}\", and that text too", self.column);
            return Err(Error::input(&table.place, message));
        }
        let text = |(i, value): (usize, &Value)| match value {
            Value::Null => Ok(NONE.to_owned()),
            Value::String(text) => Ok(text.clone()),
            Value::Bool(_) => Ok(value.to_string()),
            Value::Number(n) if n.is_i64() || n.is_u64() => Ok(n.to_string()),
            other => Err(self.unfit(table, i, other, "a text, a whole number, a truth value or null")),
        };
        values.iter().enumerate().map(text).collect()
    }

    fn numbers(&self, table: &Attributes) -> Result<Vec<f64>> {
        let number = |(i, value): (usize, &Value)| {
            let (part, expected) = match self.component {
                None => (Some(value), "a finite number".to_owned()),
                Some(c) => (value.get(c), format!("a list with a finite number at {c}")),
            };
            let found = part.and_then(Value::as_f64).filter(|v| v.is_finite());
            found.ok_or_else(|| self.unfit(table, i, value, &expected))
        };
        table.column(&self.column).iter().enumerate().map(number).collect()
    }

    fn unfit(&self, table: &Attributes, i: usize, found: &Value, expected: &str) -> Error {
        let name = table.names.get(i).map_or(String::new(), |n| n.escape_debug().to_string());
        let found: String = found.to_string().chars().take(60).collect();
        Error::input(&table.place, format!("\"{}\" of \"{name}\": expected {expected}, found {found}", self.column))
    }

    /// The output that is to tell it, from the table of the pictures it is taught with: classes sorted by the bytes of their
    /// names, with their shares; mean and standard deviation of a number.
    ///
    /// # Errors
    /// [`Error::Input`] for a value of another kind, or a column in which all pictures are alike.
    pub fn output(&self, table: &Attributes) -> Result<OutputSpec> {
        let alike = || {
            let message = format!("\"{}\" is the same for every picture, so there is nothing to learn", self.name());
            Error::input(&table.place, message)
        };
        let (classes, shares) = (Vec::new(), Vec::new());
        let spec = OutputSpec { name: self.name(), kind: self.kind, classes, shares, mean: None, std: None };
        match self.kind {
            OutputKind::Class => {
                let mut counts: BTreeMap<String, usize> = BTreeMap::new();
                let texts = self.texts(table)?;
                let pictures = texts.len() as f64;
                texts.into_iter().for_each(|text| *counts.entry(text).or_default() += 1);
                match counts.len() {
                    0 | 1 => Err(alike()),
                    n if n > limits::CLASSES => {
                        let message =
                            format!("\"{}\" has {n} classes, at most {} are learnt", spec.name, limits::CLASSES);
                        Err(Error::input(&table.place, message))
                    }
                    _ => {
                        let shares = counts.values().map(|n| *n as f64 / pictures).collect();
                        Ok(OutputSpec { classes: counts.into_keys().collect(), shares, ..spec })
                    }
                }
            }
            OutputKind::Number => {
                let values = self.numbers(table)?;
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
                match std > 0.0 && std.is_finite() {
                    true => Ok(OutputSpec { mean: Some(mean), std: Some(std), ..spec }),
                    false => Err(alike()),
                }
            }
        }
    }

    /// What is so of each picture of a table, in the terms of `output`.
    ///
    /// # Errors
    /// [`Error::Input`] for a value of another kind.
    pub fn truth(&self, output: &OutputSpec, table: &Attributes) -> Result<Truth> {
        Ok(match self.kind {
            OutputKind::Class => {
                let place = |text: &String| output.classes.binary_search(text).ok();
                Truth::Classes(self.texts(table)?.iter().map(place).collect())
            }
            OutputKind::Number => Truth::Numbers(self.numbers(table)?),
        })
    }

    /// How many classes of a table are not among those of `output`.
    ///
    /// # Errors
    /// [`Error::Input`] for a value of another kind.
    pub fn unknown(&self, output: &OutputSpec, table: &Attributes) -> Result<usize> {
        if self.kind == OutputKind::Number {
            return Ok(0);
        }
        let classes: BTreeSet<String> = self.texts(table)?.into_iter().collect();
        Ok(classes.iter().filter(|class| output.classes.binary_search(class).is_err()).count())
    }
}

/// Checks the targets of a config; else the key and what is wrong with it.
pub fn check_targets(targets: &[TargetConfig]) -> Result<(), (String, String)> {
    for (i, target) in targets.iter().enumerate() {
        let bad = |key: &str, message: String| Err((format!("targets[{i}].{key}"), message));
        if target.kind == OutputKind::Class && target.component.is_some() {
            return bad("component", "expected none beside kind = \"class\"; lists are read for numbers".to_owned());
        }
        if !(target.weight > 0.0 && target.weight <= 1e6) {
            return bad("weight", format!("expected a number above 0, found {}", target.weight));
        }
        if targets[..i].iter().any(|t| t.name() == target.name()) {
            return bad("column", format!("\"{}\" is there twice", target.name().escape_debug()));
        }
    }
    match targets.iter().any(|t| t.kind == OutputKind::Class) {
        true => Ok(()),
        false => Err(("targets".to_owned(), "expected at least one table with kind = \"class\"".to_owned())),
    }
}

/// The values that a network is taught, `[pictures, width]`: 1 at a picture's class and 0 at others, and numbers in
/// standard deviations from the mean.
pub fn taught(outputs: &[OutputSpec], truths: &[Truth], pictures: usize) -> Vec<f32> {
    let width: usize = outputs.iter().map(OutputSpec::width).sum();
    let mut values = vec![0.0; pictures * width];
    for (i, row) in values.chunks_exact_mut(width.max(1)).enumerate() {
        let mut start = 0;
        for (output, truth) in outputs.iter().zip(truths) {
            match truth {
                Truth::Classes(classes) => {
                    if let Some(class) = classes[i] {
                        row[start + class] = 1.0;
                    }
                }
                Truth::Numbers(numbers) => {
                    let (mean, std) = (output.mean.unwrap_or(0.0), output.std.unwrap_or(1.0));
                    row[start] = ((numbers[i] - mean) / std) as f32;
                }
            }
            start += output.width();
        }
    }
    values
}
