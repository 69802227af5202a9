//! The isoline side of `experiments/peers/evaluation`: features that both sides read, and metrics of them.

use super::processor_ms;
use isoline::evaluate::moments::{Moments, frechet};
use isoline::evaluate::{Features, METRICS, Measured, NEIGHBOURHOODS, Sets, Settings};
use isoline::noise::{Stream, normals};
use isoline::store::write_atomic;
use std::path::Path;
use std::time::Instant;

/// Directions in which the features vary most: those of networks lie near a space of few dimensions too.
const LEADING: usize = 32;
/// Key of the features.
const KEY: u64 = 8;

/// Writes `real.f32` and `generated.f32` into `dir`: `rows` rows of `width` values each, one after the other.
pub fn features(dir: &Path, rows: u64, width: usize) {
    let across = normals(KEY, 0, Stream::Probe, 0, LEADING * width);
    for (name, step, scale, shift) in [("real", 1, 1.0, 0.0), ("generated", 2, 1.05, 0.05)] {
        let row = |i: u64| {
            let mut values: Vec<f64> =
                normals(KEY, i, Stream::Latent, step, width).iter().map(|v| shift + 0.2 * f64::from(*v)).collect();
            let leading = normals(KEY, i, Stream::Init, step, LEADING);
            for (part, along) in leading.iter().zip(across.chunks_exact(width)) {
                let part = scale * f64::from(*part) / (LEADING as f64).sqrt();
                values.iter_mut().zip(along).for_each(|(v, a)| *v += part * f64::from(*a));
            }
            values
        };
        let bytes: Vec<u8> = (0..rows).flat_map(row).flat_map(|v| (v as f32).to_le_bytes()).collect();
        write_atomic(&dir.join(format!("{name}.f32")), &bytes).expect("the folder was just made");
    }
}

fn read(dir: &Path, name: &str, width: usize) -> Features {
    let bytes = std::fs::read(dir.join(format!("{name}.f32"))).expect("features were written before");
    let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Features { values, width }
}

/// Prints one line of JSON: what `case` says of the features in `dir`, and what it took.
pub fn measure(dir: &Path, case: &str, width: usize) {
    let [real, generated] = ["real", "generated"].map(|name| read(dir, name, width));
    let sets = Sets::new(&real, &generated);
    let settings = Settings { seed: 0, nearest: 5, resamples: 200, block: 240 };
    let (started, processor) = (Instant::now(), processor_ms());
    let of = |found: Measured| found.value;
    let values: Vec<(&str, f64)> = match case {
        "prdc" => NEIGHBOURHOODS
            .iter()
            .map(|row| (row.name, of((row.measure)(&sets, &settings).expect("there are enough rows"))))
            .collect(),
        // The value alone, as the peer gives it.
        "fd" => vec![("fd", frechet(&Moments::of(&real), &Moments::of(&generated)))],
        "fd-row" => {
            let row = METRICS.iter().find(|row| row.name == "fd").expect("in the table");
            vec![(row.name, of((row.measure)(&sets, &settings).expect("there are enough rows")))]
        }
        other => panic!("no case {other}"),
    };
    let (seconds, processor) = (started.elapsed().as_secs_f64(), (processor_ms() - processor) / 1e3);
    let values: serde_json::Map<String, serde_json::Value> =
        values.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    println!("{}", serde_json::json!({ "seconds": seconds, "processor": processor, "values": values }));
}
