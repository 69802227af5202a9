//! R14: what a hostile page, a hostile name or a hostile client sends to the studio. Nothing of it is answered as if it came from
//! the studio's own page, and nothing changes.

use super::Ran;
use crate::studio::{Reply, Server};
use serde_json::json;
use std::path::Path;

/// `Host` headers, with the status that each deserves.
fn hosts(port: u16) -> Vec<(Vec<String>, u16)> {
    let one = |host: String| vec![host];
    let p = port;
    let mut all: Vec<(Vec<String>, u16)> = vec![
        (one(format!("127.0.0.1:{p}")), 200),
        (one(format!("localhost:{p}")), 200),
        (one(format!("LocalHost:{p}")), 200),
        (one(format!("[::1]:{p}")), 200),
        (vec![], 421),
        (vec![format!("127.0.0.1:{p}"), "evil.com".into()], 400),
        (vec![format!("127.0.0.1:{p}"), format!("127.0.0.1:{p}")], 400),
    ];
    let others = [
        "evil.com".to_owned(),
        format!("evil.com:{p}"),
        "127.0.0.1".into(),
        format!("127.0.0.1:{}", p ^ 1),
        "127.0.0.1:".into(),
        format!("127.0.0.1.:{p}"),
        format!("localhost.:{p}"),
        format!("127.0.0.1.nip.io:{p}"),
        format!("localhost.evil.com:{p}"),
        format!("user@127.0.0.1:{p}"),
        format!("127.0.0.1:{p}@evil.com"),
        format!("127.1:{p}"),
        format!("2130706433:{p}"),
        format!("0.0.0.0:{p}"),
        format!("[::ffff:127.0.0.1]:{p}"),
        format!("[0:0:0:0:0:0:0:1]:{p}"),
        format!("::1:{p}"),
    ];
    all.extend(others.map(|host| (one(host), 421)));
    all
}

/// Every write that there is.
const WRITES: [(&str, &str, &str); 19] = [
    ("POST", "/api/looks", r#"{"view":"x","model":"digits-gan","seed":"1","novelty":50}"#),
    ("POST", "/api/models/digits-vae/load", "{}"),
    ("POST", "/api/queue", r#"{"free_memory":true}"#),
    ("POST", "/api/session", r#"{"token":"x"}"#),
    ("PATCH", "/api/settings", r#"{"theme":"dark"}"#),
    ("DELETE", "/api/looks/x", "{}"),
    ("POST", "/api/jobs", r#"{"model":"digits-gan","seeds":"0-3","levels":[50]}"#),
    ("PATCH", "/api/jobs/1", r#"{"action":"pause"}"#),
    ("POST", "/api/jobs/1/stop", r#"{"when":"now"}"#),
    ("DELETE", "/api/jobs/1", "{}"),
    ("POST", "/api/keep", r#"{"id":"0123456789abcdef-1"}"#),
    ("PATCH", "/api/pictures", r#"{"ids":["0123456789abcdef-1"],"star":true}"#),
    ("POST", "/api/undo/1", "{}"),
    ("POST", "/api/pictures/0123456789abcdef-1/check", "{}"),
    ("POST", "/api/exports", r#"{"ids":["0123456789abcdef-1"],"as":"csv"}"#),
    ("POST", "/api/taste/pairs", r#"{"model":"digits-gan"}"#),
    ("POST", "/api/taste/choices", r#"{"model":"digits-gan","left":"x","right":"y","answer":"left"}"#),
    ("DELETE", "/api/taste/choices/last?model=digits-gan", "{}"),
    ("DELETE", "/api/taste?model=digits-gan", "{}"),
];

/// What another page can make a browser send, with the status that it deserves.
const FORGED: [(&[(&str, &str)], u16); 18] = [
    (&[], 403),
    (&[("Content-Type", "text/plain")], 403),
    (&[("Content-Type", "application/x-www-form-urlencoded")], 403),
    (&[("Content-Type", "multipart/form-data; boundary=x")], 403),
    (&[("Content-Type", "application/json")], 403),
    (&[("Content-Type", "application/json"), ("Origin", "http://evil.com")], 403),
    (&[("Content-Type", "application/json"), ("Origin", "null")], 403),
    (&[("X-Isoline", "0"), ("Content-Type", "application/json")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Origin", "http://evil.com")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Origin", "null")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Origin", "file://")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Origin", "http://127.0.0.1")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Origin", "https://127.0.0.1")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Sec-Fetch-Site", "cross-site")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "application/json"), ("Sec-Fetch-Site", "same-site")], 403),
    (&[("X-Isoline", "1"), ("Content-Type", "text/plain")], 415),
    (&[("X-Isoline", "1"), ("Content-Type", "image/png")], 415),
    (
        &[
            ("Host", "evil.com"),
            ("X-Isoline", "1"),
            ("Content-Type", "application/json"),
            ("Origin", "http://evil.com"),
        ],
        421,
    ),
];

/// Where a file might be asked for, and how a path that leads out might be spelt.
const PREFIXES: [&str; 10] = [
    "/",
    "/page/",
    "/page/index.html/",
    "/api/",
    "/api/pictures/",
    "/api/pictures/0123456789abcdef-1/",
    "/api/models/",
    "/api/models/digits-gan/",
    "/runs/",
    "/.studio/",
];
const SPELLINGS: [&str; 16] = [
    "../../../../etc/passwd",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "..\\..\\etc\\passwd",
    "....//....//etc/passwd",
    "%c0%ae%c0%ae/etc/passwd",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "C:%5cwindows%5cwin.ini",
    "passwd%00.png",
    "../studio.db",
    ".studio/token",
];

/// Strings that would be script, markup or a terminal's command if anything took them for that.
const STRINGS: [&str; 12] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "'; DROP TABLE settings; --",
    "javascript:alert(1)",
    "<svg onload=alert(1)>",
    "{{7*7}}",
    "${7*7}",
    "\u{202e}gnp.erutcip",
    "\u{1b}[2J\u{1b}]0;x\u{7}",
    "</style><body onload=alert(1)>",
    "&lt;b&gt;",
    "\0null",
];

/// Bodies and headers, and the status each deserves; 0 is a connection that is closed without an answer.
fn bodies() -> Vec<(Vec<u8>, u16)> {
    let post = |body: &str| {
        let head = "POST /api/looks HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nX-Isoline: 1\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let get = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n{more}\r\n").into_bytes()
    };
    let deep = "[".repeat(50_000);
    let key = format!("{{\"{}\":1}}", "k".repeat(60_000));
    let sized = |length: &str, body: &str| {
        let head = "POST /api/looks HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nX-Isoline: 1\r\nContent-Type: application/json\r\n";
        format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    vec![
        (post(""), 400),
        (post(" "), 400),
        (post("{"), 400),
        (post("nul"), 400),
        (post("null"), 422),
        (post("[]"), 422),
        (post("\"x\""), 422),
        (post("{}"), 422),
        (post("{\"view\":\"x\",}"), 400),
        (post("{\"view\":\"x\",\"view\":\"y\"}"), 422),
        (post("{\"view\":\"\\ud800\"}"), 400),
        (post("\u{feff}{}"), 400),
        (post(&deep), 422),
        (post(&format!("{{\"view\":{deep}")), 422),
        (post(&key), 422),
        (post(&"x".repeat(65 << 10)), 413),
        (post(&format!("{{\"view\":\"{}\"}}", "v".repeat(70_000))), 413),
        (post("{\"view\":\"x\",\"model\":\"digits-gan\",\"seed\":\"1\",\"novelty\":1e400}"), 400),
        (sized("999999999999", "{}"), 413),
        (sized("-1", "{}"), 400),
        (sized("2\r\nContent-Length: 3", "{}"), 400),
        (sized("2\r\nTransfer-Encoding: chunked", "{}"), 400),
        (get("/api/state", &format!("X-Long: {}\r\n", "x".repeat(20 << 10))), 431),
        (get("/api/state", &"X-Many: 1\r\n".repeat(300)), 431),
        (get("/api/state", "Bad Header: 1\r\n"), 400),
        (get(&format!("/api/state?{}", "x".repeat(20 << 10)), ""), 431),
        (get("/api/models/digits-gan/spread?reward=%ff", ""), 422),
        (b"GET /api/state HTTP/9.9\r\nHost: HOST\r\n\r\n".to_vec(), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 0),
        (b"GET /api/state\r\n\r\n".to_vec(), 400),
    ]
}

pub fn count() -> usize {
    hosts(1).len()
        + WRITES.len() * FORGED.len()
        + PREFIXES.len() * SPELLINGS.len()
        + bodies().len()
        + STRINGS.len()
        + TOKENS
        + LEAKS
}

const TOKENS: usize = 8;
const LEAKS: usize = 6;

/// What the studio keeps, apart from the files of a database that is open.
fn kept(server: &Server) -> (serde_json::Value, Vec<std::path::PathBuf>) {
    let mut files = Vec::new();
    fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() { walk(&entry, files) } else { files.push(entry) }
        }
    }
    walk(server.root.path(), &mut files);
    files.retain(|f| !f.to_string_lossy().contains("studio.db"));
    files.sort();
    (server.get("/api/state").json()["settings"].clone(), files)
}

fn status(reply: Option<Reply>) -> u16 {
    reply.map_or(0, |r| r.status)
}

#[test]
fn r14_nothing_hostile_is_answered_as_our_own() {
    let mut ran = Ran::new("R14");
    let server = Server::start();
    server.loaded("digits-gan");
    server.until("the self-check", || {
        let all = server.get("/api/models").json();
        all.as_array().unwrap().iter().find(|m| m["id"] == "digits-gan").unwrap()["exact"].is_boolean().then_some(())
    });
    let before = kept(&server);
    let here = server.address.to_string();

    for (hosts, wanted) in hosts(server.address.port()) {
        let lines: String = hosts.iter().map(|h| format!("Host: {h}\r\n")).collect();
        let request = format!("GET /api/state HTTP/1.1\r\nConnection: close\r\n{lines}\r\n");
        assert_eq!(status(server.raw(request.as_bytes())), wanted, "{hosts:?}");
        ran.case();
    }
    for (method, path, body) in WRITES {
        for (headers, wanted) in FORGED {
            let reply = server.ask(method, path, headers, body.as_bytes());
            assert_eq!(reply.status, wanted, "{method} {path} {headers:?}");
            assert!(!reply.headers.keys().any(|h| h.starts_with("access-control")), "{:?}", reply.headers);
            ran.case();
        }
    }
    for prefix in PREFIXES {
        for spelling in SPELLINGS {
            let target = format!("{prefix}{spelling}");
            let request = format!("GET {target} HTTP/1.1\r\nHost: {here}\r\nConnection: close\r\n\r\n");
            let reply = server.raw(request.as_bytes());
            let text = reply.as_ref().map_or(String::new(), Reply::text);
            assert!(!text.contains("root:") && !text.contains("SQLite"), "{target}: {text}");
            // A target that is no URI at all never becomes a request.
            let found = status(reply);
            assert!(found == 404 || found == 400, "{target}: {found}");
            ran.case();
        }
    }
    for (request, wanted) in bodies() {
        let at = request.windows(4).position(|w| w == b"HOST");
        let request = at.map_or(request.clone(), |i| [&request[..i], here.as_bytes(), &request[i + 4..]].concat());
        let head: String = String::from_utf8_lossy(&request).chars().take(300).collect();
        let found = status(server.raw(&request));
        assert!(found == wanted || (wanted == 0 && found == 400), "{head}: {found}, expected {wanted}");
        ran.case();
    }
    for text in STRINGS {
        let asked = json!({"view": "x", "model": text, "seed": "1", "novelty": null});
        let reply = server.send("POST", "/api/looks", &asked);
        let problem = reply.problem(409, "state");
        assert!(problem["detail"].as_str().unwrap().contains("is not loaded"), "{problem}");
        assert_eq!(
            (reply.headers["x-content-type-options"].as_str(), reply.headers.contains_key("content-security-policy")),
            ("nosniff", true)
        );
        let view = json!({"view": text, "model": "digits-gan", "seed": "1", "novelty": null});
        assert_eq!(server.send("POST", "/api/looks", &view).problem(422, "value")["at"], "view");
        ran.case();
    }
    assert_eq!(kept(&server), before);

    for found in leaks(&server) {
        assert!(found.1, "{}", found.0);
        ran.case();
    }
    let open = Server::start_with(tempfile::tempdir().unwrap(), &["--listen", "0.0.0.0:0"], None);
    for found in tokens(&open) {
        assert_eq!(found.1, found.2, "{}", found.0);
        ran.case();
    }
    ran.all(count());
}

/// What an answer must not tell.
fn leaks(server: &Server) -> [(&'static str, bool); LEAKS] {
    let root = server.root.path().canonicalize().unwrap();
    let root = root.to_str().unwrap();
    let state = server.get("/api/state");
    let failed = server.send("POST", "/api/models/digits-gan/load", &json!({"reward": "none"}));
    let models = server.get("/api/models").text();
    let any = |name: &str| state.headers.contains_key(name);
    [
        ("no path of this machine in the state", !state.text().contains(root)),
        ("no path of this machine in the models", !models.contains(root)),
        ("no path in an error", failed.status == 202 && !failed.text().contains(root)),
        ("no name of a server's program", !any("server") && !any("x-powered-by")),
        ("nothing is kept by a proxy", state.headers["cache-control"] == "no-store"),
        (
            "no referrer and no frame",
            state.headers["referrer-policy"] == "no-referrer"
                && state.headers["content-security-policy"].contains("frame-ancestors 'none'"),
        ),
    ]
}

/// What a studio that other machines can reach asks for.
fn tokens(open: &Server) -> [(&'static str, u16, u16); TOKENS] {
    let token = open.fragment.strip_prefix("#token=").unwrap().to_owned();
    let with = |headers: &[(&str, &str)]| open.ask("GET", "/api/state", headers, b"").status;
    let bearer = format!("Bearer {token}");
    let session = |text: &str| open.send("POST", "/api/session", &json!({"token": text}));
    let cookie = session(&token).headers["set-cookie"].clone();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    [
        ("the page itself, which reads the token from its address", open.get("/").status, 200),
        ("without a token", with(&[]), 401),
        ("with the token", with(&[("Authorization", &bearer)]), 200),
        ("with the cookie", with(&[("Cookie", &pair)]), 200),
        ("with another token", with(&[("Authorization", "Bearer x")]), 401),
        ("another token handed in", session("x").status, 401),
        ("a token in the query, where logs would keep it", open.get(&format!("/api/state?token={token}")).status, 401),
        ("many wrong ones", (0..12).fold(0, |_, _| with(&[("Authorization", "Bearer y")])), 429),
    ]
}
