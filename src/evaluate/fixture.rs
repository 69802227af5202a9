//! Features for tests: the fixture of the golden table, which any program can make in f64, and independent normals.

pub use super::golden::golden;
use super::golden::{features, normals};
use super::{Features, Measured, MetricRow, Sets, Settings};
use crate::error::Result;
use crate::noise::Stream;

/// `rows` of `width` values, from hash row `offset` on, each times `scale` plus `shift`.
pub fn hashed(rows: usize, width: usize, offset: usize, scale: f64, shift: f64) -> Features {
    features(normals(rows, width, offset).into_iter().map(|v| v * scale + shift), width)
}

/// The rows `from..to`.
pub fn rows(of: &Features, from: usize, to: usize) -> Features {
    Features { values: of.values[from * of.width..to * of.width].to_vec(), width: of.width }
}

/// Independent standard normals, another draw for each `seed`.
pub fn drawn(rows: usize, width: usize, seed: u64) -> Features {
    Features { values: crate::noise::normals(seed, 0, Stream::Probe, 0, rows * width), width }
}

/// The same rows moved by `by` along every feature.
pub fn moved(of: &Features, by: f32) -> Features {
    Features { values: of.values.iter().map(|v| v + by).collect(), width: of.width }
}

pub fn settings(seed: u64) -> Settings {
    Settings { seed, nearest: 5, resamples: 200, block: 256 }
}

/// What a metric makes of real, generated and held-out features.
pub fn measured(row: &MetricRow, real: &Features, generated: &Features, test: Option<&Features>) -> Result<Measured> {
    let sets = Sets { test, ..Sets::new(real, generated) };
    (row.measure)(&sets, &settings(7))
}

/// The same on one thread and on three: the results must have the same bits.
pub fn on_threads(row: &MetricRow, sets: &Sets) -> [Measured; 2] {
    [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (row.measure)(sets, &settings(7))).unwrap()
    })
}

/// The message of a failure.
pub fn message(of: Result<Measured>) -> String {
    of.expect_err("expected a failure").to_string()
}
