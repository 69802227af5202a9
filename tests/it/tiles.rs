//! On the processor a sample is the same, to the bit, whatever tile it is computed in.

use isoline::cancel::Cancel;
use isoline::device;
use isoline::steer::{Denoising, DenoisingKeys, Engine, Finished, GUIDES, METHODS, Settings, guide};
use isoline::units::Percentile;
use std::path::Path;

fn engine(model: &str, reward: Option<&str>) -> Engine {
    let (_, device) = device::open("cpu").unwrap();
    Engine::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model), reward, &device).unwrap()
}

/// Everything that a record or a picture is made from, as text: f32 and f64 print differently as soon as one bit differs.
fn told(all: &[Finished]) -> Vec<String> {
    let one = |f: &Finished| {
        let s = &f.steered;
        format!("{:?} {:?} {:?} {:?} {:?} {}", s.latent, s.predicted, s.reading, s.status, f.picture, s.steps)
    };
    all.iter().map(one).collect()
}

/// Makes samples 0 to `count` − 1 in one tile and in smaller ones, and compares.
fn same_in_all_tiles(what: &str, count: u64, make: impl Fn(&[u64]) -> Vec<Finished>) {
    let samples: Vec<u64> = (0..count).collect();
    let whole = told(&make(&samples));
    for tile in [8, 4, 1].into_iter().filter(|t| *t < samples.len()) {
        let parts: Vec<String> = samples.chunks(tile).flat_map(|part| told(&make(part))).collect();
        let differ: Vec<usize> = (0..samples.len()).filter(|i| parts[*i] != whole[*i]).collect();
        assert!(differ.is_empty(), "{what}: samples {differ:?} differ in tiles of {tile}");
    }
}

fn steered(engine: &Engine, method: &str, percent: f64, samples: &[u64]) -> Vec<Finished> {
    let settings = engine.usual_settings();
    let novelty = vec![Some(Percentile::new(percent).unwrap()); samples.len()];
    let steered = engine.steer(method, samples, &novelty, &settings, &Cancel::never()).unwrap();
    engine.pictures(steered, 0, &Cancel::never()).unwrap()
}

#[test]
fn steered_latents_do_not_depend_on_the_tile() {
    for model in ["digits-gan", "digits-vae"] {
        let engine = engine(model, None);
        for row in METHODS {
            same_in_all_tiles(&format!("{model}, {}", row.name), 16, |s| steered(&engine, row.name, 90.0, s));
        }
    }
    let engine = engine("digits-diffusion", None);
    let few = |s: &[u64]| {
        let settings = Settings { corrections: 3, ..engine.usual_settings() };
        let novelty = vec![Some(Percentile::new(90.0).unwrap()); s.len()];
        let steered = engine.steer("gradient", s, &novelty, &settings, &Cancel::never()).unwrap();
        engine.pictures(steered, 0, &Cancel::never()).unwrap()
    };
    same_in_all_tiles("digits-diffusion, gradient", 4, few);
}

#[test]
fn guided_pictures_do_not_depend_on_the_tile() {
    let engine = engine("digits-diffusion", Some("denoiser"));
    for row in GUIDES {
        let asked: Denoising = DenoisingKeys::default().filled(row.name).unwrap();
        let novelty = row.has_set_point.then(|| Percentile::new(90.0).unwrap());
        let settings = Settings { corrections: 1, ..engine.usual_settings() };
        let pass = |s: &[u64]| engine.guide(guide(row.name), &asked, s, novelty, &settings, &Cancel::never()).unwrap();
        same_in_all_tiles(row.name, 4, pass);
    }
}
