//! The queue: batches are the runs that `isoline generate` makes, whatever happens on the way.

use super::{Server, kill, look};
use crate::runs::{hashes, isoline};
use isoline::store::Lock;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Puts a batch into the queue and returns its number.
fn add(server: &Server, name: &str, seeds: &str, levels: &Value) -> i64 {
    let wanted = json!({"name": name, "model": "digits-gan", "seeds": seeds, "levels": levels});
    let reply = server.send("POST", "/api/jobs", &wanted);
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["id"].as_i64().unwrap()
}

fn job(server: &Server, id: i64) -> Value {
    server.get(&format!("/api/jobs/{id}")).json()
}

fn wait(server: &Server, id: i64, state: &str) -> Value {
    server.until(&format!("job {id} is {state}"), || Some(job(server, id)).filter(|j| j["state"] == state))
}

/// The same seeds and levels by the command: hashes of every file.
fn by_command(folder: &Path, name: &str, seeds: &str, levels: &str) -> std::collections::BTreeMap<PathBuf, String> {
    isoline(&["generate", "-q", "-m", "digits-gan", "--novelty", levels, "--seeds", seeds, "-o", name])
        .cwd(folder)
        .succeeds();
    hashes(&folder.join(name))
}

#[test]
fn a_batch_is_the_run_that_generate_makes() {
    let server = Server::start();
    server.loaded("digits-gan").look(&look(1, Some(50.0)));
    let wanted = json!({"name": "both", "model": "digits-gan", "seeds": "0-39", "levels": [10, 90]});
    let cost = server.send("POST", "/api/jobs?dry=true", &wanted);
    assert_eq!(
        (cost.status, cost.json()["pictures"].clone(), cost.json()["fits"].clone()),
        (200, json!(80), json!(true))
    );
    let id = add(&server, "both", "0-39", &json!([10, 90]));
    let done = wait(&server, id, "done");
    assert_eq!((done["wanted"].clone(), done["done"].clone()), (json!(80), json!(80)));
    let dir = tempfile::tempdir().unwrap();
    assert!(hashes(&server.root.path().join("both")) == by_command(dir.path(), "both", "0-39", "10,90"));
    // S22: the commands accept the folder, and there is nothing left to do.
    let at = |command: &str| isoline(&[command, "-q", "both"]).cwd(server.root.path()).succeeds();
    assert!(at("status").contains("80 of 80"), "{}", at("status"));
    at("verify");
    assert!(at("resume").starts_with("80 samples are complete"));
    // What cannot be queued.
    let bad = |change: &dyn Fn(&mut Value)| {
        let mut body = wanted.clone();
        body["name"] = json!("other");
        change(&mut body);
        server.send("POST", "/api/jobs", &body)
    };
    bad(&|b| b["name"] = json!("both")).problem(409, "state");
    for (key, value) in [
        ("name", json!("../out")),
        ("name", json!("A Name")),
        ("seeds", json!("")),
        ("seeds", json!("0-99999999999")),
        ("seeds", json!("5-1")),
        ("levels", json!([])),
        ("levels", json!([5, 5])),
        ("levels", json!((0..65).collect::<Vec<_>>())),
    ] {
        assert_eq!(bad(&|b| b[key] = value.clone()).problem(422, "value")["at"], key, "{value}");
    }
    bad(&|b| b["levels"] = json!([101])).problem(422, "value");
    bad(&|b| b["model"] = json!("digits-vae")).problem(409, "state");
    assert!(!server.root.path().join("other").exists());
    server.get("/api/jobs/99").problem(404, "unknown");
    server.send("POST", &format!("/api/jobs/{id}/stop"), &json!({"when": "now"})).problem(409, "state");
    server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "pause"})).problem(409, "state");
    assert_eq!(server.send("DELETE", &format!("/api/jobs/{id}"), &json!({})).status, 204);
    assert!(server.root.path().join("both/plan.toml").is_file());
}

#[test]
fn the_order_of_the_queue_is_kept() {
    let mut server = Server::start();
    server.loaded("digits-gan");
    server.send("POST", "/api/queue", &json!({"paused": true}));
    let ids: Vec<i64> = ["a", "b", "c"].iter().map(|n| add(&server, n, "0-3", &json!([null]))).collect();
    let order = |s: &Server| {
        s.get("/api/jobs")
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|j| j["run"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(order(&server), ["a", "b", "c"]);
    let put =
        |s: &Server, id: i64, after: i64| s.send("PATCH", &format!("/api/jobs/{id}"), &json!({"after": after})).status;
    assert_eq!(put(&server, ids[2], 0), 200);
    assert_eq!(put(&server, ids[0], ids[1]), 200);
    assert_eq!(order(&server), ["c", "b", "a"]);
    server.send("PATCH", &format!("/api/jobs/{}", ids[0]), &json!({"after": 99})).problem(422, "value");
    // S16, S17: both the rest and the order are kept over a restart.
    assert_eq!(server.stop(), 0);
    let root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
    let again = Server::start_with(root, &[], None);
    assert_eq!(
        (order(&again), again.get("/api/state").json()["paused"].clone()),
        (vec!["c".into(), "b".into(), "a".into()], json!(true))
    );
    again.send("POST", "/api/queue", &json!({"paused": false}));
    let ended: Vec<f64> =
        [ids[2], ids[1], ids[0]].iter().map(|id| wait(&again, *id, "done")["ended"].as_f64().unwrap()).collect();
    assert!(ended[0] < ended[1] && ended[1] < ended[2], "{ended:?}");
}

#[test]
fn a_job_can_be_paused_stopped_and_taken_up() {
    // Each tile waits until the test lets it go on.
    let gate = tempfile::tempdir().unwrap();
    let gate = gate.path().join("gate");
    let points = format!("studio.tile=pause:{}", gate.display());
    let server = Server::start_with(tempfile::tempdir().unwrap(), &[], Some(&points));
    server.loaded("digits-gan");
    let held = || server.until("a tile is held", || gate.exists().then_some(()));
    let release = || std::fs::remove_file(&gate).unwrap();
    let id = add(&server, "a", "0-79", &json!([90]));
    let records = || std::fs::read_dir(server.root.path().join("a/records")).map_or(0, Iterator::count);
    held();
    // Pause: the tile in hand is finished, the next one is not begun.
    assert_eq!(server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "pause"})).json()["state"], "paused");
    release();
    server.until("the tile is there", || (records() == 1).then_some(()));
    // The next one is not begun, and the folder is free for others.
    server.until("the folder is free", || Lock::exclusive(&server.root.path().join("a/run.lock")).ok().map(drop));
    assert!(!gate.exists());
    server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "resume"}));
    held();
    // Stop now: the tile in hand is dropped.
    assert_eq!(server.send("POST", &format!("/api/jobs/{id}/stop"), &json!({"when": "now"})).status, 202);
    release();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((records(), job(&server, id)["state"].clone()), (1, json!("stopped")));
    server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "retry"}));
    held();
    // Stop after these pictures: the tile in hand is kept whole.
    server.send("POST", &format!("/api/jobs/{id}/stop"), &json!({"when": "tile"}));
    release();
    server.until("the tile is there", || (records() == 2).then_some(()));
    assert_eq!(job(&server, id)["state"], "stopped");
    // Rest after this batch: it becomes whole, and the next one waits.
    server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "retry"}));
    held();
    let next = add(&server, "b", "0-3", &json!([null]));
    server.send("POST", &format!("/api/jobs/{id}/stop"), &json!({"when": "batch"}));
    server.until("the batch is whole", || {
        let _ = std::fs::remove_file(&gate);
        (job(&server, id)["state"] == "done").then_some(())
    });
    assert_eq!(
        (job(&server, next)["state"].clone(), server.get("/api/state").json()["paused"].clone()),
        (json!("queued"), json!(true))
    );
    let dir = tempfile::tempdir().unwrap();
    assert!(hashes(&server.root.path().join("a")) == by_command(dir.path(), "a", "0-79", "90"));
}

#[test]
fn a_killed_studio_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["one", "two", "three", "four", "five"];
    let whole: Vec<_> = names.iter().map(|n| by_command(dir.path(), n, "0-31", "85")).collect();
    let mut root = tempfile::tempdir().unwrap();
    // The first studio queues five batches; each is killed at another moment, the next one goes on.
    let mut kills = 0;
    for round in 0..8u64 {
        let mut server = Server::start_with(root, &[], None);
        if round == 0 {
            server.loaded("digits-gan");
            names.iter().for_each(|n| {
                add(&server, n, "0-31", &json!([85]));
            });
        }
        let order: Vec<String> = server
            .get("/api/jobs")
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|j| j["run"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(order, names, "round {round}");
        let states: Vec<String> = server
            .get("/api/jobs")
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|j| j["state"].as_str().unwrap().to_owned())
            .collect();
        // S12: those that are done come first, and nothing that is done is queued again.
        let first = states.iter().position(|s| s != "done").unwrap_or(states.len());
        assert!(states[first..].iter().all(|s| s != "done" && s != "failed"), "{states:?}");
        if first == names.len() {
            root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
            break;
        }
        std::thread::sleep(Duration::from_millis(30 + 70 * (round * 37 % 11)));
        kill(server.pid(), "KILL");
        kills += 1;
        root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
    }
    let server = Server::start_with(root, &[], None);
    server.until("every batch is done", || {
        server.get("/api/jobs").json().as_array().unwrap().iter().all(|j| j["state"] == "done").then_some(())
    });
    println!("{kills} kills");
    for (name, whole) in names.iter().zip(&whole) {
        assert!(hashes(&server.root.path().join(name)) == *whole, "{name}");
    }
}

#[test]
fn a_folder_that_another_isoline_works_in_is_waited_for() {
    let server = Server::start();
    server.loaded("digits-gan");
    server.send("POST", "/api/queue", &json!({"paused": true}));
    let id = add(&server, "a", "0-3", &json!([null]));
    let lock = Lock::exclusive(&server.root.path().join("a/run.lock")).unwrap();
    server.send("POST", "/api/queue", &json!({"paused": false}));
    let waits = wait(&server, id, "elsewhere");
    assert_eq!(waits["reason"], "running in another isoline");
    // Others are not held up by it.
    let other = add(&server, "b", "0-3", &json!([null]));
    wait(&server, other, "done");
    drop(lock);
    wait(&server, id, "done");
}

#[test]
fn a_tile_that_cannot_be_made_costs_its_job() {
    for (points, state, words) in [
        ("studio.tile@1=kill;studio.tile@2=kill", "failed", "ended three times"),
        ("studio.tile=panic", "failed", "internal error"),
    ] {
        let server = Server::start_with(tempfile::tempdir().unwrap(), &[], Some(points));
        server.loaded("digits-gan");
        let id = add(&server, "a", "0-3", &json!([null]));
        let failed = wait(&server, id, state);
        assert!(failed["reason"].as_str().unwrap().contains(words), "{failed}");
        // Looking goes on, and so does the queue.
        server.look(&look(1, Some(30.0)));
        let next = add(&server, "b", "0-3", &json!([null]));
        wait(&server, next, state);
    }
    // A picture that vanishes while the batch runs: its tables cannot be made, and trying again makes it.
    let server = Server::start();
    server.loaded("digits-gan");
    let id = add(&server, "a", "0-399", &json!([90]));
    server.until("some are there", || (job(&server, id)["done"].as_u64() > Some(0)).then_some(()));
    fs::remove_file(server.root.path().join("a/images/000003.png")).unwrap();
    server.until("it ends", || {
        let state = job(&server, id)["state"].clone();
        (state == "done" || state == "failed").then_some(())
    });
    if job(&server, id)["state"] == "failed" {
        server.send("PATCH", &format!("/api/jobs/{id}"), &json!({"action": "retry"}));
        wait(&server, id, "done");
    }
    // A worker that dies once of a tile is replaced, and nobody needs to know.
    let server = Server::start();
    server.loaded("digits-gan");
    let id = add(&server, "a", "0-799", &json!([90]));
    server.until("a worker makes tiles", || (job(&server, id)["done"].as_u64() > Some(0)).then_some(()));
    kill(server.workers()[0], "KILL");
    wait(&server, id, "done");
    isoline(&["verify", "-q", "a"]).cwd(server.root.path()).succeeds();
}

#[test]
fn a_batch_gets_its_turn_however_much_is_looked_at() {
    // S20, with half a minute shortened to a second: somebody always waits for pictures, and the batch goes on.
    let server = Server::start_with(tempfile::tempdir().unwrap(), &[], Some("studio.hungry=nan"));
    server.loaded("digits-gan");
    let id = add(&server, "a", "0-159", &json!([95]));
    let seed = std::cell::Cell::new(1_000);
    let done = server.until("two tiles of the batch", || {
        for view in ["a", "b"] {
            seed.set(seed.get() + 100);
            let many =
                json!({"view": view, "model": "digits-gan", "seed": seed.get().to_string(), "novelty": 30, "seeds": 63});
            let frames = server.send("POST", "/api/looks", &many).json()["frames"].clone();
            assert!(frames.as_array().unwrap().iter().any(|f| f["state"] == "waiting"));
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        job(&server, id)["done"].as_u64().filter(|done| *done >= 32)
    });
    println!("{done} pictures of the batch, {} looked at", server.figure("isoline_looks_total"));
}

#[test]
fn a_file_system_that_is_full_pauses_batches_with_numbers() {
    // S24 on a file system of 48 MB.
    if !crate::faults::can_mount() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let inner = isoline(&["studio", "-m", "digits-gan", "--listen", "127.0.0.1:0"]).arg(root.path()).into_command();
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", "mount -t tmpfs -o size=48m none \"$1\" && shift && exec \"$@\"", "sh"]);
    command.arg(root.path()).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let server = Server::launch(command, root);
    server.loaded("digits-gan");
    // The file system as the studio sees it.
    let own = Path::new("/proc").join(server.pid().to_string()).join("root");
    let inside = own.join(server.root.path().strip_prefix("/").unwrap());
    let fill = |name: &str, bytes: usize| {
        let mut file = fs::File::create(inside.join(name)).unwrap();
        // What does not fit is what this is about.
        (0..bytes >> 16).take_while(|_| std::io::Write::write_all(&mut file, &[7; 1 << 16]).is_ok()).count()
    };
    assert!(fill("filler", 45 << 20) > 0);
    let id = add(&server, "a", "0-79", &json!([90]));
    let paused = wait(&server, id, "paused");
    let reason = paused["reason"].as_str().unwrap();
    println!("{reason}");
    assert!(reason.starts_with("The disk is full: ") && reason.contains(" MB needed. Paused"), "{reason}");
    // Without a byte left the studio answers, looks, and says why nothing can be added.
    fill("rest", 48 << 20);
    assert_eq!(server.get("/api/state").status, 200);
    assert!(server.look(&look(5_000, Some(70.0)))[0]["picture"]["sha8"].is_string());
    let more = json!({"name": "b", "model": "digits-gan", "seeds": "0-3", "levels": [50]});
    server.send("POST", "/api/jobs", &more).problem(507, "disk");
    for name in ["rest", "filler"] {
        fs::remove_file(inside.join(name)).unwrap();
    }
    wait(&server, id, "done");
    let dir = tempfile::tempdir().unwrap();
    assert!(hashes(&inside.join("a")) == by_command(dir.path(), "a", "0-79", "90"));
}

#[test]
fn a_full_disk_pauses_batches_and_room_lets_them_go_on() {
    let server = Server::start_with(tempfile::tempdir().unwrap(), &[], Some("studio.tile@2=enospc"));
    server.loaded("digits-gan");
    let id = add(&server, "a", "0-79", &json!([90]));
    // It pauses with the reason, and goes on by itself, since there is room in truth.
    let mut page = super::events::Listener::open(&server, "/api/events?after=0", &[]);
    let told = page.until("job", |j| j["state"] == "paused");
    assert!(told.last().unwrap().data["reason"].as_str().unwrap().starts_with("The disk is full"), "{told:?}");
    wait(&server, id, "done");
    isoline(&["verify", "-q", "a"]).cwd(server.root.path()).succeeds();
}

#[test]
fn looking_and_a_batch_do_not_disturb_each_other() {
    let server = Server::start();
    server.loaded("digits-gan");
    let id = add(&server, "a", "0-159", &json!([95]));
    let mut looks = 0;
    while job(&server, id)["state"] != "done" {
        server.look(&look(looks, Some(20.0)));
        looks += 1;
    }
    println!("{looks} looks during a batch");
    let dir = tempfile::tempdir().unwrap();
    assert!(hashes(&server.root.path().join("a")) == by_command(dir.path(), "a", "0-159", "95"));
}
