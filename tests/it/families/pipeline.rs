//! Whole pipelines, from prompt and noise to picture, against the library: every latent on the way, and the picture.

use super::{close, tensor, tiny};
use crate::diffusion::{cpu, host64, rows64};
use burn::tensor::DType;
use isoline::diffusion::State;
use isoline::diffusion::schedulers::{python_json, scheduler, scheduler_of_class};
use isoline::families::{Folder, Pipeline, Wish};
use isoline::nn::Tangents;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn json(path: &Path) -> Value {
    python_json(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Every run of the references: the name, the scheduler's class where it is not the folder's own, and what is asked beside the prompt.
fn runs() -> Vec<(&'static str, &'static str, Option<&'static str>, usize, Wish)> {
    let wish = |guidance: f64| Wish { guidance, ..Wish::default() };
    let negative = |text: &str, wish: Wish| Wish { negative: Some(text.to_owned()), ..wish };
    let blurry = |guidance| negative("blurry low quality", wish(guidance));
    let sizes = Some([40.0, 48.0, 2.0, 4.0, 32.0, 36.0]);
    vec![
        ("sd15-like", "pndm5_g7.5", None, 5, blurry(7.5)),
        ("sd15-like", "ddim4_g7.5", Some("DDIMScheduler"), 4, blurry(7.5)),
        ("sd15-like", "ddim4_g7.5_clip2", Some("DDIMScheduler"), 4, Wish { clip_skip: 1, ..blurry(7.5) }),
        ("sd15-sharded", "pndm5_g7.5", None, 5, blurry(7.5)),
        ("sd15-fp16", "pndm5_g7.5", None, 5, blurry(7.5)),
        ("sd21-like", "ddim4_g7.5", None, 4, blurry(7.5)),
        ("sd21-like", "zero_snr4_g7.5_r0.7", None, 4, Wish { rescale: 0.7, ..blurry(7.5) }),
        ("sd-turbo-like", "euler1_g0", None, 1, wish(0.0)),
        ("sd-turbo-like", "euler4_g0", None, 4, wish(0.0)),
        ("sd-turbo-like", "euler_ancestral4_g0", Some("EulerAncestralDiscreteScheduler"), 4, wish(0.0)),
        ("lcm-like", "lcm1_g8.5", None, 1, wish(8.5)),
        ("lcm-like", "lcm4_g8.5", None, 4, wish(8.5)),
        ("sdxl-like", "euler4_g5", None, 4, Wish { sizes, ..blurry(5.0) }),
        ("sdxl-like", "euler2_g5_absent", None, 2, wish(5.0)),
        ("sdxl-like", "euler2_g5_empty", None, 2, negative("", wish(5.0))),
        ("sdxl-like", "ancestral1_g0", Some("EulerAncestralDiscreteScheduler"), 1, wish(0.0)),
    ]
}

/// Within 2e-5 of the largest value, since the library runs in f32; ours in f64, so that the difference is the library's own.
#[test]
#[ignore = "needs the shared data"]
fn every_run_is_the_librarys() {
    let (mut worst, mut compared) = ((0.0, String::new()), 0);
    for (model, name, class, steps, wish) in runs() {
        let what = format!("{model}: {name}");
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let get = |key: &str| tensor(&file, &format!("run.{name}.{key}"));
        let Some((noise, shape)) = get("noise") else {
            assert!(model == "sd15-sharded" || model == "sd15-fp16", "{what}: no reference");
            continue;
        };
        let folder = Folder::read(&tiny(model), None).unwrap();
        let pipeline = Pipeline::load(&folder, [shape[2], shape[3]], DType::F64, &cpu()).unwrap();
        let prompt = json(&tiny(model).join("prompts.json"))["prompt"].as_str().unwrap().to_owned();
        let asked = pipeline.asked(&Wish { prompt, ..wish }).unwrap();
        let place = if name.starts_with("zero_snr") { "scheduler-zero-snr" } else { "scheduler" };
        // The references of another class were made with these keys changed.
        let mut config = json(&tiny(model).join(place).join("scheduler_config.json"));
        if class == Some("DDIMScheduler") {
            config["clip_sample"] = false.into();
        }
        if model == "sdxl-like" && class.is_some() {
            config["timestep_spacing"] = "trailing".into();
        }
        let scheduler = match class {
            None => scheduler(&config, steps, 0.0).unwrap(),
            Some(class) => scheduler_of_class(&config, class, steps).unwrap(),
        };
        close(scheduler.times(), &get("timesteps").unwrap().0, 2e-6, &what);
        let size = noise.len();
        let drawn = get("drawn").map(|d| d.0).unwrap_or_default();
        let mut draws = drawn.chunks_exact(size);
        let mut draw = || rows64(draws.next().expect("one more draw than the library's").to_vec(), size);
        let made = pipeline.make(State::plain(rows64(noise, size)), &asked, &*scheduler, &mut draw).unwrap();
        let mut check = |found: Vec<f64>, known: &[f64], what: String| {
            let off = close(&found, known, 2e-5, &what);
            compared += 1;
            if off > worst.0 {
                worst = (off, what);
            }
        };
        let known = get("latents").unwrap().0;
        assert_eq!(known.len(), (made.latents.len() - 1) * size, "{what}");
        for (i, (state, known)) in made.latents[1..].iter().zip(known.chunks_exact(size)).enumerate() {
            check(host64(state.value.clone()), known, format!("{what}, call {i}"));
        }
        let picture = host64(made.picture.value).into_iter().map(|v| v.clamp(0.0, 1.0)).collect();
        check(picture, &get("picture").unwrap().0, format!("{what}, picture"));
    }
    eprintln!("{compared} states and pictures, worst {:.1e} at {}", worst.0, worst.1);
    assert!(compared > 50, "{compared}");
}

/// Noise to picture in one step, and its exact Jacobian: the singular values are the library's, within 1e-4.
#[test]
#[ignore = "needs the shared data"]
fn one_step_has_the_librarys_jacobian() {
    for (model, guidance) in [("sd-turbo-like", 0.0), ("lcm-like", 8.5)] {
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let get =
            |key: &str| tensor(&file, &format!("geometry.one_step.{key}")).unwrap_or_else(|| panic!("{model}: {key}"));
        let (noise, shape) = get("input");
        let folder = Folder::read(&tiny(model), None).unwrap();
        let pipeline = Pipeline::load(&folder, [shape[2], shape[3]], DType::F64, &cpu()).unwrap();
        let prompt = json(&tiny(model).join("prompts.json"))["prompt"].as_str().unwrap().to_owned();
        let asked = pipeline.asked(&Wish { prompt, guidance, ..Wish::default() }).unwrap();
        let scheduler = scheduler(&json(&tiny(model).join("scheduler/scheduler_config.json")), 1, 0.0).unwrap();
        let d = noise.len();
        let unit: Vec<f64> = (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect();
        let start = State { value: rows64(noise, d), tangents: Some(Tangents::shared(rows64(unit, d))) };
        let made = pipeline.make(start, &asked, &*scheduler, &mut || panic!("one step draws no noise")).unwrap();
        // The reference is in the decoder's own scale, twice as large.
        let output: Vec<f64> = host64(made.picture.value).into_iter().map(|v| 2.0 * v - 1.0).collect();
        close(&output, &get("output").0, 2e-5, model);
        let columns = made.picture.tangents.unwrap().expanded(1);
        let size = columns.dims().iter().product::<usize>() / d;
        let jacobian = nalgebra::DMatrix::from_vec(size, d, host64(columns.reshape([d, size])));
        let mut found: Vec<f64> = jacobian.singular_values().iter().map(|s| 2.0 * s).collect();
        found.sort_by(|a, b| b.total_cmp(a));
        let known = get("singular_values").0;
        for (i, (a, b)) in found.iter().zip(&known).enumerate().filter(|(_, (_, b))| **b >= 1e-4 * known[0]) {
            assert!((a - b).abs() <= 1e-4 * b, "{model}: singular value {i}: {a} {b}");
        }
    }
}
