//! `cargo bench`: the parts of a steered sample on the shipped generator, a tile of 16 at a time.
// A benchmark without its model has nothing to say but why.
#![allow(clippy::expect_used)]

use isoline::device;
use isoline::geometry::estimator;
use isoline::run::Engine;
use isoline::tensors::{host, rows};
use std::path::Path;

fn main() {
    divan::main();
}

fn engine() -> (Engine, Vec<f32>) {
    let (_, device) = device::open("cpu").expect("the cpu feature is on by default");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let engine = Engine::load(&folder, &device).expect("the shipped model loads");
    let latents = engine.latents(&(0..16).collect::<Vec<u64>>());
    (engine, latents)
}

#[divan::bench]
fn generate(bencher: divan::Bencher) {
    let (e, z) = engine();
    let d = e.generator.spec().latent_width;
    bencher.bench_local(|| host(e.generator.generate(rows(z.clone(), d, e.generator.device()))));
}

#[divan::bench]
fn exact_spectra(bencher: divan::Bencher) {
    let (e, z) = engine();
    let exact = estimator("exact").expect("in the table");
    bencher.bench_local(|| exact.spectra(&*e.generator, &z));
}

#[divan::bench]
fn reward_score_and_gradient(bencher: divan::Bencher) {
    let (e, z) = engine();
    bencher.bench_local(|| e.reward.score_and_gradient(&z));
}
