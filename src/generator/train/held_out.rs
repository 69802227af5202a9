//! How well a network tells what pictures show that it was not taught with.

use super::targets::Truth;
use crate::evaluate::wilson;
use crate::generator::{Attribute, OutputSpec};
use crate::statistics::r_squared;
use serde::Serialize;
use std::collections::BTreeMap;

/// A class of fewer training pictures than this is called rare.
const RARE: usize = 10;

/// What was found of one output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The output's name.
    pub name: String,
    /// Of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassFigure>,
    /// Of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberFigure>,
}

/// How well classes are told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassFigure {
    /// The share of pictures whose class has the greatest score.
    pub accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub interval: [f64; 2],
    /// The accuracy of naming the commonest class of the training pictures every time.
    pub commonest: f64,
    /// How many classes there are.
    pub classes: usize,
    /// How many of them have fewer than ten training pictures.
    pub rare: usize,
    /// How many classes of the held-out pictures have no training picture at all.
    pub unknown: usize,
    /// How many held-out pictures are of those; all of them count as wrong.
    pub unknown_pictures: usize,
}

/// How well a number is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberFigure {
    /// The coefficient of determination; none where all pictures have the same number.
    pub r2: Option<f64>,
    /// The root of the mean squared error, in the number's own unit.
    pub rmse: f64,
}

/// What was found of all outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldOut {
    /// How many pictures were held out.
    pub pictures: usize,
    /// A figure for each output.
    pub outputs: Vec<Figure>,
}

/// The figure of `output`, which says `told` of pictures of which `truth` is so. `taught` is what was so of the training
/// pictures, and `unknown` how many of the held-out classes are not among the output's.
pub fn figure(output: &OutputSpec, told: &Attribute, truth: &Truth, taught: &Truth, unknown: usize) -> Figure {
    let mut figure = Figure { name: output.name.clone(), classes: None, number: None };
    match (told, truth, taught) {
        (Attribute::Classes(p), Truth::Classes(truth), Truth::Classes(taught)) => {
            let n = truth.len().max(1);
            let share = |right: usize| right as f64 / n as f64;
            let best =
                p.chunks_exact(output.width()).map(|row| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])));
            let accuracy = share(best.zip(truth).filter(|(best, truth)| truth.is_some() && best == *truth).count());
            let mut seen = vec![0usize; output.width()];
            taught.iter().flatten().for_each(|class| seen[*class] += 1);
            let commonest = (0..seen.len()).max_by_key(|class| seen[*class]);
            figure.classes = Some(ClassFigure {
                accuracy,
                interval: wilson(accuracy, n),
                commonest: share(truth.iter().filter(|t| t.is_some() && **t == commonest).count()),
                classes: output.width(),
                rare: seen.iter().filter(|n| **n < RARE).count(),
                unknown,
                unknown_pictures: truth.iter().filter(|t| t.is_none()).count(),
            });
        }
        (Attribute::Numbers(told), Truth::Numbers(truth), _) => {
            let told: Vec<f64> = told.iter().map(|v| f64::from(*v)).collect();
            let squares: f64 = told.iter().zip(truth).map(|(a, b)| (a - b).powi(2)).sum();
            let rmse = (squares / truth.len().max(1) as f64).sqrt();
            figure.number = Some(NumberFigure { r2: r_squared(&told, truth), rmse });
        }
        _ => {}
    }
    figure
}

impl HeldOut {
    /// The figures by kind and name, for the card: accuracy, r2 and rmse of the outputs.
    pub fn by_kind(&self) -> BTreeMap<&'static str, Vec<(&str, f64)>> {
        let mut all: BTreeMap<&'static str, Vec<(&str, f64)>> = BTreeMap::new();
        for figure in &self.outputs {
            let mut put = |kind, value| all.entry(kind).or_default().push((figure.name.as_str(), value));
            if let Some(classes) = &figure.classes {
                put("accuracy", classes.accuracy);
                put("commonest_class_alone", classes.commonest);
            }
            if let Some(number) = &figure.number {
                if let Some(r2) = number.r2 {
                    put("r2", r2);
                }
                put("rmse", number.rmse);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::OutputKind;

    #[test]
    fn figures_by_hand() {
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
        let output =
            OutputSpec { name: "x".into(), kind: OutputKind::Class, classes, shares: vec![], mean: None, std: None };
        // Told a, b, b, c of truth a, b, c and one that was never taught.
        let p = vec![0.9, 0.1, 0.0, 0.2, 0.5, 0.3, 0.2, 0.5, 0.3, 0.0, 0.0, 1.0];
        let truth = Truth::Classes(vec![Some(0), Some(1), Some(2), None]);
        let taught = Truth::Classes([vec![Some(0); 12], vec![Some(1); 30], vec![Some(2); 3]].concat());
        let found = figure(&output, &Attribute::Classes(p), &truth, &taught, 1).classes.unwrap();
        assert_eq!((found.accuracy, found.commonest), (0.5, 0.25));
        assert_eq!((found.classes, found.rare, found.unknown, found.unknown_pictures), (3, 1, 1, 1));
        // statsmodels.stats.proportion.proportion_confint(2, 4, method="wilson")
        assert!((found.interval[0] - 0.150_038_98).abs() < 1e-6 && (found.interval[1] - 0.849_961_02).abs() < 1e-6);
        let output =
            OutputSpec { kind: OutputKind::Number, classes: vec![], mean: Some(0.0), std: Some(1.0), ..output };
        let numbers = Truth::Numbers(vec![1.0, 2.0, 3.0]);
        let found = figure(&output, &Attribute::Numbers(vec![1.0, 2.0, 4.0]), &numbers, &numbers, 0).number.unwrap();
        // 1 − 1/2 and √(1/3).
        assert!((found.r2.unwrap() - 0.5).abs() < 1e-12 && (found.rmse - (1f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
