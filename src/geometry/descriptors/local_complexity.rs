//! Local complexity δ: the number of units whose pre-activation changes sign near z (theory, 4), in total and per
//! layer.

use super::ShownIn::{Map, Path, Related};
use super::{Descriptor, LocalGeometry, Measured, Parts, Undefined};
use crate::table::Note;

pub const DESCRIPTOR: Descriptor = Descriptor {
    name: "delta",
    about: "local complexity: units that change sign over the vertices z ± h·v of a frame shared by all samples; also per layer",
    unit: "units",
    range: "whole, from 0",
    empty: "it was not counted (complexity = false), or a value is not finite",
    label: "local complexity δ",
    shown: &[Related, Map, Path],
    measure,
    parts: Parts {
        notes: &[Note::new(
            "delta_{i}",
            "units",
            "whole, from 0",
            "delta of activation i alone, counted from 0 along the network",
            "delta is empty",
        )],
        measure: parts,
    },
};

fn measure(g: &LocalGeometry) -> Measured {
    match g.complexity {
        Some(found) => Measured::exact(found.layers.iter().sum::<u64>() as f64),
        None => Measured::Undefined(Undefined::NotMeasured),
    }
}

fn parts(g: &LocalGeometry) -> Vec<(String, Measured)> {
    let layers = g.complexity.map_or(&[][..], |c| &c.layers);
    layers.iter().enumerate().map(|(i, n)| (format!("delta_{i}"), Measured::exact(*n as f64))).collect()
}
