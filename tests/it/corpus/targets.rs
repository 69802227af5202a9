//! What the fuzzer and the test of its corpus do with an input: one function for each kind of file or text from outside.
//! It is read, and what was read is used as far as it goes without a device. An error is one line.

use isoline::acts::generate::{BatchConfig, GeneratePlan, PictureRecipe, SampleRow, named_seed};
use isoline::error::{Error, did_you_mean, escaped, explain_toml, shown};
use isoline::generator::{Card, FAMILIES, RawCard, finish_card, read_source, train::TrainConfig};
use isoline::nn::GraphFile;
use isoline::onnx::{self, Choices, Limits};
use isoline::reward::{RewardCard, RewardConfig, check_config};
use isoline::run::{Lookup, Plan, Record, Shard, parse_seeds, repeated};
use isoline::store::{Arrays, Weights, check_id, parse_toml, told, write_safetensors};
use isoline::{acts, data, render::png};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A kind of input.
pub struct Target {
    /// Its name, which is that of its folder of inputs.
    pub name: &'static str,
    /// What is done with an input.
    pub run: fn(&[u8]),
    /// Bytes that an input may make the library hold at once.
    pub memory: usize,
}

const MIB: usize = 1 << 20;

/// Every kind. A file of a few kilobytes has no reason to take more memory than this; a picture may be 4096² pixels.
pub static TARGETS: &[Target] = &[
    Target { name: "onnx", run: onnx, memory: 256 * MIB },
    Target { name: "graph", run: graph, memory: 64 * MIB },
    Target { name: "record", run: record, memory: 16 * MIB },
    Target { name: "recipe", run: recipe, memory: 16 * MIB },
    Target { name: "card", run: card, memory: 16 * MIB },
    Target { name: "config", run: config, memory: 400 * MIB },
    Target { name: "names", run: names, memory: 400 * MIB },
    Target { name: "idx", run: idx, memory: 64 * MIB },
    Target { name: "picture", run: picture, memory: 512 * MIB },
    Target { name: "weights", run: weights, memory: 64 * MIB },
    Target { name: "arrays", run: arrays, memory: 64 * MIB },
    Target { name: "pytorch", run: pytorch, memory: 64 * MIB },
];

/// What came out, if it is no error; an error must be one line that does not command a terminal.
fn read<T>(outcome: Result<T, Error>) -> Option<T> {
    outcome.map_err(|e| line(&e.to_string())).ok()
}

fn line(text: &str) {
    assert!(!text.is_empty() && *text == escaped(text, |_| false), "not one plain line: {text:?}");
}

fn onnx(bytes: &[u8]) {
    // Nothing lies in this folder, so that no value of a file beside is found.
    let path = Path::new("no folder/x.onnx");
    let limits = Limits { value: 1 << 16, folded: 1 << 18, indices: 1 << 18, work: 1 << 20, nodes: 1 << 10 };
    let choices = Choices { limits, ..Choices::default() };
    let Some(model) = read(onnx::parse(bytes.to_vec(), path)) else { return };
    let Some(lowered) = read(onnx::lower(&model, &choices, 1)) else { return };
    let _ = onnx::range::of(&lowered);
    // From here on it is the program's own work.
    let converted = acts::import::converted(&lowered).unwrap_or_else(|e| panic!("what was lowered is no graph: {e}"));
    if let Err(e) = converted.file.network() {
        let text = e.to_string();
        line(&text);
        // A stride of a million is the file's; a size that does not fit is the program's.
        assert!(text.contains("expected ") && text.contains(" to "), "what was lowered is no network: {text}");
    }
    read(onnx::lower(&model, &Choices { keep_all: true, ..choices }, 2));
}

fn graph(bytes: &[u8]) {
    let Some(file) = read(GraphFile::parse(bytes)) else { return };
    // Larger values than that take the time and memory of what they are for.
    let size = |shape: &[usize]| shape.iter().try_fold(1usize, |a, b| a.checked_mul(*b)).unwrap_or(usize::MAX);
    let values: usize = file.nodes.iter().map(|n| size(&n.shape)).fold(0, usize::saturating_add);
    if (MIB..usize::MAX).contains(&values) {
        return;
    }
    let Some(network) = read(file.network()) else { return };
    assert!(!network.output_shape().is_empty());
    let _ = network.parameters();
    let text = serde_json::to_vec(&file).unwrap();
    assert!(GraphFile::parse(&text).and_then(|again| again.network()).is_ok(), "it does not come back");
}

fn record(bytes: &[u8]) {
    match Record::<SampleRow>::parse(bytes, 0, "0") {
        Lookup::Whole(found) => {
            let rows: Vec<SampleRow> = found.samples.iter().map(|r| isoline::run::as_recorded(r).unwrap()).collect();
            assert_eq!(rows.len(), found.samples.len());
        }
        Lookup::Damaged(why) | Lookup::Foreign(why) => line(&why),
        Lookup::Nothing => panic!("there is something"),
    }
    // A hash keeps most inputs from what lies behind it.
    if let Ok(row) = serde_json::from_slice::<SampleRow>(bytes) {
        let _ = (row.status_text(), row.is_finite());
        let whole = Record::new("0", 0, vec![isoline::run::as_recorded(&row).unwrap()]);
        let text = serde_json::to_vec_pretty(&whole).unwrap();
        assert!(matches!(Record::<SampleRow>::parse(&text, 0, "0"), Lookup::Whole(_)), "it does not come back");
    }
}

fn recipe(bytes: &[u8]) {
    let place = Path::new("x.png");
    let text = match bytes.starts_with(b"\x89PNG") {
        true => read(png::decode_metadata_bytes(bytes, place)),
        // A checksum keeps most pictures from what lies behind it.
        false => std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    let Some(text) = text else { return };
    let Some(found) = read(PictureRecipe::parse(place, &text)) else { return };
    let _ = (found.parameters(), found.keys(), acts::generate::keys_around(&found));
    assert!(found.recipe.is_bounded());
    read(found.recipe.run_id());
    let again = serde_json::to_string(&found).unwrap();
    assert!(read(PictureRecipe::parse(place, &again)).is_some(), "it does not come back");
}

fn card(bytes: &[u8]) {
    let (Ok(text), place) = (std::str::from_utf8(bytes), Path::new("no folder/card.toml")) else { return };
    let Some(raw) = read(parse_toml::<RawCard>(text, "card.toml")) else { return };
    let Some(card) = read(Card::check(raw, place)) else { return };
    read(card.model_sha256());
    if card.raw.denoiser.is_some() {
        read(card.denoiser_parts());
    } else {
        read(card.network().map(|network| network.parameters().len()));
    }
    let figures = [("loss".to_owned(), 0.5)];
    if let Some(text) = read(finish_card(text, place, "0", Some("how"), &figures)) {
        read(parse_toml::<RawCard>(&text, "card.toml"));
    }
}

fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Which of them it is, a word tells that the others have not.
    let holds = |word: &str| text.contains(word);
    if holds("[fit") {
        if let Some(config) = read(parse_toml::<RewardConfig>(text, "reward.toml")) {
            read(check_config(&config, "reward.toml"));
        }
    } else if holds("calibration_sha256") {
        read(parse_toml::<RewardCard>(text, "card.toml"));
    } else if holds("objective") {
        read(parse_toml::<TrainConfig>(text, "train.toml"));
    } else if holds("[work") {
        if let Some(plan) = read(Plan::parse(bytes, Path::new("plan.toml"))) {
            let _ = plan.id();
            if let Ok(plan) = GeneratePlan::deserialize(plan.work) {
                assert!(Plan::new("generate", &plan).is_ok());
            }
        }
    } else if !asks_for_many(text) {
        read(BatchConfig::resolve(Some(Path::new("job.toml")), text, &toml::Table::new(), None));
    }
}

fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text: &str = &text;
    if check_id(text).map_err(|e| line(&e)).is_ok() {
        assert_eq!(shown(Path::new(text)), text);
    }
    let safe = escaped(text, |_| false);
    assert!(safe == escaped(&safe, |_| false) && shown(Path::new(text)) == safe);
    let families: Vec<&str> = FAMILIES.iter().map(|f| f.0).collect();
    line(&Error::key("x", explain_toml(text) + &did_you_mean(text, families)).to_string());
    told(bytes).iter().for_each(|what| line(what));
    read(named_seed(text));
    read(Shard::parse(text, None, &|_| Some(text.to_owned())));
    if let Some(Ok(seeds)) = (!asks_for_many(text)).then(|| parse_seeds(text).map_err(|e| line(&e))) {
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|w| w[0] < w[1]), "a seed is there twice");
        assert!(repeated(text).is_ok());
    }
    read(parse_toml::<BTreeMap<String, String>>(text, "x.toml"));
}

/// Whether a text names as many seeds as there may be, or not many fewer: they take the time that they take.
fn asks_for_many(text: &str) -> bool {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || c.is_whitespace() || c == '-'));
    let range = |part: &str| {
        let (a, b) = part.split_once('-')?;
        b.trim().parse::<u64>().ok()?.checked_sub(a.trim().parse().ok()?)
    };
    let seeds = parts.filter_map(range).fold(0, u64::saturating_add);
    (1 << 16..=10_000_000).contains(&seeds)
}

fn idx(bytes: &[u8]) {
    for place in ["x", "x.gz"].map(Path::new) {
        if let Some(set) = read(data::parse_idx(bytes, place)) {
            let count = set.count();
            assert!(count == 0 || set.values(count - 1, [0.0, 1.0]).all(f32::is_finite));
        }
        read(data::parse_idx_labels(bytes, place));
    }
}

fn picture(bytes: &[u8]) {
    if is_large(bytes) {
        return;
    }
    if let Some(found) = read(png::parse_picture(bytes, Path::new("x.png"))) {
        assert_eq!(found.pixels.len(), found.channels * found.height * found.width);
    }
    read(png::decode_metadata_bytes(bytes, Path::new("x.png")));
}

/// Whether a picture is small enough to be read but takes long, as its size allows.
fn is_large(bytes: &[u8]) -> bool {
    let large = |[a, b]: [u32; 2]| a.max(b) <= 4096 && u64::from(a) * u64::from(b) > 1 << 16;
    let sides = |at: usize| {
        let side = |at| bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        Some([side(at)?, side(at + 4)?])
    };
    let jpeg = |w: &[u8]| [u32::from(w[5]) << 8 | u32::from(w[6]), u32::from(w[7]) << 8 | u32::from(w[8])];
    match bytes.starts_with(b"\x89PNG") {
        true => sides(16).is_some_and(large),
        false => bytes.windows(9).any(|w| w[0] == 0xff && (0xc0..0xd0).contains(&w[1]) && large(jpeg(w))),
    }
}

fn weights(bytes: &[u8]) {
    let Some(found) = read(Weights::parse(Path::new("x.safetensors"), bytes)) else { return };
    let tensors: BTreeMap<_, _> = found.names().filter_map(|n| Some((n.to_owned(), found.get(n)?.clone()))).collect();
    let _ = (found.cast().len(), found.unread().len());
    let again = write_safetensors(&tensors).unwrap();
    let again = Weights::parse(Path::new("again"), &again).unwrap_or_else(|e| panic!("it does not come back: {e}"));
    assert!(again.names().eq(found.names()));
    read(found.require("none"));
}

fn arrays(bytes: &[u8]) {
    let Some(found) = read(Arrays::parse_npz(Path::new("x.npz"), bytes.to_vec())) else { return };
    let _ = found.sha256();
    read(found.to_npz());
}

/// The reader of PyTorch's files takes a path.
fn pytorch(bytes: &[u8]) {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
    }
    FOLDER.with(|folder| {
        let path = folder.path().join("x.pth");
        std::fs::write(&path, bytes).unwrap();
        read(read_source(&path));
    });
}
