//! The pretrained DDPM of the shared data, through its card, compared with PyTorch.

use super::cpu;
use crate::shared::{self, Fixtures, relative_l2};
use isoline::diffusion::{Clock, Denoiser, Sampling, State, solvers::solver};
use isoline::generator::{ImportOptions, Sampler, import};
use isoline::nn::Tangents;
use isoline::tensors::{host, rows};
use std::path::Path;

const D: usize = 784;

fn model() -> (Sampler, Fixtures) {
    let folder = shared::data().join("weights/mnist-ddpm-cnn");
    let temp = tempfile::tempdir().unwrap();
    let card = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cards/mnist-ddpm-cnn.toml");
    let imported =
        import(&folder.join("hughes_0001_0400.safetensors"), &card, temp.path(), ImportOptions::default()).unwrap();
    assert_eq!(imported.left_out, ["alpha_t", "beta_t"]);
    let sampler = Sampler::load(temp.path(), &cpu()).unwrap();
    (sampler, Fixtures::read(&folder.join("hughes_0001_0400.fixtures.safetensors")))
}

/// The card's table of noise levels, compared with the reference's own ᾱ. The reference computed that from β rounded to
/// f32: 1,000 factors, each off by at most 2 % · 6e-8.
#[test]
#[ignore = "needs the shared data"]
fn the_table_is_the_models() {
    let (sampler, fixtures) = model();
    let [low, high] = sampler.denoiser().range();
    let bar = fixtures.get("alpha_bar");
    let sigma = |a: f64| ((1.0 - a) / a).sqrt();
    // σ(0)² is a single β, rounded to f32: 1e-8 of 1e-4 by its size, 6e-8 of itself.
    assert!((low / sigma(bar[0]) - 1.0).abs() < 1e-3 && (high / sigma(bar[1000]) - 1.0).abs() < 2e-6);
    let betas: Vec<f64> = (0..1001).map(|i| 1e-4 + (0.02 - 1e-4) * f64::from(i) / 1000.0).collect();
    let clock = Clock::from_betas(&betas, 0.001);
    for t in [20, 100, 300, 700] {
        assert!((clock.sigma_at(f64::from(t)) / sigma(bar[t as usize]) - 1.0).abs() < 1e-5, "{t}");
        assert_eq!(clock.time(clock.sigma_at(f64::from(t))), f64::from(t) * 0.001);
    }
}

#[test]
#[ignore = "needs the shared data"]
fn epsilon_equals_pytorch() {
    let (sampler, fixtures) = model();
    let (x, expected) = (fixtures.floats("x_t"), fixtures.get("eps_f64"));
    for (i, t) in fixtures.get("t").iter().enumerate() {
        let at = i * D..(i + 1) * D;
        let input = State::plain(rows(x[at.clone()].to_vec(), D, &cpu()));
        let found = host(sampler.denoiser().predict(&input, t / 1000.0, None).unwrap().value).unwrap();
        let error = relative_l2(&found, &expected[at]);
        println!("ε at t = {t}: relative L2 {error:.1e}");
        // Sums of 32·49 products in f32 through five layers, normalised in between. Waves of up to 1,834 rad carry a
        // rounding error of 1e-4 rad at t = 1000, and less at smaller t.
        assert!(error < 2e-5, "t = {t}: {error:e}");
    }
}

/// All 784 singular values of ∂ε/∂x at the first fixture, and the trace.
#[test]
#[ignore = "needs the shared data"]
fn jacobian_equals_pytorch() {
    let (sampler, fixtures) = model();
    let x = rows(fixtures.floats("x_t")[..D].to_vec(), D, &cpu());
    let chunk = 112;
    let mut columns = Vec::new();
    for first in (0..D).step_by(chunk) {
        let mut e = vec![0.0f32; chunk * D];
        (0..chunk).for_each(|j| e[j * D + first + j] = 1.0);
        let input = State { value: x.clone(), tangents: Some(Tangents::shared(rows(e, D, &cpu()))) };
        let out = sampler.denoiser().predict(&input, fixtures.get("t")[0] / 1000.0, None).unwrap();
        columns.extend(host(out.tangents.unwrap().expanded(1)).unwrap());
    }
    let trace: f64 = (0..D).map(|j| f64::from(columns[j * D + j])).sum();
    let expected = fixtures.get("jac_eps_trace_0")[0];
    let found = crate::shared::singular_values(&columns, D);
    let worst = found
        .iter()
        .zip(fixtures.get("jac_eps_sv_0"))
        .filter(|(_, e)| **e > 1e-3 * fixtures.get("jac_eps_sv_0")[0])
        .map(|(f, e)| (f - e).abs() / e)
        .fold(0.0, f64::max);
    println!("trace off by {:.1e} of itself, singular values by {worst:.1e}", (trace / expected - 1.0).abs());
    assert!((trace / expected - 1.0).abs() < 1e-5, "{trace} {expected}");
    assert!(worst < 1e-4, "{worst:e}");
}

/// The reference's 20 steps of DDIM, with x₀ clamped to the range at every step.
#[test]
#[ignore = "needs the shared data"]
fn ddim_equals_pytorch() {
    let (sampler, fixtures) = model();
    let bar = fixtures.get("alpha_bar");
    let mut sigmas: Vec<f64> =
        fixtures.get("ddim20_timesteps").iter().map(|t| ((1.0 - bar[*t as usize]) / bar[*t as usize]).sqrt()).collect();
    sigmas.push(0.0);
    let alpha = bar[1000].sqrt();
    let start: Vec<f32> = fixtures.floats("xT").iter().map(|v| (f64::from(*v) / alpha) as f32).collect();
    let sampling = Sampling::new(solver("ddim", toml::from_str("clip = [-0.5, 0.5]").unwrap()).unwrap(), sigmas);
    let mut denoise = |x: &State, sigma: f64| sampler.denoiser().denoise(x, sigma, None);
    let mut noise = |_: u32, _: u32| unreachable!("η = 0");
    let end = sampling.run(State::plain(rows(start, D, &cpu())), &mut denoise, &mut noise, &mut |_, _| Ok(())).unwrap();
    let error = relative_l2(&host(end.value).unwrap(), fixtures.get("ddim20_x0_f64"));
    println!("x₀ after 20 steps: relative L2 {error:.1e}");
    assert!(error < 1e-3, "{error:e}");
}
