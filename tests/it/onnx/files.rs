//! Every file of `onnx/` in the shared folder, read, lowered and run by the evaluator of this folder.

use super::evaluator::evaluate;
use isoline::error::Error;
use isoline::onnx::{self, Choices, Fixed, Lowered, Model};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The shared folder of ONNX files.
pub(super) fn shared() -> PathBuf {
    crate::shared::data().join("onnx")
}

pub(super) fn json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Tensors of a file as 64-bit floats, with their shapes.
pub(super) fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f64>)> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |dtype: Dtype, data: &[u8]| -> Vec<f64> {
        match dtype {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::I64 => data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("{other:?}"),
        }
    };
    file.iter().map(|(n, t)| (n.to_owned(), (t.shape().to_vec(), values(t.dtype(), t.data())))).collect()
}

/// Largest difference as a part of the largest expected value.
pub(super) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f64, |a, v| a.max(v.abs()));
    found.iter().zip(expected).fold(0f64, |a, (x, y)| a.max((x - y).abs())) / largest.max(1e-30)
}

fn outputs(graph: &Lowered, latent: &[f64]) -> Vec<f64> {
    evaluate(graph, latent).swap_remove(graph.output)
}

/// Values as the library's mixing check wants them.
fn narrow(graph: &Lowered, latent: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
    let latent: Vec<f64> = latent.iter().map(|&v| f64::from(v)).collect();
    Ok(evaluate(graph, &latent).into_iter().map(|v| v.into_iter().map(|v| v as f32).collect()).collect())
}

#[test]
#[ignore = "needs the shared data"]
fn every_network_gives_its_reference_outputs() {
    let folder = shared();
    let mut worst = Vec::new();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("meta.json").exists() {
            continue;
        }
        let meta = json(&folder.join("meta.json"));
        let reference = tensors(&folder.join("reference.safetensors"));
        for file in meta["files"].as_array().unwrap() {
            files += 1;
            let path = folder.join(file["file"].as_str().unwrap());
            let shown = path.strip_prefix(folder.parent().unwrap()).unwrap().display().to_string();
            match network(&path, &reference, file["batch"] == "dynamic") {
                Ok(line) => worst.push((shown, line.0, line.1)),
                Err(message) => worst.push((shown, f64::INFINITY, message)),
            }
        }
    }
    worst.sort_by(|a, b| a.0.cmp(&b.0));
    for (file, error, line) in &worst {
        println!("{file:60} {error:.1e} {line}");
    }
    assert_eq!(files, 31);
    assert!(worst.iter().all(|(_, error, _)| *error < 1e-5));
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// The folders of networks.
pub(super) fn networks() -> Vec<PathBuf> {
    let all = std::fs::read_dir(shared()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|folder| folder.join("meta.json").exists()).collect();
    found.sort();
    found
}

/// What a network's further inputs are held at.
pub(super) fn fixed(model: &Model, reference: &Tensors) -> BTreeMap<String, Fixed> {
    let value = |(name, (shape, values)): (&String, &(Vec<usize>, Vec<f64>))| {
        let name = name.strip_prefix("fixed.")?;
        let value = Fixed::Tensor { shape: shape.clone(), values: values.clone() };
        model.inputs.iter().any(|i| i.name == name).then(|| (name.to_owned(), value))
    };
    reference.iter().filter_map(value).collect()
}

fn network(path: &Path, reference: &Tensors, dynamic: bool) -> Result<(f64, String), String> {
    let model = onnx::read(path).map_err(|e| e.to_string())?;
    let choices = Choices { fixed: fixed(&model, reference), ..Choices::default() };
    let plain = Choices { keep_all: true, ..choices.clone() };
    let graph = onnx::lower(&model, &choices, 1).map_err(|e| e.to_string())?;
    let whole = onnx::lower(&model, &plain, 1).map_err(|e| e.to_string())?;
    let (shape, latents) = &reference["latents"];
    let (width, (_, expected)) = (latents.len() / shape[0], &reference["outputs_f64"]);
    let mut found = Vec::new();
    for (row, latent) in latents.chunks(width).enumerate() {
        let picture = outputs(&graph, latent);
        if row == 0 {
            let same = difference(&outputs(&whole, latent), &picture);
            assert!(same < 1e-6, "simplified and not differ by {same:e}");
        }
        found.extend(picture);
    }
    let error = difference(&found, expected);
    let mixed = mixing(&model, &choices, &latents[..width], &latents[width..2 * width]);
    let mixed = match (dynamic, mixed) {
        (true, Ok(onnx::mixing::Mixing::Independent(d))) => format!("independent {d:.0e}"),
        (false, Ok(onnx::mixing::Mixing::Unknown(_))) => "batch 1".to_owned(),
        (_, other) => return Err(format!("mixing: {other:?}")),
    };
    let range = onnx::range::of(&graph).map(|r| (r.low, r.high));
    let report = &graph.report;
    let left: Vec<String> = report.left.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    let nodes = graph.nodes.len();
    Ok((error, format!("{mixed}, {} -> {nodes}, range {range:?}: {}", report.read, left.join(", "))))
}

fn mixing(model: &Model, choices: &Choices, a: &[f64], b: &[f64]) -> Result<onnx::mixing::Mixing, Error> {
    let narrowed = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    onnx::mixing::check(model, choices, [&narrowed(a), &narrowed(b)], narrow)
}

#[test]
#[ignore = "needs the shared data"]
fn every_operator_gives_its_reference_values() {
    let folder = shared().join("operators");
    let reference = tensors(&folder.join("reference.safetensors"));
    let index = json(&folder.join("index.json"));
    let mut bad = Vec::new();
    let mut worst = (0f64, String::new());
    for name in index.as_object().unwrap().keys() {
        let (shape, latents) = &reference[&format!("{name}.z")];
        let expected = &reference[&format!("{name}.x")].1;
        let model = onnx::read(&folder.join(format!("{name}.onnx")));
        let graph = model.and_then(|model| onnx::lower(&model, &Choices::default(), 1));
        match graph {
            Ok(graph) => {
                let width = latents.len() / shape[0];
                let found: Vec<f64> = latents.chunks(width).flat_map(|latent| outputs(&graph, latent)).collect();
                let error = difference(&found, expected);
                if error > worst.0 {
                    worst = (error, name.clone());
                }
                if error.is_nan() || error > 1e-5 {
                    bad.push(format!("{name}: differs by {error:e}"));
                }
            }
            Err(error) => bad.push(format!("{name}: {error}")),
        }
    }
    println!("{} operators, the worst {} with {:.1e}", index.as_object().unwrap().len(), worst.1, worst.0);
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
#[ignore = "needs the shared data"]
fn every_operator_has_the_slopes_of_its_reference() {
    let folder = shared().join("operators");
    let reference = tensors(&folder.join("reference.safetensors"));
    let mut worst = (0f64, String::new());
    for name in json(&folder.join("index.json")).as_object().unwrap().keys() {
        let model = onnx::read(&folder.join(format!("{name}.onnx"))).unwrap();
        let graph = onnx::lower(&model, &Choices::default(), 1).unwrap();
        let (latents, jacobian) = (&reference[&format!("{name}.z")].1, &reference[&format!("{name}.jacobian")]);
        let width = jacobian.0[2];
        // Central differences at the first latent, a column for each of its entries.
        let latent = &latents[..width];
        let mut found = vec![0.0; jacobian.0[1] * width];
        for column in 0..width {
            let moved = |by: f64| {
                let mut latent = latent.to_vec();
                latent[column] += by;
                outputs(&graph, &latent)
            };
            for (row, (up, down)) in moved(1e-5).iter().zip(moved(-1e-5)).enumerate() {
                found[row * width + column] = (up - down) / 2e-5;
            }
        }
        let error = difference(&found, &jacobian.1[..found.len()]);
        if error > worst.0 {
            worst = (error, name.clone());
        }
        assert!(error < 1e-5, "{name}: {error:e}");
    }
    println!("the worst slope {:.1e} of {}", worst.0, worst.1);
}

#[test]
#[ignore = "needs the shared data"]
fn every_encoding_gives_the_same_picture() {
    let folder = shared().join("encodings");
    let reference = tensors(&folder.join("reference.safetensors"));
    let latents = &reference["z"].1;
    for (name, what) in json(&folder.join("index.json")).as_object().unwrap() {
        let model = onnx::read(&folder.join(name)).unwrap();
        let graph = onnx::lower(&model, &Choices::default(), 1).unwrap();
        let width: usize = graph.inputs[0].shape.iter().product();
        let key = reference.keys().find(|k| *k == name || **k == name.trim_end_matches(".onnx")).unwrap();
        let found: Vec<f64> = latents.chunks(width).flat_map(|latent| outputs(&graph, latent)).collect();
        let error = difference(&found, &reference[key].1);
        println!("{name:32} {error:.1e} {what}: {:?}", graph.report.warnings);
        assert!(error < 1e-5, "{name}");
        assert_eq!(graph.report.warnings.is_empty(), name != "dead-unknown.onnx", "{name}");
    }
}

#[test]
#[ignore = "needs the shared data"]
fn every_damaged_file_gives_its_exit_code_and_names_the_culprit() {
    let folder = shared().join("broken");
    let mut bad = Vec::new();
    for (name, wanted) in json(&folder.join("errors.json")).as_object().unwrap() {
        let read = onnx::read(&folder.join(name));
        let done = read.and_then(|model| {
            let graph = onnx::lower(&model, &Choices::default(), 1)?;
            let width: usize = graph.inputs[0].shape.iter().product();
            let latent = |seed: usize| -> Vec<f64> { (0..width).map(|i| ((i + seed) as f64 * 1.7).sin()).collect() };
            mixing(&model, &Choices::default(), &latent(0), &latent(9)).map(|_| ())
        });
        let (code, message) = done.map_or_else(|e| (e.exit_code(), e.to_string()), |()| (0, String::new()));
        let text = wanted["message"].as_str().unwrap();
        println!("{name:28} {code} {message}\n{:28}   {text}", "");
        // The name in quotes in the wanted text must appear.
        let quoted: Vec<&str> = text.split('"').skip(1).step_by(2).take(1).collect();
        if u64::from(code) != wanted["exit"].as_u64().unwrap() || !quoted.iter().all(|q| message.contains(q)) {
            bad.push(name.clone());
        }
        assert!(!message.contains('\n'), "{message}");
    }
    assert!(bad.is_empty(), "{bad:?}");
}
