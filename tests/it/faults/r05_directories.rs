//! R5: damaged run directories. What is bad is made again; what belongs to others is refused and left as it is.

use super::{Ran, Reference, SMALL};
use std::fs;
use std::path::Path;

/// What the damage leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// `resume` restores the unbroken run.
    Mended,
    /// `resume` ends with this exit code and changes nothing.
    Refused(i32),
}

/// A case: name, damage, outcome.
pub type Case = (&'static str, fn(&Path), Outcome);

const RECORD: &str = "novel/records/tile-0000001.json";
const PICTURE: &str = "novel/images/000005.png";

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn cut(path: &Path, length: usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..length.min(bytes.len() - 1)]).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

pub fn cases() -> Vec<Case> {
    use Outcome::{Mended, Refused};
    vec![
        ("record empty", |r| cut(&r.join(RECORD), 0), Mended),
        ("record cut in half", |r| cut(&r.join(RECORD), 700), Mended),
        ("record without its last byte", |r| cut(&r.join(RECORD), usize::MAX), Mended),
        ("record gone", |r| fs::remove_file(r.join(RECORD)).unwrap(), Mended),
        (
            "record of another tile",
            |r| {
                fs::copy(r.join("novel/records/tile-0000000.json"), r.join(RECORD)).unwrap();
            },
            Mended,
        ),
        ("record with an unknown key", |r| edit(&r.join(RECORD), "\"tile\"", "\"extra\": 1, \"tile\""), Mended),
        ("record without samples", |r| edit(&r.join(RECORD), "\"samples\": [", "\"samples\": [], \"x\": ["), Mended),
        ("record with a hash changed", |r| edit(&r.join(RECORD), "\"sha256\": \"", "\"sha256\": \"0"), Mended),
        (
            "record with a picture's name changed",
            |r| edit(&r.join(RECORD), "images/000005.png", "images/000006.png"),
            Mended,
        ),
        (
            "record that names a path outside",
            |r| edit(&r.join(RECORD), "images/000005.png", "../../../etc/passwd"),
            Mended,
        ),
        ("record with a status that is none", |r| edit(&r.join(RECORD), "\"status\": \"", "\"status\": \"x"), Mended),
        (
            "record without a picture's hash",
            |r| edit(&r.join(RECORD), "\"sha256\": \"", "\"sha256\": null, \"x\": \""),
            Mended,
        ),
        ("record with a number changed", |r| edit(&r.join(RECORD), "\"psi_k\": ", "\"psi_k\": 1"), Mended),
        ("record of zeros, as some disks leave it", |r| fs::write(r.join(RECORD), [0; 4096]).unwrap(), Mended),
        ("records folder gone", |r| fs::remove_dir_all(r.join("novel/records")).unwrap(), Mended),
        ("record of another run", |r| edit(&r.join(RECORD), "\"run_id\": \"", "\"run_id\": \"f00d"), Refused(2)),
        ("record of a later version", |r| edit(&r.join(RECORD), "\"format\": 1", "\"format\": 9"), Refused(2)),
        ("picture gone", |r| fs::remove_file(r.join(PICTURE)).unwrap(), Mended),
        ("picture empty", |r| fs::write(r.join(PICTURE), b"").unwrap(), Mended),
        ("picture cut", |r| cut(&r.join(PICTURE), 100), Mended),
        ("picture with a bit flipped", |r| flip(&r.join(PICTURE), 400), Mended),
        (
            "picture with a byte more",
            |r| {
                let mut b = fs::read(r.join(PICTURE)).unwrap();
                b.push(0);
                fs::write(r.join(PICTURE), b).unwrap();
            },
            Mended,
        ),
        (
            "two pictures exchanged",
            |r| {
                let (a, b) = (r.join(PICTURE), r.join("novel/images/000006.png"));
                let kept = fs::read(&a).unwrap();
                fs::copy(&b, &a).unwrap();
                fs::write(b, kept).unwrap();
            },
            Mended,
        ),
        (
            "picture replaced by a link to itself moved",
            |r| {
                fs::rename(r.join(PICTURE), r.join("novel/moved.png")).unwrap();
                std::os::unix::fs::symlink("../moved.png", r.join(PICTURE)).unwrap();
            },
            Mended,
        ),
        ("pictures folder gone", |r| fs::remove_dir_all(r.join("plain/images")).unwrap(), Mended),
        (
            "files left unfinished",
            |r| {
                for name in ["novel/images/.isoline-aB3.tmp", "novel/records/.isoline-c.tmp", ".isoline-d.tmp"] {
                    fs::write(r.join(name), b"half").unwrap();
                }
            },
            Mended,
        ),
        (
            "tables gone",
            |r| {
                fs::remove_file(r.join("samples.parquet")).unwrap();
                fs::remove_file(r.join("grid.png")).unwrap();
            },
            Mended,
        ),
        ("table damaged", |r| cut(&r.join("samples.parquet"), 9), Mended),
        ("events gone", |r| fs::remove_file(r.join("events.jsonl")).unwrap(), Mended),
        ("events torn", |r| cut(&r.join("events.jsonl"), 77), Mended),
        ("events of something else", |r| fs::write(r.join("events.jsonl"), [0xff; 300]).unwrap(), Mended),
        (
            "lock left by a process that is gone",
            |r| fs::write(r.join("run.lock"), "process 1 on elsewhere").unwrap(),
            Mended,
        ),
        ("recipe of another run", |r| edit(&r.join("novel/recipe.toml"), "steps = 2", "steps = 3"), Refused(3)),
        ("recipe cut", |r| cut(&r.join("novel/recipe.toml"), 40), Refused(3)),
        ("recipe gone", |r| fs::remove_file(r.join("novel/recipe.toml")).unwrap(), Refused(3)),
        ("plan cut", |r| cut(&r.join("plan.toml"), 200), Refused(3)),
        ("plan of a later version", |r| edit(&r.join("plan.toml"), "format = 1", "format = 2"), Refused(3)),
        (
            "plan of another kind",
            |r| edit(&r.join("plan.toml"), "kind = \"generate\"", "kind = \"generat\""),
            Refused(3),
        ),
        (
            "plan with a folder outside",
            |r| edit(&r.join("plan.toml"), "folder = \"novel\"", "folder = \"../novel\""),
            Refused(3),
        ),
        (
            "plan with a tile of 2^60",
            |r| edit(&r.join("plan.toml"), "tile = 4", "tile = 1152921504606846976"),
            Refused(3),
        ),
        ("plan gone", |r| fs::remove_file(r.join("plan.toml")).unwrap(), Refused(3)),
    ]
}

#[test]
fn damaged_run_directories_are_mended_or_refused() {
    let (reference, mut ran) = (Reference::new(SMALL), Ran::new("R5"));
    for (name, damage, outcome) in cases() {
        let run = reference.copy("run");
        // Other people's files, which must survive whatever happens.
        let foreign = ["notes.txt", "novel/images/.hidden", "novel/images/isoline.tmp", "plain/records/old.json"];
        foreign.iter().for_each(|f| fs::write(run.join(f), f).unwrap());
        damage(&run);
        let before = crate::runs::hashes(&run);
        match outcome {
            Outcome::Mended => {
                reference.call(&["resume", "-q", "run"]).succeeds();
                reference.call(&["verify", "-q", "run"]).succeeds();
            }
            Outcome::Refused(code) => {
                reference.call(&["resume", "-q", "run"]).fails(code, &[]);
                assert!(crate::runs::hashes(&run) == before, "{name}: something was changed");
            }
        }
        for file in foreign {
            assert_eq!(fs::read_to_string(run.join(file)).unwrap(), file, "{name}");
            fs::remove_file(run.join(file)).unwrap();
        }
        if outcome == Outcome::Mended {
            let _ = fs::remove_file(run.join("novel/moved.png"));
            reference.is_whole("run", name);
        }
        fs::remove_dir_all(run).unwrap();
        ran.case();
    }
    ran.all(cases().len());
}
