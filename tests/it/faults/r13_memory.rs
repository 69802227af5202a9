//! R13: requests for more memory than there is, and workers that panic, hang, are killed, or fail for good.

use super::{Ran, Reference, SMALL};
use crate::cli::{CARD, Isoline, TinyModel};
use crate::runs::isoline;
use std::fs;
use std::process::{Command, Stdio};

/// Number of requests that are refused.
pub const REQUESTS: usize = 5;
/// Number of workers that end badly.
pub const WORKERS: usize = 4;

/// A model whose pictures are 2048×2048 with three channels, but which is otherwise tiny.
fn large() -> TinyModel {
    let model = TinyModel::new();
    let card = CARD
        .replace("shape = [1, 2, 2]\nrange", "shape = [3, 2048, 2048]\nrange")
        .replace("out = 4\n", "out = 12\n")
        .replace("kind = \"reshape\"\nshape = [1, 2, 2]\n", "kind = \"reshape\"\nshape = [3, 2, 2]\n")
        + &"\n[[layers]]\nkind = \"upsample\"\nfactor = 2\n".repeat(10);
    let tensor = |shape: &[usize]| isoline::store::WeightTensor {
        shape: shape.to_vec(),
        values: (0..shape.iter().product::<usize>()).map(|i| (i as f32).sin()).collect(),
    };
    let tensors = [("first.weight", tensor(&[12, 2])), ("first.bias", tensor(&[12]))];
    let bytes = isoline::store::write_safetensors(&tensors.map(|(n, t)| (n.to_owned(), t)).into()).unwrap();
    model.write_with(&card, &bytes);
    model
}

fn megabytes(line: &str, before: &str) -> f64 {
    let at = line.find(before).unwrap_or_else(|| panic!("{before} not in {line}"));
    line[..at].rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn more_memory_than_there_is_is_refused_with_numbers() {
    let (model, mut ran) = (large(), Ran::new("R13, requests"));
    let inspect = model.inspect().succeeds();
    assert!(inspect.contains("2048"), "{inspect}");
    // 1: tiles of latents to label need more than an address space of 2 GiB leaves.
    let reward = "model = \"tiny\"\n[labels]\ncount = 2048\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 0\nepochs = 1\nbatch = 64\nlearning_rate = 1e-3\n";
    fs::write(model.root().join("reward.toml"), reward).unwrap();
    let limited = |args: &[&str]| {
        let call =
            Isoline::new(args).env("ISOLINE_MODELS", model.root()).env("ISOLINE_DEVICE", "cpu").cwd(model.root());
        let own = call.into_command();
        let mut command = Command::new("prlimit");
        command.arg("--as=2147483648").arg(own.get_program()).args(own.get_args()).current_dir(model.root());
        command.envs(own.get_envs().filter_map(|(k, v)| Some((k, v?))));
        Isoline::from_command(command)
    };
    let words = ["needs about", "MiB of memory", "are free"];
    let line = limited(&["train-reward", "-q", "-c", "reward.toml", "-o", "labels"]).fails(5, &words);
    assert!(megabytes(&line, " MiB of memory") > 0.8 * megabytes(&line, " MiB are free"), "{line}");
    ran.case();
    // 2: the same, as a shard.
    Isoline::new(&["plan", "-q", "reward.toml", "-o", "planned", "--shards", "1"])
        .env("ISOLINE_MODELS", model.root())
        .env("ISOLINE_DEVICE", "cpu")
        .cwd(model.root())
        .succeeds();
    let line = limited(&["work", "-q", "planned", "--shard", "0/1"]).fails(5, &words);
    assert!(line.contains("labels.estimator"), "{line}");
    ran.case();
    // 3: three times what the machine has free, asked of the library without any limit set.
    let free = isoline::memory::free().expect("this test runs on Linux");
    let error = isoline::memory::require("a tile", 3 * free, "choose a smaller tile").unwrap_err();
    assert_eq!(error.exit_code(), 5);
    let line = error.to_string();
    assert!(megabytes(&line, " MiB of memory") >= 2.9 * megabytes(&line, " MiB are free"), "{line}");
    ran.case();
    // 4: a table of more samples than any machine holds is refused before the first is made.
    let table = isoline(&["generate", "-q", "-o", "run", "--mode", "novel", "--seeds", "0-9999999"]).cwd(model.root());
    let own = table.into_command();
    let mut command = Command::new("prlimit");
    command.arg("--as=4294967296").arg(own.get_program()).args(own.get_args()).current_dir(model.root());
    command.envs(own.get_envs().filter_map(|(k, v)| Some((k, v?))));
    Isoline::from_command(command).fails(5, &["the table of 10000000 samples", "fewer seeds"]);
    assert!(!model.root().join("run/images").exists());
    ran.case();
    // 5: a description.
    let line = limited(&["describe", "-q", "tiny", "-o", "described"]).fails(5, &words);
    assert!(line.contains("directions"), "{line}");
    assert!(!model.root().join("described/tiles").exists());
    ran.case();
    ran.all(REQUESTS);
}

#[test]
fn workers_that_end_badly_cost_their_tile_and_no_more() {
    let (reference, mut ran) = (Reference::new(SMALL), Ran::new("R13, workers"));
    let status = |field: &str| {
        let text = reference.call(&["status", "run", "--json"]).succeeds();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()[field].clone()
    };
    // 6: a panic in one tile; the others are made.
    let panicking = reference.generate("run").failing_at("tile.before@2=panic");
    panicking.fails(70, &["1 tiles failed, tile 1 first", "8 of 12 samples are complete"]);
    assert_eq!((status("done"), status("failed")[0]["tile"].clone()), (8.into(), 1.into()));
    ran.case();
    // 7: endless panics; it gives up instead of going through all tiles.
    let failing = reference.generate("loop").failing_at("tile.before=panic");
    failing.fails(70, &["3 tiles failed, tile 0 first", "0 of 12 samples are complete"]);
    ran.case();
    // 8: a worker that hangs. The run can be inspected, a second process is refused, and the worker can be killed.
    let mut hanging = reference
        .generate("run")
        .failing_at("tile.before=hang")
        .into_command()
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while status("working").as_array().unwrap().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    reference.generate("run").fails(7, &["another isoline process"]);
    assert_eq!(status("done"), 8);
    hanging.kill().unwrap();
    hanging.wait().unwrap();
    ran.case();
    // 9: after the kill, the next process continues.
    assert_eq!(status("working").as_array().unwrap().len(), 0);
    reference.generate("run").succeeds();
    assert_eq!(status("failed").as_array().unwrap().len(), 0);
    reference.is_whole("run", "after a panic, a hang and a kill");
    ran.case();
    ran.all(WORKERS);
}
