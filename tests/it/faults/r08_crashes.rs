//! R8: the process is killed before and after each step of a durable write, and at random times.

use super::{Reference, SMALL};
use crate::runs::hashes;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// SIGKILLs at seeded times in a run of 200.
pub const KILLS: usize = 20;

const RUN_OF_200: &str = "model = \"digits-gan\"\nseeds = \"0-199\"\noutdir = \"unused\"\ntile = 8\nsteps = 3\ncorrections = 0\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n";

/// Each place in a durable write, at its first, a middle and a late visit.
pub fn cases() -> Vec<String> {
    let places = [
        "store.open.before",
        "store.open.after",
        "store.write.before",
        "store.write.half",
        "store.write.after",
        "store.sync.before",
        "store.sync.after",
        "store.rename.before",
        "store.rename.after",
    ];
    let writes = places.iter().flat_map(|p| [1, 6, 17].map(|n| format!("{p}@{n}=kill")));
    let records = ["record.before", "record.after"].iter().flat_map(|p| [1, 3].map(|n| format!("{p}@{n}=kill")));
    writes.chain(records).chain(["tile.before@1=kill".into(), "tile.before@3=kill".into()]).collect()
}

#[test]
fn a_crash_at_any_step_of_a_write_resumes_to_the_same_bytes() {
    let reference = Reference::new(SMALL);
    for case in cases() {
        let ended = reference.generate("run").env("ISOLINE_FAILPOINTS", &case).run();
        assert_eq!(ended.code, -1, "{case}: {} was not killed: {}", ended.code, ended.stderr);
        reference.visible_files_are_whole("run", &case);
        let events = events(&reference, "run");
        reference.generate("run").succeeds();
        reference.is_whole("run", &case);
        // At most one tile is made again: the one that was begun and not recorded.
        let again = made(&events_of(&reference.path("run")));
        assert!(again <= 4 + 1, "{case}: {again} tiles made in all, {events} before");
        std::fs::remove_dir_all(reference.path("run")).unwrap();
    }
}

fn events_of(run: &std::path::Path) -> String {
    std::fs::read_to_string(run.join("events.jsonl")).unwrap_or_default()
}

fn events(reference: &Reference, run: &str) -> usize {
    made(&events_of(&reference.path(run)))
}

fn made(events: &str) -> usize {
    events.lines().filter(|l| l.contains("\"event\":\"tile\"")).count()
}

#[test]
fn kills_at_random_times_resume_to_the_same_bytes() {
    let reference = Reference::new(RUN_OF_200);
    let began = Instant::now();
    reference.generate("timed").succeeds();
    let whole = began.elapsed();
    let mut killed = 0;
    for kill in 0..KILLS {
        let mut child =
            reference.generate("run").into_command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Spread over a whole run by the golden ratio, so that no two fall on the same place.
        let share = (0.618_034 * (kill as f64 + 1.0)).fract();
        std::thread::sleep(Duration::from_secs_f64(whole.as_secs_f64() * share));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        reference.visible_files_are_whole("run", &format!("kill {kill}"));
        if kill % 4 == 3 {
            reference.call(&["resume", "-q", "run"]).succeeds();
            reference.is_whole("run", &format!("kill {kill}"));
            std::fs::remove_dir_all(reference.path("run")).unwrap();
        }
    }
    assert!(killed >= KILLS / 2, "only {killed} of {KILLS} processes were still at work");
}

#[test]
fn shards_killed_at_random_times_merge_to_the_same_bytes() {
    let reference = Reference::new(RUN_OF_200);
    for shards in [1u64, 2, 7] {
        let (name, count) = (format!("run-{shards}"), shards.to_string());
        reference.call(&["plan", "-q", "job.toml", "-o", &name, "--shards", &count]).succeeds();
        let mut kills = 0;
        for index in 0..shards {
            let shard = format!("{index}/{shards}");
            let work = || reference.call(&["work", "-q", &name, "--shard", &shard]);
            // Killed in the middle of tiles, ever later, until the shard gets through.
            for attempt in 1u64.. {
                let mut child = work().into_command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_millis(29 * attempt + 11 * index));
                if let Some(status) = child.try_wait().unwrap() {
                    assert!(status.success(), "{shard}: {status}");
                    break;
                }
                let kill = Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap();
                assert!(kill.success());
                child.wait().unwrap();
                kills += 1;
                reference.visible_files_are_whole(&name, &shard);
            }
        }
        assert!(kills >= shards, "{kills} kills of {shards} shards");
        reference.call(&["merge", "-q", &name]).succeeds();
        assert!(hashes(&reference.path(&name)) == reference.whole, "{shards} shards, {kills} kills");
    }
}
