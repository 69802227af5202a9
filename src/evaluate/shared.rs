//! The reference values of the shared data: features of real pictures by a classifier, and metrics of them by others.

use super::Features;
use super::fixture::measured;
use super::metrics::{fd, kd};
use super::moments::{Moments, frechet};
use std::path::PathBuf;

/// Rows of one tensor of the file.
fn features(file: &[u8], name: &str) -> Features {
    let tensors = safetensors::SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
    let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Features { values, width: tensor.shape()[1] }
}

/// `frechet_scipy` and `kid_poly_mmd2_unbiased` of 1,000 rows of 84: `real_a` is the real set.
#[test]
#[ignore = "needs the shared data"]
fn equals_scipy_on_features_of_pictures() {
    let folder = std::env::var_os("ISOLINE_SHARED").map_or(PathBuf::from("../shared/data"), PathBuf::from);
    let folder = folder.join("reference");
    let Ok(file) = std::fs::read(folder.join("lenet84_features.safetensors")) else {
        println!("skipped: no shared data");
        return;
    };
    let text = std::fs::read_to_string(folder.join("metrics.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let real = features(&file, "real_a");
    for name in ["real_b", "vae", "gan_mlp"] {
        let set = features(&file, name);
        let number = |key: &str| expected[name][key].as_f64().unwrap();
        let near = |found: f64, key: &str| {
            println!("{name} {key}: {found:.12}, off by {:.1e}", found / number(key) - 1.0);
            // The smallest of the 62 eigenvalues that are not 0 is 3e-10, the largest 2e4. At worst each is off by
            // 62·eps of that, and the smallest root by 4e-6, which is 1e-6 of the distance of 3.
            assert!((found / number(key) - 1.0).abs() < 1e-6, "{name} {key}: {found}, expected {}", number(key));
        };
        near(frechet(&Moments::of(&real), &Moments::of(&set)), "frechet_scipy");
        near(kd::kd_full(&real, &set), "kid_poly_mmd2_unbiased");
        near(measured(&fd::ROW, &real, &set, None).unwrap().value, "frechet_scipy");
        near(measured(&kd::ROW, &real, &set, None).unwrap().value, "kid_poly_mmd2_unbiased");
    }
}
