//! R8: the process is killed before and after each step of a durable write, and at random times.

use super::{Ran, Reference, SMALL};
use crate::runs::hashes;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How many SIGKILLs are sent, at spread-out times, in runs of 200 samples.
pub const KILLS: usize = 20;

const RUN_OF_200: &str = "model = \"digits-gan\"\nseeds = \"0-199\"\noutdir = \"unused\"\ntile = 8\nsteps = 3\ncorrections = 0\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n";

/// Each place in a durable write, at its first, an intermediate and a late visit.
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
    let (reference, mut ran) = (Reference::new(SMALL), Ran::new("R8, at steps of writes"));
    for case in cases() {
        let ended = reference.generate("run").failing_at(&case).run();
        assert_eq!(ended.code, -1, "{case}: {} was not killed: {}", ended.code, ended.stderr);
        reference.visible_files_are_whole("run", &case);
        let events = events(&reference, "run");
        reference.generate("run").succeeds();
        reference.is_whole("run", &case);
        // At most one tile is made again: the one that was begun but not recorded.
        let again = made(&events_of(&reference.path("run")));
        assert!(again <= 4 + 1, "{case}: {again} tiles made in all, {events} before");
        std::fs::remove_dir_all(reference.path("run")).unwrap();
        ran.case();
    }
    ran.all(cases().len());
}

fn events_of(run: &std::path::Path) -> String {
    std::fs::read_to_string(run.join("events.jsonl")).unwrap_or_default()
}

fn events(reference: &Reference, run: &str) -> usize {
    made(&events_of(&reference.path(run)))
}

/// Number of tiles made by the process that was started last.
fn made_by_the_last(run: &std::path::Path) -> usize {
    let events = events_of(run);
    made(events.rsplit("\"event\":\"start\"").next().unwrap_or_default())
}

fn made(events: &str) -> usize {
    events.lines().filter(|l| l.contains("\"event\":\"tile\"")).count()
}

#[test]
fn kills_at_random_times_resume_to_the_same_bytes() {
    let (reference, mut ran) = (Reference::new(RUN_OF_200), Ran::new("R8, at random times"));
    // Tiles take some milliseconds of processor time each; where exactly within one the kill comes is up to the
    // machine.
    let mut killed = 0;
    for kill in 0..KILLS {
        let mut child =
            reference.generate("run").into_command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // After 0 to 5 of the 25 tiles, spread by the golden ratio, and some way into the next one. Four kills leave
        // some to do.
        let share = (0.618_034 * (kill as f64 + 1.0)).fract();
        let wanted = (share * 6.0) as usize;
        while made_by_the_last(&reference.path("run")) < wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(300));
        }
        std::thread::sleep(Duration::from_micros(1 + (share * 1e6) as u64 % 9_000));
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        reference.visible_files_are_whole("run", &format!("kill {kill}"));
        ran.case();
        if kill % 4 == 3 {
            reference.call(&["resume", "-q", "run"]).succeeds();
            reference.is_whole("run", &format!("kill {kill}"));
            std::fs::remove_dir_all(reference.path("run")).unwrap();
        }
    }
    println!("R8: {killed} of {KILLS} processes were at work when they were killed");
    assert!(killed >= KILLS / 2, "only {killed} of {KILLS} processes were still at work");
    ran.all(KILLS);
}

/// For each kind of plan, its folder with the run that a single process makes of it.
fn planned() -> Vec<(&'static str, Reference)> {
    let folder = || tempfile::tempdir().unwrap();
    let whole = |dir: tempfile::TempDir, calls: &[&[&str]]| {
        let call = |args: &[&str]| crate::runs::isoline(args).cwd(dir.path()).succeeds();
        calls.iter().for_each(|args| drop(call(args)));
        let whole = hashes(&dir.path().join("whole"));
        Reference { dir, whole }
    };
    let (described, labelled) = (folder(), folder());
    let keys = "[describe]\nmodel = \"digits-gan\"\nseeds = \"0-279\"\nestimator = \"stencil\"\ndirections = 8\n";
    std::fs::write(described.path().join("job.toml"), keys).unwrap();
    let describe = ["describe", "-q", "digits-gan", "--seeds", "0-279", "--estimator", "stencil", "--directions", "8"];
    let config = "model = \"digits-gan\"\n[labels]\ncount = 3500\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 0\n\
                  epochs = 1\nbatch = 64\nlearning_rate = 1e-3\n";
    std::fs::write(labelled.path().join("job.toml"), config).unwrap();
    vec![
        ("generate", Reference::new(RUN_OF_200)),
        ("describe", whole(described, &[&[&describe[..], &["-o", "whole"]].concat()])),
        ("labels", whole(labelled, &[&["plan", "-q", "job.toml", "-o", "whole"], &["resume", "-q", "whole"]])),
    ]
}

#[test]
fn shards_killed_at_random_times_merge_to_the_same_bytes() {
    for (kind, reference) in planned() {
        for shards in [1u64, 2, 7] {
            let (name, count) = (format!("run-{shards}"), shards.to_string());
            reference.call(&["plan", "-q", "job.toml", "-o", &name, "--shards", &count]).succeeds();
            let mut kills = 0;
            for index in 0..shards {
                let shard = format!("{index}/{shards}");
                let work = || reference.call(&["work", "-q", &name, "--shard", &shard]);
                // Killed in the middle of tiles, later by half each time, until the shard gets through.
                let mut wait = 29 + 11 * index;
                loop {
                    let mut child = work().into_command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                    std::thread::sleep(Duration::from_millis(wait));
                    wait += wait / 2;
                    if let Some(status) = child.try_wait().unwrap() {
                        assert!(status.success(), "{kind} {shard}: {status}");
                        break;
                    }
                    let kill = Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap();
                    assert!(kill.success());
                    child.wait().unwrap();
                    kills += 1;
                    reference.visible_files_are_whole(&name, &format!("{kind} {shard}"));
                }
            }
            assert!(kills >= shards, "{kind}: {kills} kills of {shards} shards");
            reference.call(&["merge", "-q", &name]).succeeds();
            println!("{kind}: {shards} shards, {kills} kills");
            assert!(hashes(&reference.path(&name)) == reference.whole, "{kind}: {shards} shards, {kills} kills");
        }
    }
}
