//! FLIPD and the likelihood on Gaussians, where both are known, and the methods without a network against
//! scikit-dimension.

use super::Mixture;
use super::{host64, rows64, ten, three};
use crate::shared::{self, Fixtures};
use isoline::diffusion::lid::{Cloud, METHODS};
use isoline::diffusion::{Denoiser, State, Trace, flipd, log_likelihood, trace};
use isoline::linalg::orthonormal_columns;
use isoline::noise::{Stream, normals};

fn doubles(seed: u64, sample: u64, n: usize) -> Vec<f64> {
    normals(seed, sample, Stream::Latent, 0, n).into_iter().map(f64::from).collect()
}

/// `n` draws from the ten-dimensional Gaussian, `[n, 10]` row-major.
fn draws(n: usize) -> Vec<f64> {
    let (_, variances, axes) = ten();
    (0..n)
        .flat_map(|i| {
            let z = doubles(4, i as u64, 10);
            let axes = axes.clone();
            let variances = variances.clone();
            (0..10).map(move |j| (0..10).map(|k| axes[j * 10 + k] * variances[k].sqrt() * z[k]).sum::<f64>())
        })
        .collect()
}

/// The score form, the ε form at x_t = √ᾱ x, the velocity form of a flow and the denoiser form agree, and the mean over
/// draws is Σ 1 − (s²/(λ + s²))².
#[test]
fn every_form_of_flipd_is_one_number() {
    let (gaussian, variances, axes) = ten();
    let x = draws(400);
    for delta in [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0] {
        let s2 = delta * delta;
        let found: Vec<f64> = flipd(&gaussian, &rows64(x.clone(), 10), delta, Trace::Exact)
            .unwrap()
            .iter()
            .map(|f| f.dimension().value)
            .collect();
        for (x, found) in x.chunks(10).zip(&found) {
            // x along the axes of the Gaussian. The score is −x'/(λ + s²), its divergence −Σ 1/(λ + s²).
            let along: Vec<f64> = (0..10).map(|k| (0..10).map(|j| axes[j * 10 + k] * x[j]).sum()).collect();
            let inverse: Vec<f64> = variances.iter().map(|v| 1.0 / (v + s2)).collect();
            let divergence = -inverse.iter().sum::<f64>();
            let score2: f64 = along.iter().zip(&inverse).map(|(a, i)| (a * i).powi(2)).sum();
            let ve = 10.0 + s2 * (divergence + score2);
            // ε = −s·score_t of the variance-preserving density; its divergence and norm in x_t = αx, s_t = δα.
            let alpha = 1.0 / (1.0 + s2).sqrt();
            let sigma_t = delta * alpha;
            let trace_eps = -sigma_t * divergence / (alpha * alpha);
            let eps2 = sigma_t * sigma_t * score2 / (alpha * alpha);
            let vp = 10.0 - sigma_t * trace_eps + eps2;
            // v = (x_t − D)/t of the flow, t = δ/(1 + δ), x_t = x/(1 + δ): tr ∂D/∂x and D from v.
            let t = delta / (1.0 + delta);
            let denoised: Vec<f64> = along.iter().zip(&inverse).map(|(a, i)| a - s2 * a * i).collect();
            let v: Vec<f64> = along.iter().zip(&denoised).map(|(a, d)| (a / (1.0 + delta) - d) / t).collect();
            let trace_v = (10.0 - (10.0 + s2 * divergence) * (1.0 + delta)) / t;
            let moved: f64 = along.iter().zip(&v).map(|(a, v)| (a / (1.0 + delta) - t * v - a).powi(2)).sum();
            let flow = (10.0 - t * trace_v) / (1.0 + delta) + moved / s2;
            // The error of differences of numbers near 10: 1e-15 of δ²·score², which is up to 1e4 at small δ.
            for other in [ve, vp, flow] {
                assert!((found - other).abs() < 1e-6, "{delta}: {found} {other}");
            }
        }
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let expected: f64 = variances.iter().map(|v| 1.0 - (s2 / (v + s2)).powi(2)).sum();
        // Each direction adds s²λz²/(λ + s²)² ≤ z²/4, so the mean of 400 draws has a standard deviation below
        // ¼√(2·10/400).
        assert!((mean - expected).abs() < 5.0 * 0.25 * (20.0f64 / 400.0).sqrt(), "{delta}: {mean} {expected}");
    }
}

/// Plateaus: 3 directions of variance 1e-4, 3 of 1, 4 of 1,000. Between the sizes of two groups the dimension is the
/// number of larger directions.
#[test]
fn plateaus_of_a_multiscale_gaussian() {
    let variances = [[1e-4; 3].to_vec(), [1.0; 3].to_vec(), [1e3; 4].to_vec()].concat();
    let gaussian = Mixture::gaussian(vec![0.0; 10], variances.clone());
    let n = 1000;
    let x: Vec<f64> =
        (0..n).flat_map(|i| doubles(5, i, 10).into_iter().zip(variances.clone()).map(|(z, v)| z * v.sqrt())).collect();
    for (delta, plateau) in [(0.1, 7.0), (0.3, 7.0), (10.0, 4.0)] {
        let found = flipd(&gaussian, &rows64(x.clone(), 10), delta, Trace::Exact).unwrap();
        let mean = found.iter().map(|f| f.dimension().value).sum::<f64>() / n as f64;
        assert!((mean - plateau).abs() < 0.1, "δ = {delta}: {mean}");
    }
}

/// A negative control for every FLIPD, here in closed form: at noised points the mean is the ambient dimension, whatever
/// the data.
#[test]
fn at_noised_points_the_mean_is_the_ambient_dimension() {
    let (gaussian, ..) = ten();
    let n = 2000;
    for delta in [0.05, 0.5] {
        let x: Vec<f64> = draws(n).into_iter().zip(doubles(6, 0, 10 * n)).map(|(x, e)| x + delta * e).collect();
        let found = flipd(&gaussian, &rows64(x, 10), delta, Trace::Exact).unwrap();
        let mean = found.iter().map(|f| f.dimension().value).sum::<f64>() / n as f64;
        // The residual is a sum of at most ten squares, so its standard deviation is √20; the bound is five standard
        // errors.
        assert!((mean - 10.0).abs() < 5.0 * (20.0 / n as f64).sqrt(), "{delta}: {mean}");
    }
}

/// LID_s from the singular values of a linear generator (theory, 9b) is FLIPD of its exact score.
#[test]
fn the_spectrum_of_a_linear_generator_gives_its_flipd() {
    let (d, width) = (4, 9);
    let a: Vec<f64> = doubles(7, 0, width * d);
    let columns: Vec<f32> =
        (0..d).flat_map(|j| (0..width).map(move |i| (i, j))).map(|(i, j)| a[i * d + j] as f32).collect();
    let (values, vectors) = crate::shared::right_singular(&columns, d);
    // The density of Az has variances σ² along the left singular vectors, and 0 across them.
    let a = |i: usize, j: usize| f64::from(columns[j * width + i]);
    let mut axes = vec![0.0; width * width];
    let filler = doubles(8, 0, width * width);
    for k in 0..width {
        for i in 0..width {
            axes[i * width + k] = if k < d {
                (0..d).map(|j| a(i, j) * vectors[(j, k)]).sum::<f64>() / values[k]
            } else {
                filler[i * width + k]
            };
        }
    }
    let axes = orthonormal_columns(&axes, width, width);
    let variances = (0..width).map(|k| values.get(k).map_or(0.0, |s| s * s)).collect();
    let component = super::Component { weight: 1.0, mean: vec![0.0; width], variances, axes: Some(axes) };
    let gaussian = Mixture::new(vec![component]);
    for sample in 0..8 {
        let z = doubles(9, sample, d);
        let x: Vec<f64> = (0..width).map(|i| (0..d).map(|j| a(i, j) * z[j]).sum()).collect();
        for s in [0.01, 0.1, 0.5] {
            let turned: Vec<f64> = (0..d).map(|i| (0..d).map(|j| vectors[(j, i)] * z[j]).sum()).collect();
            let spectral = isoline::geometry::spectral_dimension(&values, &turned, s);
            let score = flipd(&gaussian, &rows64(x.clone(), width), s, Trace::Exact).unwrap()[0].dimension().value;
            assert!((score - spectral).abs() < 1e-6, "s = {s}: {score} {spectral}");
        }
    }
}

/// 200 estimates of 64 probes average to the exact trace, and their own standard errors describe how they scatter.
#[test]
fn hutchinson_is_unbiased_and_knows_its_error() {
    let (gaussian, ..) = ten();
    let mixture = three();
    let cases: [(&dyn Denoiser, Vec<f64>); 2] = [(&gaussian, draws(1)), (&mixture, vec![0.3, -0.4])];
    for (denoiser, x) in cases {
        let x = rows64(x, denoiser.width());
        let exact = trace(denoiser, &x, 0.3, Trace::Exact).unwrap().0[0].value;
        let found: Vec<_> = (0..200)
            .map(|seed| trace(denoiser, &x, 0.3, Trace::Hutchinson { probes: 64, seed }).unwrap().0[0])
            .collect();
        let mean = found.iter().map(|e| e.value).sum::<f64>() / 200.0;
        let scatter = (found.iter().map(|e| (e.value - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
        let claimed = (found.iter().map(|e| e.stderr.powi(2)).sum::<f64>() / 200.0).sqrt();
        assert!((mean - exact).abs() < 3.0 * scatter / 200f64.sqrt() + 1e-12, "{mean} {exact} ± {scatter}");
        // The scatter of 200 values is known to 1/√400 = 5 %; the bound is four of these.
        assert!((scatter / claimed - 1.0).abs() < 0.2, "scatter {scatter}, claimed {claimed}");
        let few = trace(denoiser, &x, 0.3, Trace::Hutchinson { probes: 1, seed: 0 });
        assert!(few.is_err_and(|e| e.exit_code() == 2));
    }
}

/// (30) on a mixture of Gaussians, compared with its own density; the error of the probes is as claimed.
#[test]
fn likelihood_along_the_flow_is_the_density() {
    let mixture = three();
    let levels: Vec<f64> =
        (0..=400).map(|i| (0.05f64.ln() + (400f64 / 0.05).ln() * f64::from(i) / 400.0).exp()).collect();
    let x = vec![0.4, -0.2, 1.5, 0.5, -1.0, 0.9, 0.1, -1.3];
    let exact = host64(mixture.log_density(&rows64(x.clone(), 2), 0.05));
    let found = log_likelihood(&mixture, &rows64(x.clone(), 2), &levels, Trace::Exact).unwrap();
    let by_probes = log_likelihood(&mixture, &rows64(x, 2), &levels, Trace::Hutchinson { probes: 8, seed: 1 }).unwrap();
    for i in 0..4 {
        // Allows for Heun's error of (ln 8000/400)² = 5e-4 of a term of order 1, and for a prior that neglects a
        // variance of 1 beside 1.6e5.
        assert!((found[i].value - exact[i]).abs() < 2e-3, "{} {}", found[i].value, exact[i]);
        let off = (by_probes[i].value - exact[i]).abs();
        assert!(off < 5.0 * by_probes[i].stderr + 2e-3, "{off} ± {}", by_probes[i].stderr);
        assert!(by_probes[i].stderr > 0.0);
    }
    assert!(log_likelihood(&mixture, &rows64(vec![0.0; 2], 2), &[1.0, 0.5], Trace::Exact).is_err());
}

/// Means over the points of scikit-dimension's manifolds: the maximum-likelihood estimate at k = 20 to its own digits,
/// and local PCA with all points as one neighbourhood.
#[test]
#[ignore = "needs the shared data"]
fn methods_equal_scikit_dimension() {
    let data = shared::data();
    let fixtures = Fixtures::read(&data.join("reference/lid_manifolds.safetensors"));
    let text = std::fs::read_to_string(data.join("reference/lid_skdim.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let method = |name: &str| METHODS.iter().find(|m| m.name == name).unwrap().estimate;
    let mut compared = 0;
    for (name, row) in expected.as_object().unwrap() {
        let Some(width) = row["ambient"].as_u64().filter(|_| fixtures.has(name)) else { continue };
        let cloud = Cloud { values: fixtures.get(name).to_vec(), width: width as usize };
        let all: Vec<f64> = method("mle")(&cloud, &cloud, 20.0).into_iter().map(Result::unwrap).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let reference = row["MLE_k20"].as_f64().unwrap();
        println!("{name:<18} MLE {mean:.6}, reference {reference:.6}");
        // Both are computed in f64, as logarithms of ratios that come from differences of the points' coordinates.
        assert!((mean / reference - 1.0).abs() < 1e-9, "{name}: {mean} {reference}");
        compared += 1;
        let query = Cloud { values: cloud.point(0).to_vec(), width: cloud.width };
        assert_eq!(method("lpca")(&cloud, &query, 999.0)[0], Ok(row["lPCA_FO"].as_f64().unwrap()), "{name}: local PCA");
    }
    assert!(compared >= 15, "{compared} manifolds compared");
}

/// The tangents of a denoiser without a network give its trace: compared with central differences.
#[test]
fn the_denoisers_own_tangents_give_its_trace() {
    let mixture = three();
    let x = vec![0.3, 0.2];
    let exact = trace(&mixture, &rows64(x.clone(), 2), 0.4, Trace::Exact).unwrap().0[0].value;
    let h = 1e-5;
    let by_differences: f64 = (0..2)
        .map(|j| {
            let at = |s: f64| {
                let x = (0..2).map(|i| x[i] + if i == j { s } else { 0.0 }).collect();
                host64(mixture.denoise(&State::plain(rows64(x, 2)), 0.4, None).unwrap().value)[j]
            };
            (at(h) - at(-h)) / (2.0 * h)
        })
        .sum();
    assert!((exact - by_differences).abs() < 1e-8, "{exact} {by_differences}");
}

/// Where there is no neighbourhood there is no dimension: the reason is said, and no method panics or makes up a number.
#[test]
fn degenerate_neighbourhoods_have_no_dimension() {
    let cloud = |points: &[[f64; 3]]| Cloud { values: points.concat(), width: 3 };
    let one = [0.1, 0.7, -0.3];
    let far = |i: usize| [i as f64, 0.25 * (i * i) as f64, 1.0];
    let line: Vec<[f64; 3]> = (0..12).map(far).collect();
    // Corners of an octahedron around the query: all at the same distance.
    let mut corners = Vec::new();
    for axis in 0..3 {
        for sign in [1.0, -1.0] {
            let mut corner = [0.0; 3];
            corner[axis] = sign;
            corners.push(corner);
        }
    }
    let cases = [
        ("all points are the query", vec![one; 12], one, "only 0 of 12 points lie at another place"),
        ("all points are one other", vec![one; 12], [0.0; 3], "its 5 neighbours all lie at one place"),
        ("one point", vec![one], one, "only 0 of 1 points"),
        ("no point", Vec::new(), one, "only 0 of 0 points"),
        ("fewer than k", line[..4].to_vec(), [9.0; 3], "only 4 of 4 points lie at another place than it, expected 5"),
    ];
    let method = |name: &str| METHODS.iter().find(|m| m.name == name).unwrap().estimate;
    for name in ["lpca", "ess", "mle"] {
        for (case, points, query, reason) in &cases {
            let found = method(name)(&cloud(points), &cloud(&[*query]), 5.0).remove(0);
            assert!(found.as_ref().is_err_and(|why| why.contains(reason)), "{name}, {case}: {found:?}");
        }
        // Duplicates of the query among enough other points do no harm.
        let mixed = [vec![line[3]; 7], line.clone()].concat();
        let [with, without] = [&mixed, &line].map(|p| method(name)(&cloud(p), &cloud(&[line[3]]), 5.0).remove(0));
        assert!(with.is_ok() && with == without, "{name}: {with:?} {without:?}");
    }
    let equal = |name: &str| method(name)(&cloud(&corners), &cloud(&[[0.0; 3]]), 6.0).remove(0);
    assert!(equal("mle").is_err_and(|why| why.contains("all equally far away")));
    assert_eq!(equal("lpca"), Ok(3.0));
    // FLIPD of the empirical density needs no neighbourhood: noise around a single point has dimension 0.
    assert_eq!(method("cfdm")(&cloud(&[one; 12]), &cloud(&[one]), 0.1), [Ok(0.0)]);
    assert!(method("cfdm")(&cloud(&[]), &cloud(&[one]), 0.1)[0].is_err());
    assert!(method("cfdm")(&cloud(&[one]), &cloud(&[[1.0; 3]]), 1e-200)[0].is_err());
}
