//! R15: many clients at once, pages that vanish, and sockets that never finish, while pictures are made.

use super::Ran;
use crate::studio::events::Listener;
use crate::studio::{LONG, Server, look};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub const CLIENTS: usize = 32;
pub const REQUESTS: usize = 50;
const SLOW: usize = 200;

#[test]
fn r15_a_crowd_is_answered_and_idle_sockets_are_closed() {
    let mut ran = Ran::new("R15");
    let server = Server::start();
    server.loaded("digits-gan");
    let whole = serde_json::json!({"view": "crowd", "model": "digits-gan", "seed": "1", "novelty": 80, "strip": true, "seeds": 60});
    server.send("POST", "/api/looks", &whole);
    let mut readers: Vec<Listener> = (0..8).map(|_| Listener::open(&server, "/api/events", &[])).collect();
    readers.truncate(4);
    let paths = ["/api/state", "/api/models", "/api/health", "/page/main.js", "/api/models/digits-gan/spread"];
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let client = |_| {
            scope.spawn(|| {
                let one = |i: usize| {
                    let began = Instant::now();
                    let reply = server.get(paths[i % paths.len()]);
                    assert!(reply.status < 500, "{}: {}", paths[i % paths.len()], reply.text());
                    began.elapsed()
                };
                (0..REQUESTS).map(one).collect::<Vec<_>>()
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
    });
    times.iter().for_each(|_| ran.case());
    times.sort();
    println!(
        "R15: median {:?}, 99 % {:?}, most {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
    // Sockets that begin a request and never end it are closed by the server, and meanwhile others are answered.
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut socket = server.connect();
            socket.write_all(b"GET /api/state HTTP/1.1\r\nHost: ").unwrap();
            socket
        })
        .collect();
    assert_eq!(server.get("/api/health").text(), "ok");
    let began = Instant::now();
    for mut socket in slow {
        socket.set_read_timeout(Some(LONG)).unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
    println!("R15: {SLOW} idle sockets were closed within {:?}", began.elapsed());
    // The pictures came all the same.
    server.until("the crowd's pictures", || {
        let ready = |f: &serde_json::Value| f["state"] == "ready";
        server.send("POST", "/api/looks", &whole).json()["frames"].as_array().unwrap().iter().all(ready).then_some(())
    });
    server.look(&look(2, None));
    ran.all(CLIENTS * REQUESTS);
}
