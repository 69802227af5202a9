//! R11: signals while the model is loaded, in a step, in a write; a second signal; a closed pipe.

use super::{Ran, Reference, SMALL, Worst, run};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use std::fs;
use std::time::Duration;

/// (where, which signal, exit code).
pub fn cases() -> Vec<(&'static str, i32, i32)> {
    let places = ["engine.load@1", "steer.step@3", "store.write.half@9"];
    let signals = [(SIGINT, 130), (SIGTERM, 75), (SIGHUP, 75), (SIGPIPE, 0)];
    let mut cases: Vec<_> = places.iter().flat_map(|p| signals.map(|(s, code)| (*p, s, code))).collect();
    // A second signal of the same kind ends the process at once.
    cases.push(("second", SIGTERM, 128 + SIGTERM));
    cases
}

#[test]
fn a_signal_stops_within_a_step_and_keeps_what_is_committed() {
    let (reference, mut ran, mut worst) = (Reference::new(SMALL), Ran::new("R11"), Worst::new(Duration::from_secs(2)));
    for (place, signal, code) in cases() {
        let case = format!("{place} {signal}");
        // Shells start background jobs with SIGINT ignored, and nohup does the same with SIGHUP; such a signal stays
        // ignored.
        let code = if isoline::cancel::ignored(signal) { 0 } else { code };
        let points = match place {
            "second" => format!(
                "steer.step@1=signal:{signal};store.write.before@1=signal:{signal};engine.load@1=signal:{signal}"
            ),
            _ if code == 0 => format!("{place}=signal:{signal}"),
            // After the step in which the signal came nothing may begin: it would panic.
            "engine.load@1" => format!("{place}=signal:{signal};steer.step@1=panic"),
            "steer.step@3" => format!("{place}=signal:{signal};steer.step@4=panic"),
            _ => format!("{place}=signal:{signal};tile.before@3=panic"),
        };
        let ended = run(reference.generate("run").failing_at(points));
        // The whole process is measured, including its work before the signal.
        worst.take(&case, ended.cpu, ended.rss);
        ran.case();
        assert_eq!(ended.code, code, "{case}: {}", ended.stderr);
        match code {
            0 => assert_eq!(ended.stderr, "", "{case}"),
            75 | 130 => {
                assert_eq!(ended.stderr.lines().count(), 1, "{case}: {}", ended.stderr);
                assert!(
                    ended.stderr.contains("of 12 samples are complete in run; the same command resumes"),
                    "{case}: {}",
                    ended.stderr
                );
                let events = fs::read_to_string(reference.path("run/events.jsonl")).unwrap();
                assert!(events.contains(&format!("\"event\":\"end\",\"code\":{code}")), "{case}");
                // Where it stopped: a tile whose steering is interrupted is dropped; one that is being written is
                // finished.
                let tiles = events.matches("\"event\":\"tile\"").count();
                // Steering takes two steps per tile here, so the third is in the second tile.
                let expected = match place.split('.').next() {
                    Some("store") => 2,
                    Some("steer") => 1,
                    _ => 0,
                };
                assert_eq!(tiles, expected, "{case}: tiles made");
            }
            _ => {}
        }
        reference.visible_files_are_whole("run", &case);
        reference.generate("run").succeeds();
        reference.is_whole("run", &case);
        fs::remove_dir_all(reference.path("run")).unwrap();
    }
    worst.tell("R11");
    ran.all(cases().len());
}

#[test]
fn a_shard_finishes_its_tile_and_ends_with_75() {
    let reference = Reference::new(SMALL);
    reference.call(&["plan", "-q", "job.toml", "-o", "run", "--shards", "1"]).succeeds();
    for (signal, done) in [(SIGTERM, 4), (signal_hook::consts::SIGUSR1, 8)] {
        let work = reference.call(&["work", "-q", "run", "--shard", "0/1"]);
        let line = work.failing_at(format!("steer.step@1=signal:{signal}")).fails(75, &["complete in run"]);
        assert!(line.contains(&format!("{done} of 12")), "{line}");
    }
    reference.call(&["work", "-q", "run", "--shard", "0/1"]).succeeds();
    reference.call(&["merge", "-q", "run"]).succeeds();
    reference.is_whole("run", "shard");
}
