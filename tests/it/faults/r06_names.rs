//! R6: names. They work, or are refused in one line; nothing in them controls the terminal.

use super::{Ran, SMALL, run};
use crate::runs::isoline;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Where the name is used.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// `-o NAME`
    Outdir,
    /// `-c NAME`
    Config,
    /// `-m NAME`, a folder with a model.
    Model,
    /// The name of a job.
    Job,
    /// `--metrics-file NAME`
    Metrics,
    /// The name of the weights file in a card.
    Weights,
}

const PLACES: [Place; 6] = [Place::Outdir, Place::Config, Place::Model, Place::Job, Place::Metrics, Place::Weights];

fn names() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("emoji", "🎲🧭".into()),
        ("composed accents", "caf\u{e9}".into()),
        ("combining accents", "cafe\u{301}".into()),
        ("right-to-left override", "a\u{202e}gnp.b".into()),
        ("a line break", "a\nb".into()),
        ("ESC", "a\u{1b}[2Jb".into()),
        ("a leading dash", "-o".into()),
        ("255 bytes", vec![b'n'; 255]),
        ("256 bytes", vec![b'n'; 256]),
        ("no UTF-8", b"a\xff\xfeb".to_vec()),
        ("a link out of the folder", "link".into()),
        ("a space and quotes", "a 'b' \"c\"".into()),
    ]
}

pub fn cases() -> Vec<(Place, &'static str, Vec<u8>)> {
    PLACES.iter().flat_map(|p| names().into_iter().map(|(what, name)| (*p, what, name))).collect()
}

fn copy_model(to: &Path) -> std::io::Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    fs::create_dir_all(to.join("reward"))?;
    for file in [
        "card.toml",
        "weights.safetensors",
        "reward/card.toml",
        "reward/reward.safetensors",
        "reward/calibration.safetensors",
    ] {
        fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}

#[test]
fn names_work_or_are_refused_and_never_drive_the_terminal() {
    let mut ran = Ran::new("R6");
    for (place, what, bytes) in cases() {
        let case = format!("{place:?} {what}");
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let name = OsString::from_vec(bytes.clone());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Written after ./, as a name that begins with a dash must be. The link leads to a folder outside.
        let path = PathBuf::from(".").join(&name);
        if what.contains("link") {
            fs::create_dir(root.join("outside")).unwrap();
            std::os::unix::fs::symlink("outside", root.join("link")).unwrap();
        }
        fs::write(root.join("job.toml"), SMALL).unwrap();
        let make = |args: &[&str]| isoline(&["generate", "-q"]).args(args).cwd(root);
        let quick = ["--mode", "novel", "--seeds", "1", "--set", "tile=1", "--set", "steps=1", "--corrections", "0"];
        let call = match place {
            Place::Outdir => make(&quick).args(&["-m", "digits-gan", "-o"]).arg(&path),
            Place::Config => {
                // A name that the system refuses is then also missing for the program.
                let _ = fs::write(root.join(&path), SMALL);
                make(&["--print-config", "-c"]).arg(&path)
            }
            Place::Model => {
                let _ = copy_model(&root.join(&path));
                make(&quick).args(&["-o", "run", "-m"]).arg(&path)
            }
            Place::Job => {
                let job = toml::Value::String(text.clone()).to_string();
                fs::write(root.join("named.toml"), SMALL.replacen("\"novel\"\nmode", &format!("{job}\nmode"), 1))
                    .unwrap();
                make(&["-o", "run", "-c", "named.toml"])
            }
            Place::Metrics => make(&quick).args(&["-m", "digits-gan", "-o", "run", "--metrics-file"]).arg(&path),
            Place::Weights => {
                let model = root.join("model");
                copy_model(&model).unwrap();
                let card = fs::read_to_string(model.join("card.toml")).unwrap();
                let file = toml::Value::String(text.clone()).to_string();
                fs::write(model.join("card.toml"), card.replace("\"weights.safetensors\"", &file)).unwrap();
                let _ = fs::rename(model.join("weights.safetensors"), model.join(&name));
                make(&quick).args(&["-o", "run", "-m", "model"])
            }
        };
        let ended = run(call);
        assert!([0, 2, 3, 4].contains(&ended.code), "{case}: {} {}", ended.code, ended.stderr);
        if ended.code == 0 {
            assert_eq!(ended.stderr, "", "{case}");
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!ended.stdout.contains(control), "{case}: {:?}", ended.stdout);
        } else {
            ended.is_one_line(&case);
            assert!(!ended.stderr.contains('\u{202e}'), "{case}: {}", ended.stderr);
        }
        let simple = ["emoji", "accents", "quotes"].iter().any(|w| what.contains(w));
        match place {
            // A file system accepts these names, so the program must.
            Place::Outdir | Place::Config | Place::Model | Place::Metrics if simple => {
                assert_eq!(ended.code, 0, "{case}: {}", ended.stderr)
            }
            Place::Outdir if ended.code == 0 => assert!(root.join(&path).join("images/000001.png").is_file(), "{case}"),
            // An id must be plain ASCII.
            Place::Job if what != "a link out of the folder" => assert_eq!(ended.code, 2, "{case}: {}", ended.stderr),
            _ => {}
        }
        let outside = root.join("outside");
        if matches!(place, Place::Job | Place::Weights) && outside.exists() {
            assert_eq!(fs::read_dir(outside).unwrap().count(), 0, "{case}: written through a link");
        }
        ran.case();
    }
    ran.all(cases().len());
}
