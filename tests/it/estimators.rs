//! Every way to the spectrum, compared with the exact one; and every interval, with what it should cover.

use crate::geometry::{close, linear, one_shot, random, row_major, singular_values};
use crate::layers::bits;
use isoline::error::Error;
use isoline::generator::{Generator, OneShot};
use isoline::geometry::{
    DESCRIPTORS, ESTIMATORS, EstimatorSettings, JacobianEstimator, LocalGeometry, Spectrum, estimator_with,
    measure_all, projected_log_det,
};
use isoline::noise::{Stream, normals};
use isoline::statistics::spearman;
use nalgebra::DMatrix;

const EPS: f64 = f32::EPSILON as f64;

fn with(name: &str, directions: usize, seed: u64) -> Box<dyn JacobianEstimator> {
    let settings = EstimatorSettings { directions: Some(directions), seed, ..EstimatorSettings::default() };
    estimator_with(name, &settings).unwrap()
}

fn usual(name: &str) -> Box<dyn JacobianEstimator> {
    estimator_with(name, &EstimatorSettings::default()).unwrap()
}

fn one(estimator: &dyn JacobianEstimator, g: &OneShot, z: &[f32]) -> Spectrum {
    estimator.spectra(g, z).unwrap().remove(0).unwrap()
}

/// ψ and its standard error.
fn psi(spectrum: &Spectrum) -> (f64, f64) {
    let rank = spectrum.rank();
    let sum = spectrum.singular_values[..rank].iter().map(|s| s.ln()).sum();
    (sum, spectrum.psi_stderr(rank))
}

/// z → W z with these singular values and random singular vectors.
fn linear_with(seed: u64, outputs: usize, sigma: &[f64]) -> OneShot {
    let q = |seed, n: usize, k: usize| random(seed, n, k).map(f64::from).qr().q();
    let w = q(seed, outputs, sigma.len())
        * DMatrix::from_diagonal(&sigma.to_vec().into())
        * q(seed + 1, sigma.len(), sigma.len());
    linear(&w.map(|v| v as f32))
}

/// A network d → 48 → 48 → D with the given activation; D is `width`.
fn network(activation: &str, d: usize, width: usize) -> OneShot {
    let layers = format!(
        "{{ kind = \"linear\", key = \"a\", out = 48 }}, {{ kind = \"{activation}\" }}, \
         {{ kind = \"linear\", key = \"b\", out = 48 }}, {{ kind = \"{activation}\" }}, \
         {{ kind = \"linear\", key = \"c\", out = {width}, bias = false }}"
    );
    let w = |seed, to, from: usize| {
        row_major(&random(seed, to, from)).iter().map(|v| v / (from as f32).sqrt()).collect::<Vec<_>>()
    };
    let bias = |seed| normals(seed, 0, Stream::Init, 0, 48).iter().map(|v| 0.3 * v).collect::<Vec<_>>();
    let (a, b, c) = (w(21, 48, d), w(22, 48, 48), w(23, width, 48));
    one_shot(
        d,
        width,
        &layers,
        &[("a.weight", &a), ("a.bias", &bias(24)), ("b.weight", &b), ("b.bias", &bias(25)), ("c.weight", &c)],
    )
}

/// The number of directions with which the estimator sees the whole of a map from `d` to `width` values.
fn whole(name: &str, d: usize, width: usize) -> usize {
    if name == "output-projection" { width } else { d }
}

// ---- over the table ----------------------------------------------------------------------------------------------

#[test]
fn all_directions_give_the_exact_spectrum_of_a_linear_map() {
    let (d, width) = (5, 9);
    let w = random(1, width, d);
    let g = linear(&w);
    let expected = singular_values(&w.map(f64::from));
    let z = [0.3, -1.0, 0.2, 2.0, 0.5];
    let exact = one(&*usual("exact"), &g, &z);
    for row in ESTIMATORS {
        let found = one(&*with(row.name, whole(row.name, d, width), 7), &g, &z);
        // Products of f32 frames have relative errors of a few eps; a stencil enlarges them by ‖z‖/h.
        let bound = if row.name == "stencil" { 64.0 * EPS / 0.01 } else { 64.0 * EPS };
        for (f, e) in found.singular_values.iter().zip(&expected) {
            close(*f, *e, bound * expected[0]);
        }
        for (f, e) in found.rotated_latent.iter().zip(&exact.rotated_latent).take(d) {
            close(f.abs(), e.abs(), 40.0 * bound);
        }
        let ((a, stderr), (b, _)) = (psi(&found), psi(&exact));
        assert!((a - b).abs() <= 1.96 * stderr && stderr < 1e-2, "{}: {a} ± {stderr}, exact {b}", row.name);
        assert_eq!(found.estimator, row.name);
        assert_eq!(found.h.is_some(), row.name == "stencil");
    }
}

#[test]
fn orthogonal_maps_have_no_scaling_for_any_estimator() {
    let q = random(2, 8, 8).map(f64::from).qr().q().map(|v| v as f32);
    for row in ESTIMATORS.iter().filter(|row| row.name != "exact") {
        let found = one(&*with(row.name, 4, 3), &linear(&q), &[0.5; 8]);
        // A projection of an isometry is an isometry, so nothing is left to chance. Here D = d, which makes the known
        // shift of the output projection 0.
        assert_eq!(found.singular_values.len(), 4, "{}", row.name);
        found.singular_values.iter().for_each(|s| close(*s, 1.0, 1e-3));
        let (value, stderr) = psi(&found);
        assert!(value.abs() < 2e-3 && stderr < 2e-3, "{}: {value} ± {stderr}", row.name);
    }
}

#[test]
fn estimates_rank_latents_as_the_exact_psi_does() {
    let (d, width, n) = (16, 64, 96);
    let latents: Vec<f32> = (0..n).flat_map(|i| normals(5, i, Stream::Latent, 0, d)).collect();
    for activation in ["silu", "relu"] {
        let g = network(activation, d, width);
        let truth: Vec<f64> =
            usual("exact").spectra(&g, &latents).unwrap().iter().flatten().map(|s| psi(s).0).collect();
        for (name, p, least) in [("input-subspace", 12, 0.9), ("output-projection", 48, 0.9), ("stencil", 16, 0.97)] {
            let found: Vec<f64> =
                with(name, p, 0).spectra(&g, &latents).unwrap().iter().flatten().map(|s| psi(s).0).collect();
            let rho = spearman(&found, &truth).unwrap();
            println!("{name}, P = {p}, {activation}: Spearman {rho:.3}");
            assert!(rho > least, "{name}, P = {p}, {activation}: {rho}");
        }
    }
}

#[test]
fn rows_chunks_and_calls_do_not_matter() {
    let (d, width) = (6, 600);
    let g = network("silu", d, width);
    let mut latents: Vec<f32> = (0..3).flat_map(|i| normals(6, i, Stream::Latent, 0, d)).collect();
    for row in ESTIMATORS {
        let settings = EstimatorSettings { memory: 1 << 20, ..EstimatorSettings::default() };
        let all = usual(row.name).spectra(&g, &latents).unwrap();
        let small = estimator_with(row.name, &settings).unwrap().spectra(&g, &latents).unwrap();
        for (a, b) in all.iter().flatten().zip(small.iter().flatten()) {
            // With another number of rows, a matrix product may add in another order.
            a.singular_values
                .iter()
                .zip(&b.singular_values)
                .for_each(|(x, y)| close(*x, *y, 1e-4 * a.singular_values[0]));
        }
        let twice = usual(row.name).spectra(&g, &latents).unwrap();
        let flat = |s: &[Option<Spectrum>]| {
            s.iter().flatten().flat_map(|s| s.singular_values.clone()).map(|v| v as f32).collect()
        };
        assert_eq!(bits(flat(&all)), bits(flat(&twice)), "{}", row.name);
    }
    latents[1] = f32::NAN;
    for row in ESTIMATORS {
        let found = usual(row.name).spectra(&g, &latents).unwrap();
        assert!(found[0].is_none() && found[1].is_some() && found[2].is_some(), "{}", row.name);
    }
    latents[..d].fill(0.0);
    assert!(usual("stencil").spectra(&g, &latents).unwrap()[0].is_none(), "a stencil at 0 has no radius");
}

#[test]
fn numbers_of_directions_that_do_not_fit_are_refused() {
    let g = linear(&random(3, 9, 4));
    for (name, p, expected) in [
        ("exact", 3, "all 4 directions"),
        ("input-subspace", 5, "expected 2 to 4"),
        ("input-subspace", 1, "expected 2 to 4"),
        ("stencil", 5, "expected 2 to 4"),
        ("output-projection", 10, "expected 2 to 9"),
    ] {
        let error = with(name, p, 0).spectra(&g, &[1.0; 4]).err().unwrap();
        assert!(matches!(error, Error::Key { .. }) && error.to_string().contains(expected), "{name}: {error}");
    }
    for (name, p, expected) in [
        ("input-subspace:3", Some(2), "directions says 2"),
        ("input-subspace:", None, "expected a number of directions"),
        ("input-subspace:0", None, "expected a number of directions"),
        ("input-subspaces:3", None, "did you mean"),
    ] {
        let settings = EstimatorSettings { directions: p, ..EstimatorSettings::default() };
        let error = estimator_with(name, &settings).err().unwrap();
        assert!(matches!(error, Error::Key { .. }) && error.to_string().contains(expected), "{name}: {error}");
    }
    assert_eq!(usual("input-subspace:3").directions(g.spec()).unwrap(), 3);
    for radius in [0.0, -1.0, f64::NAN, 11.0] {
        let settings = EstimatorSettings { radius, ..EstimatorSettings::default() };
        let error = estimator_with("stencil", &settings).err().unwrap();
        assert!(error.to_string().contains("radius"), "{error}");
    }
    assert_eq!(usual("input-subspace").directions(g.spec()).unwrap(), 4);
}

#[test]
fn a_wider_stencil_smooths_a_fold() {
    // x = relu(z): at z = 0.01 the slope is 1, but a stencil of h = 0.1 spans the fold and sees about half of it.
    let g = one_shot(1, 1, "{ kind = \"relu\" }", &[]);
    let slope = |radius: f64| {
        let settings = EstimatorSettings { radius, ..EstimatorSettings::default() };
        one(&*estimator_with("stencil", &settings).unwrap(), &g, &[0.01]).singular_values[0]
    };
    close(slope(0.5), 1.0, 1e-5);
    // With h = 0.1: (0.11 − 0) / 0.2.
    close(slope(10.0), 0.55, 1e-5);
}

// ---- coverage ----------------------------------------------------------------------------------------------------

/// The share of `seeds` frames whose interval ψ ± 1.96 standard errors contains `truth`, and the mean of ψ.
fn coverage(name: &str, p: usize, seeds: u64, g: &OneShot, truth: f64) -> (f64, f64) {
    let z = vec![0.7f32; g.spec().latent_width];
    let found: Vec<(f64, f64)> = (0..seeds).map(|seed| psi(&one(&*with(name, p, 100 + seed), g, &z))).collect();
    let inside = found.iter().filter(|(v, e)| (v - truth).abs() <= 1.96 * e).count();
    (inside as f64 / seeds as f64, found.iter().map(|f| f.0).sum::<f64>() / seeds as f64)
}

/// Computed separately: the mean of ½ ln det BᵀMB over random orthonormal B with P columns, M = diag σ².
fn mean_over_subspaces(sigma: &[f64], p: usize, draws: u64) -> f64 {
    let d = sigma.len();
    let one = |seed| {
        let b = DMatrix::from_vec(d, p, normals(seed, 1, Stream::Init, 0, d * p)).map(f64::from).qr().q();
        let scaled = DMatrix::from_diagonal(&sigma.to_vec().into()) * b;
        0.5 * (scaled.transpose() * scaled).determinant().ln()
    };
    (0..draws).map(one).sum::<f64>() / draws as f64
}

/// With 400 frames the share has a standard deviation of 1.1 %, so 91.7 % is three of these below 95 %. The jackknife
/// overestimates what is not additive, so its shares may come close to 1; those of the closed form may not.
#[test]
fn intervals_cover_what_they_are_for() {
    let sigma: Vec<f64> = (0..12).map(|i| 10f64.powf(-f64::from(i) / 11.0)).collect();
    let g = linear_with(31, 40, &sigma);
    for p in [4, 8] {
        let truth = mean_over_subspaces(&sigma, p, 20_000);
        for name in ["input-subspace", "stencil"] {
            let (share, mean) = coverage(name, p, 400, &g, truth);
            println!(
                "{name}, P = {p} of 12: {:.1} % of the intervals hold the mean {truth:.3} (found {mean:.3})",
                100.0 * share
            );
            assert!((0.917..=0.995).contains(&share), "{name}, P = {p}: {share}");
        }
        // The same number from the other side; the shift of the output projection is known.
        let (share, mean) = coverage("output-projection", p, 400, &g, truth);
        println!("output-projection, P = {p} of 40: {:.1} %, mean {mean:.3}", 100.0 * share);
        assert!((0.917..=0.995).contains(&share), "output-projection, P = {p}: {share}");
    }
    let exact: f64 = sigma.iter().map(|s| s.ln()).sum();
    for p in [16, 32] {
        let (share, mean) = coverage("output-projection", p, 400, &g, exact);
        let (_, variance) = projected_log_det(p, 12, 40);
        println!(
            "output-projection, P = {p} of 40, rank 12: {:.1} % hold psi = {exact:.3} (found {mean:.3})",
            100.0 * share
        );
        assert!((0.917..=0.983).contains(&share), "P = {p}: {share}");
        close(mean, exact, 4.0 * (variance / 400.0).sqrt());
    }
}

/// A map of rank 6 in 12 dimensions: neither the number of directions nor the scaling may depend on the rank.
#[test]
fn output_projection_has_no_bias_on_a_map_of_low_rank() {
    let sigma: Vec<f64> = (0..12).map(|i| if i < 6 { 2.0 - 0.3 * f64::from(i) } else { 1e-7 }).collect();
    let g = linear_with(35, 40, &sigma);
    let exact: f64 = sigma[..6].iter().map(|s| s.ln()).sum();
    assert_eq!(one(&*usual("exact"), &g, &[0.7; 12]).rank(), 6);
    let (share, mean) = coverage("output-projection", 16, 400, &g, exact);
    println!("rank 6 of 12: {:.1} % hold psi = {exact:.3} (found {mean:.3})", 100.0 * share);
    assert!((0.917..=0.983).contains(&share), "{share}");
    let (_, variance) = projected_log_det(16, 6, 40);
    close(mean, exact, 4.0 * (variance / 400.0).sqrt());
}

#[test]
fn intervals_of_other_descriptors_cover_their_mean() {
    let sigma: Vec<f64> = (0..12).map(|i| 10f64.powf(-f64::from(i) / 11.0)).collect();
    let g = linear_with(33, 40, &sigma);
    let z = normals(9, 0, Stream::Latent, 0, 12);
    let names = ["nu", "nu_2", "ln_frobenius", "psi_k"];
    let wanted: Vec<_> = DESCRIPTORS.iter().filter(|d| names.contains(&d.name)).collect();
    let all: Vec<Vec<(f64, f64)>> = (0..300)
        .map(|seed| {
            let found = one(&*with("input-subspace", 8, 500 + seed), &g, &z);
            let columns = measure_all(&LocalGeometry::new(&found, &z, 4), &wanted);
            columns.iter().map(|(_, m)| (m.value().unwrap(), m.stderr().unwrap())).collect()
        })
        .collect();
    // Where the jackknife is not valid there is no standard error, instead of a wrong one.
    for name in ["lid", "sigma_1"] {
        let row = DESCRIPTORS.iter().filter(|d| d.name == name).collect::<Vec<_>>();
        let found = one(&*with("input-subspace", 8, 0), &g, &z);
        assert!(measure_all(&LocalGeometry::new(&found, &z, 4), &row)[0].1.stderr().is_none(), "{name}");
        let found = one(&*usual("exact"), &g, &z);
        assert!(measure_all(&LocalGeometry::new(&found, &z, 4), &row)[0].1.stderr().is_some(), "{name}");
    }
    for (i, descriptor) in wanted.iter().enumerate() {
        let mean = all.iter().map(|c| c[i].0).sum::<f64>() / 300.0;
        let share = all.iter().filter(|c| (c[i].0 - mean).abs() <= 1.96 * c[i].1).count() as f64 / 300.0;
        println!("{}: {:.1} % hold the mean {mean:.3}", descriptor.name, 100.0 * share);
        // 95 %, less four standard deviations of the share.
        assert!(share > 0.90, "{}: {share}", descriptor.name);
    }
}

#[test]
fn rounding_stays_within_its_bound() {
    for activation in ["relu", "silu"] {
        let (d, width) = (10, 30);
        let g = network(activation, d, width);
        let w = |seed, to: usize, from: usize| random(seed, to, from).map(|v| f64::from(v / (from as f32).sqrt()));
        let (a, b, c) = (w(21, 48, d), w(22, 48, 48), w(23, width, 48));
        let bias = |seed| DMatrix::from_vec(48, 1, normals(seed, 0, Stream::Init, 0, 48)).map(|v| f64::from(0.3 * v));
        let relu = activation == "relu";
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let value = |x: f64| if relu { x.max(0.0) } else { x * logistic(x) };
        let slope = |x: f64| {
            let s = logistic(x);
            if relu { f64::from(u8::from(x > 0.0)) } else { s * (1.0 + x * (1.0 - s)) }
        };
        let mut worst = 0.0f64;
        for i in 0..40 {
            let z = normals(11, i, Stream::Latent, 0, d);
            let h1 = &a * DMatrix::from_vec(d, 1, z.clone()).map(f64::from) + bias(24);
            let h2 = &b * h1.map(value) + bias(25);
            let diagonal = |h: &DMatrix<f64>| DMatrix::from_diagonal(&h.map(slope).column(0).into_owned());
            let jacobian = &c * diagonal(&h2) * &b * diagonal(&h1) * &a;
            let expected: f64 = singular_values(&jacobian).iter().map(|s| s.ln()).sum();
            let (found, bound) = psi(&one(&*usual("exact"), &g, &z));
            worst = worst.max((found - expected).abs() / bound);
            assert!(
                (found - expected).abs() <= bound,
                "{activation}, latent {i}: {found} ± {bound}, in f64 {expected}"
            );
        }
        println!("{activation}: the largest error of psi is {worst:.3} of its bound");
        assert!(worst > 1e-3, "a bound a thousand times too wide says nothing");
    }
}
