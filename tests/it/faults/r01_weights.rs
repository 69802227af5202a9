//! R1: weights files made by hand. Expected: exit code 3, one line, bounded memory, and the tensor named.

use super::{Ran, Worst, run};
use crate::cli::TinyModel;
use std::fs;
use std::process::Command;
use std::time::Duration;

type Make = Box<dyn Fn(&TinyModel)>;

/// A case: its name, what is written, the exit code, words of the message.
pub struct Case {
    name: String,
    make: Make,
    code: i32,
    words: Vec<&'static str>,
}

const WEIGHT: &str = r#""first.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]}"#;
const BIAS: &str = r#""first.bias":{"dtype":"F32","shape":[4],"data_offsets":[32,48]}"#;

fn file(header: &[u8], data: usize) -> Vec<u8> {
    let values = (0..data.div_ceil(4)).flat_map(|i| (i as f32 * 0.25 - 0.5).to_le_bytes()).take(data);
    (header.len() as u64).to_le_bytes().into_iter().chain(header.iter().copied()).chain(values).collect()
}

fn with_length(length: u64) -> Vec<u8> {
    let mut bytes = file(format!("{{{WEIGHT},{BIAS}}}").as_bytes(), 48);
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

fn bytes_cases() -> Vec<(String, Vec<u8>, Vec<&'static str>)> {
    let mut cases: Vec<(String, Vec<u8>, Vec<&'static str>)> = Vec::new();
    let whole = with_length(0).len() as u64;
    for (name, length) in [
        ("0", 0),
        ("1", 1),
        ("the file", whole),
        ("the rest and one", whole - 7),
        ("2^63", 1 << 63),
        ("2^64-1", u64::MAX),
        ("2^53", 1 << 53),
        ("the cap and one", (16 << 20) + 1),
    ] {
        cases.push((format!("header length {name}"), with_length(length), vec!["safetensors"]));
    }
    for length in [0, 7, 8] {
        cases.push((format!("{length} bytes"), with_length(5)[..length].to_vec(), vec![]));
    }
    let mut json = |name: &str, header: Vec<u8>, data: usize, words: &[&'static str]| {
        cases.push((name.to_owned(), file(&header, data), words.to_vec()));
    };
    let text = |t: &str| t.as_bytes().to_vec();
    let pair = |weight: &str, bias: &str| text(&format!("{{{weight},{bias}}}"));
    let weight = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#""first.weight":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}"#)
    };
    json("no UTF-8", [b"{\"a\xff\":".to_vec(), text("{}}")].concat(), 0, &[]);
    json("a key twice", text(&format!("{{{WEIGHT},{WEIGHT},{BIAS}}}")), 48, &["first.weight"]);
    json(
        "a key twice with other offsets",
        text(&format!("{{{},{WEIGHT},{BIAS}}}", weight(r#""F32""#, "[4,2]", "[48,80]"))),
        80,
        &["first.weight"],
    );
    json("depth 10,000", [vec![b'['; 10_000], vec![b']'; 10_000]].concat(), 0, &[]);
    json("depth 10,000 of objects", "{\"a\":".repeat(10_000).into_bytes(), 0, &[]);
    json("bytes after the object", text(&format!("{{{WEIGHT},{BIAS}}}x")), 48, &[]);
    for (name, header) in [
        ("nothing", ""),
        ("null", "null"),
        ("an array", "[]"),
        ("half an object", "{"),
        ("a text", "\"a\""),
        ("a number", "12"),
    ] {
        json(&format!("header is {name}"), text(header), 0, &[]);
    }
    for (name, dtype, shape, offsets) in [
        ("negative offset", r#""F32""#, "[4,2]", "[-32,0]"),
        ("huge offset", r#""F32""#, "[4,2]", "[0,18446744073709551615]"),
        ("offset beyond u64", r#""F32""#, "[4,2]", "[0,18446744073709551616]"),
        ("unknown dtype", r#""F128""#, "[4,2]", "[0,32]"),
        ("dtype in lower case", r#""f32""#, "[4,2]", "[0,32]"),
        ("dtype a number", "32", "[4,2]", "[0,32]"),
        ("shape a text", r#""F32""#, r#""4,2""#, "[0,32]"),
        ("shape of floats", r#""F32""#, "[4.0,2.5]", "[0,32]"),
        ("negative shape", r#""F32""#, "[-4,-2]", "[0,32]"),
        ("three offsets", r#""F32""#, "[4,2]", "[0,16,32]"),
        ("one offset", r#""F32""#, "[4,2]", "[32]"),
        ("offsets swapped", r#""F32""#, "[4,2]", "[32,0]"),
        ("offsets overlap", r#""F32""#, "[4,2]", "[4,36]"),
        ("an empty range", r#""F32""#, "[4,2]", "[0,0]"),
        ("a byte short", r#""F32""#, "[4,2]", "[0,31]"),
        ("past the end", r#""F32""#, "[4,2]", "[48,80]"),
        ("product of the shape overflows", r#""F32""#, "[4294967296,4294967296]", "[0,32]"),
        ("bytes of the shape overflow", r#""F32""#, "[4611686018427387904]", "[0,32]"),
        ("a side of 2^64-1", r#""F32""#, "[18446744073709551615,2]", "[0,32]"),
    ] {
        json(name, pair(&weight(dtype, shape, offsets), BIAS), 48, &[]);
    }
    let other = |t: &str| text(&format!("{{{t}}}"));
    json("a hole", other(&format!("{WEIGHT},{}", BIAS.replace("[32,48]", "[36,52]"))), 52, &[]);
    json(
        "a hole at the start",
        other(&format!("{},{}", WEIGHT.replace("[0,32]", "[4,36]"), BIAS.replace("[32,48]", "[36,52]"))),
        52,
        &[],
    );
    json("bytes after the last tensor", pair(WEIGHT, BIAS), 52, &[]);
    json("cut by a byte", pair(WEIGHT, BIAS), 47, &[]);
    for (name, shape, found) in [
        ("transposed", "[2,4]", "[2, 4]"),
        ("flat", "[8]", "[8]"),
        ("a rank more", "[4,2,1]", "[4, 2, 1]"),
        ("rank 8", "[4,2,1,1,1,1,1,1]", "[4, 2, 1"),
        ("rank 9", "[4,2,1,1,1,1,1,1,1]", "rank 9"),
    ] {
        json(&format!("shape {name}"), pair(&weight(r#""F32""#, shape, "[0,32]"), BIAS), 48, &["first.weight", found]);
    }
    let scalar = |w: &str| other(&format!("{w},{}", BIAS.replace("[32,48]", "[4,20]")));
    json("shape of rank 0", scalar(&weight(r#""F32""#, "[]", "[0,4]")), 20, &["first.weight", "[]"]);
    let none = other(&format!("{},{}", weight(r#""F32""#, "[0,2]", "[0,0]"), BIAS.replace("[32,48]", "[0,16]")));
    json("shape with a zero", none, 16, &["first.weight", "[0, 2]"]);
    for (dtype, size) in [("I64", 8), ("I32", 4), ("U8", 1), ("BOOL", 1), ("I16", 2)] {
        let (a, b) = (8 * size, 8 * size + 16);
        let header = format!(
            r#"{{"first.weight":{{"dtype":"{dtype}","shape":[4,2],"data_offsets":[0,{a}]}},"first.bias":{{"dtype":"F32","shape":[4],"data_offsets":[{a},{b}]}}}}"#
        );
        json(&format!("dtype {dtype}"), text(&header), b, &["first.weight"]);
    }
    json("no tensors", text("{}"), 0, &["first.weight"]);
    json(
        "another architecture",
        text(&format!("{{{WEIGHT},{BIAS}}}").replace("first", "conv1")),
        48,
        &["first.weight"],
    );
    json("a missing tensor", text(&format!("{{{WEIGHT}}}")), 32, &["first.bias", "missing"]);
    let more = r#""more":{"dtype":"F32","shape":[1],"data_offsets":[48,52]}"#;
    json("one tensor more", text(&format!("{{{WEIGHT},{BIAS},{more}}}")), 52, &["more"]);
    for (name, key) in [
        ("with ../", "../first.bias"),
        ("with NUL", "first\\u0000bias"),
        ("with ESC", "first\\u001b[2Jbias"),
        ("of 300 bytes", "NNN"),
        ("beyond ASCII", "first.bïas"),
        ("that is empty", ""),
    ] {
        let key = key.replace("NNN", &"n".repeat(300));
        let header = format!("{{{WEIGHT},{}}}", BIAS.replacen("first.bias", &key, 1));
        json(&format!("name {name}"), text(&header), 48, &[]);
    }
    cases
}

fn value_cases() -> Vec<(String, Vec<u8>, Vec<&'static str>)> {
    let made = |dtype: &str, size: usize, at: usize, value: Vec<u8>| {
        let (a, b) = (8 * size, 12 * size);
        let header = format!(
            r#"{{"first.weight":{{"dtype":"{dtype}","shape":[4,2],"data_offsets":[0,{a}]}},"first.bias":{{"dtype":"{dtype}","shape":[4],"data_offsets":[{a},{b}]}}}}"#
        );
        let mut bytes = file(header.as_bytes(), 0);
        let start = bytes.len();
        bytes.resize(start + b, 0);
        bytes[start + at * size..start + (at + 1) * size].copy_from_slice(&value);
        bytes
    };
    let f32s = |at, v: f32| made("F32", 4, at, v.to_le_bytes().to_vec());
    [
        ("NaN", f32s(3, f32::NAN), "first.weight"),
        ("∞", f32s(0, f32::INFINITY), "first.weight"),
        ("-∞", f32s(11, f32::NEG_INFINITY), "first.bias"),
        ("1e300 in f64", made("F64", 8, 9, 1e300f64.to_le_bytes().to_vec()), "first.bias"),
        ("∞ in f16", made("F16", 2, 5, 0x7c00u16.to_le_bytes().to_vec()), "first.weight"),
        ("NaN in bf16", made("BF16", 2, 8, 0x7fc0u16.to_le_bytes().to_vec()), "first.bias"),
    ]
    .map(|(name, bytes, tensor)| (format!("value {name}"), bytes, vec![tensor, "expected finite numbers"]))
    .into()
}

pub fn cases() -> Vec<Case> {
    let of_bytes = |(name, bytes, words): (String, Vec<u8>, Vec<&'static str>)| Case {
        name,
        make: Box::new(move |model: &TinyModel| model.write(&bytes)),
        code: 3,
        words,
    };
    let mut cases: Vec<Case> = bytes_cases().into_iter().chain(value_cases()).map(of_bytes).collect();
    let mut special = |name: &str, code: i32, program: &'static str, args: &'static [&'static str]| {
        let make = move |model: &TinyModel| {
            fs::remove_file(model.weights()).unwrap();
            assert!(Command::new(program).args(args).arg(model.weights()).status().unwrap().success());
        };
        cases.push(Case { name: name.into(), make: Box::new(make), code, words: vec!["weights.safetensors"] });
    };
    special("a FIFO", 3, "mkfifo", &[]);
    special("a folder", 3, "mkdir", &[]);
    special("a device", 3, "ln", &["-s", "/dev/zero"]);
    special("a link to nothing", 4, "ln", &["-s", "nowhere"]);
    special("a link to itself", 4, "ln", &["-s", "weights.safetensors"]);
    cases
}

#[test]
fn weights_made_by_hand_are_refused_in_bounded_memory() {
    let (mut ran, mut worst) = (Ran::new("R1"), Worst::new(Duration::from_secs(1)));
    for case in cases() {
        let model = TinyModel::new();
        (case.make)(&model);
        let ended = run(model.inspect());
        worst.take(&case.name, ended.cpu, ended.rss);
        ran.case();
        assert_eq!(ended.code, case.code, "{}: {}{}", case.name, ended.stdout, ended.stderr);
        ended.is_one_line(&case.name);
        let size = fs::metadata(model.weights()).map_or(0, |m| m.len());
        assert!(ended.rss <= size + (64 << 20), "{}: {} bytes held", case.name, ended.rss);
        for word in &case.words {
            assert!(ended.stderr.contains(word), "{}: {word} not in {}", case.name, ended.stderr);
        }
    }
    worst.tell("R1");
    ran.all(cases().len());
}

#[test]
fn all_zero_weights_load_and_have_no_scaling() {
    let model = TinyModel::new().with(|t| t.values_mut().for_each(|t| t.values.fill(0.0)));
    model.inspect().succeeds();
    let table = crate::cli::Isoline::new(&["describe", "-q", "--device", "cpu", "--seeds", "0-2", "tiny"])
        .env("ISOLINE_MODELS", model.root())
        .succeeds();
    let mut lines = table.lines();
    let psi = lines.next().unwrap().split(',').position(|c| c == "psi").unwrap();
    assert!(lines.all(|l| l.split(',').nth(psi) == Some("")), "{table}");
}
