//! The schedulers of `diffusers`, against the library's own runs: times, noise levels, every state on the way.

use super::{host64, rows64};
use crate::families::{close, tensor};
use crate::shared;
use isoline::diffusion::State;
use isoline::diffusion::schedulers::{Memory, Scheduler, python_json, scheduler};
use isoline::nn::{Rows, Tangents};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;

/// 0.6·x + 0.25·sin(3·x + 0.01·t), with tangents.
fn network(x: State, t: f64) -> State {
    let inner = x.value.clone() * 3.0 + 0.01 * t;
    let slope = inner.clone().cos() * 0.75 + 0.6;
    State { value: x.value * 0.6 + inner.sin() * 0.25, tangents: x.tangents.map(|d| d.scale(slope)) }
}

/// The states after every call, from the first, with the noise that `drawn` gives.
fn run(scheduler: &dyn Scheduler, first: State, drawn: &mut dyn FnMut() -> Rows) -> Vec<State> {
    let mut memory = Memory::default();
    let mut all = vec![first];
    for (call, t) in scheduler.times().iter().enumerate() {
        let x = all[call].clone();
        let answer = network(scheduler.input(call, &x), *t);
        all.push(scheduler.step(call, x, answer, &mut memory, drawn));
    }
    all
}

/// Every setting and number of steps: 2e-5 of the largest value, since the library keeps its tables in f32.
#[test]
#[ignore = "needs the shared data"]
fn every_step_is_the_librarys() {
    let root = shared::data().join("tiny-pipelines/schedulers");
    let index: Value = serde_json::from_str(&fs::read_to_string(root.join("index.json")).unwrap()).unwrap();
    let bytes = fs::read(root.join("reference.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (mut runs, mut worst) = (0, (0.0, String::new()));
    let index = index.as_object().unwrap();
    for (name, entry) in index {
        let config = python_json(&fs::read_to_string(root.join(format!("{name}.json"))).unwrap()).unwrap();
        let eta = entry["step"]["eta"].as_f64().unwrap_or(0.0);
        for steps in entry["steps"].as_array().unwrap() {
            let what = format!("{name}/{steps}");
            let get = |key: &str| tensor(&file, &format!("{what}/{key}"));
            let scheduler = scheduler(&config, steps.as_u64().unwrap() as usize, eta).unwrap();
            close(scheduler.times(), &get("timesteps").unwrap().0, 2e-6, &what);
            if let Some((sigmas, _)) = get("sigmas") {
                close(scheduler.sigmas(), &sigmas, 2e-5, &what);
            }
            close(&[scheduler.start()], &get("init_noise_sigma").unwrap().0, 2e-5, &what);
            let (latents, shape) = get("latents").unwrap();
            let size = latents.len() / shape[0];
            let drawn = get("drawn").map(|d| d.0).unwrap_or_default();
            let mut draws = drawn.chunks_exact(size);
            let mut noise = || rows64(draws.next().expect("one more draw than the library's").to_vec(), size);
            let states = run(&*scheduler, State::plain(rows64(latents[..size].to_vec(), size)), &mut noise);
            assert_eq!(scheduler.is_stochastic(), !drawn.is_empty(), "{what}");
            assert!(draws.next().is_none(), "{what}: the library draws more often");
            let (inputs, _) = get("model_inputs").unwrap();
            for (call, (state, known)) in states.iter().zip(latents.chunks_exact(size)).enumerate() {
                // The library rounds states to f32: an ulp of the largest so far is left where most of it cancels.
                let largest = |all: &[f64]| all.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                let so_far = largest(&latents[..size * (call + 1)]) / largest(known);
                let tolerance = 2e-5f64.max(so_far * f64::from(f32::EPSILON));
                let off = close(&host64(state.value.clone()), known, tolerance, &format!("{what}, state {call}"));
                if off > worst.0 {
                    worst = (off, format!("{what}, state {call}"));
                }
                if let Some(known) = inputs.chunks_exact(size).nth(call) {
                    let input = host64(scheduler.input(call, state).value);
                    close(&input, known, tolerance, &format!("{what}, input {call}"));
                }
            }
            runs += 1;
        }
    }
    // What the library itself cannot do.
    let bh1 = python_json(&fs::read_to_string(root.join("unipc-bh1-v.json")).unwrap()).unwrap();
    assert!(scheduler(&bh1, 4, 0.0).is_err());
    eprintln!("{} settings, {runs} runs; worst {:.1e} at {}", index.len(), worst.0, worst.1);
    assert!(index.len() >= 49 && runs >= 280, "{} {runs}", index.len());
}

fn latent(class: &str, more: Value) -> Value {
    let mut config =
        json!({"_class_name": class, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// The tangent of every path without fresh noise is its derivative.
#[test]
fn every_path_carries_its_tangent() {
    for (config, steps) in [
        (latent("PNDMScheduler", json!({"skip_prk_steps": true, "steps_offset": 1})), 7),
        (latent("DDIMScheduler", json!({"clip_sample": false, "prediction_type": "v_prediction"})), 5),
        (latent("EulerDiscreteScheduler", json!({"use_karras_sigmas": true})), 5),
        (latent("HeunDiscreteScheduler", json!({})), 4),
        (latent("DPMSolverMultistepScheduler", json!({"solver_order": 3})), 9),
        (latent("UniPCMultistepScheduler", json!({"solver_order": 3})), 9),
        (latent("LCMScheduler", json!({})), 1),
        (json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}), 5),
    ] {
        let scheduler = scheduler(&config, steps, 0.0).unwrap();
        let x: Vec<f64> = (0..4).map(|i| f64::from(i) - 1.3).collect();
        let direction = vec![0.4, -1.0, 0.3, 0.8];
        let end = |x: State| run(&*scheduler, x.times(scheduler.start()), &mut || panic!("no noise")).pop().unwrap();
        let tangents = Some(Tangents::shared(rows64(direction.clone(), 4)));
        let found = end(State { value: rows64(x.clone(), 4), tangents }).tangents.unwrap();
        let found = host64(found.expanded(1).reshape([1, 4]));
        let h = 1e-6;
        let moved = |s: f64| {
            let x = x.iter().zip(&direction).map(|(x, d)| x + s * d).collect();
            host64(end(State::plain(rows64(x, 4))).value)
        };
        let known: Vec<f64> = moved(h).iter().zip(moved(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect();
        // Central differences are off by h² and by rounding over h.
        close(&found, &known, 1e-7, &config.to_string());
    }
}

#[test]
fn what_is_not_known_is_refused_by_its_key() {
    for (config, steps, words) in [
        (
            json!({"_class_name": "EulerDiscretScheduler"}),
            4,
            "unknown scheduler \"EulerDiscretScheduler\"; did you mean",
        ),
        (json!([1]), 4, "expected a JSON object of keys"),
        (latent("DDIMScheduler", json!({})), 0, "steps: expected 1 to"),
        (latent("DDIMScheduler", json!({"thresholding": true})), 4, "thresholding: expected false"),
        (latent("DDIMScheduler", json!({"snr_gamma": 5})), 4, "snr_gamma: 5 is not supported"),
        (latent("DDIMScheduler", json!({"prediction_type": "vprediction"})), 4, "did you mean \"v_prediction\""),
        (latent("DDIMScheduler", json!({"rescale_betas_zero_snr": true})), 4, "prediction_type: epsilon says nothing"),
        (latent("DDIMScheduler", json!({"steps_offset": -1})), 4, "steps_offset: expected 0 to 10, found -1"),
        (latent("DDIMScheduler", json!({"trained_betas": [0.1, 0.2]})), 4, "trained_betas: expected 1000 values"),
        (latent("PNDMScheduler", json!({})), 4, "skip_prk_steps: expected true"),
        (
            latent("UniPCMultistepScheduler", json!({"solver_type": "bh1"})),
            4,
            "final_sigmas_type: expected sigma_min with bh1",
        ),
        (latent("DPMSolverMultistepScheduler", json!({"algorithm_type": "dpmsolver"})), 4, "sigma_min with dpmsolver"),
        (latent("LCMScheduler", json!({})), 51, "steps: expected at most 50"),
        (json!({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 0}), 4, "shift: expected a number above 0"),
    ] {
        let found = scheduler(&config, steps, 0.0).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains(words), "{config}: {found}");
    }
    // What is off says nothing, and neither do the library's own notes.
    let quiet = json!({"clip_sample": false, "_diffusers_version": "0.6.0", "skip_prk_steps": null, "x": false});
    assert!(scheduler(&latent("DDIMScheduler", quiet), 4, 0.0).is_ok());
}
