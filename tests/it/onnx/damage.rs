//! Damaged bytes: every cut and many flips of a sound file give a model or one line of text, and take little memory.

use super::files::shared;
use super::writer::Message;
use isoline::onnx::{self, Choices, Limits};
use std::path::{Path, PathBuf};

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
#[ignore = "needs the shared data"]
fn every_cut_of_a_sound_file_is_refused_in_one_line() {
    let path = shared().join("broken/good.onnx");
    let bytes = std::fs::read(&path).unwrap();
    assert!(tried(bytes.clone(), &path, &small()));
    let sound = (0..bytes.len()).filter(|&end| tried(bytes[..end].to_vec(), &path, &small())).count();
    println!("{sound} of {} cuts import", bytes.len());
    assert!(sound < 64, "{sound} cuts import");
}

#[test]
#[ignore = "needs the shared data"]
fn ten_thousand_flips_of_bytes_import_or_are_refused_in_one_line() {
    let folder = shared();
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

/// A field of a message, its messages taken apart.
#[derive(Clone)]
enum Field {
    Int(u64, u64),
    Fixed(u64, Vec<u8>),
    Bytes(u64, Vec<u8>),
    Message(u64, Vec<Field>),
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes a message apart, as deep as its bytes read like messages.
fn apart(bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let (mut at, mut fields) = (0, Vec::new());
    while at < bytes.len() {
        let key = varint(bytes, &mut at)?;
        let number = key >> 3;
        fields.push(match key & 7 {
            0 => Field::Int(number, varint(bytes, &mut at)?),
            wire @ (1 | 5) => {
                let end = at + if wire == 1 { 8 } else { 4 };
                let field = Field::Fixed(key, bytes.get(at..end)?.to_vec());
                at = end;
                field
            }
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let held = bytes.get(at..at.checked_add(length)?)?;
                at += length;
                match apart(held, depth + 1).filter(|inner| depth < 8 && !inner.is_empty()) {
                    Some(inner) => Field::Message(number, inner),
                    None => Field::Bytes(number, held.to_vec()),
                }
            }
            _ => return None,
        });
    }
    Some(fields)
}

fn together(fields: &[Field]) -> Message {
    fields.iter().fold(Message::default(), |m, field| match field {
        Field::Int(number, value) => m.int(*number, *value as i64),
        Field::Fixed(key, bytes) => m.raw(*key, bytes),
        Field::Bytes(number, bytes) => m.bytes(*number, bytes),
        Field::Message(number, inner) => m.message(*number, together(inner)),
    })
}

/// Changes one field somewhere: another number, another name of the file, twice, not at all, elsewhere.
fn change(fields: &mut Vec<Field>, names: &[Vec<u8>], numbers: &mut Numbers) {
    if fields.is_empty() {
        return;
    }
    let at = numbers.below(fields.len());
    let deeper = numbers.below(8) != 0;
    match &mut fields[at] {
        Field::Message(_, inner) if deeper => change(inner, names, numbers),
        Field::Int(_, value) if deeper => {
            let known = [0, 1, 2, 3, 7, 9, 13, 21, 1 << 20, 1 << 31, 1 << 40, i64::MAX, i64::MIN, -1, -2];
            *value = match numbers.below(3) {
                0 => value.wrapping_add(1),
                1 => value.wrapping_sub(1),
                _ => known[numbers.below(known.len())] as u64,
            };
        }
        Field::Bytes(_, bytes) if deeper => {
            *bytes = match numbers.below(3) {
                0 => Vec::new(),
                1 => bytes[..bytes.len() / 2].to_vec(),
                _ => names[numbers.below(names.len())].clone(),
            };
        }
        _ => match numbers.below(3) {
            0 => drop(fields.remove(at)),
            1 => fields.insert(at, fields[at].clone()),
            _ => {
                let to = numbers.below(fields.len());
                fields.swap(at, to);
            }
        },
    }
}

/// All short texts of a message: names of values and operators.
fn names(fields: &[Field], into: &mut Vec<Vec<u8>>) {
    for field in fields {
        match field {
            Field::Bytes(_, bytes) if bytes.len() < 40 => into.push(bytes.clone()),
            Field::Message(_, inner) => names(inner, into),
            _ => {}
        }
    }
}

#[test]
#[ignore = "needs the shared data"]
fn changed_messages_import_or_are_refused_in_one_line() {
    let folder = shared();
    let mut files: Vec<PathBuf> = Vec::new();
    for sub in ["encodings", "operators", "broken"] {
        files.extend(std::fs::read_dir(folder.join(sub)).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.retain(|f| f.extension().is_some_and(|e| e == "onnx"));
    files.sort();
    let sources: Vec<Vec<Field>> = files.iter().filter_map(|f| apart(&std::fs::read(f).unwrap(), 0)).collect();
    let mut pool: Vec<Vec<u8>> = onnx::OPERATORS.iter().map(|o| o.name.as_bytes().to_vec()).collect();
    sources.iter().for_each(|s| names(s, &mut pool));
    let trials: usize = std::env::var("ISOLINE_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let seed = std::env::var("ISOLINE_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d ^ seed);
    let path = folder.join("broken/good.onnx");
    let mut sound = 0;
    for _ in 0..trials {
        let mut fields = sources[numbers.below(sources.len())].clone();
        for _ in 0..=numbers.below(4) {
            change(&mut fields, &pool, &mut numbers);
        }
        sound += usize::from(tried(together(&fields).0, &path, &small()));
    }
    println!("{sound} of {trials} import");
    assert!(sound > 0);
}
