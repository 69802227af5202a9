//! Damaged bytes: every cut and many flips of a sound file give a model or one line of text, and take little memory.

use super::files::shared;
use isoline::onnx::{self, Choices, Limits};
use std::path::Path;

/// Bounds that keep a trial short.
fn small() -> Choices {
    let limits = Limits { value: 1 << 20, folded: 1 << 20, indices: 1 << 20, work: 1 << 22, nodes: 1 << 12 };
    Choices { limits, ..Choices::default() }
}

/// Reads and lowers bytes; an error must be one line.
fn tried(bytes: Vec<u8>, path: &Path, choices: &Choices) -> bool {
    let graph = onnx::parse(bytes, path).and_then(|model| onnx::lower(&model, choices, 1));
    match graph {
        Ok(graph) => {
            assert!(serde_json::to_string(&graph.to_json()).is_ok());
            true
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.len() < 20_000, "{line}");
            false
        }
    }
}

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn every_cut_of_a_sound_file_is_refused_in_one_line() {
    let Some(path) = shared().map(|f| f.join("broken/good.onnx")) else { return };
    let bytes = std::fs::read(&path).unwrap();
    assert!(tried(bytes.clone(), &path, &small()));
    let sound = (0..bytes.len()).filter(|&end| tried(bytes[..end].to_vec(), &path, &small())).count();
    println!("{sound} of {} cuts import", bytes.len());
    assert!(sound < 64, "{sound} cuts import");
}

#[test]
fn ten_thousand_flips_of_bytes_import_or_are_refused_in_one_line() {
    let Some(folder) = shared() else { return };
    let path = folder.join("broken/good.onnx");
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut sources: Vec<Vec<u8>> = vec![std::fs::read(&path).unwrap()];
    for entry in
        std::fs::read_dir(folder.join("encodings")).unwrap().chain(std::fs::read_dir(folder.join("operators")).unwrap())
    {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "onnx") {
            sources.push(std::fs::read(&file).unwrap());
        }
    }
    let trials: usize = std::env::var("ISOLINE_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let mut sound = 0;
    for trial in 0..trials {
        let source = if trial % 2 == 0 { &sources[0] } else { &sources[numbers.below(sources.len())] };
        let mut bytes = source.clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(bytes.len());
            bytes[at] = match numbers.below(4) {
                0 => bytes[at] ^ (1 << numbers.below(8)),
                1 => 0xff,
                2 => bytes[at].wrapping_add(1),
                _ => numbers.below(256) as u8,
            };
        }
        sound += usize::from(tried(bytes, &path, &small()));
    }
    println!("{sound} of {trials} import");
    assert!(sound > 0);
}
