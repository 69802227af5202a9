//! Spectra, descriptors and local complexity by every way of computing them, compared with each other: on host memory,
//! through tensors on the processor, and on wgpu.

use crate::geometry::{one_shot_on, random, row_major};
use isoline::device;
use isoline::generator::{Generator, OneShot, Spec};
use isoline::geometry::{
    DESCRIPTORS, ESTIMATORS, EstimatorSettings, LocalGeometry, Spectrum, estimator_with, local_complexity, measure_all,
};
use isoline::host::HostGraph;
use isoline::nn::{Rows, Tangents};
use isoline::noise::{Stream, normals};
use isoline::tensors::{host, rows};

const EPS: f64 = f32::EPSILON as f64;
/// Width of the latents.
const D: usize = 6;
/// Number of latents compared.
const N: usize = 3;
/// P, the number of directions, for every estimator that is not exact.
const P: usize = 4;

/// A generator that is only computed with tensors, as on other devices.
struct ThroughTensors(OneShot);

impl Generator for ThroughTensors {
    fn spec(&self) -> &Spec {
        self.0.spec()
    }

    fn generate(&self, z: Rows) -> Rows {
        self.0.generate(z)
    }

    fn tangents(&self, z: Rows, directions: Tangents) -> (Rows, Tangents) {
        self.0.tangents(z, directions)
    }

    fn taps(&self, z: Rows) -> Vec<Rows> {
        self.0.taps(z)
    }

    fn host(&self) -> Option<&HostGraph> {
        None
    }

    fn device(&self) -> &device::Device {
        self.0.device()
    }

    fn model_sha256(&self) -> &str {
        self.0.model_sha256()
    }
}

/// The generators: a piecewise-linear one of dense layers, a convolutional one with a norm and a saturating end, and a
/// smooth one, each on the device called `device`.
fn generators(device: &str) -> Vec<(&'static str, OneShot)> {
    let (_, device) = device::open(device).unwrap();
    let w = |seed, to: usize, from: usize| -> Vec<f32> {
        row_major(&random(seed, to, from)).iter().map(|v| v / (from as f32).sqrt()).collect()
    };
    let bias = |seed, n| normals(seed, 0, Stream::Init, 0, n).iter().map(|v| 0.3 * v).collect::<Vec<f32>>();
    let dense = |activation: &str| {
        let layers = format!(
            "{{ kind = \"linear\", key = \"a\", out = 24 }}, {{ kind = \"{activation}\" }}, \
             {{ kind = \"linear\", key = \"b\", out = 20 }}"
        );
        let (a, b, c, d) = (w(41, 24, D), w(42, 20, 24), bias(43, 24), bias(44, 20));
        let weights: [(&str, &[f32]); 4] = [("a.weight", &a), ("b.weight", &b), ("a.bias", &c), ("b.bias", &d)];
        one_shot_on(&device, D, 20, &layers, &weights)
    };
    let layers = "{ kind = \"linear\", key = \"a\", out = 16 }, { kind = \"reshape\", shape = [4, 2, 2] }, \
        { kind = \"batch_norm\", key = \"n\" }, { kind = \"relu\" }, \
        { kind = \"conv_transpose2d\", key = \"c\", out = 2, kernel = 4, stride = 2, padding = 1 }, { kind = \"tanh\" }";
    let (a, a_bias, c, c_bias) = (w(45, 16, D), bias(46, 16), w(47, 4, 32), bias(48, 2));
    let (ones, shift, mean) = (vec![1.2f32; 4], bias(49, 4), bias(50, 4));
    let weights: [(&str, &[f32]); 8] = [
        ("a.weight", &a),
        ("a.bias", &a_bias),
        ("n.weight", &ones),
        ("n.bias", &shift),
        ("n.running_mean", &mean),
        ("n.running_var", &ones),
        ("c.weight", &c),
        ("c.bias", &c_bias),
    ];
    vec![
        ("relu", dense("relu")),
        ("convolution", one_shot_on(&device, D, 32, layers, &weights)),
        ("silu", dense("silu")),
    ]
}

fn latents() -> Vec<f32> {
    (0..N as u64).flat_map(|i| normals(61, i, Stream::Latent, 0, D)).collect()
}

fn values(g: &dyn Generator, z: &[f32]) -> Vec<f32> {
    host(g.measured(rows(z.to_vec(), D, g.device()))).unwrap()
}

/// ‖E‖, by which the Jacobians (or their stencils) of two ways may differ at a latent. Each of them has an error in f32
/// of 8 eps of its Frobenius norm (theory, 6b), and each value one of 4 eps; a stencil divides 2P of these by 2h.
fn norm_of_difference(spectrum: &Spectrum, value: &[f32]) -> f64 {
    let square: f64 = spectrum.singular_values.iter().map(|s| s * s).sum();
    let size: f64 = value.iter().map(|v| f64::from(*v).powi(2)).sum();
    let stencil = spectrum.h.map_or(0.0, |h| 4.0 * EPS * (2.0 * P as f64 * size).sqrt() / (2.0 * h));
    2.0 * (8.0 * EPS * square.sqrt() + stencil)
}

/// Compares spectra and descriptors of two ways, within what ‖E‖ allows. Singular values may differ by ‖E‖ (Weyl); the
/// scaling of the output projection multiplies both sides. Vᵀz may differ by ‖z‖·2‖E‖/gap, the turn of singular vectors
/// whose values lie a gap apart. Every descriptor has slopes in ln σ and in Vᵀz of at most its own size plus d and
/// ‖z‖², so by 4 of those turns.
fn spectra_agree(name: &str, a: &dyn Generator, b: &dyn Generator) {
    let z = latents();
    let value = values(a, &z);
    let width = value.len() / N;
    for row in ESTIMATORS {
        let directions = (row.name != "exact").then_some(P);
        let settings = EstimatorSettings { directions, radius: 0.05, ..EstimatorSettings::default() };
        let estimate = |g: &dyn Generator| estimator_with(row.name, &settings).unwrap().spectra(g, &z).unwrap();
        for (i, (x, y)) in estimate(a).into_iter().zip(estimate(b)).enumerate() {
            let (x, y, z) = (x.unwrap(), y.unwrap(), &z[i * D..(i + 1) * D]);
            let bound = norm_of_difference(&x, &value[i * width..(i + 1) * width]);
            let s = &x.singular_values;
            assert_eq!(s.len(), y.singular_values.len());
            let near = s.windows(2).map(|w| w[0] - w[1]).chain(s.last().copied()).fold(f64::INFINITY, f64::min);
            let turn = 2.0 * bound / near;
            assert!(turn < 0.1, "{name}, {}: singular values of the test lie too close: {s:?}", row.name);
            for (s, t) in s.iter().zip(&y.singular_values) {
                assert!((s - t).abs() <= bound, "{name}, {}, latent {i}: {s} {t}, bound {bound:e}", row.name);
            }
            let described =
                |s: &Spectrum| measure_all(&LocalGeometry::new(s, z, 2), &DESCRIPTORS.iter().collect::<Vec<_>>());
            let size: f64 = z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() + D as f64;
            let mut compared = 0;
            for ((descriptor, x), (_, y)) in described(&x).into_iter().zip(described(&y)) {
                let (Some(x), Some(y)) = (x.value(), y.value()) else {
                    assert_eq!((x.value(), y.value()), (None, None), "{name}, {}: {descriptor}", row.name);
                    continue;
                };
                let bound = 4.0 * turn * (size + x.abs());
                assert!((x - y).abs() <= bound, "{name}, {}: {descriptor}: {x} {y}, bound {bound:e}", row.name);
                compared += 1;
            }
            assert!(compared >= 10, "{name}, {}: only {compared} descriptors are defined", row.name);
        }
    }
}

/// Counts are equal unless a pre-activation at a vertex is within rounding of zero: 64 eps of the largest, which is
/// more than sums of 24 terms leave. The test also checks that none is for these latents.
fn complexity_agrees(name: &str, a: &dyn Generator, b: &dyn Generator) {
    let z = latents();
    let settings = EstimatorSettings { directions: Some(D), radius: 0.2, ..EstimatorSettings::default() };
    let frame = isoline::geometry::frame(settings.seed, isoline::geometry::Use::Complexity, D, D);
    for z in z.chunks_exact(D) {
        let h = settings.radius_at(z) as f32;
        let vertex = |v: &[f32], s: f32| z.iter().zip(v).map(|(z, v)| z + s * v).collect::<Vec<f32>>();
        let vertices: Vec<f32> = frame.chunks_exact(D).flat_map(|v| [vertex(v, h), vertex(v, -h)].concat()).collect();
        for tap in a.taps(rows(vertices, D, a.device())) {
            let tap = host(tap).unwrap();
            let (least, most) = tap.iter().fold((f32::INFINITY, 0.0f32), |(l, m), v| (l.min(v.abs()), m.max(v.abs())));
            assert!(f64::from(least) > 64.0 * EPS * f64::from(most), "{name}: a unit of the test stands on its kink");
        }
    }
    let found = local_complexity(a, &z, &settings).unwrap();
    assert_eq!(found, local_complexity(b, &z, &settings).unwrap(), "{name}");
    let total: u64 = found.iter().flatten().flat_map(|c| &c.layers).sum();
    assert!(total > 0, "{name}: no unit of the test changes sign");
}

#[test]
fn tensors_equal_host_memory() {
    for ((name, host), (_, tensors)) in generators("cpu").into_iter().zip(generators("cpu")) {
        assert!(host.host().is_some(), "{name} has no host rule, so nothing is compared");
        let tensors = ThroughTensors(tensors);
        spectra_agree(name, &host, &tensors);
        complexity_agrees(name, &host, &tensors);
    }
}

/// Every estimator, every descriptor and local complexity on wgpu (in CI: Mesa's software Vulkan), compared with the
/// processor.
#[cfg(feature = "wgpu")]
#[test]
fn wgpu_geometry_equals_cpu() {
    for ((name, cpu), (_, gpu)) in generators("cpu").into_iter().zip(generators("wgpu")) {
        assert!(gpu.host().is_none(), "{name}: a device other than the processor has no host memory");
        spectra_agree(name, &cpu, &gpu);
        complexity_agrees(name, &cpu, &gpu);
    }
}
