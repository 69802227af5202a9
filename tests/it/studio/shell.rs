//! The server's shell: what it answers, what it says of itself, how it starts and ends.

use super::{Server, look};
use crate::runs::isoline;
use serde_json::json;
use std::fs;

#[test]
fn the_page_and_its_parts_are_served_with_their_policy() {
    let server = Server::start();
    let page = server.get("/");
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.headers[name], value);
    }
    let policy = &page.headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    for quoted in text.split('"').filter(|t| t.starts_with("/page/")) {
        let part = server.get(quoted);
        assert_eq!(part.status, 200, "{quoted}");
        let tag = part.headers["etag"].clone();
        assert_eq!(server.ask("GET", quoted, &[("If-None-Match", &tag)], b"").status, 304, "{quoted}");
    }
    server.get("/page/none.js").problem(404, "unknown");
    server.get("/nowhere").problem(404, "unknown");
    server.send("POST", "/api/state", &json!({})).problem(405, "method");
    assert_eq!(server.get("/api/health").text(), "ok");
}

#[test]
fn the_state_is_all_that_a_page_needs() {
    let server = Server::start();
    server.loaded("digits-gan");
    let state = server.get("/api/state").json();
    assert_eq!(
        (state["model"].as_str(), state["version"].as_str()),
        (Some("digits-gan"), Some(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!((state["worker"]["state"].as_str(), state["worker"]["class"].as_str()), (Some("ready"), Some("cpu")));
    assert!(
        state["disk"]["free"].as_u64() > Some(0) && state["disk"]["total"].as_u64() >= state["disk"]["free"].as_u64()
    );
    // Settings stay, and a wrong one changes nothing.
    assert_eq!(server.send("PATCH", "/api/settings", &json!({"theme": "dark", "remap": {"next": "j"}})).status, 204);
    for (bad, at) in [
        (json!({"theme": "blue"}), "theme"),
        (json!({"colour": "red"}), "colour"),
        (json!({"keys": "yes", "theme": "light"}), "keys"),
        (json!({"remap": {"next": "jj"}}), "one character"),
    ] {
        let problem = server.send("PATCH", "/api/settings", &bad).problem(422, "value");
        assert!(problem.to_string().contains(at), "{problem}");
    }
    let settings = server.get("/api/state").json()["settings"].clone();
    assert_eq!(settings, json!({"theme": "dark", "remap": {"next": "j"}}));
}

#[test]
fn a_second_studio_names_the_first() {
    let server = Server::start();
    let root = server.root.path().to_str().unwrap();
    let refused = isoline(&["studio", "--listen", "127.0.0.1:0", root]).fails(7, &["another isoline process"]);
    assert!(refused.contains(&server.pid().to_string()), "{refused}");
    // A port that is taken is named; without one the next is tried.
    let taken = server.address.to_string();
    let other = tempfile::tempdir().unwrap();
    isoline(&["studio", "--listen", &taken])
        .arg(other.path())
        .fails(2, &["--listen", &server.address.port().to_string()]);
    for (args, words) in
        [(["--listen", "here"], "expected an address"), (["--allow-host", "http://x"], "expected the name alone")]
    {
        isoline(&["studio"]).args(&args).arg(other.path()).fails(2, &[words]);
    }
}

#[test]
fn it_ends_in_order_and_begins_where_it_was() {
    let mut server = Server::start();
    server.loaded("digits-gan").look(&look(3, Some(82.0)));
    server.send("PATCH", "/api/settings", &json!({"pixels": "smooth"}));
    let last = server.get("/api/state").json()["last_event"].as_i64().unwrap();
    assert_eq!(server.stop(), 0);
    assert!(server.workers().is_empty());
    let root = std::mem::replace(&mut server.root, tempfile::tempdir().unwrap());
    let again = Server::start_with(root, &[], None);
    let state = again.get("/api/state").json();
    assert_eq!(state["settings"]["pixels"], "smooth");
    assert!(state["last_event"].as_i64().unwrap() >= last);
    // The picture was kept: it is there at once.
    again.loaded("digits-gan");
    let first = again.send("POST", "/api/looks", &look(3, Some(82.0))).json();
    assert_eq!(first["frames"][0]["state"], "ready");
}

#[test]
fn a_database_of_another_kind_is_refused_and_kept() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(".studio")).unwrap();
    let file = root.path().join(".studio/studio.db");
    fs::write(&file, [b'x'; 4096]).unwrap();
    let call = isoline(&["studio", "--listen", "127.0.0.1:0"]).arg(root.path());
    call.fails(3, &["studio.db", "move it away"]);
    assert_eq!(fs::read(&file).unwrap(), [b'x'; 4096]);
}

#[test]
fn the_description_has_every_route_that_answers() {
    let server = Server::start();
    let api = server.get("/api/openapi.json").json();
    let paths: Vec<&String> = api["paths"].as_object().unwrap().keys().collect();
    for path in [
        "/api/state",
        "/api/events",
        "/api/looks",
        "/api/models/{id}/spread",
        "/api/pictures/{id}/file",
        "/api/settings",
    ] {
        assert!(paths.iter().any(|p| *p == path), "{path} is not in {paths:?}");
    }
    // Every path that the description names is there: whatever it answers, it is not the answer to an unknown address.
    for path in paths.into_iter().filter(|p| *p != "/api/events") {
        let reply = server.get(&path.replace("{id}", "digits-gan").replace("{view}", "v"));
        assert!(!reply.text().contains("nothing at this address"), "{path}: {}", reply.text());
    }
}
