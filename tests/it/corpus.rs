//! Inputs that a fuzzer found, or by which it reaches much of a reader, go through what the fuzzer does with them. `fuzz/`
//! holds the fuzzer, `tests/corpus/` the inputs.

pub mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use targets::TARGETS;

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn every_input_of_the_corpus_is_read_or_refused_in_one_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for target in TARGETS {
        let inputs = inputs(&root.join(target.name));
        assert!(!inputs.is_empty(), "no inputs for {}", target.name);
        println!("{}: {} inputs, in the fuzzer within {} MiB each", target.name, inputs.len(), target.memory >> 20);
        for path in &inputs {
            // Shown where a test fails.
            println!("{}", path.display());
            (target.run)(&fs::read(path).unwrap());
        }
    }
}

/// Each target has a program of the fuzzer and a folder of inputs, and there are no others.
#[test]
fn targets_programs_and_folders_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stems = |folder: &str| -> BTreeSet<String> {
        inputs(&root.join(folder)).iter().map(|p| p.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let names: BTreeSet<String> = TARGETS.iter().map(|t| t.name.to_owned()).collect();
    assert_eq!(names, stems("tests/corpus"));
    // The package's archive is without the fuzzer.
    if root.join("fuzz").is_dir() {
        assert_eq!(names, stems("fuzz/targets"));
    }
}
