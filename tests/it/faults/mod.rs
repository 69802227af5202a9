//! The promises of docs/reliability.md, shown by faults. One file per group of cases.
//!
//! Every group has a table of cases. Their numbers are counted from the tables here and compared with those that the
//! document states, and each group's tests count the cases they have gone through ([`Ran`]). If a group needs something
//! that the machine refuses (mount namespaces), it says so, and fails if `CI=true`.

mod r01_weights;
mod r02_mutations;
mod r03_pictures;
mod r04_configs;
mod r05_directories;
mod r06_names;
mod r07_numerics;
mod r08_crashes;
mod r09_disks;
mod r10_locks;
mod r11_signals;
mod r12_determinism;
mod r13_memory;
#[cfg(feature = "studio")]
mod r14_requests;
#[cfg(feature = "studio")]
mod r15_load;

use crate::cli::Isoline;
use crate::runs::{hashes, isoline};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wait4::Wait4;

/// For each group: its name, the number of cases promised, and the number counted from its table.
fn counts() -> Vec<(&'static str, usize, usize)> {
    vec![
        ("R1", 64, r01_weights::cases().len()),
        ("R2", 2_500, r02_mutations::CASES),
        ("R3", 72, r03_pictures::cases().len()),
        ("R4", 60, r04_configs::cases().len()),
        ("R5", 32, r05_directories::cases().len()),
        ("R6", 60, r06_names::cases().len()),
        ("R7", 40, r07_numerics::count()),
        ("R8", 47, r08_crashes::cases().len() + r08_crashes::KILLS),
        ("R9", 30, r09_disks::cases().len()),
        ("R10", 52, r10_locks::RACES + r10_locks::KILLS),
        ("R11", 13, r11_signals::cases().len()),
        ("R12", 59, r12_determinism::count()),
        ("R13", 8, r13_memory::REQUESTS + r13_memory::WORKERS),
        #[cfg(feature = "studio")]
        ("R14", 348, r14_requests::count()),
        #[cfg(feature = "studio")]
        ("R15", 1_600, r15_load::CLIENTS * r15_load::REQUESTS),
    ]
}

#[test]
fn the_tables_hold_as_many_cases_as_the_document_says() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md")).unwrap();
    for (group, promised, counted) in counts() {
        assert!(counted >= promised, "{group}: {counted} cases, {promised} are promised");
        let row = text.lines().find(|l| l.starts_with(&format!("| {group} |")));
        let row = row.unwrap_or_else(|| panic!("{group} is not in docs/reliability.md"));
        let documented: usize = row.split('|').nth(3).unwrap().trim().replace(',', "").parse().unwrap();
        println!("{group}: {counted} cases");
        assert!(counted >= documented, "{group}: {counted} cases, docs/reliability.md says {documented}");
        assert!(documented >= promised, "{group}: docs/reliability.md says {documented}, {promised} are promised");
    }
}

/// Counts the cases of a group that were really run.
pub struct Ran {
    group: &'static str,
    cases: usize,
}

impl Ran {
    pub fn new(group: &'static str) -> Self {
        Self { group, cases: 0 }
    }

    pub fn case(&mut self) {
        self.cases += 1;
    }

    /// Called at the end: asserts that every case of the table was run.
    #[track_caller]
    pub fn all(self, table: usize) {
        println!("{}: {} cases ran", self.group, self.cases);
        assert_eq!(self.cases, table, "{}: cases that ran, and those of the table", self.group);
    }
}

/// How a process ended, the most memory it held at once, and the processor time it used.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub rss: u64,
    pub cpu: Duration,
}

/// The slowest and the largest process of a group.
///
/// A promised time is compared with ten times itself, and in processor time: how long a process waits for a busy
/// machine says nothing about it. What was measured is printed; docs/reliability.md reports it.
pub struct Worst {
    promised: Duration,
    cpu: Duration,
    rss: u64,
}

impl Worst {
    pub fn new(promised: Duration) -> Self {
        Self { promised, cpu: Duration::ZERO, rss: 0 }
    }

    #[track_caller]
    pub fn take(&mut self, case: &str, cpu: Duration, rss: u64) {
        assert!(cpu <= 10 * self.promised, "{case}: {cpu:?} of the processor's time, {:?} is promised", self.promised);
        (self.cpu, self.rss) = (self.cpu.max(cpu), self.rss.max(rss));
    }

    pub fn tell(&self, group: &str) {
        let (cpu, promised) = (self.cpu.as_millis(), self.promised.as_millis());
        println!("{group}: at most {cpu} ms of the processor's time, {promised} are promised");
        if self.rss > 0 {
            println!("{group}: at most {} MiB held", self.rss.div_ceil(1 << 20));
        }
    }
}

/// Runs a call for at most [`LIMIT`] (after which it ends with 137).
///
/// The kernel counts the memory of the process that starts another towards the new one, and this one holds a lot. So a
/// fresh process of this binary is put in between; it starts the program and measures it.
pub fn run(call: Isoline) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let own = call.into_command();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["faults::the_process_between", "--exact", "--nocapture"]).env(BETWEEN, dir.path());
    let line: Vec<Vec<u8>> =
        [own.get_program()].into_iter().chain(own.get_args()).map(|a| a.as_bytes().to_vec()).collect();
    fs::write(dir.path().join("call"), line.join(&0)).unwrap();
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(folder) = own.get_current_dir() {
        command.current_dir(folder);
    }
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let text = |name: &str| String::from_utf8_lossy(&fs::read(dir.path().join(name)).unwrap()).into_owned();
    let ended = text("ended");
    let mut numbers = ended.split(' ');
    let mut number = || numbers.next().unwrap().parse::<i64>().unwrap();
    let (code, rss, cpu) = (number() as i32, number() as u64, Duration::from_micros(number() as u64));
    Ended { code, stdout: text("out"), stderr: text("err"), rss, cpu }
}

/// Tells the process in between where to find the call and where to write how it ended.
const BETWEEN: &str = "ISOLINE_TEST_BETWEEN";

/// The time limit. Only a process that hangs reaches it.
const LIMIT: Duration = Duration::from_secs(120);

/// Does nothing unless [`run`] has started it.
#[test]
fn the_process_between() {
    let Some(folder) = std::env::var_os(BETWEEN).map(PathBuf::from) else { return };
    let file = |name: &str| fs::File::create(folder.join(name)).unwrap();
    let line = fs::read(folder.join("call")).unwrap();
    let mut line = line.split(|b| *b == 0).map(OsStr::from_bytes);
    let mut command = Command::new(line.next().unwrap());
    command.args(line).env_remove(BETWEEN).stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
    let mut child = command.spawn().unwrap();
    let pid = child.id().to_string();
    // `timeout` cannot be used: it handles signals itself, and would start the program with none of them ignored any
    // more.
    std::thread::spawn(move || {
        std::thread::sleep(LIMIT);
        // This process ends as soon as it has waited for the program, so the number cannot belong to another process by
        // now.
        Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    });
    let ended = child.wait4().unwrap();
    let code = ended.status.code().or_else(|| Some(128 + ended.status.signal()?)).unwrap();
    let cpu = ended.rusage.utime + ended.rusage.stime;
    fs::write(folder.join("ended"), format!("{code} {} {}", ended.rusage.maxrss, cpu.as_micros())).unwrap();
}

impl Ended {
    /// Asserts one line on stderr, as for all errors, and nothing in the output that could control a terminal.
    #[track_caller]
    pub fn is_one_line(&self, case: &str) {
        assert!(self.stderr.starts_with("isoline: "), "{case}: {:?} {:?}", self.code, self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{case}: {}", self.stderr);
        let control = |t: &str| t.chars().any(|c| c.is_control() && c != '\n');
        assert!(!control(&self.stderr) && !control(&self.stdout), "{case}: control characters in {:?}", self.stderr);
    }
}

/// A small steered run: two jobs, twelve samples, four tiles.
pub const SMALL: &str = "model = \"digits-gan\"\nseeds = \"0-7\"\noutdir = \"unused\"\ntile = 4\nsteps = 2\ncorrections = 0\n\
[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n[[jobs]]\nname = \"plain\"\nmode = \"balanced\"\nseeds = \"2,40-42\"\n";

/// A folder with `job.toml` and the finished run of that job in `whole`, and the hashes of that run.
pub struct Reference {
    pub dir: tempfile::TempDir,
    pub whole: BTreeMap<PathBuf, String>,
}

impl Reference {
    pub fn new(job: &str) -> Self {
        Self::within(tempfile::tempdir().unwrap(), job)
    }

    /// The same, in a folder that may already hold something.
    pub fn within(dir: tempfile::TempDir, job: &str) -> Self {
        fs::write(dir.path().join("job.toml"), job).unwrap();
        isoline(&["generate", "-q", "-c", "job.toml", "-o", "whole"]).cwd(dir.path()).succeeds();
        let whole = hashes(&dir.path().join("whole"));
        Self { dir, whole }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A call with this folder as its current one.
    pub fn call(&self, args: &[&str]) -> Isoline {
        isoline(args).cwd(self.dir.path())
    }

    /// A call of `generate` with the same job, into `name`.
    pub fn generate(&self, name: &str) -> Isoline {
        self.call(&["generate", "-q", "-c", "job.toml", "-o", name])
    }

    /// Copies the finished run to `name`.
    pub fn copy(&self, name: &str) -> PathBuf {
        let done = Command::new("cp").arg("-r").arg(self.path("whole")).arg(self.path(name)).status().unwrap();
        assert!(done.success());
        self.path(name)
    }

    /// Asserts that every visible file of a run is whole: it has the bytes it has in the unbroken run.
    #[track_caller]
    pub fn visible_files_are_whole(&self, name: &str, case: &str) {
        let found = if self.path(name).exists() { hashes(&self.path(name)) } else { BTreeMap::new() };
        for (path, hash) in found.iter().filter(|(p, _)| !p.to_string_lossy().contains(".isoline-")) {
            assert_eq!(Some(hash), self.whole.get(path), "{case}: {} differs", path.display());
        }
    }

    /// Asserts that the run equals the unbroken one, file by file, with nothing left over.
    #[track_caller]
    pub fn is_whole(&self, name: &str, case: &str) {
        let found = hashes(&self.path(name));
        assert!(found == self.whole, "{case}: {:?} against {:?}", found.keys(), self.whole.keys());
    }
}

/// Whether mounts in a private namespace are allowed here. If not, says so, and fails if `CI=true`.
pub fn can_mount() -> bool {
    let able = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !able {
        assert!(std::env::var_os("CI").is_none_or(|v| v != "true"), "no mount namespaces here");
        println!("skipped: no mount namespaces here");
    }
    able
}
