//! R4: configs and cards. Expected: exit code 2 with file and key, before anything large is allocated.

use super::{Ran, run};
use crate::cli::{CARD, Isoline, TinyModel};
use crate::runs::isoline;
use std::fs;
use std::process::Stdio;

/// What is read.
pub enum Read {
    /// Keys of a batch, as `--set key=value`.
    Set(&'static str),
    /// A batch config.
    Batch(String),
    /// A model's card, with some text replaced.
    Card(&'static str, String),
    /// A reward config, with some text replaced.
    Reward(&'static str, &'static str),
}

impl Read {
    fn text(&self) -> &str {
        match self {
            Self::Set(text) | Self::Reward(_, text) => text,
            Self::Batch(text) | Self::Card(_, text) => text,
        }
    }
}

/// What is read, and words of the message; no words mean that it is accepted.
pub struct Case {
    read: Read,
    words: Vec<&'static str>,
}

const REWARD: &str = "model = \"digits-gan\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 0\n\
                      epochs = 1\nbatch = 64\nlearning_rate = 1e-3\n";

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (set, words) in [
        ("steps=0", &["steps", "1 to 4096", "found 0"][..]),
        ("steps=4097", &["steps", "found 4097"]),
        ("steps=-1", &["steps"]),
        ("steps=4096", &[]),
        ("steps=1.5", &["steps"]),
        ("steps=99999999999999999999", &["steps"]),
        ("tile=0", &["tile", "1 to 256"]),
        ("tile=257", &["tile", "found 257"]),
        ("tile=256", &[]),
        ("corrections=65", &["corrections", "0 to 64"]),
        ("corrections=64", &[]),
        ("corrections=-1", &["corrections"]),
        ("drift=0", &["drift"]),
        ("drift=nan", &["drift", "NaN"]),
        ("drift=inf", &["drift", "inf"]),
        ("drift=3.2", &["drift", "found 3.2"]),
        ("drift=3.14", &[]),
        ("max_angle=0", &["max_angle"]),
        ("max_angle=1.0001", &["max_angle"]),
        ("max_angle=1.0", &[]),
        ("max_angle=-0.1", &["max_angle"]),
        ("trunc=3.1", &["trunc"]),
        ("trunc=nan", &["trunc"]),
        ("trunc=3.0", &["trunc", "only the method \"truncation\""]),
        ("seeds=5-3", &["seeds", "5-3"]),
        ("seeds=0-10000000", &["seeds", "10000000"]),
        ("seeds=18446744073709551616", &["seeds", "2^64 - 1"]),
        ("seeds=18446744073709551615", &[]),
        ("seeds=", &["seeds"]),
        ("stepps=3", &["stepps", "did you mean \"steps\""]),
        ("metadata=7", &["metadata"]),
        ("name=../x", &["name"]),
        ("method=gradeint", &["gradeint", "did you mean \"gradient\""]),
    ] {
        cases.push(Case { read: Read::Set(set), words: words.to_vec() });
    }
    let batch = |text: &str| format!("model = \"digits-gan\"\nseeds = \"0\"\noutdir = \"o\"\n{text}");
    for (text, words) in [
        (batch("mod = \"novel\""), &["mod", "did you mean"][..]),
        (batch("mode = \"novle\""), &["mode", "novle"]),
        (batch("mode = 3"), &["mode"]),
        (batch("novelty = -0.1"), &["novelty", "-0.1"]),
        (batch("novelty = 100.1"), &["novelty", "100.1"]),
        (batch("novelty = nan"), &["novelty"]),
        (batch("novelty = 100"), &[]),
        (batch("mode = \"novel\"\nnovelty = 3"), &["novelty"]),
        (batch("[[jobs]]\nname = \"a\"\n[[jobs]]\nname = \"a\""), &["two jobs"]),
        (batch("jobs = 3"), &["jobs"]),
        (batch("jobs = []"), &["jobs", "found 0"]),
        (batch(&"[[jobs]]\nname = \"x\"\n".repeat(65)), &["jobs"]),
        ("model = ".into(), &["batch.toml"]),
        (format!("\u{feff}{}", batch("mode = \"novel\"")), &[]),
        (format!("a = {}{}", "[".repeat(10_000), "]".repeat(10_000)), &["batch.toml"]),
        (format!("a{} = 1", ".b".repeat(10_000)), &["batch.toml"]),
        (batch(&format!("# {}", "x".repeat(10 << 20))), &["batch.toml", "larger"]),
        (batch("seeds = \"1\""), &["duplicate"]),
    ] {
        cases.push(Case { read: Read::Batch(text), words: words.to_vec() });
    }
    for (from, to, words) in [
        ("shape = [2]", "shape = [0]".to_owned(), &["latent.shape"][..]),
        ("shape = [2]", "shape = [65537]".into(), &["latent.shape", "65536"]),
        ("shape = [2]", "shape = [4294967296, 4294967296]".into(), &["latent.shape"]),
        ("shape = [1, 2, 2]\nrange", "shape = [1, 2049, 2]\nrange".into(), &["sample.shape", "2048"]),
        ("shape = [1, 2, 2]\nrange", "shape = [2, 2, 2]\nrange".into(), &["sample.shape"]),
        ("range = [-1.0, 1.0]", "range = [1.0, -1.0]".into(), &["sample.range"]),
        ("range = [-1.0, 1.0]", "range = [nan, 1.0]".into(), &["sample.range"]),
        ("id = \"tiny\"", "id = \"../tiny\"".into(), &["id"]),
        ("family = \"gan\"", "family = \"gam\"".into(), &["family", "did you mean \"gan\""]),
        ("prior = \"normal\"", "prior = \"uniform\"".into(), &["latent.prior"]),
        ("format = 1", "format = 3".into(), &["format", "another version"]),
        ("out = 4", "out = -4".into(), &["layers[0]"]),
        ("out = 4", "out = 9223372036854775807".into(), &["layers[0]"]),
        ("kind = \"linear\"", "kind = \"liner\"".into(), &["layers[0]", "did you mean \"linear\""]),
        ("licence = \"CC0-1.0\"", "licenze = \"CC0-1.0\"".into(), &["licenze", "did you mean \"licence\""]),
        (
            "[[layers]]\nkind = \"linear\"",
            format!("{}[[layers]]\nkind = \"linear\"", "[[layers]]\nkind = \"tanh\"\n".repeat(1_025)),
            &["layers"],
        ),
    ] {
        cases.push(Case { read: Read::Card(from, to), words: words.to_vec() });
    }
    for (from, to, words) in [
        ("count = 2048", "count = 2047", &["labels.count", "2048"][..]),
        ("count = 2048", "count = 10000001", &["labels.count"]),
        ("width = 8", "width = 7", &["fit.width", "8 to 4096"]),
        ("width = 8", "width = 4097", &["fit.width"]),
        ("epochs = 1", "epochs = 0", &["fit.epochs"]),
        ("batch = 64", "batch = 65537", &["fit.batch"]),
        ("learning_rate = 1e-3", "learning_rate = nan", &["fit.learning_rate"]),
        ("learning_rate = 1e-3", "learning_rate = 1.0", &["fit.learning_rate"]),
    ] {
        cases.push(Case { read: Read::Reward(from, to), words: words.to_vec() });
    }
    cases
}

/// The call that reads it.
fn call(read: &Read, model: &TinyModel) -> Isoline {
    let root = model.root();
    match read {
        Read::Set(set) => isoline(&["generate", "--print-config", "--set", set]).cwd(root),
        Read::Batch(text) => {
            fs::write(root.join("batch.toml"), text).unwrap();
            isoline(&["generate", "--print-config", "-c", "batch.toml"]).cwd(root)
        }
        Read::Card(from, to) => {
            let card = root.join("tiny/card.toml");
            let text = fs::read_to_string(&card).unwrap();
            assert!(CARD.contains(from) && text.contains(from), "{from}");
            fs::write(card, text.replacen(from, to, 1)).unwrap();
            model.inspect()
        }
        Read::Reward(from, to) => {
            assert!(REWARD.contains(from));
            fs::write(root.join("reward.toml"), REWARD.replace(from, to)).unwrap();
            isoline(&["train-reward", "-c", "reward.toml", "-o", "labels"]).cwd(root)
        }
    }
}

/// The most address space that a call has ever had. Unlike resident memory, it does not depend on which parts of the
/// program were read in, so it shows a single large allocation.
fn peak(call: Isoline) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let end = dir.path().join("end");
    let mut command = call.failing_at(format!("main.end=pause:{}", end.display())).into_command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !end.exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended before its end");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:")).unwrap();
    let kib: u64 = line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap();
    fs::remove_file(end).unwrap();
    child.wait().unwrap();
    kib << 10
}

#[test]
fn configs_and_cards_are_refused_by_key_before_anything_is_allocated() {
    // What the program needs when it only reads a small config.
    let idle = peak(isoline(&["generate", "--print-config"]));
    let (mut ran, mut most) = (Ran::new("R4"), 0);
    for case in cases() {
        ran.case();
        let model = TinyModel::new();
        let ended = run(call(&case.read, &model));
        let what = match &case.read {
            Read::Set(text) | Read::Reward(_, text) => (*text).to_owned(),
            Read::Batch(text) | Read::Card(_, text) => text.chars().take(60).collect(),
        };
        if case.words.is_empty() {
            assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{what}");
            continue;
        }
        let expected = if what.contains("xxxx") || case.words.contains(&"larger") { 3 } else { 2 };
        assert_eq!(ended.code, expected, "{what}: {}{}", ended.stdout, ended.stderr);
        ended.is_one_line(&what);
        for word in &case.words {
            assert!(ended.stderr.contains(word), "{what}: {word} not in {}", ended.stderr);
        }
        let taken = peak(call(&case.read, &TinyModel::new())).saturating_sub(idle);
        // The promise is no allocation above 1 MiB. The tree that TOML builds from a text is many small allocations,
        // which look like one large one in the address space: 64 bytes for each byte of text, 4 MiB for the longest
        // text that is read.
        let tree = 64 * case.read.text().len() as u64;
        assert!(taken <= (1 << 20) + tree, "{what}: {taken} bytes more than at rest");
        most = most.max(taken.saturating_sub(tree));
        assert!(!model.root().join("labels").exists(), "{what}");
    }
    println!("R4: at most {} KiB more than at rest and the text's tree, 1024 are promised", most >> 10);
    ran.all(cases().len());
}
