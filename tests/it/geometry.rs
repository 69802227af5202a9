//! Spectra and descriptors of small networks, compared with closed forms; what a loaded generator refuses and never
//! does.

use crate::layers::{bits, to_rows_on};
use crate::psi_gradient::{PsiGradient, psi_gradient, stencil_gradient};
use isoline::device;
use isoline::error::Error;
use isoline::generator::{Card, Generator, ImportOptions, OneShot, RawCard, finish_card, import};
use isoline::geometry::{DESCRIPTORS, EstimatorSettings, LocalGeometry, Measured, Spectrum, Undefined, estimator};
use isoline::host::{Directions, grams};
use isoline::nn::{Network, Parameters, Pass, Tangents};
use isoline::noise::{Stream, normals};
use isoline::store::{self, WeightTensor, write_atomic, write_safetensors};
use isoline::tensors::{host, rows};
use nalgebra::DMatrix;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

const EPS: f64 = f32::EPSILON as f64;

// ---- small generators --------------------------------------------------------------------------------------------

/// The text of a card with `layers` (inline tables) that map `latent` values to `width` values.
fn card_text(latent: usize, width: usize, layers: &str) -> String {
    format!(
        "format = 1\nid = \"small\"\nfamily = \"gan\"\nabout = \"for a test\"\n\
         layers = [{layers}, {{ kind = \"reshape\", shape = [1, 1, {width}] }}]\n\
         [latent]\nshape = [{latent}]\nprior = \"normal\"\n[sample]\nshape = [1, 1, {width}]\nrange = [-1.0, 1.0]\n\
         [provenance]\ntrained_on = \"\"\nlicence = \"\"\nhow = \"\"\n"
    )
}

fn network_of(text: &str) -> (Card, Network) {
    let raw: RawCard = toml::from_str(text).unwrap();
    let card = Card::check(raw, Path::new("small.toml")).unwrap();
    let network = Network::build(card.raw.layers.clone(), &card.raw.latent.shape).unwrap();
    assert_eq!(network.output_shape(), card.sample_shape);
    (card, network)
}

pub fn one_shot(latent: usize, width: usize, layers: &str, weights: &[(&str, &[f32])]) -> OneShot {
    one_shot_on(&device::open("cpu").unwrap().1, latent, width, layers, weights)
}

pub fn one_shot_on(
    device: &device::Device,
    latent: usize,
    width: usize,
    layers: &str,
    weights: &[(&str, &[f32])],
) -> OneShot {
    let (card, network) = network_of(&card_text(latent, width, layers));
    let values = weights.iter().map(|(name, v)| ((*name).to_owned(), v.to_vec()));
    OneShot::from_parts(&card, network, Parameters::from_values(values, device), device).unwrap()
}

/// The map z → W z.
pub fn linear(w: &DMatrix<f32>) -> OneShot {
    let (rows, columns) = w.shape();
    let layer = format!("{{ kind = \"linear\", key = \"w\", out = {rows}, bias = false }}");
    one_shot(columns, rows, &layer, &[("w.weight", &row_major(w))])
}

pub fn row_major(m: &DMatrix<f32>) -> Vec<f32> {
    m.transpose().as_slice().to_vec()
}

/// A matrix of standard normal numbers, `rows`×`columns`.
pub fn random(seed: u64, rows: usize, columns: usize) -> DMatrix<f32> {
    DMatrix::from_vec(rows, columns, normals(seed, 0, Stream::Init, 0, rows * columns))
}

pub fn singular_values(m: &DMatrix<f64>) -> Vec<f64> {
    let mut values = m.clone().svd(false, false).singular_values.as_slice().to_vec();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn spectrum(generator: &OneShot, z: &[f32]) -> Spectrum {
    estimator("exact").unwrap().spectra(generator, z).unwrap().remove(0).unwrap()
}

fn descriptor(name: &str, spectrum: &Spectrum, latent: &[f32], model_rank: usize) -> Measured {
    let row = DESCRIPTORS.iter().find(|d| d.name == name).unwrap();
    (row.measure)(&LocalGeometry::new(spectrum, latent, model_rank))
}

fn value(name: &str, spectrum: &Spectrum, latent: &[f32], model_rank: usize) -> f64 {
    descriptor(name, spectrum, latent, model_rank).value().unwrap()
}

#[track_caller]
pub fn close(found: f64, expected: f64, bound: f64) {
    assert!((found - expected).abs() <= bound, "expected {expected}, found {found}");
}

/// Asserts that each of `found` is within `relative` of the expected value.
#[track_caller]
fn all_close(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(f, e)| close(*f, *e, relative * e.abs()));
}

// ---- closed forms ------------------------------------------------------------------------------------------------

#[test]
fn linear_map_has_the_singular_values_of_its_matrix() {
    let w = random(1, 9, 5);
    let expected = singular_values(&w.map(f64::from));
    let z = [0.3, -1.0, 0.0, 2.0, 0.5];
    let found = spectrum(&linear(&w), &z);
    // A matrix product leaves unit directions unchanged, so the Jacobian is W itself.
    all_close(&found.singular_values, &expected, 1e-9);
    close(value("psi", &found, &z, 5), expected.iter().map(|s| s.ln()).sum(), 1e-8);
    close(value("psi_k", &found, &z, 2), expected[0].ln() + expected[1].ln(), 1e-8);
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
    close(norm(&found.rotated_latent), norm(&z.map(f64::from)), 1e-9);

    let diagonal = DMatrix::from_row_slice(4, 3, &[0.0, 3.0, 0.0, 0.0, 0.0, 0.5, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let found = spectrum(&linear(&diagonal), &[1.0, 2.0, 3.0]);
    all_close(&found.singular_values, &[3.0, 2.0, 0.5], 1e-12);
    close(value("psi", &found, &[1.0, 2.0, 3.0], 3), 3.0f64.ln(), 1e-12);
    let prior = -7.0 - 1.5 * (2.0 * std::f64::consts::PI).ln();
    close(value("log_likelihood", &found, &[1.0, 2.0, 3.0], 3), prior - 3.0f64.ln(), 1e-12);
    all_close(&found.rotated_latent.iter().map(|v| v.abs()).collect::<Vec<_>>(), &[2.0, 1.0, 3.0], 1e-12);
}

#[test]
fn orthogonal_map_has_no_scaling_and_full_local_rank() {
    let q = random(2, 6, 6).map(f64::from).qr().q().map(|v| v as f32);
    let found = spectrum(&linear(&q), &[0.1; 6]);
    // The entries are rounded to f32, so the singular values are within √6·6·eps/2 of 1.
    close(value("psi", &found, &[0.1; 6], 6), 0.0, 6.0 * 8.0 * EPS);
    close(value("nu", &found, &[0.1; 6], 6), 6.0, 6.0 * 8.0 * EPS);
    assert_eq!(found.rank(), 6);
}

#[test]
fn two_layers_of_relu_as_worked_by_hand() {
    let layers = "{ kind = \"linear\", key = \"a\", out = 3 }, { kind = \"relu\" }, \
                  { kind = \"linear\", key = \"b\", out = 2, bias = false }";
    let weights: [(&str, &[f32]); 3] = [
        ("a.weight", &[1.0, 0.0, 0.0, 1.0, -1.0, -1.0]),
        ("a.bias", &[0.0, 0.0, 0.5]),
        ("b.weight", &[1.0, 0.0, 1.0, 0.0, 2.0, 0.0]),
    ];
    let g = one_shot(2, 2, layers, &weights);
    assert!(g.spec().piecewise_linear);
    // At (1, 1): hidden (1, 1, −1.5), units 1 and 2 open, J = diag(1, 2).
    let found = spectrum(&g, &[1.0, 1.0]);
    all_close(&found.singular_values, &[2.0, 1.0], 1e-12);
    close(value("psi", &found, &[1.0, 1.0], 2), 2.0f64.ln(), 1e-12);
    close(value("nu", &found, &[1.0, 1.0], 2), 3.0 / 2.0f64.powf(2.0 / 3.0), 1e-12);
    // At (1, −2): hidden (1, −2, 1.5), units 1 and 3 open, J = [[0, −1], [0, 0]].
    let found = spectrum(&g, &[1.0, -2.0]);
    close(found.singular_values[0], 1.0, 1e-12);
    close(found.singular_values[1], 0.0, 1e-12);
    assert_eq!(found.rank(), 1);
    close(value("psi", &found, &[1.0, -2.0], 2), 0.0, 1e-12);
    close(value("nu", &found, &[1.0, -2.0], 2), 1.0, 1e-9);
    let y = host(g.generate(rows(vec![1.0, -2.0], 2, g.device()))).unwrap();
    assert_eq!(y, [2.5, 0.0]);
}

#[test]
fn curved_charts_have_their_jacobian() {
    // x = B tanh(A z):  J = B diag(1 − tanh²(A z)) A.
    let (a, b) = (random(3, 5, 3), random(4, 6, 5));
    let layers = "{ kind = \"linear\", key = \"a\", out = 5, bias = false }, { kind = \"tanh\" }, \
                  { kind = \"linear\", key = \"b\", out = 6, bias = false }";
    let g = one_shot(3, 6, layers, &[("a.weight", &row_major(&a)), ("b.weight", &row_major(&b))]);
    assert!(!g.spec().piecewise_linear);
    let z = [0.4f32, -0.2, 0.7];
    let (a, b) = (a.map(f64::from), b.map(f64::from));
    let hidden = &a * DMatrix::from_column_slice(3, 1, &z.map(f64::from));
    let slopes = DMatrix::from_diagonal(&hidden.map(|h| 1.0 - h.tanh().powi(2)).column(0).into_owned());
    let expected = singular_values(&(b * slopes * a));
    let found = spectrum(&g, &z);
    found.singular_values.iter().zip(&expected).for_each(|(f, e)| close(*f, *e, 16.0 * EPS * expected[0]));

    // A group norm with one group maps R⁴ to a two-dimensional sphere: x̂ = (z − mean)/s with s² = var + eps. Two
    // directions are scaled by 1/s, the radial one by eps/s³, and the mean by 0.
    let z = [1.0f32, -0.5, 2.0, 0.25];
    let group = "{ kind = \"group_norm\", key = \"n\", groups = 1 }";
    let found = spectrum(&one_shot(4, 4, group, &[("n.weight", &[1.0; 4]), ("n.bias", &[0.0; 4])]), &z);
    let mean = z.iter().sum::<f32>() / 4.0;
    let s = (f64::from(z.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 4.0) + 1e-5).sqrt();
    all_close(&found.singular_values[..2], &[1.0 / s, 1.0 / s], 8.0 * EPS);
    assert!(found.singular_values[2] < 3e-5 && found.rank() == 2, "{found:?}");
    close(value("psi", &found, &z, 2), -2.0 * s.ln(), 16.0 * EPS);

    // Each coordinate on its own, the last one saturated: there 1 − y would round to 0.
    let layers = "{ kind = \"linear\", key = \"w\", out = 3, bias = false }, { kind = \"sigmoid\" }";
    let g = one_shot(3, 3, layers, &[("w.weight", &[4.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0])]);
    let slope = |x: f64| (-x).exp() / (1.0 + (-x).exp()).powi(2);
    let found = spectrum(&g, &[0.0, 0.5, 30.0]);
    all_close(&found.singular_values, &[1.0, 2.0 * slope(1.0), slope(30.0)], 64.0 * EPS);
    assert_eq!(found.rank(), 2);
}

#[test]
fn zero_weights_have_no_scaling() {
    let found = spectrum(&linear(&DMatrix::zeros(4, 3)), &[1.0, 2.0, 3.0]);
    assert_eq!(found.singular_values, [0.0; 3]);
    for name in ["psi", "nu"] {
        assert_eq!(descriptor(name, &found, &[1.0, 2.0, 3.0], 2), Measured::Undefined(Undefined::ZeroRank), "{name}");
    }
    assert_eq!(descriptor("psi_k", &found, &[0.0; 3], 2), Measured::Undefined(Undefined::BelowModelRank));
    assert_eq!(value("rank", &found, &[0.0; 3], 2), 0.0);
}

#[test]
fn nan_is_refused_in_weights_and_stays_in_its_row() {
    let temp = tempfile::tempdir().unwrap();
    let layer = "{ kind = \"linear\", key = \"w\", out = 2, bias = false }";
    let draft = temp.path().join("draft.toml");
    write_atomic(&draft, card_text(2, 2, layer).as_bytes()).unwrap();
    let tensor = WeightTensor { shape: vec![2, 2], values: vec![1.0, 0.0, f32::NAN, 1.0] };
    let bytes = write_safetensors(&BTreeMap::from([("w.weight".to_owned(), tensor)])).unwrap();
    write_atomic(&temp.path().join("weights.safetensors"), &bytes).unwrap();
    let card = finish_card(&card_text(2, 2, layer), &draft, &store::sha256_hex(&bytes), None, &[]).unwrap();
    write_atomic(&temp.path().join("card.toml"), card.as_bytes()).unwrap();

    let (_, device) = device::open("cpu").unwrap();
    let weights = temp.path().join("weights.safetensors");
    let loaded = OneShot::load(temp.path(), &device).err();
    let imported = import(&weights, &draft, &temp.path().join("out"), ImportOptions::default()).err();
    for error in [loaded.unwrap(), imported.unwrap()] {
        let text = error.to_string();
        assert!(matches!(error, Error::Input { .. }) && text.contains("w.weight") && text.contains("NaN"), "{text}");
    }

    let g = linear(&random(5, 3, 2));
    let found = estimator("exact").unwrap().spectra(&g, &[f32::NAN, 0.0, 1.0, 2.0]).unwrap();
    assert!(found[0].is_none() && found[1].is_some());
}

#[test]
fn autodiff_never_switches_a_batch_norm() {
    let layers = "{ kind = \"linear\", key = \"w\", out = 4 }, { kind = \"reshape\", shape = [2, 1, 2] }, \
                  { kind = \"batch_norm\", key = \"b\" }, { kind = \"relu\" }";
    let (card, network) = network_of(&card_text(3, 4, layers));
    let (_, device) = device::open("cpu").unwrap();
    let statistics = [("b.running_mean", vec![0.5, -1.0]), ("b.running_var", vec![2.0, 0.25])];
    let w = [("w.weight", normals(6, 0, Stream::Init, 0, 12)), ("w.bias", vec![0.1; 4])];
    let affine = [("b.weight", vec![1.5, -0.5]), ("b.bias", vec![0.0, 0.75])];
    let values = w.iter().chain(&affine).chain(&statistics).map(|(name, v)| ((*name).to_owned(), v.clone()));
    let parameters = Parameters::from_values(values, &device);
    let z = to_rows_on(&device, normals(7, 0, Stream::Latent, 0, 9), 3);

    // The trap exists: a training pass gives other values and reports statistics.
    let batch = RefCell::new(Vec::new());
    let trained = bits(host(network.forward(z.clone(), &Pass::training(&parameters, &batch))).unwrap());
    assert_eq!(batch.borrow().len(), 2);

    let g = OneShot::from_parts(&card, network, parameters.clone(), &device).unwrap();
    let plain = bits(host(g.generate(z.clone())).unwrap());
    assert_ne!(plain, trained);
    // The values by hand, from the running statistics: channel c holds the values 2c and 2c + 1.
    let [mean, variance, gain, shift] =
        [[0.5, -1.0], [2.0, 0.25], [1.5, -0.5], [0.0, 0.75]].map(|pair: [f64; 2]| move |j: usize| pair[j / 2]);
    let drawn = normals(7, 0, Stream::Latent, 0, 9);
    for (i, bits) in plain.iter().enumerate() {
        let (row, j) = (i / 4, i % 4);
        let hidden: f64 =
            (0..3).map(|c| f64::from(w[0].1[3 * j + c]) * f64::from(drawn[3 * row + c])).sum::<f64>() + 0.1;
        let expected = (hidden - mean(j)) / (variance(j) + 1e-5).sqrt() * gain(j) + shift(j);
        close(f64::from(f32::from_bits(*bits)), expected.max(0.0), 64.0 * EPS);
    }
    let tracked = z.clone().autodiff().require_grad();
    let y = g.generate(tracked.clone());
    assert_eq!(bits(host(y.clone().inner()).unwrap()), plain);
    let gradients = y.sum().backward();
    assert!(host(tracked.grad(&gradients).unwrap()).unwrap().iter().any(|v| *v != 0.0));
    let (_, t) = g.tangents(z.clone().autodiff(), Tangents::per_sample(z.clone(), 1));
    let (_, u) = g.tangents(z.clone(), Tangents::per_sample(z.clone(), 1));
    assert_eq!(bits(host(t.expanded(3).inner()).unwrap()), bits(host(u.expanded(3)).unwrap()));

    for (name, before) in &statistics {
        assert_eq!(&host(parameters.get(name)).unwrap(), before, "{name}");
    }
    assert_eq!(bits(host(g.generate(z)).unwrap()), plain);
}

// ---- host memory -------------------------------------------------------------------------------------------------

/// The bits of a spectrum do not depend on the budget, the number of threads or the other latents, and the spectrum
/// equals that of the tensors up to rounding.
#[test]
fn host_spectra_are_the_same_for_every_budget_thread_and_neighbour() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let g = OneShot::load(&folder, &device::open("cpu").unwrap().1).unwrap();
    let chain = g.host().unwrap();
    let d = g.spec().latent_width;
    let z = normals(8, 0, Stream::Latent, 0, 3 * d);
    let grams_of = |latents: &[f32], memory| -> Vec<Vec<u64>> {
        let bits = |_: usize, gram: Option<Vec<f64>>| gram.unwrap().iter().map(|v| v.to_bits()).collect();
        grams(chain, latents, Directions::Units, memory, bits)
    };
    let reference = grams_of(&z, 1 << 30);
    // 16 directions at a time with one chunk of final tangents kept; some chunks; one latent alone; one thread.
    assert!(d > 16 && grams_of(&z, 1) == reference, "smallest budget");
    assert!(grams_of(&z, 24 * 4 * 16 * chain.peak_rows() / 10) == reference, "small budget");
    assert!(grams_of(&z[d..2 * d], 1 << 30)[0] == reference[1], "neighbours");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(pool.install(|| grams_of(&z, 1 << 30)) == reference, "threads");

    let directions: Vec<f32> = (0..d * d).map(|i| if i % (d + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let (_, t) = g.tangents(rows(z.clone(), d, g.device()), Tangents::shared(rows(directions, d, g.device())));
    let cube = host(t.expanded(3)).unwrap();
    let found = estimator("exact").unwrap().spectra(&g, &z).unwrap();
    for (columns, found) in cube.chunks_exact(cube.len() / 3).zip(found) {
        let j = DMatrix::from_column_slice(columns.len() / d, d, columns).map(f64::from);
        let expected = singular_values(&j);
        // Sums of up to 1,024 terms in four layers, relative to the largest singular value.
        let bound = 4.0 * EPS * 1024.0 * expected[0];
        found.unwrap().singular_values.iter().zip(&expected).for_each(|(f, e)| close(*f, *e, bound));
    }
}

// ---- gradients of psi --------------------------------------------------------------------------------------------

/// For G(z) = tanh(Qz) with orthogonal Q, J = diag(1 − t²)·Q. So ψ_k is the sum of the k largest ln(1 − t²), and its
/// gradient is −2·Σ t_i q_i over them.
#[test]
fn gradients_of_psi_are_those_of_closed_forms() {
    let d = 5;
    let columns: Vec<f64> = random(8, d, d).iter().map(|v| f64::from(*v)).collect();
    let q: Vec<f32> = isoline::linalg::orthonormal_columns(&columns, d, d).iter().map(|v| *v as f32).collect();
    let layers = format!("{{ kind = \"linear\", key = \"w\", out = {d}, bias = false }}, {{ kind = \"tanh\" }}");
    let generator = one_shot(d, d, &layers, &[("w.weight", &q)]);
    let z = normals(2, 1, Stream::Latent, 0, d);
    let row = |i: usize| &q[i * d..(i + 1) * d];
    let a: Vec<f64> = (0..d).map(|i| row(i).iter().zip(&z).map(|(q, z)| f64::from(*q) * f64::from(*z)).sum()).collect();
    // Sums of five products in f32, divided by 1 − t², which is at least 0.02 here.
    let bound = 50.0 * 5.0 * EPS;
    let check = |found: &PsiGradient, psi: f64, slopes: &[f64], bound: f64| {
        close(found.psi, psi, bound);
        for j in 0..d {
            let expected: f64 = (0..d).map(|i| slopes[i] * f64::from(row(i)[j])).sum();
            close(f64::from(found.gradient[j]), expected, 4.0 * bound);
        }
    };
    let log = |i: &usize| (1.0 - a[*i].tanh().powi(2)).ln();
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|i, j| log(j).total_cmp(&log(i)));
    for k in [1, 3, d] {
        let found = psi_gradient(&generator, &z, k).unwrap().remove(0).unwrap();
        let slopes: Vec<f64> = (0..d).map(|i| if order[..k].contains(&i) { -2.0 * a[i].tanh() } else { 0.0 }).collect();
        check(&found, order[..k].iter().map(log).sum(), &slopes, bound);
    }
    // Along the rows of Q, the stencil's columns are e_i (tanh(a + h) − tanh(a − h))/2h.
    let settings = EstimatorSettings { radius: 0.2, ..EstimatorSettings::default() };
    let h = settings.radius_at(&z);
    let found = stencil_gradient(&generator, &z, &q, &settings, d).unwrap().remove(0).unwrap();
    let rise = |a: f64| (a + h).tanh() - (a - h).tanh();
    let slope = |a: f64| ((a - h).tanh().powi(2) - (a + h).tanh().powi(2)) / rise(a);
    // Differences of values near 1 lose a factor 1/h of the precision.
    assert!(h > 0.05);
    let slopes: Vec<f64> = a.iter().map(|a| slope(*a)).collect();
    check(&found, a.iter().map(|a| (rise(*a) / (2.0 * h)).ln()).sum(), &slopes, 20.0 * bound);
    assert!(psi_gradient(&generator, &vec![f32::NAN; d], d).unwrap()[0].is_none());
    // A network with a leaky relu is linear around z, so the derivative is 0.
    let relu = format!(
        "{{ kind = \"linear\", key = \"w\", out = {d}, bias = false }}, {{ kind = \"leaky_relu\", slope = 0.5 }}"
    );
    let generator = one_shot(d, d, &relu, &[("w.weight", &q)]);
    assert_eq!(psi_gradient(&generator, &z, d).unwrap()[0].as_ref().unwrap().gradient, vec![0.0; d]);
}

/// The pre-activation is measured whatever stands behind the last activation, and where there is none the picture is. The
/// reference is the same network with that layer taken out by hand: its Jacobian in closed form, W or a rearranged W.
#[test]
fn the_preactivation_of_every_ending() {
    use isoline::store;
    use std::collections::BTreeMap;
    let dir = tempfile::tempdir().unwrap();
    let weight: Vec<f32> = (0..12).map(|i| ((i * 7 + 3) as f32).sin()).collect();
    let bias = vec![0.5f32; 4];
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (w, b) = (bytes(&weight), bytes(&bias));
    let view =
        |shape: Vec<usize>, data| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, data).unwrap();
    let tensors = BTreeMap::from([("a.weight", view(vec![4, 3], &w)), ("a.bias", view(vec![4], &b))]);
    std::fs::write(dir.path().join("weights.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let sha256 = store::sha256_file(&dir.path().join("weights.safetensors")).unwrap();
    // Each pixel is repeated four times by an upsampling: the Gram matrix is four times that of W.
    let (shape, wide) = ("kind = \"reshape\"\nshape = [1, 2, 2]", "kind = \"upsample\"\nfactor = 2");
    let (tanh, clamp, sigmoid) = ("kind = \"tanh\"", "kind = \"clamp_tanh\"\nscale = 3.0", "kind = \"sigmoid\"");
    for (ending, side, scale) in [
        (vec![shape], 2, 1.0),
        (vec![shape, tanh], 2, 1.0),
        (vec![tanh, shape], 2, 1.0),
        (vec![sigmoid, shape, wide], 4, 4.0),
        (vec![shape, clamp], 2, 1.0),
        (vec![clamp, shape, wide], 4, 4.0),
    ] {
        let layers: String = ending.iter().map(|l| format!("[[layers]]\n{l}\n")).collect();
        let card = format!(
            "format = 1\nid = \"ending\"\nfamily = \"vae\"\nabout = \"a\"\n[latent]\nshape = [3]\nprior = \"normal\"\n\
             [sample]\nshape = [1, {side}, {side}]\nrange = [0.0, 1.0]\n[geometry]\noutput = \"preactivation\"\n\
             [weights]\nfile = \"weights.safetensors\"\nsha256 = \"{sha256}\"\n\
             [provenance]\ntrained_on = \"t\"\nlicence = \"l\"\nhow = \"h\"\n\
             [[layers]]\nkind = \"linear\"\nkey = \"a\"\nout = 4\n{layers}"
        );
        std::fs::write(dir.path().join("card.toml"), card).unwrap();
        let (_, device) = isoline::device::open("cpu").unwrap();
        let generator = isoline::generator::load(dir.path(), &device).unwrap();
        let z = [0.3f32, -1.2, 0.7];
        let found = isoline::geometry::estimator("exact").unwrap().spectra(&*generator, &z).unwrap();
        let found = found[0].as_ref().unwrap().singular_values.clone();
        let j = nalgebra::DMatrix::from_row_slice(4, 3, &weight).map(f64::from);
        let mut expected: Vec<f64> = j.singular_values().iter().map(|s| s * f64::sqrt(scale)).collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        for (a, b) in found.iter().zip(&expected) {
            // W is exact in f32; a Gram matrix in f64 of it loses a few last places.
            assert!((a - b).abs() < 1e-6 * expected[0], "{ending:?}: {found:?}, expected {expected:?}");
        }
    }
}
