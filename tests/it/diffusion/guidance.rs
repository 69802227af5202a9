//! Guidance on Gaussians and mixtures, where the guided distribution is known.

use super::{Component, Mixture};
use super::{host64, rows64, ten, three};
use isoline::diffusion::guidance::{ClassifierFree, Form, Interval, Potential, Recurrent};
use isoline::diffusion::particles::{FkPotential, Particles};
use isoline::diffusion::solvers::{Solver, solver};
use isoline::diffusion::{Classes, Denoiser, NoiseOptimisation, Sampling, State};
use isoline::error::Result;
use isoline::nn::{Rows, Tangents};
use isoline::noise::{Stream, normals, uniforms};
use isoline::steer::denoiser::{Backward, DensityScaled, Forward, Minority, Normalisation};

const MEAN: [f64; 2] = [0.4, -0.6];
const VARIANCES: [f64; 2] = [0.5, 0.2];
/// The reward r₀(x₀) = −½ Σ (x₀ − AIM)²/τ².
const AIM: [f64; 2] = [1.5, 0.3];
const TAU2: f64 = 0.4;

fn gaussian() -> Mixture {
    Mixture::gaussian(MEAN.to_vec(), VARIANCES.to_vec())
}

/// N(MEAN, VARIANCES)·e^{r₀}, worked out by hand: precisions add up.
fn tilted() -> ([f64; 2], [f64; 2]) {
    let variance = [0, 1].map(|j| 1.0 / (1.0 / VARIANCES[j] + 1.0 / TAU2));
    let mean = [0, 1].map(|j| variance[j] * (MEAN[j] / VARIANCES[j] + AIM[j] / TAU2));
    (mean, variance)
}

/// r(x, σ) = ln E[e^{r₀(x₀)} | x] up to a constant: x₀ | x is N(m, v) with v = Cσ²/(C + σ²), so
/// r = −½(m − a)²/(v + τ²).
struct Quadratic;

impl Potential for Quadratic {
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)> {
        let values = host64(x.clone());
        let s2 = sigma * sigma;
        let mut gradient = Vec::new();
        let mut value = Vec::new();
        for point in values.chunks(2) {
            let mut sum = 0.0;
            for j in 0..2 {
                let keep = if s2 == 0.0 { 1.0 } else { VARIANCES[j] / (VARIANCES[j] + s2) };
                let m = MEAN[j] + keep * (point[j] - MEAN[j]);
                let spread = keep * s2 + TAU2;
                sum -= 0.5 * (m - AIM[j]).powi(2) / spread;
                gradient.push(-(m - AIM[j]) / spread * keep);
            }
            value.push(sum);
        }
        Ok((rows64(value, 1), rows64(gradient, 2)))
    }
}

fn forward<'a>(inner: &'a dyn Denoiser, potential: &'a dyn Potential) -> Forward<'a> {
    let (form, normalisation, interval) = (Form::Push, Normalisation::None, Interval::ALL);
    Forward { inner, potential, form, strength: 1.0, normalisation, interval }
}

fn points() -> Vec<f64> {
    normals(1, 0, Stream::Latent, 0, 12).into_iter().map(|v| 2.0 * f64::from(v)).collect()
}

fn at(denoiser: &dyn Denoiser, x: Vec<f64>, sigma: f64) -> Vec<f64> {
    host64(denoiser.denoise(&State::plain(rows64(x, 2)), sigma, None).unwrap().value)
}

/// (24) with the noise-aware reward is the tilted density's own denoiser at every noise level, and gives its samples'
/// mean.
#[test]
fn forward_guidance_is_the_tilted_gaussians_denoiser() {
    let (mean, variance) = tilted();
    let (base, target) = (gaussian(), Mixture::gaussian(mean.to_vec(), variance.to_vec()));
    let guided = forward(&base, &Quadratic);
    for sigma in [0.01, 0.3, 2.0, 30.0] {
        for (a, b) in at(&guided, points(), sigma).iter().zip(at(&target, points(), sigma)) {
            assert!((a - b).abs() < 1e-10, "σ = {sigma}: {a} {b}");
        }
    }
    // Sampling with it: five standard errors for 2,000 draws, and Heun's own error at 40 steps.
    let end = sample(&guided, solver("heun", toml::Table::new()).unwrap(), 2000, 40);
    for j in 0..2 {
        let found = end.iter().skip(j).step_by(2).sum::<f64>() / 2000.0;
        assert!((found - mean[j]).abs() < 5.0 * (variance[j] / 2000.0f64).sqrt() + 0.01, "{found} {}", mean[j]);
    }
}

fn sample(denoiser: &dyn Denoiser, solver: Box<dyn Solver>, n: usize, steps: usize) -> Vec<f64> {
    let schedule = |i: usize| 40.0 * (0.01f64 / 40.0).powf(i as f64 / (steps - 1) as f64);
    let mut sigmas: Vec<f64> = (0..steps).map(schedule).collect();
    sigmas.push(0.0);
    let d = denoiser.width();
    let x = normals(2, 0, Stream::Latent, 0, d * n).into_iter().map(|v| 40.0 * f64::from(v)).collect();
    let mut denoise = |x: &State, sigma: f64| denoiser.denoise(x, sigma, None);
    let mut noise = |step: u32, draw: u32| {
        let drawn = normals(3, 0, Stream::Sampling, step * 16 + draw, d * n);
        rows64(drawn.into_iter().map(f64::from).collect(), d)
    };
    let end =
        Sampling::new(solver, sigmas).run(State::plain(rows64(x, d)), &mut denoise, &mut noise, &mut |_, _| Ok(()));
    host64(end.unwrap().value)
}

/// r₀ = a·x₀ on a mixture with axes along the coordinates. r(x, σ) is computed by its sum over components, its gradient
/// by reverse mode.
struct Linear {
    parts: Vec<(f64, [f64; 2], [f64; 2])>,
    a: [f64; 2],
}

impl Linear {
    fn mixture(&self, tilt: bool) -> Mixture {
        let parts = self.parts.iter().map(|(w, m, v)| {
            let (mut weight, mut mean) = (*w, *m);
            if tilt {
                for j in 0..2 {
                    weight *= (self.a[j] * m[j] + 0.5 * self.a[j] * self.a[j] * v[j]).exp();
                    mean[j] += v[j] * self.a[j];
                }
            }
            Component { weight, mean: mean.to_vec(), variances: v.to_vec(), axes: None }
        });
        Mixture::new(parts.collect())
    }
}

impl Potential for Linear {
    fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)> {
        let s2 = sigma * sigma;
        let x = x.clone().autodiff().require_grad();
        let row = |v: [f64; 2]| rows64(v.to_vec(), 2);
        let (mut over, mut under) = (Vec::new(), Vec::new());
        for (w, m, v) in &self.parts {
            let centred = x.clone() - row(*m);
            let inverse = row([0, 1].map(|j| 1.0 / (v[j] + s2)));
            let constant = w.ln() - 0.5 * (v[0] + s2).ln() - 0.5 * (v[1] + s2).ln();
            let log = (centred.clone() * centred.clone() * inverse.clone()).sum_dim(1) * -0.5 + constant;
            let posterior = centred * row(*v) * inverse + row(*m);
            let spread: f64 = (0..2).map(|j| 0.5 * self.a[j].powi(2) * v[j] * s2 / (v[j] + s2)).sum();
            over.push(log.clone() + (posterior * row(self.a)).sum_dim(1) + spread);
            under.push(log);
        }
        let sum = |logs: Vec<Rows>| logs.into_iter().map(Rows::exp).reduce(|a, b| a + b).unwrap().log();
        let value = sum(over) - sum(under);
        let gradient = x.grad(&value.clone().sum().backward()).unwrap();
        Ok((value.inner(), gradient))
    }
}

fn linear() -> Linear {
    Linear { parts: vec![(0.6, [1.0, 0.0], [0.2, 0.1]), (0.4, [-1.0, 0.5], [0.3, 0.4])], a: [-0.8, 0.5] }
}

/// On a mixture, the guided denoiser has the tilted weights and means.
#[test]
fn forward_guidance_tilts_a_mixtures_weights() {
    let potential = linear();
    let (base, target) = (potential.mixture(false), potential.mixture(true));
    let guided = forward(&base, &potential);
    for sigma in [0.2, 1.0, 5.0] {
        for (a, b) in at(&guided, points(), sigma).iter().zip(at(&target, points(), sigma)) {
            assert!((a - b).abs() < 1e-9, "σ = {sigma}: {a} {b}");
        }
    }
}

#[test]
fn normalised_guidance_has_the_stated_size_and_keeps_to_its_interval() {
    let base = gaussian();
    let interval = Interval { low: 0.1, high: 1.0 };
    let guided = Forward { strength: 0.3, normalisation: Normalisation::Ratio, interval, ..forward(&base, &Quadratic) };
    let x = points();
    for sigma in [0.05, 0.5, 3.0] {
        let (with, without) = (at(&guided, x.clone(), sigma), at(&base, x.clone(), sigma));
        for i in 0..6 {
            let size = |a: &[f64], b: &[f64]| (0..2).map(|j| (a[2 * i + j] - b[2 * i + j]).powi(2)).sum::<f64>().sqrt();
            let expected = if sigma == 0.5 { 0.3 } else { 0.0 };
            assert!((size(&with, &without) / size(&without, &x) - expected).abs() < 1e-12, "σ = {sigma}");
        }
    }
    // A set-point at r's own value changes nothing; one above it pushes up, one below it down.
    let (value, gradient) = Quadratic.value_and_gradient(&rows64(x[..2].to_vec(), 2), 0.5).unwrap();
    let (value, gradient) = (host64(value)[0], host64(gradient));
    for (target, sign) in [(value, 0.0), (value + 0.1, 1.0), (value - 0.1, -1.0)] {
        let form = Form::SetPoint { targets: rows64(vec![target], 1), scale: 1.0 };
        let moved = at(&Forward { form, ..forward(&base, &Quadratic) }, x[..2].to_vec(), 0.5);
        let still = at(&base, x[..2].to_vec(), 0.5);
        let along: f64 = (0..2).map(|j| (moved[j] - still[j]) * gradient[j]).sum();
        assert!(
            along.signum() * along.abs().min(1.0).ceil() == sign || (sign == 0.0 && along.abs() < 1e-15),
            "{along}"
        );
    }
}

/// One row is bad: it is left unguided, and its neighbours keep their bits.
#[test]
fn a_bad_gradient_stays_in_its_row() {
    struct Bad;
    impl Potential for Bad {
        fn value_and_gradient(&self, x: &Rows, sigma: f64) -> Result<(Rows, Rows)> {
            let (value, gradient) = Quadratic.value_and_gradient(x, sigma)?;
            let mut gradient = host64(gradient);
            gradient[2] = f64::NAN;
            Ok((value, rows64(gradient, 2)))
        }
    }
    let base = gaussian();
    let (clean, bad) = (at(&forward(&base, &Quadratic), points(), 0.5), at(&forward(&base, &Bad), points(), 0.5));
    let plain = at(&base, points(), 0.5);
    for i in 0..6 {
        let expected = if i == 1 { &plain } else { &clean };
        assert_eq!(bad[2 * i..2 * i + 2], expected[2 * i..2 * i + 2], "row {i}");
    }
    let tangents = Some(Tangents::shared(rows64(vec![1.0, 0.0], 2)));
    let refused = forward(&base, &Bad).denoise(&State { value: rows64(vec![0.0, 0.0], 2), tangents }, 0.5, None);
    assert!(refused.is_err_and(|e| e.exit_code() == 2));
}

/// (25): with the quadratic reward Δ = ρ²(a − D)/(τ² + ρ²).
#[test]
fn backward_guidance_settles_where_it_should() {
    let base = gaussian();
    // At σ = 0 the reward of Quadratic is r₀.
    let (form, interval) = (Form::Push, Interval::ALL);
    let guided = Backward { inner: &base, potential: &Quadratic, form, strength: 0.5, steps: 60, interval };
    for sigma in [0.1, 0.8] {
        let rho2 = (0.5f64 * sigma).powi(2);
        let plain = at(&base, points(), sigma);
        for (i, found) in at(&guided, points(), sigma).into_iter().enumerate() {
            let expected = plain[i] + rho2 * (AIM[i % 2] - plain[i]) / (TAU2 + rho2);
            assert!((found - expected).abs() < 1e-12, "σ = {sigma}: {found} {expected}");
        }
    }
}

/// (25) to a set-point: for a linear reward r₀ = a·x₀ one step is exact, Δ = ρ²a(ψ* − a·D)/(s² + ρ²‖a‖²).
#[test]
fn backward_guidance_to_a_set_point() {
    struct Plane([f64; 2]);
    impl Potential for Plane {
        fn value_and_gradient(&self, x: &Rows, _: f64) -> Result<(Rows, Rows)> {
            let gradient = rows64(self.0.to_vec(), 2).repeat_dim(0, x.dims()[0]);
            Ok(((x.clone() * gradient.clone()).sum_dim(1), gradient))
        }
    }
    let (base, plane, scale) = (gaussian(), Plane([0.7, -1.2]), 0.8);
    let targets: Vec<f64> = (0..6).map(|i| f64::from(i) * 0.5 - 1.0).collect();
    for steps in [1, 3] {
        let form = Form::SetPoint { targets: rows64(targets.clone(), 1), scale };
        let guided = Backward { inner: &base, potential: &plane, form, strength: 0.5, steps, interval: Interval::ALL };
        let rho2 = 0.25 * 0.64;
        let (plain, found) = (at(&base, points(), 0.8), at(&guided, points(), 0.8));
        for i in 0..6 {
            let value = 0.7 * plain[2 * i] - 1.2 * plain[2 * i + 1];
            let along = rho2 * (targets[i] - value) / (scale * scale + rho2 * (0.49 + 1.44));
            for (j, a) in plane.0.iter().enumerate() {
                let expected = plain[2 * i + j] + a * along;
                assert!((found[2 * i + j] - expected).abs() < 1e-12, "{steps}: {} {expected}", found[2 * i + j]);
            }
        }
    }
}

/// Two classes, each a Gaussian; without a class it is their mixture.
struct Classed([Mixture; 2], Mixture);

impl Denoiser for Classed {
    fn width(&self) -> usize {
        2
    }

    fn denoise(&self, x: &State, sigma: f64, classes: Classes) -> Result<State> {
        match classes {
            Some(c) => self.0[c[0]].denoise(x, sigma, None),
            None => self.1.denoise(x, sigma, None),
        }
    }
}

#[test]
fn classifier_free_guidance_is_linear_in_its_scale() {
    let parts = linear().parts;
    let one = |i: usize| Mixture::gaussian(parts[i].1.to_vec(), parts[i].2.to_vec());
    let model = Classed([one(0), one(1)], linear().mixture(false));
    let guided = |scale| {
        let d = ClassifierFree { inner: &model, scale, interval: Interval::ALL };
        host64(d.denoise(&State::plain(rows64(points(), 2)), 0.7, Some(&[1; 6])).unwrap().value)
    };
    assert_eq!(guided(1.0), at(&model.0[1], points(), 0.7));
    let (none, class, twice) = (guided(0.0), guided(1.0), guided(2.0));
    for i in 0..12 {
        assert!((twice[i] - (2.0 * class[i] - none[i])).abs() < 1e-12);
    }
    let d = ClassifierFree { inner: &model, scale: 2.0, interval: Interval::ALL };
    assert!(d.denoise(&State::plain(rows64(points(), 2)), 0.7, None).is_err_and(|e| e.exit_code() == 2));
}

/// (26): the mean log-density of samples of a ten-dimensional Gaussian rises with c, and c = 0 is plain sampling.
#[test]
fn density_guidance_moves_the_likelihood() {
    let base = ten().0;
    let mean = |quantile: f64| {
        let guided = DensityScaled { inner: &base, quantile, interval: Interval::ALL };
        let end = sample(&guided, solver("heun", toml::Table::new()).unwrap(), 400, 30);
        (host64(base.log_density(&rows64(end.clone(), 10), 0.01)).iter().sum::<f64>() / 400.0, end)
    };
    let plain = sample(&base, solver("heun", toml::Table::new()).unwrap(), 400, 30);
    let ((low, _), (none, same), (high, _)) = (mean(-0.2), mean(0.0), mean(0.2));
    assert_eq!(same, plain);
    // A log-density in ten dimensions has a standard deviation of √5; that of its mean over 400 is 0.11, and all use
    // the same noise.
    assert!(low < none - 0.5 && high > none + 0.5, "{low} {none} {high}");
}

/// (26): the gradient of the minority score, compared with central differences.
#[test]
fn minority_score_has_its_gradient() {
    let base = three();
    let potential = Minority { inner: &base, scale: 0.8, noise: rows64(vec![0.7, -0.4], 2) };
    let value = |x: Vec<f64>| host64(potential.value_and_gradient(&rows64(x, 2), 0.6).unwrap().0)[0];
    let x = vec![0.3, 0.5];
    let gradient = host64(potential.value_and_gradient(&rows64(x.clone(), 2), 0.6).unwrap().1);
    for (j, found) in gradient.iter().enumerate() {
        let step = |s: f64| value((0..2).map(|i| x[i] + if i == j { s } else { 0.0 }).collect());
        let difference = (step(1e-5) - step(-1e-5)) / 2e-5;
        assert!((found - difference).abs() < 1e-8, "{found} {difference}");
    }
}

/// (25): self-recurrence keeps the marginal distribution and takes as many evaluations as it claims.
#[test]
fn recurrence_keeps_the_moments() {
    let base = gaussian();
    let recurrent = || Box::new(Recurrent { inner: solver("heun", toml::Table::new()).unwrap(), times: 3 });
    let end = sample(&base, recurrent(), 2000, 30);
    for j in 0..2 {
        let column: Vec<f64> = end.iter().skip(j).step_by(2).copied().collect();
        let mean = column.iter().sum::<f64>() / 2000.0;
        let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((mean - MEAN[j]).abs() < 5.0 * (VARIANCES[j] / 2000.0f64).sqrt() + 0.01, "{mean}");
        assert!((variance / VARIANCES[j] - 1.0).abs() < 5.0 * (2.0 / 2000.0f64).sqrt() + 0.03, "{variance}");
    }
    // Two evaluations in each of four steps, three times over, and one in the last step.
    assert_eq!(recurrent().evaluations(5), 25);
}

/// The mean of a mixture tilted by e^{a·x}: each component gains e^{a·m + ½aᵀCa} and moves by Ca.
fn tilted_mean(parts: &[(f64, [f64; 2], [f64; 2])], a: [f64; 2]) -> [f64; 2] {
    let (mut total, mut sum) = (0.0, [0.0; 2]);
    for (weight, m, v) in parts {
        let w = weight * (0..2).map(|j| a[j] * m[j] + 0.5 * a[j] * a[j] * v[j]).sum::<f64>().exp();
        total += w;
        sum = [0, 1].map(|j| sum[j] + w * (m[j] + v[j] * a[j]));
    }
    sum.map(|s| s / total)
}

/// (27): 2,000 particles on the mixture, weighted by r₀ of the clean estimates, end up as the mixture tilted by e^{λ
/// r₀}. The maximum and the sum take their earlier weights back at the end, so less is asked of them.
#[test]
fn particles_reach_the_tilted_mixture() {
    let potential = linear();
    let base = potential.mixture(false);
    for (kind, lambda, every) in
        [(FkPotential::Difference, 1.0, 30), (FkPotential::Max, 0.25, 80), (FkPotential::Add, 0.25, 80)]
    {
        let expected = tilted_mean(&potential.parts, potential.a.map(|a| lambda * a));
        let (n, steps) = (2000, 240usize);
        let mut particles = Particles::new(n, kind, lambda);
        let mut x: Vec<f64> =
            normals(5, 0, Stream::Latent, 0, 2 * n).into_iter().map(|v| 20.0 * f64::from(v)).collect();
        let level = |i: usize| 20.0 * (0.02f64 / 20.0).powf(i as f64 / (steps - 1) as f64);
        let r0 =
            |x: &[f64]| -> Vec<f64> { x.chunks(2).map(|p| potential.a[0] * p[0] + potential.a[1] * p[1]).collect() };
        for i in 0..steps {
            let (from, to) = (level(i), if i + 1 < steps { level(i + 1) } else { 0.0 });
            // The estimate at this level weighs the state that it was made from.
            if i % every == every - 1 {
                particles.weigh(&r0(&at(&base, x.clone(), from)), false);
                let u = f64::from(uniforms(7, i as u64, Stream::Sampling, 0, 1)[0]);
                if let Some(parents) = particles.resample(0.5, u) {
                    x = parents.iter().flat_map(|p| x[2 * p..2 * p + 2].to_vec()).collect();
                }
            }
            let sampling = Sampling::new(solver("ancestral", toml::Table::new()).unwrap(), vec![from, to]);
            let mut denoise = |x: &State, sigma: f64| base.denoise(x, sigma, None);
            let mut noise = |_: u32, _: u32| {
                let drawn = normals(6, 0, Stream::Sampling, i as u32, 2 * n);
                rows64(drawn.into_iter().map(f64::from).collect(), 2)
            };
            let state = State::plain(rows64(x.clone(), 2));
            x = host64(sampling.run(state, &mut denoise, &mut noise, &mut |_, _| Ok(())).unwrap().value);
        }
        particles.weigh(&r0(&x), true);
        let (weights, effective) = (particles.weights().unwrap(), particles.effective());
        assert!(effective > 200.0, "{kind:?}: effective size {effective}");
        for j in 0..2 {
            let found: f64 = weights.iter().zip(x.chunks(2)).map(|(w, p)| w * p[j]).sum();
            // Five standard errors at a variance of 1.2, plus 0.03 for the ancestral steps' own error.
            let bound = 5.0 * (1.2 / effective).sqrt() + 0.03;
            assert!((found - expected[j]).abs() < bound, "{kind:?}: {found} {}, size {effective}", expected[j]);
        }
    }
}

/// (28) through five steps on a Gaussian: from any start it climbs and finds the optimum.
#[test]
fn noise_is_optimised_through_a_sampler() {
    let base = gaussian();
    let sampling = Sampling::new(solver("heun", toml::Table::new()).unwrap(), vec![20.0, 5.0, 1.0, 0.2, 0.0]);
    let reward = |x: Rows| {
        let off = x - rows64(AIM.to_vec(), 2);
        Ok((off.clone() * off).sum_dim(1) * -0.5 / TAU2)
    };
    let run = |steps: usize| {
        let mut denoise = |x: &State, sigma: f64| base.denoise(x, sigma, None);
        let optimiser = NoiseOptimisation { steps, rate: 0.2, regulariser: 0.0 };
        let (z, value) = optimiser.run(&rows64(points()[..4].to_vec(), 2), &sampling, &mut denoise, &reward).unwrap();
        (host64(z), host64(value))
    };
    let (start, found) = (run(0).1, run(80).1);
    for (before, after) in start.iter().zip(&found) {
        // Every point of the plane can be reached, so the best possible value is 0.
        assert!(*after > -1e-3 && after > before, "{before} {after}");
    }
}
