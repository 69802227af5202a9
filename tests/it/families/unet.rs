//! The U-Nets of Stable Diffusion 1, 2, Turbo, XL and LCM, against the library.

use super::{close, tensor, tiny};
use crate::diffusion::{cpu, host64, rows64};
use burn::tensor::{DType, Tensor, TensorData};
use isoline::diffusion::State;
use isoline::families::{ClipText, ClipTokenizer, Component, Prompt, Unet};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;

fn component(model: &str) -> Component {
    Component::read(&tiny(model).join("unet"), "unet", "UNet2DConditionModel", None).unwrap().0
}

/// The states of the negative prompt and of the prompt, `[places, width]`, and their pooled rows, by the model's own text networks in f64:
/// those of the references are rounded to f32. `quiet` has no text network, and its states are numbers that were drawn in f32.
fn texts(model: &str, file: &SafeTensors) -> Vec<(Tensor<2>, Vec<f64>)> {
    if !tiny(model).join("prompts.json").is_file() && !tiny(model).join("text_encoder").is_dir() {
        let (states, shape) = tensor(file, "unet.encoder_hidden_states").unwrap();
        let size = shape[1] * shape[2];
        let one = |row: &[f64]| TensorData::new(row.to_vec(), [shape[1], shape[2]]);
        let state = |row| Tensor::from_data(one(row), (&cpu(), DType::F64));
        return states.chunks_exact(size).map(|row| (state(row), Vec::new())).collect();
    }
    let of = |name: &str| {
        fs::read_to_string(tiny(model).join("prompts.json"))
            .map(|t| serde_json::from_str::<Value>(&t).unwrap()[name].as_str().unwrap().to_owned())
            .unwrap()
    };
    let folder = tiny(model);
    let encode = |text: &str| {
        let parts: Vec<&str> =
            ["", "_2"].into_iter().filter(|p| folder.join(format!("text_encoder{p}")).is_dir()).collect();
        let (mut states, mut pooled) = (Vec::new(), Vec::new());
        for part in &parts {
            let tokens = ClipTokenizer::read(&folder.join(format!("tokenizer{part}"))).unwrap().encode(text).unwrap();
            let network =
                ClipText::read(&folder.join(format!("text_encoder{part}")), "model.safetensors", DType::F64, &cpu())
                    .unwrap();
            let found = network.encode(&[tokens]).unwrap();
            let state = if parts.len() > 1 { found.states[found.states.len() - 2].clone() } else { found.last };
            let [_, places, width] = state.dims();
            states.push(state.reshape([places, width]));
            pooled = host64(found.pooled);
        }
        (Tensor::cat(states, 1), if parts.len() > 1 { pooled } else { Vec::new() })
    };
    ["negative", "prompt"].map(|name| encode(&of(name))).to_vec()
}

/// The prompt of row `i`.
fn prompt(file: &SafeTensors, texts: &[(Tensor<2>, Vec<f64>)], i: usize, dtype: DType) -> Prompt {
    let sizes = tensor(file, "unet.time_ids").map(|(values, shape)| values[i * shape[1]..(i + 1) * shape[1]].to_vec());
    Prompt {
        context: texts[i].0.clone().cast(dtype),
        pooled: texts[i].1.clone(),
        sizes: sizes.unwrap_or_default(),
        guidance: tensor(file, "unet.guidance_embedding").map(|_| 8.5),
    }
}

/// Both prompts at two times, and one at a size that is not square, in f64 within 1e-9 and in f32 within 2e-5 of the largest value.
#[test]
#[ignore = "needs the shared data"]
fn unets_equal_the_library() {
    let mut worst = [0.0f64; 2];
    for model in ["sd15-like", "sd21-like", "sd-turbo-like", "lcm-like", "sdxl-like", "quiet"] {
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let component = component(model);
        let texts = texts(model, &file);
        for (k, dtype, mark, tolerance) in [(0, DType::F64, ".f64t", 1e-9), (1, DType::F32, "", 2e-5)] {
            // LCM is told its guidance scale by sines that the library computes in f32, at angles up to 7,500.
            let tolerance = if model == "lcm-like" { 2e-5 } else { tolerance };
            let mut answered = 0;
            for (input, name, time, rows) in [
                ("unet.input", "unet.t981", 981.0, vec![0, 1]),
                ("unet.input", "unet.t21", 21.0, vec![0, 1]),
                ("unet.wide.input", "unet.wide.t501", 501.0, vec![1]),
            ] {
                let (Some((x, shape)), Some((known, _))) =
                    (tensor(&file, input), tensor(&file, &format!("{name}{mark}")))
                else {
                    continue;
                };
                let places = tensor(&file, "unet.encoder_hidden_states").unwrap().1[1];
                let unet = Unet::read(&component, ([shape[2], shape[3]], places), dtype, &cpu()).unwrap();
                let size = shape[1..].iter().product::<usize>();
                for (i, row) in rows.iter().enumerate() {
                    let x = State::plain(rows64(x[i * size..(i + 1) * size].to_vec(), size).cast(dtype));
                    let found = unet.answer(&x, time, &prompt(&file, &texts, *row, dtype)).unwrap();
                    let found = host64(found.value.cast(DType::F64));
                    let known = &known[i * size..(i + 1) * size];
                    let off = close(&found, known, tolerance, &format!("{model}: {name}{mark}, row {row}"));
                    worst[k] = if model == "lcm-like" { worst[k] } else { worst[k].max(off) };
                    answered += 1;
                }
            }
            assert!(answered >= if model == "quiet" { 2 } else { 5 }, "{model}: {answered}");
        }
    }
    eprintln!("worst {:.1e} in f64, {:.1e} in f32", worst[0], worst[1]);
}
