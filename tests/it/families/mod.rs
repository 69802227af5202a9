//! Folders of `diffusers`: their tokenizers and text networks, against the library itself.

mod folder;
mod lists;
mod pipeline;
mod text;
mod unet;
mod vae;

use crate::shared;
use safetensors::{Dtype, SafeTensors};
use std::path::PathBuf;

/// A tiny pipeline of the shared data.
fn tiny(name: &str) -> PathBuf {
    shared::data().join("tiny-pipelines").join(name)
}

/// A tensor of numbers, with its shape; `None` if the file has none of this name.
pub fn tensor(file: &SafeTensors, name: &str) -> Option<(Vec<f64>, Vec<usize>)> {
    let found = file.tensor(name).ok()?;
    let of = |size: usize, number: fn(&[u8]) -> f64| found.data().chunks_exact(size).map(number).collect();
    let values = match found.dtype() {
        Dtype::F64 => of(8, |b| f64::from_le_bytes(b.try_into().unwrap())),
        Dtype::F32 => of(4, |b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))),
        Dtype::I64 => of(8, |b| i64::from_le_bytes(b.try_into().unwrap()) as f64),
        Dtype::I32 => of(4, |b| f64::from(i32::from_le_bytes(b.try_into().unwrap()))),
        other => panic!("{name}: {other:?}"),
    };
    Some((values, found.shape().to_vec()))
}

/// The largest difference, relative to the largest value; it must be within the tolerance.
pub fn close(found: &[f64], known: &[f64], tolerance: f64, what: &str) -> f64 {
    assert_eq!(found.len(), known.len(), "{what}");
    let largest = known.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let off = found.iter().zip(known).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(off <= tolerance * largest, "{what}: off by {off} of {largest}");
    off / largest.max(f64::MIN_POSITIVE)
}
