//! R7: numbers that are not finite, put into every place of the way, and spectra at the edges.

use super::Reference;
use crate::runs::hashes;
use crate::shared::singular_values;
use crate::training::{setting, train};
use std::fs;
use std::path::Path;

const JOB: &str = "model = \"digits-gan\"\nseeds = \"0-7\"\noutdir = \"unused\"\ntile = 4\nsteps = 5\ncorrections = 1\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n";
/// The sample that is poisoned, in the second tile.
const SAMPLE: u64 = 5;

/// (points, whether the sample itself must end as not finite)
fn poisons() -> Vec<(String, Option<bool>)> {
    let mut cases = Vec::new();
    for action in ["nan", "inf", "-inf"] {
        for place in ["noise", "generator"] {
            cases.push((format!("{place}#{SAMPLE}={action}"), Some(true)));
        }
        // First, middle and last step, and all of them. The guard refuses such a step, so the sample may well end finite.
        for place in ["reward", "gradient"] {
            cases.push((format!("{place}#{SAMPLE}={action}"), None));
            cases.extend([1, 3, 5].map(|step| (format!("{place}#{SAMPLE}@{step}={action}"), None)));
        }
    }
    cases.push((format!("jacobian#{SAMPLE}=nan"), Some(false)));
    cases.extend([1, 2, 3].map(|visit| (format!("jacobian#{SAMPLE}@{visit}=nan"), Some(false))));
    cases
}

type Spectrum = (&'static str, usize, Vec<f32>, fn(&[f64]) -> bool);

/// (name, columns, rows of the transposed Jacobian, what its singular values must be)
fn spectra() -> Vec<Spectrum> {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs().max(f64::MIN_POSITIVE);
    fn scaled(by: f32) -> Vec<f32> {
        [3.0, 0.0, 0.0, 0.0, 2.0, 0.0].map(|v: f32| v * by).to_vec()
    }
    let _ = near;
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

/// Poisoned steps of a training, and whether it is resumed between its epochs.
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
    poisons().len() + spectra().len() + trainings().len()
}

#[test]
fn a_sample_that_is_not_finite_is_marked_and_its_neighbours_do_not_move() {
    let reference = Reference::new(JOB);
    let own = format!("novel/images/{SAMPLE:06}.png");
    for (points, not_finite) in poisons() {
        let ended = reference.generate("run").env("ISOLINE_FAILPOINTS", &points).run();
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
        // Always gone, it is flagged and not called ok; a number that is missing is missing, never NaN.
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
        // Its neighbours' numbers stay as well, and the run is whole.
        let rows = |run: &str| {
            let text = fs::read_to_string(reference.path(run).join("novel/records/tile-0000001.json")).unwrap();
            let record: serde_json::Value = serde_json::from_str(&text).unwrap();
            record["samples"].as_array().unwrap().iter().filter(|s| s["seed"] != SAMPLE).cloned().collect::<Vec<_>>()
        };
        assert_eq!(rows("run"), rows("whole"), "{points}");
        reference.call(&["verify", "-q", "run"]).succeeds();
        fs::remove_dir_all(reference.path("run")).unwrap();
    }
}

#[test]
fn spectra_at_the_edges_are_right_or_undefined() {
    for (name, d, rows, holds) in spectra() {
        let found = singular_values(&rows, d);
        assert!(found.iter().all(|v| v.is_finite() && *v >= 0.0) && holds(&found), "{name}: {found:?}");
    }
}

#[test]
fn training_steps_that_are_not_finite_are_skipped_and_counted() {
    for (name, steps, resumed) in trainings() {
        let dir = setting();
        let points: Vec<String> = steps.iter().map(|s| format!("train.batch#{s}=nan")).collect();
        let call = |model: &str| train(dir.path(), model).env("ISOLINE_FAILPOINTS", points.join(";"));
        if steps.len() >= 10 {
            call("a").fails(75, &["10 steps in a row", "were not finite", "the last checkpoint is good"]);
            assert!(!dir.path().join("a").exists());
            // Without the poison the same command goes on from that checkpoint.
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
}
