//! R12: sample i depends only on the recipe and on i, not on count, neighbours, threads, workers or restarts.

use super::{Ran, Reference};
use crate::layers;
use crate::runs::hashes;
use isoline::device;
use isoline::generator::{Generator, OneShot};
use isoline::geometry::{ESTIMATORS, EstimatorSettings};
use isoline::noise::{Stream, normals};
use isoline::steer::METHODS;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

const WORKERS: [u64; 3] = [1, 2, 4];
const THREADS: [&str; 2] = ["1", "2"];
const COUNTS: [u64; 2] = [37, 200];
const GENERATORS: [&str; 2] = ["digits-gan", "digits-vae"];

/// Every way to make a run, and every component whose rows must not affect each other.
pub fn count() -> usize {
    WORKERS.len() * THREADS.len() * 2 * COUNTS.len()
        + layers::SAMPLES.len()
        + ESTIMATORS.len()
        + 2 * METHODS.len()
        + GENERATORS.len()
}

fn job(count: u64) -> String {
    format!(
        "model = \"digits-gan\"\nseeds = \"0-{}\"\noutdir = \"unused\"\ntile = 8\nsteps = 1\ncorrections = 0\n\
         [[jobs]]\nname = \"novel\"\nmode = \"novel\"\n",
        count - 1
    )
}

#[test]
fn pictures_do_not_depend_on_workers_threads_or_restarts() {
    // The larger run is the reference for both: its first 37 pictures are those of the smaller run.
    let reference = Reference::new(&job(200));
    let mut ran = Ran::new("R12, ways to make a run");
    for count in COUNTS {
        fs::write(reference.path("job.toml"), job(count)).unwrap();
        for (workers, threads) in WORKERS.iter().flat_map(|w| THREADS.map(|t| (*w, t))) {
            for resumed in [false, true] {
                let n = workers.to_string();
                reference.call(&["plan", "-q", "job.toml", "-o", "run", "--shards", &n]).succeeds();
                let work = |i: u64| {
                    let shard = format!("{i}/{workers}");
                    let call = reference.call(&["work", "-q", "run", "--shard", &shard]);
                    call.env("RAYON_NUM_THREADS", threads)
                };
                if resumed {
                    // Every shard is stopped after its first tile, and a picture is lost.
                    for i in 0..workers {
                        // A shard with a single tile is already finished by then.
                        let stopped = work(i).failing_at("steer.step@1=signal:15").run();
                        assert!([0, 75].contains(&stopped.code), "{}", stopped.stderr);
                    }
                    fs::remove_file(reference.path("run/novel/images/000000.png")).unwrap();
                }
                let start = |i| work(i).into_command().stdout(Stdio::null()).spawn().unwrap();
                let children: Vec<Child> = (0..workers).map(start).collect();
                children.into_iter().for_each(|mut c| assert!(c.wait().unwrap().success()));
                reference.call(&["merge", "-q", "run"]).succeeds();
                let found = hashes(&reference.path("run"));
                let pictures: Vec<_> = found.iter().filter(|f| f.0.starts_with("novel/images")).collect();
                assert_eq!(pictures.len() as u64, count);
                for (path, hash) in pictures {
                    let case = format!("{count} seeds, {workers} workers, {threads} threads, resumed {resumed}");
                    assert_eq!(reference.whole.get(path), Some(hash), "{case}: {}", path.display());
                }
                fs::remove_dir_all(reference.path("run")).unwrap();
                ran.case();
            }
        }
    }
    ran.all(WORKERS.len() * THREADS.len() * 2 * COUNTS.len());
}

#[test]
fn a_row_of_nan_leaves_every_layer_s_other_rows() {
    let mut ran = Ran::new("R12, layers");
    (0..layers::poisoned_rows_stay_alone()).for_each(|_| ran.case());
    ran.all(layers::SAMPLES.len() + layers::NODES.len());
}

fn generator(name: &str) -> OneShot {
    let (_, device) = device::open("cpu").unwrap();
    OneShot::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name), &device).unwrap()
}

#[test]
fn a_latent_of_nan_leaves_every_estimator_s_other_rows() {
    let generator = generator("digits-vae");
    let d = generator.spec().latent_width;
    let latents: Vec<f32> = (0..6).flat_map(|i| normals(3, i, Stream::Latent, 0, d)).collect();
    let mut poisoned = latents.clone();
    poisoned[2 * d..3 * d].fill(f32::NAN);
    let mut ran = Ran::new("R12, estimators");
    for row in ESTIMATORS {
        let estimator = (row.make)(&EstimatorSettings::default());
        let bits = |latents: &[f32]| -> Vec<Option<Vec<u64>>> {
            let spectra = estimator.spectra(&generator, latents).unwrap();
            spectra.into_iter().map(|s| s.map(|s| s.singular_values.iter().map(|v| v.to_bits()).collect())).collect()
        };
        let (clean, found) = (bits(&latents), bits(&poisoned));
        assert!(clean.iter().all(Option::is_some), "{}", row.name);
        assert_eq!(found[2], None, "{}", row.name);
        let others = |rows: &[Option<Vec<u64>>]| [&rows[..2], &rows[3..]].concat();
        assert_eq!(others(&found), others(&clean), "{}", row.name);
        ran.case();
    }
    ran.all(ESTIMATORS.len());
}

#[test]
fn generators_keep_rows_apart() {
    let mut ran = Ran::new("R12, generators");
    for name in GENERATORS {
        let generator = generator(name);
        let d = generator.spec().latent_width;
        let latents: Vec<f32> = (0..4).flat_map(|i| normals(3, i, Stream::Latent, 0, d)).collect();
        let mut poisoned = latents.clone();
        poisoned[d..2 * d].fill(f32::NAN);
        let bits = |latents: Vec<f32>| -> Vec<u32> {
            let rows = isoline::tensors::rows(latents, d, generator.device());
            isoline::tensors::host(generator.generate(rows)).unwrap().iter().map(|v| v.to_bits()).collect()
        };
        let (clean, found) = (bits(latents), bits(poisoned));
        let width = clean.len() / 4;
        assert_eq!(found[..width], clean[..width], "{name}");
        assert_eq!(found[2 * width..], clean[2 * width..], "{name}");
        assert!(
            found[width..2 * width].iter().any(|v| f32::from_bits(*v).is_nan()),
            "{name}: the poison did not arrive"
        );
        ran.case();
    }
    ran.all(GENERATORS.len());
}

#[test]
fn a_poisoned_sample_leaves_every_method_s_other_samples() {
    let mut ran = Ran::new("R12, methods");
    for row in METHODS {
        let method = format!("method = \"{}\"\n{}", row.name, job(12).replace("steps = 1", "steps = 4"));
        let reference = Reference::new(&method);
        for points in ["noise#3=nan", "reward#3=nan"] {
            let ended = reference.generate("run").failing_at(points).run();
            assert!([0, 6].contains(&ended.code), "{} {points}: {}", row.name, ended.stderr);
            let found = hashes(&reference.path("run"));
            let others = |path: &Path| path.starts_with("novel/images") && !path.ends_with("000003.png");
            let mut compared = 0;
            for (path, hash) in reference.whole.iter().filter(|f| others(f.0)) {
                assert_eq!(found.get(path), Some(hash), "{} {points}: {}", row.name, path.display());
                compared += 1;
            }
            assert_eq!(compared, 11);
            fs::remove_dir_all(reference.path("run")).unwrap();
            ran.case();
        }
    }
    ran.all(2 * METHODS.len());
}
