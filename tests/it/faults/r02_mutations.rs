//! R2: seeded mutations of a valid weights file. It is refused or it loads; it never panics.

use isoline::noise::{Stream, generator};
use isoline::store::{WeightTensor, Weights, write_safetensors};
use rand::RngExt;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;

pub const CASES: usize = 2_500;

#[test]
fn mutated_weights_never_panic() {
    let tensor = |shape: &[usize]| WeightTensor {
        shape: shape.to_vec(),
        values: (0..shape.iter().product::<usize>()).map(|i| i as f32 * 0.1 - 1.0).collect(),
    };
    let tensors = [("a.weight", tensor(&[4, 3])), ("a.bias", tensor(&[4])), ("b.weight", tensor(&[2, 4, 1, 1]))];
    let valid = write_safetensors(&BTreeMap::from(tensors.map(|(n, t)| (n.to_owned(), t)))).unwrap();
    let (mut loaded, mut ran) = (0, super::Ran::new("R2"));
    for case in 0..CASES {
        let mut rng = generator(2, case as u64, Stream::Bootstrap, 0);
        let mut bytes = valid.clone();
        match case % 5 {
            0 => bytes.truncate(rng.random_range(0..valid.len())),
            1 => {
                let (from, to) = (rng.random_range(0..valid.len()), rng.random_range(0..valid.len()));
                bytes.drain(from.min(to)..from.max(to));
            }
            // In the header, where a single byte matters most.
            2 => (0..rng.random_range(1..4usize)).for_each(|_| bytes[rng.random_range(0..200usize)] = rng.random()),
            3 => bytes[rng.random_range(0..8usize)] = rng.random(),
            _ => {
                let at = rng.random_range(0..valid.len());
                bytes[at] ^= 1 << rng.random_range(0..8u32);
            }
        }
        let result = catch_unwind(|| Weights::parse(Path::new("mutated"), &bytes).map(|w| w.names().count()));
        match result {
            Ok(Ok(_)) => loaded += 1,
            Ok(Err(error)) => assert_eq!(error.exit_code(), 3, "case {case}: {error}"),
            Err(_) => panic!("case {case} panicked"),
        }
        ran.case();
    }
    // Mutations of the payload's bits load. If nothing or everything loaded, the test would show nothing.
    assert!((100..CASES - 1_000).contains(&loaded), "{loaded}");
    ran.all(CASES);
}
