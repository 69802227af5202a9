//! A network that tells several things of a picture: what each part of its last values means, as the `[[outputs]]` of its
//! card say.

use crate::error::Result;
use serde::{Deserialize, Serialize};

/// How an output is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// A score for each of its classes.
    Class,
    /// One number, in units of `std` from `mean`.
    Number,
}

/// One output: an `[[outputs]]` table. Outputs take the network's last values in the order in which they stand.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSpec {
    /// What it tells of a picture, as in "head".
    pub name: String,
    /// How it is read.
    pub kind: OutputKind,
    /// The names of its classes, in the order of their scores; of a number, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How common each class was among the pictures that it was taught with, as shares of them; empty where that is not
    /// known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// Of a number, what a score of 0 stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Of a number, how much a score of 1 adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
}

/// What one output says of each picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Class probabilities, `[pictures, classes]`.
    Classes(Vec<f32>),
    /// A number for each picture.
    Numbers(Vec<f32>),
}

impl OutputSpec {
    /// How many of the network's last values it takes.
    pub fn width(&self) -> usize {
        match self.kind {
            OutputKind::Class => self.classes.len(),
            OutputKind::Number => 1,
        }
    }

    fn check(&self) -> Result<(), String> {
        let named = !self.name.is_empty() && !self.name.contains(char::is_control);
        let mut classes: Vec<&String> = self.classes.iter().collect();
        classes.sort();
        classes.dedup();
        let sum: f64 = self.shares.iter().sum();
        let fit =
            self.shares.len() == self.classes.len() && self.shares.iter().all(|s| *s > 0.0) && (sum - 1.0).abs() < 1e-3;
        match (self.kind, self.mean, self.std) {
            _ if !self.shares.is_empty() && !fit => {
                Err("expected a share above 0 for each class, which add up to 1".to_owned())
            }
            _ if !named => Err("expected a name of printable characters".to_owned()),
            (OutputKind::Class, None, None) if classes.len() < 2 || classes.len() < self.classes.len() => {
                Err(format!("expected at least 2 classes with different names, found {}", classes.len()))
            }
            (OutputKind::Class, None, None) => Ok(()),
            (OutputKind::Class, ..) => Err("expected no mean and no std beside classes".to_owned()),
            (OutputKind::Number, Some(mean), Some(std)) if mean.is_finite() && std.is_finite() && std > 0.0 => {
                match classes.is_empty() {
                    true => Ok(()),
                    false => Err("expected no classes of a number".to_owned()),
                }
            }
            (OutputKind::Number, ..) => Err("expected a finite mean, and std > 0".to_owned()),
        }
    }
}

/// Checks the outputs of a network that ends in `width` values; else the key and what is wrong with it. The first output of
/// the kind "class" is what such a network says as a classifier, so there must be one.
pub fn check_outputs(outputs: &[OutputSpec], width: usize) -> Result<(), (String, String)> {
    for (i, output) in outputs.iter().enumerate() {
        let at = |message: String| (format!("outputs[{i}]"), format!("\"{}\": {message}", output.name.escape_debug()));
        output.check().map_err(at)?;
        if outputs[..i].iter().any(|o| o.name == output.name) {
            return Err(at("expected a name that no other output has".to_owned()));
        }
    }
    let wanted = outputs.iter().map(OutputSpec::width).sum::<usize>();
    if wanted != width {
        let message = format!("they take {wanted} values, but the layers end in {width}");
        return Err(("outputs".to_owned(), message));
    }
    match outputs.iter().any(|o| o.kind == OutputKind::Class) {
        true => Ok(()),
        false => Err(("outputs".to_owned(), "expected at least one of kind = \"class\"".to_owned())),
    }
}

/// The part of a network's last values that tells its classes: those of its first output of the kind "class", or all
/// `width` of them for a network without outputs.
pub fn class_part(outputs: &[OutputSpec], width: usize) -> std::ops::Range<usize> {
    let mut start = 0;
    for output in outputs {
        if output.kind == OutputKind::Class {
            return start..start + output.width();
        }
        start += output.width();
    }
    0..width
}

/// What `outputs` say of pictures whose last values are `scores`, `[pictures, width]`.
pub fn read_outputs(outputs: &[OutputSpec], scores: &[f32]) -> Vec<Attribute> {
    let width = outputs.iter().map(OutputSpec::width).sum::<usize>().max(1);
    let mut start = 0;
    let mut all = Vec::with_capacity(outputs.len());
    for output in outputs {
        let part = start..start + output.width();
        start = part.end;
        let own = scores.chunks_exact(width).map(|row| &row[part.clone()]);
        all.push(match output.kind {
            OutputKind::Class => Attribute::Classes(own.flat_map(softmax).collect()),
            OutputKind::Number => {
                let (mean, std) = (output.mean.unwrap_or(0.0), output.std.unwrap_or(1.0));
                Attribute::Numbers(own.map(|v| (mean + std * f64::from(v[0])) as f32).collect())
            }
        });
    }
    all
}

/// Probabilities from the scores of classes.
pub fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all: Vec<f64> = scores.iter().map(|s| f64::from(s - top).exp()).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|v| (v / sum) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, classes: &[&str]) -> OutputSpec {
        let classes = classes.iter().map(|c| (*c).to_owned()).collect();
        OutputSpec { name: name.into(), kind: OutputKind::Class, classes, shares: vec![], mean: None, std: None }
    }

    fn number(name: &str, mean: f64, std: f64) -> OutputSpec {
        OutputSpec {
            name: name.into(),
            kind: OutputKind::Number,
            classes: vec![],
            shares: vec![],
            mean: Some(mean),
            std: Some(std),
        }
    }

    #[test]
    fn each_output_reads_its_own_values() {
        let outputs = [number("size", 10.0, 2.0), class("hat", &["none", "cap"])];
        assert_eq!(check_outputs(&outputs, 3), Ok(()));
        assert_eq!(class_part(&outputs, 3), 1..3);
        assert_eq!(class_part(&[], 3), 0..3);
        // ln 3 against 0: three quarters and a quarter.
        let read = read_outputs(&outputs, &[0.5, 3f32.ln(), 0.0, -1.0, 7.0, 7.0]);
        assert_eq!(read[0], Attribute::Numbers(vec![11.0, 8.0]));
        let Attribute::Classes(p) = &read[1] else { panic!("{read:?}") };
        assert!(p.iter().zip([0.75, 0.25, 0.5, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6), "{p:?}");
    }

    #[test]
    fn outputs_that_cannot_be_read_are_refused() {
        let hat = || class("hat", &["none", "cap"]);
        let cases = [
            (vec![hat()], 3, "take 2 values"),
            (vec![hat(), hat()], 4, "no other output has"),
            (vec![number("size", 0.0, 1.0)], 1, "at least one"),
            (vec![hat(), number("size", 0.0, 0.0)], 3, "std > 0"),
            (vec![hat(), number("size", f64::NAN, 1.0)], 3, "finite mean"),
            (vec![class("hat", &["cap"])], 1, "at least 2 classes"),
            (vec![class("hat", &["cap", "cap"])], 2, "at least 2 classes"),
            (vec![class("", &["a", "b"])], 2, "expected a name"),
            (vec![OutputSpec { mean: Some(1.0), ..hat() }], 2, "no mean"),
            (vec![OutputSpec { shares: vec![1.0], ..hat() }], 2, "a share above 0 for each class"),
            (vec![OutputSpec { shares: vec![0.5, 0.25], ..hat() }], 2, "add up to 1"),
            (vec![hat(), OutputSpec { classes: vec!["a".into()], ..number("size", 0.0, 1.0) }], 3, "no classes"),
        ];
        for (outputs, width, words) in cases {
            let (_, message) = check_outputs(&outputs, width).unwrap_err();
            assert!(message.contains(words), "{words}: {message}");
        }
    }
}
