//! The engine on graphs that were read from ONNX: values and Jacobians of one operator at a time, and pictures, singular
//! values and refusals of whole networks, compared with PyTorch in f64.

use super::files::shared;
use crate::layers::to_rows_on;
use crate::shared::Fixtures;
use isoline::acts::import::{OnnxOptions, arrays, converted, import_onnx};
use isoline::device;
use isoline::host::{HostGraph, HostRows};
use isoline::nn::{HostParameters, Parameters, Pass, Tangents};
use isoline::onnx::{self, Choices};
use isoline::tensors::host;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|p| p.extension().is_some_and(|e| e == "onnx")).collect();
    found.sort();
    found
}

/// The largest difference from what is expected, as a part of the largest value.
fn off(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |a, v| a.max(v.abs()));
    let each = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs() / largest);
    each.fold(0.0, |a, v| if v.is_nan() { f64::INFINITY } else { a.max(v) })
}

/// Values and Jacobians of every one-operator file, on tensors and on host memory. The Jacobians of the reference are in
/// f64; those here are in f32, of a few dozen operations.
#[test]
#[ignore = "needs the shared data"]
fn every_operator_has_the_jacobian_of_pytorch() {
    let folder = shared().join("operators");
    let reference = Fixtures::read(&folder.join("reference.safetensors"));
    let (_, cpu) = device::open("cpu").unwrap();
    let mut worst = [(0.0, String::new()), (0.0, String::new()), (0.0, String::new())];
    let files = files(&folder);
    assert!(files.len() >= 137, "{}", files.len());
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let lowered = onnx::lower(&onnx::read(file).unwrap(), &Choices::default(), 1).unwrap();
        let network = converted(&lowered).unwrap().file.network().unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = lowered.tensors.iter().map(|(k, (_, v))| (k.clone(), v.clone()));
        let parameters = Parameters::from_values(values, &cpu);
        let z = reference.floats(&format!("{name}.z"));
        let (n, jacobian) = (3, reference.get(&format!("{name}.jacobian")));
        let d = z.len() / n;
        let x = reference.get(&format!("{name}.x"));
        let units: Vec<f32> = (0..d * d).map(|i| f32::from(u8::from(i / d == i % d))).collect();
        let start = Tangents::shared(to_rows_on(&cpu, units.clone(), d));
        let (y, t) = network.tangent(to_rows_on(&cpu, z.clone(), d), start, &Pass::frozen(&parameters));
        let (y, t) = (host(y).unwrap(), host(t.expanded(n)).unwrap());
        let width = y.len() / n;
        // [n, d, outputs] here, [n, outputs, d] there.
        let turned = |t: &[f32]| -> Vec<f32> {
            let one = |t: &[f32]| {
                (0..width).flat_map(|o| (0..d).map(move |i| (o, i))).map(|(o, i)| t[i * width + o]).collect()
            };
            t.chunks_exact(d * width).flat_map::<Vec<f32>, _>(one).collect()
        };
        let graph = HostGraph::of_network(&network, &HostParameters::read(&parameters).unwrap());
        let graph = graph.unwrap_or_else(|| panic!("{name} has no host rule"));
        let begin = graph.start(HostRows::directions(&units, d));
        let (mut values, mut rows) = (Vec::new(), Vec::new());
        for z in z.chunks_exact(d) {
            let (value, point) = graph.value(z);
            let t = graph.tangent(&point, &begin, None);
            values.extend(value);
            rows.extend(
                (0..width).flat_map(|f| (0..d).map(move |i| (f, i))).map(|(f, i)| t.row(f).map_or(0.0, |r| r[i])),
            );
        }
        let found = [off(&y, x).max(off(&values, x)), off(&turned(&t), jacobian), off(&rows, jacobian)];
        for (worst, found) in worst.iter_mut().zip(found) {
            assert!(found <= 1e-5, "{name}: {found:e}");
            if found > worst.0 {
                *worst = (found, name.to_owned());
            }
        }
    }
    println!("{} files: values, Jacobians on tensors and on host memory off by at most {worst:?}", files.len());
}

/// All exports of all networks, as the command imports them.
#[test]
#[ignore = "needs the shared data"]
fn every_network_is_that_of_pytorch() {
    let root = shared();
    let out = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(&root).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("meta.json").is_file() {
            continue;
        }
        for file in files(&folder) {
            let options = OnnxOptions {
                reference: Some(folder.join("reference.safetensors")),
                dry_run: true,
                ..OnnxOptions::default()
            };
            let done = import_onnx(&file, &out.path().join("model"), &options);
            let done = done.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let parity = done.parity.unwrap();
            let name = file.strip_prefix(&root).unwrap().display();
            println!("{name}: {}", parity.told());
            assert!(parity.pictures == 8 && parity.latents == 4, "{name}");
            assert!(parity.outputs <= 1e-5, "{name}: outputs {:e}", parity.outputs);
            assert!(parity.singular_values <= 1e-4, "{name}: singular values {:e}", parity.singular_values);
            assert!(parity.psi_k <= 1e-4, "{name}: psi_k {:e}", parity.psi_k);
            count += 1;
        }
    }
    assert_eq!(count, 31);
}

/// ψ of a flow is the logarithm of its determinant, which it computes by a formula of its own.
#[test]
#[ignore = "needs the shared data"]
fn psi_of_a_flow_is_its_log_determinant() {
    let folder = shared().join("realnvp");
    let out = tempfile::tempdir().unwrap();
    let model = out.path().join("flow");
    import_onnx(&folder.join("model.onnx"), &model, &OnnxOptions::default()).unwrap();
    let (_, cpu) = device::open("cpu").unwrap();
    let flow = isoline::generator::load(&model, &cpu).unwrap();
    let reference = Fixtures::read(&folder.join("reference.safetensors"));
    let exact = isoline::geometry::estimators::estimator("exact").unwrap();
    let found = exact.spectra(flow.as_ref(), &reference.floats("latents")).unwrap();
    let log_det = reference.get("log_det");
    assert_eq!(found.len(), 8);
    for (spectrum, expected) in found.iter().zip(log_det) {
        let psi: f64 = spectrum.as_ref().unwrap().singular_values.iter().map(|s| s.ln()).sum();
        assert!((psi - expected).abs() <= 1e-4, "{psi} and {expected}");
    }
}

/// Every broken file: the exit code, the name of the node or tensor, and nothing written.
#[test]
#[ignore = "needs the shared data"]
fn broken_files_are_refused_with_what_is_wrong() {
    let folder = shared().join("broken");
    let text = std::fs::read_to_string(folder.join("errors.json")).unwrap();
    let wanted: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let out = tempfile::tempdir().unwrap();
    for (name, wanted) in &wanted {
        let model = out.path().join(name.replace('.', "-"));
        let call = crate::cli::Isoline::new(&["import", "-q"]).arg(folder.join(name)).arg("-o").arg(&model);
        let code = wanted["exit"].as_i64().unwrap() as i32;
        if code == 0 {
            call.run();
            assert!(model.join("card.toml").is_file() && model.join("graph.json").is_file(), "{name}");
            continue;
        }
        // What stands between quotes is the name of a node, a tensor, an input or a file.
        let message = wanted["message"].as_str().unwrap();
        let names: Vec<&str> = message.split('"').skip(1).step_by(2).filter(|n| !n.contains('{')).collect();
        let line = call.fails(code, &names);
        println!("{name}: {line}");
        assert!(!model.exists(), "{name} left something behind");
    }
    assert_eq!(wanted.len(), 23);
}

/// The encodings of one model give the picture of its reference.
#[test]
#[ignore = "needs the shared data"]
fn every_spelling_gives_the_same_picture() {
    let folder = shared().join("encodings");
    let reference = arrays(&folder.join("reference.safetensors")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (_, cpu) = device::open("cpu").unwrap();
    for file in files(&folder) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let model = out.path().join(name.replace('.', "-"));
        import_onnx(&file, &model, &OnnxOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let generator = isoline::generator::load(&model, &cpu).unwrap();
        let z: Vec<f32> = reference["z"].values.iter().map(|v| *v as f32).collect();
        let d = generator.spec().latent_width;
        let found = host(generator.generate(to_rows_on(&cpu, z, d))).unwrap();
        let off = off(&found, &reference[&name].values);
        println!("{name}: {off:.1e}");
        assert!(off <= 1e-5, "{name}: {off:e}");
    }
}
