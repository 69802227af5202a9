//! The stream of events: numbered, told again after a cut, none lost and none doubled.

use super::{LONG, Server, look};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub id: Option<i64>,
    pub kind: String,
    pub data: serde_json::Value,
}

/// A page that listens.
pub struct Listener(BufReader<TcpStream>);

impl Listener {
    pub fn open(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = server.connect();
        let more: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{more}\r\n", server.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self(reader)
    }

    /// The next event. The frames of a chunked body lie between its lines and are passed over.
    pub fn next(&mut self) -> Told {
        let (mut id, mut kind, mut data) = (None, String::new(), serde_json::Value::Null);
        let began = Instant::now();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0 && began.elapsed() < LONG, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("id", value)) => id = value.parse().ok(),
                Some(("event", value)) => kind = value.to_owned(),
                Some(("data", value)) => data = serde_json::from_str(value).unwrap(),
                _ if line.trim_end().is_empty() && !kind.is_empty() => return Told { id, kind, data },
                _ => {}
            }
        }
    }

    /// Every event up to the first of this kind that fits.
    pub fn until(&mut self, kind: &str, fits: impl Fn(&serde_json::Value) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            let told = self.next();
            let found = told.kind == kind && fits(&told.data);
            all.push(told);
            if found {
                return all;
            }
        }
    }
}

#[test]
fn every_picture_of_a_look_is_told_once() {
    let server = Server::start();
    server.loaded("digits-gan");
    let mut page = Listener::open(&server, "/api/events", &[]);
    let whole = json!({"view": "test", "model": "digits-gan", "seed": "9", "novelty": 70, "strip": true, "seeds": 3});
    let shown = server.send("POST", "/api/looks", &whole).json();
    let wanted: Vec<String> =
        shown["frames"].as_array().unwrap().iter().map(|f| f["slot"].as_str().unwrap().to_owned()).collect();
    let mut told = Vec::new();
    while told.len() < wanted.len() {
        let event = page.next();
        if event.kind == "frame" {
            // A frame is never told again, so it has no number.
            assert_eq!(
                (event.id, event.data["look"].clone(), event.data["view"].as_str()),
                (None, shown["look"].clone(), Some("test"))
            );
            told.push(event.data);
        }
    }
    let slots: Vec<&str> = told.iter().map(|f| f["slot"].as_str().unwrap()).collect();
    assert_eq!((slots[0], slots[1]), ("hero", "balanced"), "{slots:?}");
    let mut sorted = [slots.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted.clone()];
    sorted.iter_mut().for_each(|s| s.sort());
    assert_eq!(sorted[0], sorted[1]);
    assert!(told.iter().all(|f| f["sha8"].is_string() && f["ms"].as_f64().unwrap() > 0.0));
    // What is ready is answered and not told.
    let again = server.send("POST", "/api/looks", &whole).json();
    assert!(
        again["frames"].as_array().unwrap().iter().all(|f| f["state"] == "ready" && f["picture"]["sha8"].is_string())
    );
}

#[test]
fn a_page_that_was_cut_off_is_told_what_it_missed() {
    let server = Server::start();
    server.loaded("digits-gan");
    let first = server.get("/api/state").json()["last_event"].as_i64().unwrap();
    let stream = |after: i64| Listener::open(&server, &format!("/api/events?after={after}"), &[]);
    let mut before = stream(first);
    // Loading, freeing and loading again leave events.
    let load = |model: &str| {
        assert_eq!(server.send("POST", &format!("/api/models/{model}/load"), &json!({})).status, 202);
    };
    load("digits-vae");
    let vae = |d: &serde_json::Value| d["id"] == "digits-vae" && d["exact"] == true;
    let whole = before.until("models", vae);
    let ids: Vec<i64> = whole.iter().filter_map(|t| t.id).collect();
    assert!(ids.len() >= 2 && ids.windows(2).all(|w| w[1] == w[0] + 1) && ids[0] == first + 1, "{ids:?} after {first}");
    // A reader that begins at each of them hears exactly the rest, by the query and by the header.
    for (i, id) in ids.iter().enumerate() {
        let rest = &whole[i + 1..];
        let after = id.to_string();
        for mut again in [stream(*id), Listener::open(&server, "/api/events?after=0", &[("Last-Event-ID", &after)])] {
            let heard: Vec<_> = rest.iter().map(|_| again.next()).collect();
            assert_eq!(heard, rest);
        }
    }
    // A number that has never been, as after the database was removed: begin again.
    let mut ahead = stream(1_000_000);
    assert_eq!(ahead.next().kind, "reset");
    let bad = server.ask("GET", "/api/events", &[("Last-Event-ID", "soon")], b"");
    bad.problem(400, "bad_request");
}

#[test]
fn a_page_that_leaves_wants_nothing_any_more() {
    let server = Server::start();
    server.loaded("digits-gan");
    drop(Listener::open(&server, "/api/events", &[]));
    // Others are not disturbed by it.
    let mut page = Listener::open(&server, "/api/events", &[]);
    server.send("POST", "/api/looks", &look(4, Some(60.0)));
    page.until("frame", |f| f["slot"] == "hero");
    // Sixty-four pages may listen, no more.
    let pages: Vec<Listener> = (0..63).map(|_| Listener::open(&server, "/api/events", &[])).collect();
    let refused = server.get("/api/events");
    refused.problem(503, "worker");
    assert_eq!(refused.headers["retry-after"], "1");
    drop(pages);
    server.until("a place for another page", || {
        let mut stream = server.connect();
        let head = format!("GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        stream.write_all(head.as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        line.starts_with("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn the_page_listens_to_every_kind_of_event() {
    fn sources(folder: &std::path::Path, found: &mut Vec<String>) {
        for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/studio");
    let mut texts = Vec::new();
    sources(&root, &mut texts);
    let stream = std::fs::read_to_string(root.join("page/stream.js")).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for text in &texts {
        for call in [".tell(", ".mention("] {
            let quoted =
                text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
            kinds.extend(quoted.map(str::to_owned));
        }
    }
    assert!(kinds.len() > 8 && kinds.contains("taste"), "{kinds:?}");
    for kind in kinds {
        assert!(stream.contains(&format!("\"{kind}\"")), "the page does not listen to {kind}");
    }
}
