//! R10: two processes on one run directory.

use super::{Reference, SMALL};
use std::fs;
use std::process::{Child, Output, Stdio};

/// Two processes that are released at the same moment.
pub const RACES: usize = 50;
/// A holder that is killed, and the next takes over.
pub const KILLS: usize = 2;

fn spawn(reference: &Reference, points: &str) -> Child {
    let mut command = reference.generate("run").env("ISOLINE_FAILPOINTS", points).into_command();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn exactly_one_of_two_processes_works() {
    let reference = Reference::new(SMALL);
    for race in 0..RACES {
        let barriers = [reference.path("a"), reference.path("b")];
        // Each stops before the lock; the winner stops again where it loads the model, so that it cannot be done before the
        // other has tried.
        let loading = reference.path("loading");
        let point = |b: &std::path::Path| {
            format!("lock.before@1=pause:{};engine.load@1=pause:{}", b.display(), loading.display())
        };
        let children: Vec<Child> = barriers.iter().map(|b| spawn(&reference, &point(b))).collect();
        let wait = |path: &std::path::Path| {
            while !path.exists() {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        };
        barriers.iter().for_each(|b| wait(b));
        barriers.iter().for_each(|b| fs::remove_file(b).unwrap());
        wait(&loading);
        let mut losers = 0;
        let mut ended: Vec<Option<Output>> = Vec::new();
        let mut children: Vec<Option<Child>> = children.into_iter().map(Some).collect();
        // The loser ends while the winner waits: it has not waited for it, nor loaded a model.
        while losers == 0 {
            for child in children.iter_mut().filter(|c| c.is_some()) {
                if child.as_mut().unwrap().try_wait().unwrap().is_some() {
                    ended.push(Some(child.take().unwrap().wait_with_output().unwrap()));
                    losers += 1;
                }
            }
        }
        let loser = ended.pop().flatten().unwrap();
        let line = String::from_utf8(loser.stderr).unwrap();
        assert_eq!((loser.status.code(), line.lines().count()), (Some(7), 1), "race {race}: {line}");
        let winner = children.into_iter().flatten().next().unwrap();
        assert!(line.contains(&format!("process {} on", winner.id())), "race {race}: {line}");
        fs::remove_file(loading).unwrap();
        let winner = winner.wait_with_output().unwrap();
        assert_eq!(winner.status.code(), Some(0), "race {race}: {}", String::from_utf8_lossy(&winner.stderr));
        reference.is_whole("run", &format!("race {race}"));
        // The next race finds a part of the work done.
        fs::remove_file(reference.path("run/novel/images").join(format!("{:06}.png", race % 8))).unwrap();
    }
}

#[test]
fn a_killed_holder_leaves_no_lock() {
    let reference = Reference::new(SMALL);
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
    }
}
