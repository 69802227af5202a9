//! `cargo bench --bench geometry`: the parts of a steered sample on the shipped generator, a tile of 16 at a time.
// A benchmark without its model has nothing to say but why.
#![allow(clippy::expect_used)]

use isoline::device;
use isoline::geometry::{ESTIMATORS, estimator};
use isoline::host::{Directions, grams};
use isoline::linalg::{GramSum, Tridiagonal, eigenvalues_along};
use isoline::nn::{Network, Parameters, Pass, Tangents};
use isoline::noise::{Stream, normals};
use isoline::steer::Engine;
use isoline::tensors::{host, rows};
use std::path::Path;

fn main() {
    divan::main();
}

fn engine() -> (Engine, Vec<f32>) {
    let (_, device) = device::open("cpu").expect("the cpu feature is on by default");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let engine = Engine::load(&folder, None, &device).expect("the shipped model loads");
    let latents = engine.latents(&(0..16).collect::<Vec<u64>>()).into_values();
    (engine, latents)
}

#[divan::bench]
fn generate(bencher: divan::Bencher) {
    let (e, z) = engine();
    let d = e.generator.spec().latent_width;
    bencher.bench_local(|| host(e.generator.generate(rows(z.clone(), d, e.generator.device()))));
}

/// Each estimator of the table: spectra of the tile.
#[divan::bench(args = ESTIMATORS.iter().map(|e| e.name))]
fn spectra(bencher: divan::Bencher, name: &str) {
    let (e, z) = engine();
    let estimator = estimator(name).expect("in the table");
    bencher.counter(divan::counter::ItemsCount::new(16usize)).bench_local(|| estimator.spectra(&*e.generator, &z));
}

/// All columns of the Jacobian and its Gram matrix, on host memory; no eigenvalues.
#[divan::bench]
fn exact_grams(bencher: divan::Bencher) {
    let (e, z) = engine();
    let chain = e.generator.host().expect("every layer has a host rule");
    bencher.bench_local(|| grams(chain, &z, Directions::Units, 1 << 30, |_, gram| gram));
}

/// The same columns as tensors, without the Gram matrix: what other devices do.
#[divan::bench]
fn exact_tangents_as_tensors(bencher: divan::Bencher) {
    let (e, z) = engine();
    let (d, device) = (e.generator.spec().latent_width, e.generator.device());
    let units: Vec<f32> = (0..d * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect();
    bencher.bench_local(|| {
        let directions = Tangents::shared(rows(units.clone(), d, device));
        host(e.generator.tangents(rows(z.clone(), d, device), directions).1.expanded(16))
    });
}

/// A 64×64-pixel Gram matrix of d columns.
#[divan::bench(args = [16, 112, 528])]
fn gram(bencher: divan::Bencher, lanes: usize) {
    let row: Vec<f32> = (0..lanes).map(|i| (i as f32).sin()).collect();
    bencher.bench_local(|| {
        let mut sum = GramSum::new([lanes, lanes], true);
        (0..3 * 64 * 64).for_each(|_| sum.push(&row, &row));
        sum.finish()
    });
}

/// The two halves of the eigen-solve; the second of eight matrices, which go side by side.
#[divan::bench(args = [10, 64, 100, 512])]
fn tridiagonal_form(bencher: divan::Bencher, n: usize) {
    bencher.bench_local(|| tridiagonal(n));
}

#[divan::bench(args = [10, 64, 100, 512])]
fn eigenvalues_of_eight(bencher: divan::Bencher, n: usize) {
    let problems: Vec<Tridiagonal> = (0..8).map(|_| tridiagonal(n)).collect();
    bencher.bench_local(|| eigenvalues_along(&problems));
}

fn tridiagonal(n: usize) -> Tridiagonal {
    Tridiagonal::of((0..n * n).map(|i| ((i / n * (i % n)) as f64).sin()).collect(), vec![1.0; n])
}

/// Layers on a tile of 16, with 32 tangents each.
#[divan::bench(args = [
    "kind = \"linear\"\nkey = \"a\"\nout = 256",
    "kind = \"conv2d\"\nkey = \"a\"\nout = 64\nkernel = 3\npadding = 1",
    "kind = \"conv_transpose2d\"\nkey = \"a\"\nout = 64\nkernel = 4\nstride = 2\npadding = 1",
    "kind = \"group_norm\"\nkey = \"a\"\ngroups = 4",
    "kind = \"relu\"",
])]
fn layer_tangents(bencher: divan::Bencher, text: &str) {
    let (_, device) = device::open("cpu").expect("the cpu feature is on by default");
    let table = toml::from_str(text).expect("a layer");
    let network = Network::build(vec![table], &[64, 8, 8]).expect("a layer that fits");
    let values = network.parameters().into_iter().map(|p| (p.key.clone(), p.start(0, None)));
    let parameters = Parameters::from_values(values.collect::<Vec<_>>(), &device);
    let width = 64 * 8 * 8;
    let x = rows(normals(0, 0, Stream::Latent, 0, 16 * width), width, &device);
    let t = rows(normals(0, 1, Stream::Latent, 0, 16 * 32 * width), width, &device);
    bencher.bench_local(|| {
        host(network.tangent(x.clone(), Tangents::per_sample(t.clone(), 32), &Pass::frozen(&parameters)).1.cube())
    });
}

#[divan::bench]
fn reward_score_and_gradient(bencher: divan::Bencher) {
    let (e, z) = engine();
    bencher.bench_local(|| e.reward.score_and_gradient(&z));
}
