//! `isoline studio` as a browser meets it: the real program on a free port, spoken to over plain sockets.

pub mod events;
mod gallery;
mod looks;
mod queue;
mod shell;
mod taste;
mod worker;

use crate::runs::isoline;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. It is far more than it takes: a busy machine is no failure.
pub const LONG: Duration = Duration::from_secs(240);

/// A studio that runs until it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// What stands behind the address, from its `#` on.
    pub fragment: String,
    pub root: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts that it is a problem with this status and code, and returns it.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        assert_eq!((body["code"].as_str(), body["status"].as_u64()), (Some(code), Some(status.into())), "{body}");
        body
    }
}

impl Server {
    /// A studio over an empty folder that begins with `digits-gan`.
    pub fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), &[], None)
    }

    /// A studio over `root`, with further arguments, as the program that fails at `points` if there are any.
    pub fn start_with(root: tempfile::TempDir, args: &[&str], points: Option<&str>) -> Self {
        let listen = if args.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let model = if args.contains(&"-m") { &[][..] } else { &["-m", "digits-gan"] };
        let call = isoline(&["studio"]).args(model).args(listen).args(args).arg(root.path());
        let call = if let Some(points) = points { call.failing_at(points) } else { call };
        Self::launch(call.into_command(), root)
    }

    /// The studio that this command starts over `root`.
    pub fn launch(mut command: std::process::Command, root: tempfile::TempDir) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let rest = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("no address: {line:?}"));
        let (address, fragment) = rest.split_once('/').unwrap();
        let mut address: SocketAddr = address.parse().unwrap();
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
        }
        Self { child, address, fragment: fragment.to_owned(), root }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `request` as it is and reads the answer until the server closes; `None` where it closes without one.
    pub fn raw(&self, request: &[u8]) -> Option<Reply> {
        let mut stream = self.connect();
        // A server that refuses early closes before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    /// A request with these headers besides `Host`.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let host = ("Host".to_owned(), self.address.to_string());
        let own = [host].into_iter().filter(|_| !headers.iter().any(|h| h.0.eq_ignore_ascii_case("host")));
        let given = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        own.chain(given).for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let request = [head.as_bytes(), b"\r\n", body].concat();
        self.raw(&request).unwrap_or_else(|| panic!("{method} {path}: closed without an answer"))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"")
    }

    /// A write as the page sends it.
    pub fn send(&self, method: &str, path: &str, body: &serde_json::Value) -> Reply {
        let headers = [("X-Isoline", "1"), ("Content-Type", "application/json")];
        self.ask(method, path, &headers, body.to_string().as_bytes())
    }

    /// Waits until the model is in the worker's memory.
    pub fn loaded(&self, model: &str) -> &Self {
        self.until("the model is loaded", || {
            let all = self.get("/api/models").json();
            let found = all.as_array().unwrap().iter().find(|m| m["id"] == model).cloned();
            found.filter(|m| m["loaded"] == true)
        });
        self
    }

    /// Asks until there is an answer.
    #[track_caller]
    pub fn until<T>(&self, what: &str, ask: impl Fn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = ask() {
                return found;
            }
            assert!(began.elapsed() < LONG, "{what}: not within {LONG:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Looks, and asks again until every picture is there.
    pub fn look(&self, look: &serde_json::Value) -> Vec<serde_json::Value> {
        self.until("every picture of a look", || {
            let reply = self.send("POST", "/api/looks", look);
            assert_eq!(reply.status, 202, "{}", reply.text());
            let frames = reply.json()["frames"].as_array().unwrap().clone();
            frames.iter().all(|f| f["state"] == "ready").then_some(frames)
        })
    }

    /// A figure of the studio as it runs, by its name and labels.
    #[track_caller]
    pub fn figure(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).map(str::to_owned);
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Process ids of its workers.
    pub fn workers(&self) -> Vec<u32> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap_or_default();
        children.split_whitespace().filter_map(|p| p.parse().ok()).collect()
    }

    /// Ends it as Ctrl-C does, and returns its exit code.
    pub fn stop(&mut self) -> i32 {
        kill(self.pid(), "INT");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn kill(pid: u32, signal: &str) {
    let sent = std::process::Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// An answer with a body of known length or until the end; one in chunks is put together.
fn parse(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    Some(Reply { status, headers, body: answer[end + 4..].to_vec() })
}

/// A plain look at one seed.
pub fn look(seed: u64, novelty: Option<f64>) -> serde_json::Value {
    serde_json::json!({"view": "test", "model": "digits-gan", "seed": seed.to_string(), "novelty": novelty})
}

/// SHA-256 of the one picture that a run of the program makes.
pub fn made(folder: &Path, args: &[&str]) -> String {
    isoline(&["generate", "-q", "-m", "digits-gan", "-o", "run"]).args(args).cwd(folder).succeeds();
    let images = folder.join("run/images");
    let file = fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
    isoline::store::sha256_hex(&fs::read(file).unwrap())
}
