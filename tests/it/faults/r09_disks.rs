//! R9: full disks, read-only targets, folders that vanish, errors of single writes. Expected: exit code 4 with path and
//! progress; once the cause is gone, the same command completes to the same bytes.

use super::{Ran, Reference, SMALL, can_mount};
use crate::cli::Isoline;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The n-th visit to a place of `store` fails with an error.
    Error(&'static str, u32, &'static str),
    /// A tmpfs of this many KiB.
    Full(u32),
    /// A read-only mount.
    ReadOnly,
    /// The run folder is removed after this many writes.
    Vanishes(u32),
    /// The parent of the run folder is a file.
    ParentIsFile,
    /// A folder of the run is a file.
    InnerIsFile(&'static str),
}

pub fn cases() -> Vec<Fault> {
    let mut cases: Vec<Fault> = (1..=17).map(|n| Fault::Error("store.write.half", n, "eio")).collect();
    for place in ["store.open.before", "store.sync.before", "store.rename.before", "store.append"] {
        cases.push(Fault::Error(place, 5, "eio"));
        cases.push(Fault::Error(place, 2, "enospc"));
    }
    cases.extend([Fault::Full(32), Fault::Full(64), Fault::ReadOnly, Fault::ParentIsFile]);
    cases.extend([Fault::Vanishes(1), Fault::Vanishes(6), Fault::Vanishes(11)]);
    cases.extend(["novel", "novel/images", "plain/records"].map(Fault::InnerIsFile));
    cases
}

#[test]
fn disks_that_fail_cost_nothing_that_is_committed() {
    let (reference, mut ran, mut left_out) = (Reference::new(SMALL), Ran::new("R9"), 0);
    for fault in cases() {
        let case = format!("{fault:?}");
        let run = reference.path("run");
        match fault {
            Fault::Error(place, visit, action) => {
                let points = format!("{place}@{visit}={action}");
                let line = reference.generate("run").failing_at(points).fails(4, &["run", "could not"]);
                assert!(line.contains("complete") || visit < 6, "{case}: no progress in {line}");
            }
            Fault::Vanishes(visit) => vanish(&reference, visit),
            Fault::ParentIsFile => {
                fs::write(&run, "a file").unwrap();
                let below = reference.generate("run/below");
                below.fails(4, &["run", "a file stands where a folder is needed"]);
                assert_eq!(fs::read_to_string(&run).unwrap(), "a file");
                fs::remove_file(&run).unwrap();
            }
            Fault::InnerIsFile(inner) => {
                let path = run.join(inner);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, "a file").unwrap();
                reference.generate("run").fails(4, &[inner]);
                assert_eq!(fs::read_to_string(&path).unwrap(), "a file", "{case}");
                fs::remove_file(&path).unwrap();
            }
            Fault::Full(_) | Fault::ReadOnly if !can_mount() => {
                left_out += 1;
                continue;
            }
            Fault::Full(kib) => full(&reference, kib),
            Fault::ReadOnly => read_only(&reference),
        }
        reference.visible_files_are_whole("run", &case);
        reference.generate("run").succeeds();
        reference.is_whole("run", &case);
        fs::remove_dir_all(run).unwrap();
        ran.case();
    }
    ran.all(cases().len() - left_out);
}

/// Moves the run folder away while the program waits in the middle of a write.
fn vanish(reference: &Reference, visit: u32) {
    let marker = reference.path("marker");
    let points = format!("store.write.half@{visit}=pause:{}", marker.display());
    let mut command = reference.generate("run").failing_at(points).into_command();
    let child = command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !marker.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fs::rename(reference.path("run"), reference.path("moved")).unwrap();
    fs::remove_file(marker).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), text.lines().count()), (Some(4), 1), "{text}");
    let _ = fs::remove_dir_all(reference.path("run"));
    fs::rename(reference.path("moved"), reference.path("run")).unwrap();
}

/// Runs the program in `root` with a mount that nobody else sees, then the shell command `after`. Returns exit code and
/// stderr.
fn mounted(root: &Path, call: Isoline, mount: &str, after: &str) -> (i32, String) {
    let call = call.into_command();
    let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_string_lossy());
    let args: Vec<String> = call.get_args().map(quote).collect();
    let script = format!(
        "mount {mount} && {{ code=0; {} {} 2>err || code=$?; {after}; exit $code; }}",
        quote(call.get_program()),
        args.join(" ")
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).current_dir(root);
    command.envs(call.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let code = command.status().unwrap().code().unwrap_or(-1);
    (code, fs::read_to_string(root.join("err")).unwrap_or_default())
}

fn full(reference: &Reference, kib: u32) {
    fs::create_dir(reference.path("mounted")).unwrap();
    let (code, line) = mounted(
        reference.dir.path(),
        reference.generate("mounted/run"),
        &format!("-t tmpfs -o size={kib}k none mounted"),
        "cp -r mounted/run run",
    );
    assert_eq!((code, line.lines().count()), (4, 1), "{line}");
    assert!(line.contains("mounted/run") && line.contains("free some space"), "{line}");
    fs::remove_dir(reference.path("mounted")).unwrap();
    let left = |p: &Path| fs::read_dir(p).map(Iterator::count).unwrap_or(0);
    assert!(left(&reference.path("run")) > 0, "nothing was written before the disk was full");
}

fn read_only(reference: &Reference) {
    fs::create_dir(reference.path("mounted")).unwrap();
    let (code, line) =
        mounted(reference.dir.path(), reference.generate("mounted/run"), "-t tmpfs -o ro,size=2m none mounted", ":");
    assert_eq!((code, line.lines().count()), (4, 1), "{line}");
    assert!(line.contains("mounted/run") && line.contains("choose a folder that you may write to"), "{line}");
    fs::remove_dir(reference.path("mounted")).unwrap();
}

/// A disk that fills up in the middle of a table of descriptors. Finished tiles stay and are not measured again; the
/// rest is made where there is room, to the same bytes.
#[test]
fn a_table_keeps_its_tiles_on_a_full_disk() {
    if !can_mount() {
        println!("skipped: no mounts here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-vae");
    let describe = |out: &str| {
        Isoline::new(&["describe", "-q", "--device", "cpu", "--seeds", "0-255", "--csv", "-o", out])
            .arg(&model)
            .cwd(dir.path())
    };
    describe("whole").succeeds();
    fs::create_dir(dir.path().join("mounted")).unwrap();
    let mount = "-t tmpfs -o size=112k none mounted";
    let (code, line) = mounted(dir.path(), describe("mounted/run"), mount, "cp -r mounted/run run");
    assert_eq!((code, line.lines().count()), (4, 1), "{line}");
    assert!(line.contains("mounted/run") && line.contains("free some space"), "{line}");
    let tiles = |run: &str| {
        let found = fs::read_dir(dir.path().join(run).join("tiles/exact")).unwrap().map(|e| e.unwrap().path());
        let mut found: Vec<_> = found.filter(|p| p.extension().is_some_and(|e| e == "npz")).collect();
        found.sort();
        found
    };
    let kept = tiles("run");
    assert!(!kept.is_empty() && kept.len() < tiles("whole").len(), "{} tiles on the full disk", kept.len());
    assert!(!dir.path().join("run/descriptors.parquet").exists());
    let written: Vec<_> = kept.iter().map(|p| fs::metadata(p).unwrap().modified().unwrap()).collect();
    describe("run").succeeds();
    let again: Vec<_> = kept.iter().map(|p| fs::metadata(p).unwrap().modified().unwrap()).collect();
    assert_eq!(written, again, "a finished tile was made again");
    for name in ["descriptors.parquet", "descriptors.csv"] {
        let read = |run: &str| fs::read(dir.path().join(run).join(name)).unwrap();
        assert!(read("whole") == read("run"), "{name}");
    }
}
