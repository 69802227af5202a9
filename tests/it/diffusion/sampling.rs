//! Solvers on mixtures of Gaussians, whose denoiser is exact: the orders they claim, evaluations, marginal moments.

use super::Mixture;
use super::{host64, rows64, three};
use isoline::diffusion::schedules::{SCHEDULES, schedule};
use isoline::diffusion::solvers::{SOLVERS, Solver, solver};
use isoline::diffusion::{Denoiser, Sampling, State};
use isoline::nn::{Rows, Tangents};
use isoline::noise::{Stream, normals};

/// The solver, with settings that make it deterministic where that is possible.
fn deterministic(name: &str) -> Box<dyn Solver> {
    let settings = if name == "churn" { "churn = 0.0" } else { "" };
    solver(name, toml::from_str(settings).unwrap()).unwrap()
}

fn default(name: &str) -> Box<dyn Solver> {
    solver(name, toml::Table::new()).unwrap()
}

/// `steps` steps, evenly spaced in ln σ, without a last one to 0.
fn open_ended(steps: usize, from: f64, to: f64) -> Vec<f64> {
    (0..=steps).map(|i| (from.ln() + (to / from).ln() * i as f64 / steps as f64).exp()).collect()
}

fn run(denoiser: &dyn Denoiser, solver: Box<dyn Solver>, sigmas: Vec<f64>, x: State, seed: u64) -> (State, usize) {
    let [n, d] = x.value.dims();
    let mut calls = 0;
    let mut denoise = |x: &State, sigma: f64| {
        calls += 1;
        denoiser.denoise(x, sigma, None)
    };
    let mut noise = |step: u32, draw: u32| -> Rows {
        let drawn = normals(seed, 0, Stream::Sampling, step * 4 + draw, n * d);
        rows64(drawn.into_iter().map(f64::from).collect(), d)
    };
    let end = Sampling::new(solver, sigmas).run(x, &mut denoise, &mut noise, &mut |_, _| Ok(())).unwrap();
    (end, calls)
}

fn starts(n: usize, sigma: f64, seed: u64) -> Vec<f64> {
    normals(seed, 1, Stream::Latent, 0, 2 * n).into_iter().map(|v| sigma * f64::from(v)).collect()
}

/// The end of the probability-flow path of a Gaussian in closed form: every coordinate scales with its standard
/// deviation.
#[test]
fn gaussian_path_is_followed_to_the_closed_form() {
    let (mean, variances) = ([0.3, -0.7], [0.5, 0.02]);
    let gaussian = Mixture::gaussian(mean.to_vec(), variances.to_vec());
    let x = starts(5, 4.0, 1);
    let (from, to) = (4.0f64, 0.1f64);
    let (end, _) = run(&gaussian, default("heun"), open_ended(2000, from, to), State::plain(rows64(x.clone(), 2)), 0);
    for (i, found) in host64(end.value).into_iter().enumerate() {
        let j = i % 2;
        let scale = ((variances[j] + to * to) / (variances[j] + from * from)).sqrt();
        let expected = mean[j] + scale * (x[i] - mean[j]);
        // Allows for Heun's error: (ln 40 / 2000)² = 3e-6 times a constant of order 1.
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

#[test]
fn every_solver_has_its_order() {
    let mixture = three();
    let x = starts(8, 5.0, 2);
    let end = |s: Box<dyn Solver>, n: usize| {
        host64(run(&mixture, s, open_ended(n, 5.0, 0.4), State::plain(rows64(x.clone(), 2)), 0).0.value)
    };
    let exact = end(default("heun"), 6000);
    for row in SOLVERS {
        let claimed = f64::from(default(row.name).order());
        // Noise is switched off where a setting allows it. For the ancestral step none does; its moments are tested
        // below.
        if deterministic(row.name).is_stochastic() {
            continue;
        }
        let errors: Vec<(f64, f64)> = [40usize, 80, 160, 320]
            .iter()
            .map(|n| {
                let found = end(deterministic(row.name), *n);
                let error = found.iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                ((*n as f64).ln(), error.ln())
            })
            .collect();
        let slope = -least_squares(&errors);
        println!("{:<10} order {claimed}: slope {slope:.3}, last error {:.1e}", row.name, errors[3].1.exp());
        assert!((slope - claimed).abs() <= 0.2, "{}: slope {slope}, claimed {claimed}", row.name);
    }
}

fn least_squares(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / points.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>()
}

#[test]
fn every_solver_takes_the_evaluations_it_claims() {
    for row in SOLVERS {
        for steps in [1, 2, 5] {
            let mut sigmas = open_ended(steps - 1, 5.0, 0.4);
            if steps == 1 {
                sigmas = vec![5.0];
            }
            sigmas.push(0.0);
            let sampling = Sampling::new(default(row.name), sigmas.clone());
            let (end, calls) = run(&three(), default(row.name), sigmas, State::plain(rows64(starts(1, 5.0, 3), 2)), 0);
            assert_eq!(calls, sampling.evaluations(), "{} in {steps} steps", row.name);
            assert!(host64(end.value).iter().all(|v| v.is_finite()), "{} in {steps} steps", row.name);
        }
    }
}

/// Mean and covariance of 4,000 samples from every solver, each with some schedule, compared with those of the mixture.
/// The bounds are five standard errors of a moment of n draws, plus 3 % for the steps' own error at order 1.
#[test]
fn every_solver_reaches_the_moments() {
    let mixture = three();
    let n = 4000;
    // Moments of the mixture, worked out by hand from its components.
    let (c2, s2, cs) = (0.75, 0.25, 0.75f64.sqrt() * 0.5);
    let parts: [(f64, [f64; 2], [f64; 3]); 3] = [
        (0.5, [1.0, 0.5], [0.3, 0.1, 0.0]),
        (0.3, [-1.0, 0.3], [0.5 * c2 + 0.05 * s2, 0.5 * s2 + 0.05 * c2, (0.5 - 0.05) * cs]),
        (0.2, [0.0, -1.2], [0.2, 0.2, 0.0]),
    ];
    let mean: Vec<f64> = (0..2).map(|j| parts.iter().map(|p| p.0 * p.1[j]).sum()).collect();
    let second = |a: usize, b: usize, own: usize| -> f64 {
        parts.iter().map(|p| p.0 * (p.2[own] + p.1[a] * p.1[b])).sum::<f64>() - mean[a] * mean[b]
    };
    let expected = [mean[0], mean[1], second(0, 0, 0), second(1, 1, 1), second(0, 1, 2)];
    for (i, row) in SOLVERS.iter().enumerate() {
        let schedule = schedule(SCHEDULES[i % SCHEDULES.len()].name, toml::Table::new()).unwrap();
        let steps = 60;
        let mut sigmas: Vec<f64> =
            (0..steps).map(|i| schedule.sigma(f64::from(i) / f64::from(steps - 1), 0.01, 40.0)).collect();
        sigmas.push(0.0);
        let x = State::plain(rows64(starts(n, 40.0, 5), 2));
        let end = host64(run(&mixture, default(row.name), sigmas, x, 7).0.value);
        let column = |j: usize| end.iter().skip(j).step_by(2).copied().collect::<Vec<f64>>();
        let (a, b) = (column(0), column(1));
        let average = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        let (ma, mb) = (average(&|i| a[i]), average(&|i| b[i]));
        let found = [
            ma,
            mb,
            average(&|i| (a[i] - ma).powi(2)),
            average(&|i| (b[i] - mb).powi(2)),
            average(&|i| (a[i] - ma) * (b[i] - mb)),
        ];
        for (f, e) in found.iter().zip(expected) {
            // Here the standard errors of means are at most √(1.2/n), and those of second moments at most √(3/n).
            let bound = 5.0 * (1.5 / n as f64).sqrt() + 0.03 * e.abs();
            assert!((f - e).abs() < bound, "{}: {found:?}, expected {expected:?}", row.name);
        }
    }
}

/// The mixture's denoiser is compared with the posterior mean by brute force on a grid, and its tangents with
/// differences.
#[test]
fn the_mixture_is_its_own_posterior_mean() {
    let mixture = three();
    let sigma = 0.6;
    let x = [0.4, -0.3];
    let (mut total, mut sum) = (0.0, [0.0; 2]);
    let side = 400;
    let points: Vec<f64> =
        (0..side * side).flat_map(|i| [(i / side) as f64 * 0.02 - 4.0, (i % side) as f64 * 0.02 - 4.0]).collect();
    let logs = host64(mixture.log_density(&rows64(points.clone(), 2), 0.0));
    for (p, l) in points.chunks(2).zip(logs) {
        let w = (l - 0.5 * ((x[0] - p[0]).powi(2) + (x[1] - p[1]).powi(2)) / (sigma * sigma)).exp();
        total += w;
        sum = [sum[0] + w * p[0], sum[1] + w * p[1]];
    }
    let at = |x: Vec<f64>| host64(mixture.denoise(&State::plain(rows64(x, 2)), sigma, None).unwrap().value);
    let found = at(x.to_vec());
    // The trapezoid sum of a smooth density that has fallen to e^{-30} at the ends of the grid is good to rounding.
    assert!((found[0] - sum[0] / total).abs() < 1e-9 && (found[1] - sum[1] / total).abs() < 1e-9, "{found:?}");
    let tangents = Some(Tangents::shared(rows64(vec![1.0, 0.0, 0.0, 1.0], 2)));
    let moved = mixture.denoise(&State { value: rows64(x.to_vec(), 2), tangents }, sigma, None).unwrap();
    let jacobian = moved.tangents.unwrap().expanded(1).try_into_vec_as::<f64>().unwrap();
    let h = 1e-5;
    for j in 0..2 {
        let step = |s: f64| at((0..2).map(|i| x[i] + if i == j { s } else { 0.0 }).collect());
        let (up, down) = (step(h), step(-h));
        for i in 0..2 {
            let difference = (up[i] - down[i]) / (2.0 * h);
            // Allows for h² times a third derivative of order 10, and for eps/h.
            assert!((jacobian[2 * j + i] - difference).abs() < 1e-8, "{j} {i}");
        }
    }
}

/// The tangents that every solver carries along, compared with central differences of its own results.
#[test]
fn solvers_carry_tangents() {
    let mixture = three();
    let sigmas = || {
        let mut s = open_ended(7, 5.0, 0.2);
        s.push(0.0);
        s
    };
    for row in SOLVERS {
        let x = [2.0, -1.0];
        let tangents = Some(Tangents::shared(rows64(vec![1.0, 0.0, 0.0, 1.0], 2)));
        let end = run(&mixture, default(row.name), sigmas(), State { value: rows64(x.to_vec(), 2), tangents }, 9).0;
        let jacobian = end.tangents.unwrap().expanded(1).try_into_vec_as::<f64>().unwrap();
        let h = 1e-5;
        for j in 0..2 {
            let step = |s: f64| {
                let x = (0..2).map(|i| x[i] + if i == j { s } else { 0.0 }).collect();
                host64(run(&mixture, default(row.name), sigmas(), State::plain(rows64(x, 2)), 9).0.value)
            };
            let (up, down) = (step(h), step(-h));
            for i in 0..2 {
                let difference = (up[i] - down[i]) / (2.0 * h);
                assert!((jacobian[2 * j + i] - difference).abs() < 1e-7, "{} {j} {i}", row.name);
            }
        }
    }
}

/// A NaN from the network in the middle of a run stays in its row: for every solver, the other rows keep their bits.
#[test]
fn a_nan_in_mid_run_stays_in_its_row() {
    let mixture = three();
    for row in SOLVERS {
        let run = |poison: bool| {
            let mut calls = 0;
            let mut denoise = |x: &State, sigma: f64| {
                calls += 1;
                let clean = mixture.denoise(x, sigma, None)?;
                if !(poison && calls == 3) {
                    return Ok(clean);
                }
                let mut values = host64(clean.value);
                values[2..4].fill(f64::NAN);
                Ok(State::plain(rows64(values, 2)))
            };
            let mut noise = |step: u32, draw: u32| {
                rows64(normals(1, 0, Stream::Sampling, step * 4 + draw, 6).into_iter().map(f64::from).collect(), 2)
            };
            let mut sigmas = open_ended(5, 5.0, 0.2);
            sigmas.push(0.0);
            let sampling = Sampling::new(default(row.name), sigmas);
            let x = State::plain(rows64(starts(3, 5.0, 4), 2));
            host64(sampling.run(x, &mut denoise, &mut noise, &mut |_, _| Ok(())).unwrap().value)
        };
        let (clean, poisoned) = (run(false), run(true));
        assert!(poisoned[2].is_nan() && poisoned[3].is_nan(), "{}", row.name);
        for i in [0, 1, 4, 5] {
            assert_eq!(clean[i].to_bits(), poisoned[i].to_bits(), "{}", row.name);
        }
    }
}
