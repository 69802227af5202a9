//! The autoencoder of latent diffusion models, against the library: pictures, codes, and the geometry of the decoder.

use super::{close, tensor, tiny};
use crate::diffusion::{cpu, host64, rows64};
use burn::tensor::DType;
use isoline::families::{AutoencoderKl, Component, Tensors};
use isoline::nn::{Network, Parameters, Pass, Rows, Tangents};
use safetensors::SafeTensors;
use std::fs;

/// Both networks of a model's autoencoder, and their parameters.
struct Vae {
    vae: AutoencoderKl,
    component: Component,
}

impl Vae {
    fn read(model: &str) -> Self {
        let component = Component::read(&tiny(model).join("vae"), "vae", "AutoencoderKL", None).unwrap().0;
        Self { vae: AutoencoderKl::read(&component).unwrap(), component }
    }

    fn network(&self, decodes: bool, size: [usize; 2], dtype: DType) -> (Network, Parameters) {
        let (network, factors) = if decodes { self.vae.decoder(size) } else { self.vae.encoder(size) }.unwrap();
        let tensors = Tensors::read(&self.component).unwrap();
        let parameters = tensors.parameters(&network.parameters(), &factors, (dtype, &cpu())).unwrap();
        (network, parameters)
    }
}

fn rows(values: &[f64], dtype: DType) -> Rows {
    rows64(values.to_vec(), values.len()).cast(dtype)
}

/// Pictures and codes of sizes that are not square, in f64 within 1e-9 and in f32 within 2e-5 of the largest value: old and new names of
/// tensors, and norms whose input varies as little as their eps. No tensor of a file is left over.
#[test]
#[ignore = "needs the shared data"]
fn autoencoders_equal_the_library() {
    let mut worst = [0.0f64; 2];
    for model in ["sd15-like", "sd15-fp16", "sd21-like", "sd-turbo-like", "lcm-like", "sdxl-like", "dit-like", "quiet"]
    {
        let vae = Vae::read(model);
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let get = |name: &str| tensor(&file, name).unwrap_or_else(|| panic!("{model}: {name}"));
        let mut networks = Vec::new();
        for decodes in [true, false] {
            let name = if decodes { "vae.decode" } else { "vae.encode" };
            let Some((input, shape)) = tensor(&file, &format!("{name}.input")) else {
                assert_eq!(model, "sd15-fp16");
                networks.push(vae.network(decodes, [8, 8], DType::F32).0);
                continue;
            };
            for (k, dtype, mark, tolerance) in [(0, DType::F64, ".f64", 1e-9), (1, DType::F32, "", 2e-5)] {
                // The encoder pads one side alone, which the tensors of f64 cannot; sd15-fp16 has no references in f64.
                if dtype == DType::F64 && (!decodes || tensor(&file, &format!("vae.decode.output{mark}")).is_none()) {
                    continue;
                }
                let (network, parameters) = vae.network(decodes, [shape[2], shape[3]], dtype);
                let found = host64(network.forward(rows(&input, dtype), &Pass::frozen(&parameters)).cast(DType::F64));
                let known = match decodes {
                    true => get(&format!("vae.decode.output{mark}")).0,
                    false => {
                        [get(&format!("vae.encode.mean{mark}")).0, get(&format!("vae.encode.logvar{mark}")).0].concat()
                    }
                };
                worst[k] = worst[k].max(close(&found, &known, tolerance, &format!("{model}, decodes {decodes}{mark}")));
            }
            networks.push(vae.network(decodes, [shape[2], shape[3]], DType::F32).0);
        }
        let read: Vec<String> = networks.iter().flat_map(|n| n.parameters()).map(|s| s.key).collect();
        Tensors::read(&vae.component).unwrap().check_all_read(read.iter().map(String::as_str)).unwrap();
    }
    eprintln!("worst {:.1e} in f64, {:.1e} in f32", worst[0], worst[1]);
}

/// The exact Jacobian of the decoder: its singular values, one product with a direction, in f64 and in f32.
#[test]
#[ignore = "needs the shared data"]
fn the_decoders_jacobian_equals_the_library() {
    for model in ["sd15-like", "sd21-like", "sd-turbo-like", "lcm-like", "sdxl-like", "dit-like"] {
        let vae = Vae::read(model);
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let get = |name: &str| {
            tensor(&file, &format!("geometry.decoder.{name}")).unwrap_or_else(|| panic!("{model}: {name}"))
        };
        let (input, shape) = get("input");
        let (direction, known) = (get("direction").0, get("singular_values").0);
        for (dtype, tolerance, enough) in [(DType::F64, 1e-9, 1e-9), (DType::F32, 1e-4, 1e-4)] {
            let (network, parameters) = vae.network(true, [shape[2], shape[3]], dtype);
            let pass = Pass::frozen(&parameters);
            let d = input.len();
            let along = |directions: Vec<f64>| {
                let t = Tangents::shared(rows64(directions, d).cast(dtype));
                let (y, t) = network.tangent(rows(&input, dtype), t, &pass);
                let k = t.directions();
                let t = t.expanded(1);
                let size = t.dims().iter().product::<usize>();
                (host64(y.cast(DType::F64)), host64(t.reshape([k, size / k]).cast(DType::F64)))
            };
            let (output, moved) = along(direction.clone());
            let what = format!("{model} {dtype:?}");
            close(&output, &get("output").0, if dtype == DType::F64 { 1e-9 } else { 2e-5 }, &what);
            close(&moved, &get("tangent").0, if dtype == DType::F64 { 1e-9 } else { 2e-5 }, &what);
            let unit: Vec<f64> = (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect();
            let columns = along(unit).1;
            let jacobian = nalgebra::DMatrix::from_vec(columns.len() / d, d, columns);
            let mut found: Vec<f64> = jacobian.singular_values().iter().copied().collect();
            found.sort_by(|a, b| b.total_cmp(a));
            for (i, (a, b)) in found.iter().zip(&known).enumerate().filter(|(_, (_, b))| **b >= enough * known[0]) {
                assert!((a - b).abs() <= tolerance * b.max(known[0] * 1e-4), "{what}: singular value {i}: {a} {b}");
            }
        }
    }
}
