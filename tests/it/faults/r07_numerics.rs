//! R7: numbers that are not finite, injected at every place on the way, and spectra at the edges.

use super::{Ran, Reference};
use crate::runs::hashes;
use crate::shared::singular_values;
use crate::training::{setting, train};
use std::fs;
use std::path::Path;

const JOB: &str = "model = \"digits-gan\"\nseeds = \"0-7\"\noutdir = \"unused\"\ntile = 4\nsteps = 5\ncorrections = 1\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n";
/// The sample that is poisoned; it is in the second tile.
const SAMPLE: u64 = 5;

/// (failpoints, whether the sample itself must end as not finite; `None` if it may or may not).
type Poison = (String, Option<bool>);

fn poisons() -> Vec<Poison> {
    let mut cases = Vec::new();
    for action in ["nan", "inf", "-inf"] {
        for place in ["noise", "generator"] {
            cases.push((format!("{place}#{SAMPLE}={action}"), Some(true)));
        }
        // At the first, the middle and the last step, and at all of them. The guard rejects such a step, so the sample
        // may well end finite.
        for place in ["reward", "gradient"] {
            cases.push((format!("{place}#{SAMPLE}={action}"), None));
            cases.extend([1, 3, 5].map(|step| (format!("{place}#{SAMPLE}@{step}={action}"), None)));
        }
    }
    cases.push((format!("jacobian#{SAMPLE}=nan"), Some(false)));
    cases.extend([1, 2, 3].map(|visit| (format!("jacobian#{SAMPLE}@{visit}=nan"), Some(false))));
    cases
}

/// The same for descriptions, by estimators that meet a sample's Jacobian once or, with a calibration, twice.
const DESCRIBED: [&[&str]; 2] =
    [&["--estimator", "exact"], &["--estimator", "stencil", "--directions", "6", "--calibrate-on", "4"]];

#[test]
fn a_description_marks_a_sample_that_is_not_finite_and_no_other() {
    let mut ran = Ran::new("R7, descriptions");
    let dir = tempfile::tempdir().unwrap();
    for flags in DESCRIBED {
        ran.case();
        let call = |out: &str| {
            let words = ["describe", "-q", "digits-vae", "--seeds", "0-19", "--csv", "-o", out];
            crate::runs::isoline(&words).args(flags).cwd(dir.path())
        };
        call("whole").succeeds();
        call("run").failing_at(format!("jacobian#{SAMPLE}=nan")).fails(6, &["1 of 20 samples"]);
        let lines = |out: &str| -> Vec<String> {
            let text = fs::read_to_string(dir.path().join(out).join("descriptors.csv")).unwrap();
            text.lines().map(str::to_owned).collect()
        };
        let (whole, found) = (lines("whole"), lines("run"));
        let own = SAMPLE as usize + 1;
        assert!(found[own].starts_with("5,not finite,,"), "{flags:?}: {}", found[own]);
        assert_eq!(found.len(), whole.len());
        let others = |lines: &[String]| [&lines[..own], &lines[own + 1..]].concat();
        assert_eq!(others(&found), others(&whole), "{flags:?}");
        crate::runs::isoline(&["verify", "run"]).cwd(dir.path()).succeeds();
        ["whole", "run"].iter().for_each(|out| fs::remove_dir_all(dir.path().join(out)).unwrap());
    }
    ran.all(DESCRIBED.len());
}

type Spectrum = (&'static str, usize, Vec<f32>, fn(&[f64]) -> bool);

/// (name, columns, rows of the transposed Jacobian, what must hold for its singular values).
fn spectra() -> Vec<Spectrum> {
    fn scaled(by: f32) -> Vec<f32> {
        [3.0, 0.0, 0.0, 0.0, 2.0, 0.0].map(|v: f32| v * by).to_vec()
    }
    vec![
        ("zero", 2, vec![0.0; 6], |s| s.iter().all(|v| *v == 0.0)),
        ("of rank 1", 2, vec![1.0, 2.0, 2.0, 2.0, 4.0, 4.0], |s| (s[0] - 45f64.sqrt()).abs() < 1e-5 && s[1] < 1e-5),
        ("with equal values", 2, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0], |s| s.iter().all(|v| (v - 1.0).abs() < 1e-12)),
        ("times 1e30", 2, scaled(1e30), |s| (s[0] / 3e30 - 1.0).abs() < 1e-6 && (s[1] / 2e30 - 1.0).abs() < 1e-6),
        ("times 1e-30", 2, scaled(1e-30), |s| (s[0] / 3e-30 - 1.0).abs() < 1e-6 && (s[1] / 2e-30 - 1.0).abs() < 1e-6),
        ("wide: more latents than values", 3, vec![3.0, 0.0, 4.0], |s| {
            (s[0] - 5.0).abs() < 1e-6 && s[1..].iter().all(|v| *v < 1e-6)
        }),
        ("tall: one latent", 1, vec![3.0, 4.0, 12.0], |s| s.len() == 1 && (s[0] - 13.0).abs() < 1e-5),
    ]
}

/// (name, poisoned steps of a training, whether it is resumed between its epochs).
fn trainings() -> Vec<(&'static str, Vec<u64>, bool)> {
    vec![
        ("one step", vec![3], false),
        ("three in a row", vec![2, 3, 4], false),
        ("at a checkpoint", vec![5], true),
        ("after a resume", vec![6], true),
        ("ten in a row", (1..=10).collect(), false),
    ]
}

pub fn count() -> usize {
    poisons().len() + denoiser_poisons().len() + DESCRIBED.len() + spectra().len() + trainings().len()
}

/// The same for a diffusion model, whose sampler asks its denoiser five times (three steps of Heun, the last with one
/// evaluation): the first, the middle and the last answer. The reward and its gradient are poisoned at the first, a
/// middle and a late step.
fn denoiser_poisons() -> Vec<Poison> {
    let mut cases = Vec::new();
    for action in ["nan", "inf", "-inf"] {
        cases.extend([1, 3, 5].map(|answer| (format!("denoiser#{SAMPLE}@{answer}={action}"), Some(true))));
    }
    for place in ["reward", "gradient"] {
        cases.extend([1, 3, 5].map(|step| (format!("{place}#{SAMPLE}@{step}=nan"), None)));
    }
    cases
}

#[test]
fn a_sample_that_is_not_finite_is_marked_and_its_neighbours_do_not_move() {
    poisoned_samples_are_marked(&Reference::new(JOB), poisons(), Ran::new("R7, one-shot models"));
}

#[test]
fn a_denoiser_that_is_not_finite_marks_its_sample_and_no_other() {
    let dir = crate::diffusion::rewarded();
    let reference = Reference::within(dir, &JOB.replace("digits-gan", "mini"));
    poisoned_samples_are_marked(&reference, denoiser_poisons(), Ran::new("R7, diffusion"));
}

fn poisoned_samples_are_marked(reference: &Reference, cases: Vec<Poison>, mut ran: Ran) {
    let own = format!("novel/images/{SAMPLE:06}.png");
    let all = cases.len();
    for (points, not_finite) in cases {
        ran.case();
        let ended = reference.generate("run").failing_at(&points).run();
        let record = fs::read_to_string(reference.path("run/novel/records/tile-0000001.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let row = record["samples"].as_array().unwrap().iter().find(|s| s["seed"] == SAMPLE).unwrap();
        let marked = row["status"] == "non_finite";
        assert_eq!(ended.code, if marked { 6 } else { 0 }, "{points}: {}", ended.stderr);
        assert_eq!(row["file"].is_null(), marked, "{points}: {row}");
        assert!(not_finite.is_none_or(|n| n == marked), "{points}: {row}");
        if marked {
            assert!(ended.stderr.contains("1 of 8 samples were not finite"), "{points}: {}", ended.stderr);
        }
        // If the Jacobian is never finite, the sample is flagged and not called ok. Its missing numbers are missing,
        // never NaN.
        if points == format!("jacobian#{SAMPLE}=nan") {
            assert!(row["status"] == "off_manifold" && row["psi_k"].is_null(), "{row}");
        }
        let found = hashes(&reference.path("run"));
        let neighbours = reference.whole.keys().filter(|p| p.starts_with("novel/images") && !p.ends_with(&own[13..]));
        let mut compared = 0;
        for path in neighbours {
            assert_eq!(found.get(path), reference.whole.get(path), "{points}: {}", path.display());
            compared += 1;
        }
        assert_eq!(compared, 7);
        // The neighbours' numbers do not change either, and the run is whole.
        let rows = |run: &str| {
            let text = fs::read_to_string(reference.path(run).join("novel/records/tile-0000001.json")).unwrap();
            let record: serde_json::Value = serde_json::from_str(&text).unwrap();
            record["samples"].as_array().unwrap().iter().filter(|s| s["seed"] != SAMPLE).cloned().collect::<Vec<_>>()
        };
        assert_eq!(rows("run"), rows("whole"), "{points}");
        reference.call(&["verify", "-q", "run"]).succeeds();
        fs::remove_dir_all(reference.path("run")).unwrap();
    }
    ran.all(all);
}

#[test]
fn spectra_at_the_edges_are_right_or_undefined() {
    let mut ran = Ran::new("R7, spectra");
    for (name, d, rows, holds) in spectra() {
        ran.case();
        let found = singular_values(&rows, d);
        assert!(found.iter().all(|v| v.is_finite() && *v >= 0.0) && holds(&found), "{name}: {found:?}");
    }
    ran.all(spectra().len());
}

#[test]
fn training_steps_that_are_not_finite_are_skipped_and_counted() {
    let mut ran = Ran::new("R7, trainings");
    for (name, steps, resumed) in trainings() {
        ran.case();
        let dir = setting();
        let points: Vec<String> = steps.iter().map(|s| format!("train.batch#{s}=nan")).collect();
        let call = |model: &str| train(dir.path(), model).failing_at(points.join(";"));
        if steps.len() >= 10 {
            call("a").fails(75, &["10 steps in a row", "were not finite", "the last checkpoint is good"]);
            assert!(!dir.path().join("a").exists());
            // Without the poison the same command continues from that checkpoint.
            train(dir.path(), "a").succeeds();
        } else {
            call("a").succeeds();
        }
        let metrics = fs::read_to_string(dir.path().join("work-a/metrics.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
        let counted = if steps.len() >= 10 { 6 } else { steps.len() };
        assert_eq!(last["skipped"], counted, "{name}: {metrics}");
        let weights = |model: &str| fs::read(dir.path().join(model).join("weights.safetensors")).unwrap();
        isoline::store::Weights::parse(Path::new("a"), &weights("a")).unwrap();
        if resumed {
            call("b").arg("--stop-after").arg("1").succeeds();
            call("b").succeeds();
            assert!(weights("a") == weights("b"), "{name}: weights differ after a resume");
        }
    }
    ran.all(trainings().len());
}
