//! Steering on the shipped generator, method by method.

use isoline::acts::generate::row;
use isoline::cancel::Cancel;
use isoline::device;
use isoline::reward::Reading;
use isoline::steer::Engine;
use isoline::steer::{METHODS, Missed, Settings, Status, Steered, angle_between, method, norm, steer};
use isoline::tensors::{host, rows};
use isoline::units::{Latents, Percentile};
use std::path::Path;

fn engine() -> Engine {
    let (_, device) = device::open("cpu").unwrap();
    Engine::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan"), None, &device).unwrap()
}

fn settings(corrections: usize) -> Settings {
    Settings { corrections, ..Settings::default() }
}

fn at(percent: f64) -> Percentile {
    Percentile::new(percent).unwrap()
}

fn bits(s: &Steered) -> Vec<u32> {
    s.latent.iter().map(|v| v.to_bits()).collect()
}

const SAMPLES: [u64; 4] = [0, 1, 2, 3];

#[test]
fn methods_reach_what_the_reward_says() {
    let e = engine();
    for row in METHODS.iter().filter(|m| m.name != "none") {
        let target = e.reward.calibration.level_at(at(80.0));
        let gap = |steered: &[Steered]| steered.iter().map(|s| s.predicted.level.distance(target)).sum::<f64>();
        let moved = e.steer(row.name, &SAMPLES, &[Some(at(80.0)); 4], &settings(0), &Cancel::never()).unwrap();
        let still = e.steer("none", &SAMPLES, &[Some(at(80.0)); 4], &settings(0), &Cancel::never()).unwrap();
        assert!(gap(&moved) < 0.5 * gap(&still), "{}: {} against {}", row.name, gap(&moved), gap(&still));
    }
}

#[test]
fn gradient_keeps_the_norm_and_the_drift() {
    let e = engine();
    let tight = Settings { drift: Some(0.15), ..settings(2) };
    for s in e.steer("gradient", &SAMPLES, &[Some(at(97.0)); 4], &tight, &Cancel::never()).unwrap() {
        // 48 steps and three loops, with one rounding each.
        assert!((norm(&s.latent) / norm(&s.start) - 1.0).abs() < 150.0 * f64::from(f32::EPSILON));
        assert!(angle_between(&s.start, &s.latent) <= 0.15 + 1e-5);
    }
}

#[test]
fn the_reported_value_is_measured() {
    let e = engine();
    let steered = e.steer("gradient", &SAMPLES, &[Some(at(20.0)); 4], &settings(1), &Cancel::never()).unwrap();
    let estimator = isoline::geometry::estimator("exact").unwrap();
    let flat: Vec<f32> = steered.iter().flat_map(|s| s.latent.clone()).collect();
    for (s, again) in steered.iter().zip(estimator.spectra(&*e.generator, &flat).unwrap()) {
        let again = isoline::geometry::psi_k(&again.unwrap().singular_values, e.reward.card.model_rank).unwrap();
        let row = row(&e, s, Some(at(20.0)));
        // The same latent in another slot of another call: the rounding of an f32 forward pass, k times.
        assert!((row.psi_k.unwrap() - again).abs() < 1e-3, "{:?} {again}", row.psi_k);
        let reached = e.reward.calibration.novelty_of(row.psi_k.unwrap()).percentile;
        assert_eq!(row.novelty_reached, Some(reached.percent()));
    }
}

#[test]
fn the_closed_loop_beats_the_open_one() {
    let e = engine();
    let samples: Vec<u64> = (0..16).collect();
    let error = |corrections| {
        let steered =
            e.steer("gradient", &samples, &[Some(at(60.0)); 16], &settings(corrections), &Cancel::never()).unwrap();
        let mut errors: Vec<f64> =
            steered.iter().map(|s| (row(&e, s, None).novelty_reached.unwrap() - 60.0).abs()).collect();
        errors.sort_by(f64::total_cmp);
        errors[8]
    };
    let (open, closed) = (error(0), error(2));
    assert!(closed < 0.5 * open && closed <= 3.0, "open {open}, closed {closed}");
}

/// (15c): with the weight s a sample ends at the level y₀ + (1 − s)(y* − y₀) and says why it is short of y*; at 1 it has
/// not moved, at 0 it is the sample without the key, and the more weight the nearer.
#[test]
fn the_weight_of_nearness_sets_how_far_a_sample_goes() {
    let e = engine();
    let samples: Vec<u64> = (0..16).collect();
    let target = e.reward.calibration.level_at(at(95.0));
    let level = |s: &Steered| e.level(s.reading.as_ref()).unwrap();
    let steered = |stay: Option<f64>| {
        let mut settings = settings(24);
        settings.own.gradient.stay = stay;
        e.steer("gradient", &samples, &[Some(at(95.0)); 16], &settings, &Cancel::never()).unwrap()
    };
    let still = e.steer("none", &samples, &[None; 16], &settings(0), &Cancel::never()).unwrap();
    let mut before = f64::INFINITY;
    for (stay, allowed) in [(None, 2), (Some(0.25), 2), (Some(0.5), 2), (Some(0.75), 2), (Some(1.0), 0)] {
        let found = steered(stay);
        let weight = stay.unwrap_or(0.0);
        let off = |(s, start): &(&Steered, &Steered)| {
            let from = level(start);
            // What the closed loop calls near.
            level(s).distance(from + (target - from) * (1.0 - weight)) > 0.01
        };
        let count = found.iter().zip(&still).filter(off).count();
        assert!(count <= allowed, "{count} of 16 are elsewhere with the weight {weight}");
        for s in found.iter().filter(|s| s.status == Status::Unreached && weight > 0.0) {
            assert_eq!(s.missed, Some(Missed::Stay), "sample {}", s.sample);
        }
        let mean = found.iter().map(|s| angle_between(&s.start, &s.latent)).sum::<f64>() / 16.0;
        assert!(mean < before, "{mean} is no nearer than {before}, with the weight {weight}");
        before = mean;
    }
    assert!(steered(Some(1.0)).iter().zip(&still).all(|(s, start)| bits(s) == bits(start)));
    assert!(steered(Some(0.0)).iter().zip(steered(None)).all(|(s, plain)| bits(s) == bits(&plain)));
}

#[test]
fn guard_and_neighbours() {
    let e = engine();
    let cancel = Cancel::never();
    let clean = e.latents(&SAMPLES);
    let target = vec![e.reward.calibration.level_at(at(85.0)); 4];
    let estimator = isoline::geometry::estimator("exact").unwrap();
    let measure = |_: &[u64], z: &Latents| {
        let spectra = estimator.spectra(&*e.generator, z.values())?;
        Ok(spectra.into_iter().map(|s| s.map(Reading::Spectrum)).collect())
    };
    for row in METHODS {
        let m = method(row.name).unwrap();
        let go =
            |z: &Latents| steer(&*m, &SAMPLES, z, &target, &e.reward, &settings(1), &measure, None, &cancel).unwrap();
        let expected = go(&clean);
        let mut poisoned = clean.clone();
        poisoned.rows_mut().nth(1).unwrap().fill(f32::NAN);
        poisoned.rows_mut().nth(2).unwrap().iter_mut().for_each(|v| *v *= 9.0);
        let found = go(&poisoned);
        assert_eq!(bits(&found[0]), bits(&expected[0]), "{}", row.name);
        assert_eq!(bits(&found[3]), bits(&expected[3]), "{}", row.name);
        assert_eq!(found[1].status, Status::NonFinite, "{}", row.name);
        if row.name != "search" && row.name != "truncation" {
            // It has nine times the norm of any labelled latent.
            assert_eq!(found[2].status, Status::OffManifold, "{}", row.name);
        }
    }
}

/// Burn decides by the device of the input whether a batch norm uses the statistics of the batch. A tracked latent must
/// not change the pictures, and must not mix the rows through them.
#[test]
fn a_tracked_latent_leaves_the_norms_frozen() {
    let e = engine();
    let d = e.generator.spec().latent_width;
    let z = e.latents(&SAMPLES).into_values();
    let mut other = z.clone();
    other[d..].iter_mut().for_each(|v| *v = 3.0 - *v);
    let plain = host(e.generator.generate(rows(z.clone(), d, e.generator.device()))).unwrap();
    let gradient_of_first = |z: Vec<f32>| {
        let z = rows(z, d, e.generator.device()).autodiff().require_grad();
        let x = e.generator.generate(z.clone());
        let values = host(x.clone().inner()).unwrap();
        let gradients = (x.clone() * x).sum().backward();
        (values, host(z.grad(&gradients).unwrap()).unwrap()[..d].to_vec())
    };
    let (values, gradient) = gradient_of_first(z);
    assert_eq!(values, plain);
    assert!(gradient.iter().any(|v| v.abs() > 1e-3));
    assert_eq!(gradient_of_first(other).1, gradient);
}
