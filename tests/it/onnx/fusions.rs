//! Every network of the shared folder with and without each fusion: the same pictures, and those of PyTorch.

use super::evaluator::evaluate;
use super::files::{difference, fixed, json, networks, tensors};
use isoline::onnx::{self, Choices, FUSIONS, Lowered, Model};
use std::collections::BTreeMap;

/// Pictures of all latents.
fn pictures(graph: &Lowered, latents: &[f64], width: usize) -> Vec<f64> {
    latents.chunks(width).flat_map(|latent| evaluate(graph, latent).swap_remove(graph.output)).collect()
}

/// Entries of all values that something computes, in thousands: what a tangent costs apart from products of matrices.
fn entries(graph: &Lowered) -> f64 {
    let computed = graph.nodes.iter().filter(|n| !matches!(n.kind, "rearrange" | "constant"));
    computed.map(|n| n.shape.iter().product::<usize>()).sum::<usize>() as f64 / 1e3
}

fn lowered(model: &Model, choices: &Choices, unfused: &[&str]) -> Lowered {
    let unfused = unfused.iter().map(|name| (*name).to_owned()).collect();
    onnx::lower(model, &Choices { unfused, ..choices.clone() }, 1).unwrap()
}

#[test]
#[ignore = "needs the shared data"]
fn every_network_gives_the_same_with_and_without_each_fusion() {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    let mut worst: Vec<(f64, String)> = Vec::new();
    let mut files = 0;
    for folder in networks() {
        let meta = json(&folder.join("meta.json"));
        let reference = tensors(&folder.join("reference.safetensors"));
        for file in meta["files"].as_array().unwrap() {
            files += 1;
            let path = folder.join(file["file"].as_str().unwrap());
            let model = onnx::read(&path).unwrap();
            let choices = Choices { fixed: fixed(&model, &reference), ..Choices::default() };
            let (shape, latents) = &reference["latents"];
            let width = latents.len() / shape[0];
            let plain = lowered(&model, &choices, &["all"]);
            let fused = lowered(&model, &choices, &[]);
            assert!(plain.report.fused.is_empty());
            let (a, b) = (pictures(&plain, latents, width), pictures(&fused, latents, width));
            let expected = &reference["outputs_f64"].1[..a.len()];
            let (moved, off) = (difference(&b, &a), [difference(&a, expected), difference(&b, expected)]);
            let name = format!("{}/{}", folder.file_name().unwrap().to_str().unwrap(), file["file"].as_str().unwrap());
            let left =
                |g: &Lowered| g.report.left.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(" ");
            println!(
                "{name:48} {:3} -> {:3} {:.1}k -> {:.1}k moved {moved:.1e}, off {:.1e} -> {:.1e} {:?}\n    {}\n    {}",
                plain.nodes.len(),
                fused.nodes.len(),
                entries(&plain),
                entries(&fused),
                off[0],
                off[1],
                fused.report.fused,
                left(&plain),
                left(&fused)
            );
            worst.push((moved, name.clone()));
            assert!(off[1] < 1e-5, "{name}: {:e}", off[1]);
            for (fusion, count) in &fused.report.fused {
                *totals.entry(fusion).or_default() += count;
            }
            for fusion in FUSIONS {
                let without = lowered(&model, &choices, &[fusion.name]);
                assert!(!without.report.fused.contains_key(fusion.name));
                let others: Vec<&str> = FUSIONS.iter().map(|f| f.name).filter(|f| *f != fusion.name).collect();
                let alone = lowered(&model, &choices, &others);
                // Where a fusion finds nothing, the graph is one of those above.
                let applies = |g: &&Lowered| !g.report.fused.is_empty() && g.report.fused != fused.report.fused;
                for graph in [&without, &alone].into_iter().filter(applies) {
                    let moved = difference(&pictures(graph, latents, width), &a);
                    worst.push((moved, format!("{name} {}", fusion.name)));
                }
            }
        }
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{totals:?}\nworst: {:?}", &worst[..worst.len().min(40)]);
    assert_eq!(files, 31);
    assert!(worst[0].0 <= 1e-6, "{:?}", worst[0]);
}
