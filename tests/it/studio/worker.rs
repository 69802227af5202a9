//! The process that makes pictures: whatever happens to it, the server answers and the picture comes.

use super::events::Listener;
use super::{Server, kill, look};
use serde_json::json;

#[test]
fn a_killed_worker_is_replaced_and_the_picture_comes() {
    let server = Server::start();
    server.loaded("digits-gan");
    let first = server.workers();
    assert_eq!(first.len(), 1);
    kill(first[0], "KILL");
    // The server notices by itself, and needs no page to tell it.
    server.until("the loss is noticed", || {
        let worker = server.get("/api/state").json()["worker"].clone();
        (worker["state"] == "down" && worker["why"].is_string()).then_some(())
    });
    server.look(&look(6, Some(75.0)));
    let second = server.workers();
    assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
    // Killed in the midst of many pictures: all of them come.
    let whole =
        json!({"view": "test", "model": "digits-gan", "seed": "100", "novelty": 70, "strip": true, "seeds": 40});
    server.send("POST", "/api/looks", &whole);
    kill(second[0], "KILL");
    assert_eq!(server.look(&whole).len(), 48);
}

#[test]
fn memory_is_free_once_the_worker_has_ended() {
    let server = Server::start();
    server.loaded("digits-gan");
    assert_eq!(server.send("POST", "/api/queue", &json!({"free_memory": true})).status, 204);
    server.until("the worker has ended", || server.workers().is_empty().then_some(()));
    assert_eq!(server.get("/api/state").json()["worker"]["state"], "down");
    server.look(&look(6, Some(30.0)));
}

/// The event that says that the picture of `look` cannot be made.
fn lost(server: &Server, wanted: &serde_json::Value) -> String {
    let mut page = Listener::open(server, "/api/events", &[]);
    server.send("POST", "/api/looks", wanted);
    let told = page.until("frame", |f| f["error"].is_string());
    told.last().unwrap().data["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_worker_that_dies_of_a_picture_is_given_up_on_after_three_times() {
    for (action, words) in [("kill", "ended three times"), ("hang", "gave no answer in time")] {
        let points = format!("studio.patience=nan;studio.look={action}");
        let server = Server::start_with(tempfile::tempdir().unwrap(), &[], Some(&points));
        server.loaded("digits-gan");
        let why = lost(&server, &look(1, Some(40.0)));
        assert!(why.contains(words), "{action}: {why}");
        assert_eq!(server.get("/api/health").text(), "ok");
    }
}

#[test]
fn a_fault_in_a_picture_costs_that_picture() {
    let server = Server::start_with(
        tempfile::tempdir().unwrap(),
        &[],
        Some("studio.look@1=panic;studio.look@2=eio;generator#5=nan"),
    );
    server.loaded("digits-gan");
    let worker = server.workers();
    assert!(lost(&server, &look(1, Some(40.0))).contains("internal error"));
    assert!(lost(&server, &look(1, Some(41.0))).contains("could not make"));
    // The same worker goes on.
    server.look(&look(1, Some(42.0)));
    assert_eq!(server.workers(), worker);
    // S11: a sample that is not finite has no picture, and those beside it are undisturbed.
    let whole = json!({"view": "test", "model": "digits-gan", "seed": "4", "novelty": null, "seeds": 2});
    let frames = server.look(&whole);
    let status = |i: usize| frames[i]["picture"]["status"].as_str().unwrap().to_owned();
    assert_eq!([status(0), status(1), status(2)], ["ok", "non_finite", "ok"]);
    assert!(frames[1]["picture"]["sha8"].is_null());
    let id = frames[1]["id"].as_str().unwrap();
    server.get(&format!("/api/pictures/{id}/file")).problem(404, "unknown");
}

#[test]
fn a_device_that_is_not_there_is_said() {
    let server = Server::start_with(tempfile::tempdir().unwrap(), &["--device", "cuda"], None);
    let why =
        server.until("the reason", || server.get("/api/state").json()["worker"]["why"].as_str().map(str::to_owned));
    assert!(why.contains("cuda"), "{why}");
    server.until("the model says so too", || {
        let all = server.get("/api/models").json();
        let gan = all.as_array().unwrap().iter().find(|m| m["id"] == "digits-gan").unwrap().clone();
        gan["problem"].as_str().filter(|p| p.contains("cuda")).map(drop)
    });
}
