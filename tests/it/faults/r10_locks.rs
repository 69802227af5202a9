//! R10: two processes on one run directory.

use super::{Ran, Reference, SMALL, Worst};
use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use wait4::Wait4;

/// How often two processes are released at the same moment.
pub const RACES: usize = 50;
/// How often a process that holds the lock is killed and the next one takes over.
pub const KILLS: usize = 2;

fn spawn(reference: &Reference, points: &str) -> Child {
    let mut command = reference.generate("run").failing_at(points).into_command();
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How a process of a race ended.
struct Racer {
    id: u32,
    code: Option<i32>,
    stderr: String,
    cpu: Duration,
}

/// Waits for all processes, and sends each one's end as it comes.
fn race(children: Vec<Child>) -> Receiver<Racer> {
    let (ended, racers) = channel();
    for mut child in children {
        let ended = ended.clone();
        std::thread::spawn(move || {
            let id = child.id();
            let usage = child.wait4().unwrap();
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            let cpu = usage.rusage.utime + usage.rusage.stime;
            ended.send(Racer { id, code: usage.status.code(), stderr, cpu }).unwrap();
        });
    }
    racers
}

#[test]
fn exactly_one_of_two_processes_works() {
    let (reference, mut ran) = (Reference::new(SMALL), Ran::new("R10, races"));
    let mut worst = Worst::new(Duration::from_millis(100));
    for number in 0..RACES {
        let barriers = [reference.path("a"), reference.path("b")];
        // Each stops before the lock. The winner stops again where it loads the model, so that it cannot finish before
        // the other has tried.
        let loading = reference.path("loading");
        let point = |b: &std::path::Path| {
            format!("lock.before@1=pause:{};engine.load@1=pause:{}", b.display(), loading.display())
        };
        let children: Vec<Child> = barriers.iter().map(|b| spawn(&reference, &point(b))).collect();
        let ids: Vec<u32> = children.iter().map(Child::id).collect();
        let racers = race(children);
        let wait = |path: &std::path::Path| {
            while !path.exists() {
                std::thread::sleep(Duration::from_micros(200));
            }
        };
        barriers.iter().for_each(|b| wait(b));
        barriers.iter().for_each(|b| fs::remove_file(b).unwrap());
        wait(&loading);
        // The loser ends while the winner waits, so it has neither waited for the winner nor loaded a model.
        let loser = racers.recv().unwrap();
        let line = &loser.stderr;
        assert_eq!((loser.code, line.lines().count()), (Some(7), 1), "race {number}: {line}");
        let winner = ids.iter().find(|id| **id != loser.id).unwrap();
        assert!(line.contains(&format!("process {winner} on")), "race {number}: {line}");
        worst.take(&format!("race {number}"), loser.cpu, 0);
        fs::remove_file(loading).unwrap();
        let winner = racers.recv().unwrap();
        assert_eq!(winner.code, Some(0), "race {number}: {}", winner.stderr);
        reference.is_whole("run", &format!("race {number}"));
        // The next race finds part of the work done.
        fs::remove_file(reference.path("run/novel/images").join(format!("{:06}.png", number % 8))).unwrap();
        ran.case();
    }
    worst.tell("R10, losers");
    ran.all(RACES);
}

#[test]
fn a_killed_holder_leaves_no_lock() {
    let (reference, mut ran) = (Reference::new(SMALL), Ran::new("R10, killed holders"));
    for (kill, points) in ["tile.before@2", "store.write.half@9"].iter().take(KILLS).enumerate() {
        let marker = reference.path("marker");
        let mut child = spawn(&reference, &format!("{points}=pause:{}", marker.display()));
        while !marker.exists() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let line = reference.generate("run").fails(7, &["another isoline process", &format!("process {}", child.id())]);
        assert!(line.contains("for 0 s") || line.contains("for 1 s") || line.contains(" s"), "{line}");
        let status = reference.call(&["status", "run"]).succeeds();
        assert!(status.contains(&format!("process {}", child.id())), "{status}");
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_file(marker).unwrap();
        reference.generate("run").succeeds();
        reference.is_whole("run", &format!("kill {kill}"));
        fs::remove_dir_all(reference.path("run")).unwrap();
        ran.case();
    }
    ran.all(KILLS);
}
