//! Weights as people have them: under prefixes, in shards, in small floats, half downloaded, or of another kind than
//! their name says.

use crate::cli::{Finished, Isoline, TinyModel};
use crate::shared;
use isoline::generator::{ImportOptions, import};
use isoline::store::{WeightTensor, Weights, write_safetensors};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

const WEIGHT: [f32; 8] = [1.0, 0.5, -1.0, 2.0, 0.0, 1.0, 3.0, -2.0];
const BIAS: [f32; 4] = [0.25, 0.5, -0.5, 0.75];

/// A tensor of a checkpoint: name, shape, values.
type Named = (String, Vec<usize>, Vec<f32>);

/// The two tensors that the card reads, under `prefix`, multiplied by `factor` so that one can tell them apart.
fn pair(prefix: &str, factor: f32) -> Vec<Named> {
    let scaled = |values: &[f32]| values.iter().map(|v| v * factor).collect();
    vec![
        (format!("{prefix}first.weight"), vec![4, 2], scaled(&WEIGHT)),
        (format!("{prefix}first.bias"), vec![4], scaled(&BIAS)),
    ]
}

fn safetensors_of(tensors: Vec<Named>) -> Vec<u8> {
    let named = |(name, shape, values)| (name, WeightTensor { shape, values });
    write_safetensors(&tensors.into_iter().map(named).collect()).unwrap()
}

/// A model to import into, and a folder for sources.
struct Setting {
    model: TinyModel,
}

impl Setting {
    fn new() -> Self {
        Self { model: TinyModel::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.model.root().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn import(&self, source: &Path, more: &[&str]) -> Finished {
        let _ = fs::remove_dir_all(self.path("out"));
        self.model.loud_import(source, &self.path("out")).args(more).run()
    }

    /// The values of the imported bias.
    fn bias(&self) -> Vec<f32> {
        let weights = Weights::read(&self.path("out/weights.safetensors")).unwrap();
        weights.require("first.bias").unwrap().values.clone()
    }

    #[track_caller]
    fn takes(&self, source: &Path, more: &[&str], factor: f32, words: &[&str]) {
        let done = self.import(source, more);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let text = joined(&done.stdout);
        let missing: Vec<_> = words.iter().filter(|w| !text.contains(**w)).collect();
        assert!(missing.is_empty(), "{missing:?} not in {text}");
        assert_eq!(self.bias(), BIAS.map(|v| v * factor));
    }

    #[track_caller]
    fn refuses(&self, source: &Path, more: &[&str], code: i32, words: &[&str]) {
        let call = self.model.import(source, &self.path("refused")).args(more);
        call.fails(code, words);
        assert!(!self.path("refused").exists());
    }
}

/// The words of a text on one line, wherever it was broken.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ---- prefixes ----------------------------------------------------------------------------------------------------

#[test]
fn the_only_prefix_where_all_tensors_fit_is_taken_and_named() {
    let setting = Setting::new();
    for prefix in ["module.", "_orig_mod.", "state_dict.", "generator.", "model.", "state_dict.module.net.3."] {
        let mut tensors = pair(prefix, 1.0);
        // Parts that do not fit: half of the tensors, and another shape.
        tensors.extend(pair("half.", 3.0).into_iter().take(1));
        tensors.push(("other.first.weight".into(), vec![2, 4], WEIGHT.to_vec()));
        tensors.push(("other.first.bias".into(), vec![4], BIAS.to_vec()));
        let source = setting.write("x.safetensors", &safetensors_of(tensors));
        let name = format!("\"{}\"", prefix.trim_end_matches('.'));
        setting.takes(&source, &[], 1.0, &["taken from", &name, "the only place", "3 tensors outside of"]);
    }
    // At the top level nothing has to be said; that there are averages too is.
    let source = setting.write("x.safetensors", &safetensors_of([pair("", 1.0), pair("ema.", 2.0)].concat()));
    setting.takes(&source, &[], 1.0, &["not taken", "\"ema\" (EMA"]);
}

#[test]
fn several_prefixes_are_listed_and_key_chooses() {
    let setting = Setting::new();
    let tensors = [pair("g.", 1.0), pair("g_ema.", 2.0), pair("nets.averaged_model.", 3.0)].concat();
    let source = setting.write("x.safetensors", &safetensors_of(tensors));
    setting.refuses(&source, &[], 2, &["--key", "3 times", "\"g\"", "\"g_ema\" (EMA", "\"nets.averaged_model\" (EMA"]);
    setting.takes(&source, &["--key", "g_ema"], 2.0, &["not taken"]);
    setting.takes(&source, &["--key", "g"], 1.0, &[]);
    setting.takes(&source, &["--key", "nets.averaged_model"], 3.0, &[]);
    setting.takes(&source, &["--key", "nets.averaged_model."], 3.0, &[]);
    // Within a prefix that is given the rest is found.
    setting.takes(&source, &["--key", "nets"], 3.0, &["taken from", "\"nets.averaged_model\""]);
    setting.refuses(&source, &["--key", "g_eam"], 2, &["no tensor of", "\"g_eam\"", "did you mean \"g_ema\""]);
}

#[test]
fn what_fits_nowhere_is_told_where_most_of_it_lies() {
    let setting = Setting::new();
    let mut tensors = pair("state_dict.g.", 1.0);
    tensors[1].1 = vec![2, 2];
    let source = setting.write("x.safetensors", &safetensors_of(tensors));
    setting.refuses(&source, &[], 3, &["under \"state_dict.g\"", "\"first.bias\": expected shape [4], found [2, 2]"]);
    let source = setting.write("model-00001-of-00003.safetensors", &safetensors_of(pair("", 1.0)[..1].to_vec()));
    setting.refuses(&source, &[], 3, &["\"first.bias\" is missing", "one of 3 shards", ".index.json"]);
}

// ---- PyTorch -----------------------------------------------------------------------------------------------------

/// The pickle of a dictionary, protocol 2, as `torch.save` writes it: each tensor has a storage of its own.
fn pickled(tensors: &[Named]) -> Vec<u8> {
    fn text(t: &str) -> Vec<u8> {
        [b"X".as_slice(), &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat()
    }
    fn number(n: usize) -> Vec<u8> {
        [b"J".as_slice(), &(n as u32).to_le_bytes()].concat()
    }
    fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
        [b"(".as_slice(), &parts.concat(), b"t"].concat()
    }
    fn tensor(storage: usize, shape: &[usize]) -> Vec<u8> {
        let strides = (0..shape.len()).map(|i| number(shape[i + 1..].iter().product())).collect::<Vec<_>>();
        let sides = shape.iter().map(|n| number(*n)).collect::<Vec<_>>();
        let kind = b"ctorch\nFloatStorage\n".to_vec();
        let count = number(shape.iter().product());
        let storage = [tuple(&[text("storage"), kind, text(&storage.to_string()), text("cpu"), count]), b"Q".to_vec()];
        let hooks = b"ccollections\nOrderedDict\n)R".to_vec();
        let parts = [storage.concat(), number(0), tuple(&sides), tuple(&strides), b"\x89".to_vec(), hooks];
        [b"ctorch._utils\n_rebuild_tensor_v2\n".as_slice(), &tuple(&parts), b"R"].concat()
    }
    /// A value and the path to it.
    type Entry<'a> = (Vec<&'a str>, Vec<u8>);
    /// A dictionary of everything below a path.
    fn dictionary(entries: &[Entry]) -> Vec<u8> {
        let mut below: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
        let mut items = Vec::new();
        for (path, value) in entries {
            match &path[..] {
                [name] => items.push([text(name), value.clone()].concat()),
                _ => below.entry(path[0]).or_default().push((path[1..].to_vec(), value.clone())),
            }
        }
        items.extend(below.iter().map(|(name, entries)| [text(name), dictionary(entries)].concat()));
        [b"}(".as_slice(), &items.concat(), b"u"].concat()
    }
    // The last two parts of a name belong to one key, as in a state dict.
    let path = |name: &'static str| -> Vec<&str> {
        match name.rsplit_once(".first.") {
            Some((before, _)) => before.split('.').chain([&name[before.len() + 1..]]).collect(),
            None => vec![name],
        }
    };
    let entries: Vec<(Vec<&str>, Vec<u8>)> = tensors
        .iter()
        .enumerate()
        .map(|(i, (name, shape, _))| (path(Box::leak(name.clone().into_boxed_str())), tensor(i, shape)))
        .collect();
    [b"\x80\x02".as_slice(), &dictionary(&entries), b"."].concat()
}

fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn torch_file(pickle: Vec<u8>, tensors: &[Named]) -> Vec<u8> {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let names: Vec<String> = (0..tensors.len()).map(|i| format!("data/{i}")).collect();
    let storages = names.iter().zip(tensors).map(|(name, t)| (name.as_str(), bytes(&t.2)));
    let files: Vec<_> = [("data.pkl", pickle), ("version", b"3\n".to_vec())].into_iter().chain(storages).collect();
    zipped(&files)
}

#[test]
fn nested_checkpoints_of_pytorch_are_searched_alike() {
    let setting = Setting::new();
    let tensors = [pair("state_dict.generator.", 1.0), pair("g_ema.", 2.0)].concat();
    let source = setting.write("x.ckpt", &torch_file(pickled(&tensors), &tensors));
    setting.refuses(&source, &[], 2, &["--key", "\"g_ema\" (EMA", "\"state_dict.generator\""]);
    setting.takes(&source, &["--key", "state_dict.generator"], 1.0, &["not taken", "\"g_ema\""]);
    setting.takes(&source, &["--key", "state_dict"], 1.0, &["taken from"]);
    setting.takes(&source, &["--key", "g_ema"], 2.0, &[]);
    let tensors = pair("", 1.0);
    let plain = torch_file(pickled(&tensors), &tensors);
    setting.takes(&setting.write("x.pt", &plain), &[], 1.0, &[]);
    // Without an ending that says so, the first bytes do.
    setting.takes(&setting.write("checkpoint", &plain), &[], 1.0, &[]);
}

#[test]
fn programs_and_objects_are_named_with_the_lines_that_mend_them() {
    let setting = Setting::new();
    let script = zipped(&[
        ("data.pkl", b"\x80\x02c__torch__\nNet\n)\x81}b.".to_vec()),
        ("code/__torch__.py", b"class Net(Module):\n".to_vec()),
        ("constants.pkl", b"\x80\x02).".to_vec()),
    ]);
    let load =
        "model = torch.jit.load(\"x.pt\", map_location=\"cpu\") and torch.save(model.state_dict(), \"x.state.pth\")";
    setting.refuses(&setting.write("x.pt", &script), &[], 3, &["a TorchScript archive", load]);
    let object = torch_file(b"\x80\x02c__main__\nNet\n)\x81}(X\x01\x00\x00\x00aK\x01ub.".to_vec(), &[]);
    let load = "torch.load(\"y.pt\", map_location=\"cpu\", weights_only=False) and torch.save(model.state_dict(), \"y.state.pth\")";
    setting.refuses(&setting.write("y.pt", &object), &[], 3, &["__main__.Net", "no state dict", load]);
}

/// A whole module is read as the state dict it holds: `_parameters`, `_buffers` and `_modules` of each.
#[test]
fn a_whole_module_is_read_as_its_state_dict() {
    let setting = Setting::new();
    let tensors = pair("", 1.0);
    let flat = pickled(&[("weight".into(), vec![4, 2], Vec::new()), ("bias".into(), vec![4], Vec::new())]);
    let parameters = &flat[2..flat.len() - 1];
    let text = |t: &str| [b"X".as_slice(), &(t.len() as u32).to_le_bytes(), t.as_bytes()].concat();
    let module = |parameters: &[u8], modules: &[u8]| {
        let items = [text("_parameters"), parameters.to_vec(), text("_buffers"), b"}".to_vec(), text("_modules")];
        [b"c__main__\nNet\n)\x81}(".as_slice(), &items.concat(), modules, b"ub"].concat()
    };
    let inner = module(parameters, b"}");
    let outer = module(b"}", &[b"}(".to_vec(), text("first"), inner, b"u".to_vec()].concat());
    let whole = [b"\x80\x02".as_slice(), &outer, b"."].concat();
    setting.takes(&setting.write("whole.pt", &torch_file(whole, &tensors)), &[], 1.0, &[]);
}

// ---- shards ------------------------------------------------------------------------------------------------------

#[test]
fn shards_are_read_through_their_index_and_a_missing_one_is_named() {
    let setting = Setting::new();
    let [one, two] = [1, 2].map(|i| format!("m-0000{i}-of-00002.safetensors"));
    let tensors = pair("unet.", 1.0);
    let index = |map: &[(&str, &str)]| {
        let map: serde_json::Map<_, _> = map.iter().map(|(t, s)| ((*t).to_owned(), (*s).into())).collect();
        setting.write(
            "m.safetensors.index.json",
            serde_json::json!({"metadata": {}, "weight_map": map}).to_string().as_bytes(),
        )
    };
    let source = index(&[("unet.first.weight", &one), ("unet.first.bias", &two)]);
    setting.write(&one, &safetensors_of(tensors[..1].to_vec()));
    setting.refuses(&source, &[], 3, &["1 of 2 shards missing", &two, "not complete"]);
    setting.write(&two, &safetensors_of(tensors[1..].to_vec()));
    setting.takes(&source, &[], 1.0, &["\"unet\"", "2 tensors"]);
    // Each shard is checked by itself.
    let whole = fs::read(setting.path(&two)).unwrap();
    setting.write(&two, &whole[..whole.len() - 1]);
    setting.refuses(&source, &[], 3, &[&two, "cut short"]);
    setting.write(&two, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n");
    setting.refuses(&source, &[], 3, &[&two, "a Git LFS pointer"]);
    setting.write(&two, &safetensors_of(pair("other.", 1.0)));
    setting.refuses(&source, &[], 3, &[&two, "\"unet.first.bias\" is missing", "another model"]);
    setting.write(&two, &safetensors_of([tensors[1..].to_vec(), pair("other.", 1.0)].concat()));
    setting.refuses(&source, &[], 3, &[&two, "\"other.first.bias\" is in it"]);
    for name in ["../x.safetensors", "/etc/passwd", ".hidden", ""] {
        setting.refuses(&index(&[("first.weight", name)]), &[], 3, &["first.weight", "the name of a file beside it"]);
    }
    setting.refuses(&setting.write("n.safetensors.index.json", b"{}"), &[], 3, &["weight_map"]);
    setting.refuses(&setting.write("n.safetensors.index.json", b"<!DOCTYPE html>"), &[], 3, &["a web page"]);
}

#[test]
#[ignore = "needs the shared data"]
fn a_sharded_folder_of_diffusers_holds_the_tensors_of_the_whole_one() {
    let pipelines = shared::data().join("tiny-pipelines");
    let named = |folder: &Path, suffix: &str| -> PathBuf {
        let found = fs::read_dir(folder).unwrap().flatten().map(|e| e.path());
        found.into_iter().find(|p| p.to_string_lossy().ends_with(suffix)).unwrap()
    };
    let index = named(&pipelines.join("sd15-sharded/unet"), ".index.json");
    let whole = Weights::read(&pipelines.join("sd15-like/unet/diffusion_pytorch_model.safetensors")).unwrap();
    let shards = isoline::store::read_sharded(&index, Weights::read).unwrap();
    assert!(whole.names().count() > 100);
    assert!(whole.names().eq(shards.names()));
    assert!(whole.names().all(|n| whole.get(n) == shards.get(n)));
}

// ---- kinds of floats and of files --------------------------------------------------------------------------------

/// A safetensors file of raw tensors: name, type, shape, bytes.
fn raw(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let view = |(name, dtype, shape, bytes): &'_ (&'static str, Dtype, Vec<usize>, Vec<u8>)| -> (&'static str, TensorView<'static>) {
        (*name, TensorView::new(*dtype, shape.clone(), Box::leak(bytes.clone().into_boxed_slice())).unwrap())
    };
    let tensors: Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(n, d, s, b)| (&*Box::leak((*n).to_owned().into_boxed_str()), *d, s.clone(), b.clone()))
        .collect();
    safetensors::serialize(tensors.iter().map(view), None).unwrap()
}

#[test]
fn eight_bit_floats_are_read_and_what_is_quantised_is_named() {
    let setting = Setting::new();
    // 0.25, 0.5, −0.5, 0.75 by hand: sign, four bits of exponent with bias 7, three of fraction; and with five, bias 15.
    let [e4m3, e5m2] = [[0x28u8, 0x30, 0xb0, 0x34], [0x34, 0x38, 0xb8, 0x3a]];
    let weight = |dtype, size: usize| ("first.weight", dtype, vec![4, 2], vec![0u8; 8 * size]);
    for (dtype, bytes) in [(Dtype::F8_E4M3, e4m3), (Dtype::F8_E5M2, e5m2)] {
        let bias = ("first.bias", dtype, vec![4], bytes.to_vec());
        let source = setting.write("x.safetensors", &raw(&[weight(dtype, 1), bias]));
        setting.takes(&source, &[], 1.0, &["cast to f32", "first.bias"]);
    }
    let bias = ("first.bias", Dtype::F8_E4M3, vec![4], vec![0x28, 0x30, 0x7f, 0x34]);
    let nan = setting.write("x.safetensors", &raw(&[weight(Dtype::F8_E4M3, 1), bias]));
    setting.refuses(&nan, &[], 3, &["first.bias", "value 2 is NaN"]);
    let bias = ("first.bias", Dtype::F32, vec![4], vec![0; 16]);
    for scale in ["first.weight_scale", "first.scale_weight", "first.weight_scale_inv", "scaled_fp8"] {
        let scale_tensor = (scale, Dtype::F32, vec![1], vec![0; 4]);
        let source = setting.write("x.safetensors", &raw(&[weight(Dtype::F8_E4M3, 1), bias.clone(), scale_tensor]));
        setting.refuses(&source, &[], 3, &["\"first.weight\"", "F8_E4M3 with a scale of its own", scale, "f16 or f32"]);
    }
    for (dtype, size) in [(Dtype::I8, 1), (Dtype::U8, 1), (Dtype::I32, 4)] {
        let source = setting.write("x.safetensors", &raw(&[weight(dtype, size), bias.clone()]));
        let named = dtype.to_string();
        setting.refuses(&source, &[], 3, &["\"first.weight\": expected floats", &named, "quantised", "f16 or f32"]);
        assert!(!setting.model.import(&source, &setting.path("no")).run().stderr.contains("missing"));
        // The same in a model's folder.
        setting.model.write(&fs::read(&source).unwrap());
        assert!(setting.model.inspect().run().stderr.contains(&format!("expected floats, found {named}")));
    }
}

#[test]
fn a_file_of_another_kind_is_named_with_what_to_do() {
    let setting = Setting::new();
    let tensors = pair("", 1.0);
    for (name, bytes, words) in [
        (
            "x.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            ["a Git LFS pointer", "git lfs pull"],
        ),
        ("x.safetensors", b"<!DOCTYPE html><html>".to_vec(), ["a web page", "log in"]),
        ("x.safetensors", b"Entry not found".to_vec(), ["\"Entry not found\"", "download"]),
        ("x.safetensors", torch_file(pickled(&tensors), &tensors), ["a ZIP archive", "name it .pth"]),
        ("x.safetensors", pickled(&tensors), ["a Python pickle", "name it .pth"]),
        ("x.safetensors", Vec::new(), ["an empty file", "copied or downloaded"]),
        ("x.safetensors", b"GGUF\x03\0\0\0".to_vec(), ["a GGUF file", "safetensors of the same model"]),
        ("x.pth", safetensors_of(pair("", 1.0)), ["a safetensors file", "ending .safetensors"]),
        ("x.pth", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), ["a Git LFS pointer", "git lfs pull"]),
        ("x.pth", b"<html>".to_vec(), ["a web page", "log in"]),
        ("x.pth", Vec::new(), ["an empty file", "copied or downloaded"]),
    ] {
        setting.refuses(&setting.write(name, &bytes), &[], 3, &[&[name][..], &words[..]].concat());
    }
    // The same words where other files are read.
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n";
    for name in ["z.npz", "z.safetensors", "z.parquet"] {
        let call = Isoline::new(&["describe", "--device", "cpu", "tiny"]).env("ISOLINE_MODELS", setting.model.root());
        call.arg("--latents").arg(setting.write(name, pointer)).fails(3, &[name, "a Git LFS pointer"]);
    }
    setting.model.write(pointer);
    setting.model.inspect().fails(3, &["weights.safetensors", "a Git LFS pointer", "git lfs pull"]);
}

/// A header of nearly 100 MB, the format's limit, is valid. Nothing but its tensors is kept, so that the process takes
/// little more than the file.
#[cfg(target_os = "linux")]
#[test]
fn a_header_of_the_largest_size_is_read_in_bounded_memory() {
    let setting = Setting::new();
    let plain = safetensors_of(pair("", 1.0));
    let length = u64::from_le_bytes(plain[..8].try_into().unwrap()) as usize;
    let (header, data) = plain[8..].split_at(length);
    let with = |remarks: String| {
        let text = String::from_utf8(header.to_vec()).unwrap();
        let text = text.trim_end().replacen('{', &format!("{{\"__metadata__\":{{{remarks}}},"), 1);
        [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat()
    };
    let one = "x".repeat(99_000_000);
    let many = (0..4_000_000).map(|i| format!("\"{i}\":\"{i}\"")).collect::<Vec<_>>().join(",");
    for remarks in [format!("\"note\":\"{one}\""), many] {
        let bytes = with(remarks);
        setting.model.write(&bytes);
        let ended = crate::faults::run(setting.model.inspect());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.rss <= bytes.len() as u64 + (64 << 20), "{} bytes held", ended.rss);
    }
    let mut beyond = plain.clone();
    beyond[..8].copy_from_slice(&100_000_001u64.to_le_bytes());
    setting.model.write(&beyond);
    setting.model.inspect().fails(3, &["header of 100000001 bytes", "at most 100000000"]);
    // More tensors or sides than are read end the reading at once.
    let sides =
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[{}1],\"data_offsets\":[0,4]}}}}", "1,".repeat(20_000_000));
    let names: Vec<String> = (0..1_000_000)
        .map(|i| format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[{},{}]}}", 4 * i, 4 * i + 4))
        .collect();
    for (header, word) in [(sides, "rank 20000001"), (format!("{{{}}}", names.join(",")), "more than 10000 tensors")] {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
        setting.model.write(&bytes);
        let ended = crate::faults::run(setting.model.inspect());
        assert!(ended.code == 3 && ended.stderr.contains(word), "{}", ended.stderr);
        assert!(ended.rss <= bytes.len() as u64 + (64 << 20), "{} bytes held", ended.rss);
    }
}

// ---- the folder --------------------------------------------------------------------------------------------------

#[test]
fn a_model_and_its_rewards_are_never_lost_without_a_word() {
    let setting = Setting::new();
    let (model, folder) = (&setting.model, setting.model.folder());
    let source = setting.write("x.safetensors", &safetensors_of(pair("", 3.0)));
    fs::create_dir_all(folder.join("reward-denoiser")).unwrap();
    fs::create_dir_all(folder.join("reward")).unwrap();
    fs::write(folder.join("reward/card.toml"), "model_sha256 = \"0\"\n").unwrap();
    fs::write(folder.join("reward-denoiser/card.toml"), "model_sha256 = \"0\"\n").unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let bytes = || ["weights.safetensors", "card.toml"].map(|f| fs::read(folder.join(f)).unwrap());
    let before = bytes();
    let words = ["--outdir", "holds a model \"tiny\" with reward, reward-denoiser", "force"];
    model.import(&source, &folder).fails(2, &words);
    assert!(bytes() == before);
    // A source that cannot be used changes nothing either.
    let broken = setting.write("y.safetensors", &safetensors_of(pair("", 3.0)[..1].to_vec()));
    model.import(&broken, &folder).arg("--force").fails(3, &["first.bias"]);
    assert!(bytes() == before);
    let done = model.loud_import(&source, &folder).arg("--force").run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    for reward in ["reward", "reward-denoiser"] {
        let text = joined(&done.stdout);
        assert!(text.contains(&format!("tiny/{reward}, taught on another model")), "{text}");
        assert!(folder.join(reward).join("card.toml").exists());
    }
    assert_eq!(fs::read_to_string(folder.join("notes.txt")).unwrap(), "mine");
    let weights = Weights::read(&model.weights()).unwrap();
    assert_eq!(weights.require("first.bias").unwrap().values, BIAS.map(|v| v * 3.0));
    model.inspect().succeeds();
    let left =
        fs::read_dir(model.root()).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().contains(".isoline-"));
    assert_eq!(left.count(), 0);
    // The source is never replaced, whatever is said.
    model.import(&model.weights(), &folder).arg("--force").fails(2, &["holds the source itself"]);
    model.inspect().succeeds();
}

#[test]
fn a_draft_may_lie_where_the_finished_card_will() {
    let setting = Setting::new();
    let folder = setting.path("fresh");
    fs::create_dir(&folder).unwrap();
    fs::copy(setting.path("draft.toml"), folder.join("card.toml")).unwrap();
    let source = setting.write("x.safetensors", &safetensors_of(pair("", 1.0)));
    import(&source, &folder.join("card.toml"), &folder, ImportOptions::default()).unwrap();
    assert_eq!(Isoline::new(&["-q", "inspect"]).arg(&folder).run().code, 0);
    // Now it is a model.
    let again = import(&source, &folder.join("card.toml"), &folder, ImportOptions::default());
    assert!(again.is_err_and(|e| e.exit_code() == 2));
    let forced = ImportOptions { force: true, ..ImportOptions::default() };
    import(&source, &folder.join("card.toml"), &folder, forced).unwrap();
}
