//! Prompts: their numbers and what the text networks make of them.

use super::{close, tensor, tiny};
use burn::tensor::{DType, Tensor};
use isoline::families::{ClipText, ClipTokenizer, Tokens};
use isoline::store::{Weights, write_safetensors};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn here(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clip").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// 200 prompts, with every script, sign and special word, by five tokenizers in both forms: the numbers of transformers
/// (tests/clip/make.py), padding included.
#[test]
#[ignore = "needs the shared data"]
fn every_prompt_has_the_librarys_numbers() {
    let (prompts, known) = (strings(&here("prompts.json")), here("ids.json"));
    let known = known.as_object().unwrap();
    assert!(prompts.len() >= 200 && known.len() >= 4);
    for (name, of) in known {
        let tokenizer = ClipTokenizer::read(&tiny(name)).unwrap();
        assert_eq!((tokenizer.length(), u64::from(tokenizer.pad())), (77, of["pad"].as_u64().unwrap()), "{name}");
        for (prompt, ids) in prompts.iter().zip(of["ids"].as_array().unwrap()) {
            let mut ids: Vec<u32> = ids.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect();
            ids.resize(77, tokenizer.pad());
            let found = tokenizer.encode(prompt).unwrap();
            assert_eq!(found.ids, ids, "{name}: {prompt:?}");
        }
    }
}

#[test]
#[ignore = "needs the shared data"]
fn what_is_not_read_is_said() {
    let tokenizer = ClipTokenizer::read(&tiny("sd15-like/tokenizer")).unwrap();
    let long = format!("{}the last words", "a ".repeat(74));
    let found = tokenizer.encode(&long).unwrap();
    assert!(found.count > 75 && found.ids.len() == 77 && found.end == 76, "{found:?}");
    let unread = found.unread.unwrap();
    assert!("the last words".ends_with(&unread) && unread.ends_with("words") && !unread.is_empty(), "{unread}");
    let short = tokenizer.encode("a cat").unwrap();
    assert!(short.unread.is_none() && short.end == short.count + 1);
    // Damaged files are named.
    let dir = tempfile::tempdir().unwrap();
    let error = |dir: &Path| ClipTokenizer::read(dir).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error(dir.path()).contains("vocab.json"), "{}", error(dir.path()));
    let copy = |name: &str| fs::copy(tiny("sd15-like/tokenizer").join(name), dir.path().join(name)).unwrap();
    copy("vocab.json");
    assert!(error(dir.path()).contains("merges.txt"), "{}", error(dir.path()));
    copy("merges.txt");
    assert_eq!(error(dir.path()), "");
    for (name, text, words) in [
        ("merges.txt", "#version: 0.2\nin\n", "merges.txt: line 2: expected two parts"),
        ("merges.txt", "qq zz\n", "does not fit vocab.json"),
        ("vocab.json", "{\"a\": -1}", "vocab.json: expected words with their numbers"),
        ("vocab.json", "{\"a\": 0}", "vocab.json"),
        ("tokenizer_config.json", "{", "tokenizer_config.json: expected JSON"),
        ("special_tokens_map.json", "{\"pad_token\": \"<pad>\"}", ""),
        ("tokenizer.json", "{}", "tokenizer.json: expected a tokenizer"),
    ] {
        let path = dir.path().join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, text).unwrap();
        assert!(error(dir.path()).contains(words), "{name}: {}", error(dir.path()));
        match before {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
}

fn network(folder: &Path, dtype: DType) -> ClipText {
    ClipText::read(folder, "model.safetensors", dtype, &isoline::device::open("cpu").unwrap().1).unwrap()
}

fn values<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.cast(DType::F64).try_into_vec_as::<f64>().unwrap()
}

/// Every state, the last norm and the pooled row, in f64 within 1e-9 and in f32 within 2e-5 of the largest value: both activations, both
/// namings of tensors, both rules for the end of a prompt, with a projection and without.
#[test]
#[ignore = "needs the shared data"]
fn text_networks_equal_the_library() {
    let mut worst = [0.0f64; 2];
    for (model, part) in
        [("sd15-like", 1), ("sd21-like", 1), ("sd-turbo-like", 1), ("lcm-like", 1), ("sdxl-like", 1), ("sdxl-like", 2)]
    {
        let [tokenizer, encoder] =
            ["tokenizer", "text_encoder"].map(|n| if part == 1 { n.to_owned() } else { format!("{n}_2") });
        let bytes = fs::read(tiny(model).join("reference.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let prompts: Value =
            serde_json::from_str(&fs::read_to_string(tiny(model).join("prompts.json")).unwrap()).unwrap();
        let prompts = strings(&prompts["prompts"]);
        let tokenizer = ClipTokenizer::read(&tiny(model).join(tokenizer)).unwrap();
        let tokens: Vec<Tokens> = prompts.iter().map(|p| tokenizer.encode(p).unwrap()).collect();
        let ids: Vec<f64> = tokens.iter().flat_map(|t| &t.ids).map(|id| f64::from(*id)).collect();
        assert_eq!(ids, tensor(&file, &format!("text{part}.ids")).unwrap().0, "{model}");
        for (k, dtype, tolerance, mark) in [(0, DType::F64, 1e-9, ".f64"), (1, DType::F32, 2e-5, "")] {
            let found = network(&tiny(model).join(&encoder), dtype).encode(&tokens[..3]).unwrap();
            let mut check = |name: &str, values: Vec<f64>| {
                let name = format!("text{part}.{name}");
                let known = tensor(&file, &name).unwrap_or_else(|| panic!("{model}: {name}")).0;
                worst[k] = worst[k].max(close(&values, &known, tolerance, &format!("{model}: {name}")));
            };
            check(&format!("last_hidden_state{mark}"), values(found.last));
            check(&format!("pooled{mark}"), values(found.pooled));
            if mark.is_empty() {
                for (i, state) in found.states.into_iter().enumerate() {
                    check(&format!("hidden.{i}"), values(state.narrow(0, 0, 1)));
                }
            }
        }
    }
    eprintln!("worst {:.1e} in f64, {:.1e} in f32", worst[0], worst[1]);
}

/// Every tensor of a file moves the result, and a file that has too few, too many or others is refused by the name of one.
#[test]
#[ignore = "needs the shared data"]
fn every_tensor_of_a_text_network_is_read() {
    let source = tiny("sdxl-like/text_encoder_2");
    let tokenizer = ClipTokenizer::read(&tiny("sdxl-like/tokenizer_2")).unwrap();
    // A prompt of all 77 places, so that each has a say.
    let tokens = [tokenizer.encode(&"castle on the mountain ".repeat(30)).unwrap()];
    let dir = tempfile::tempdir().unwrap();
    fs::copy(source.join("config.json"), dir.path().join("config.json")).unwrap();
    let read = Weights::read(&source.join("model.safetensors")).unwrap();
    let all: BTreeMap<_, _> = read.names().map(|n| (n.to_owned(), read.get(n).unwrap().clone())).collect();
    let write = |tensors: &BTreeMap<_, _>| {
        fs::write(dir.path().join("model.safetensors"), write_safetensors(tensors).unwrap()).unwrap();
    };
    write(&all);
    let result = || {
        let found = network(dir.path(), DType::F64).encode(&tokens).unwrap();
        [values(found.states.last().unwrap().clone()), values(found.last), values(found.pooled)].concat()
    };
    let usual = result();
    for name in all.keys() {
        let mut changed = all.clone();
        changed
            .get_mut(name)
            .unwrap()
            .values
            .iter_mut()
            .enumerate()
            .for_each(|(i, v)| *v += 0.1 + 0.01 * (i % 7) as f32);
        write(&changed);
        let moved = result().iter().zip(&usual).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // A key's bias adds the same to all logits of a query, which a softmax does not see.
        let unseen = name.ends_with("k_proj.bias");
        assert!(if unseen { moved < 1e-6 } else { moved > 1e-6 }, "{name}: {moved}");
    }
    let error = || {
        let device = isoline::device::open("cpu").unwrap().1;
        ClipText::read(dir.path(), "model.safetensors", DType::F32, &device)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let mut changed = all.clone();
    changed.remove("text_model.encoder.layers.1.mlp.fc2.weight");
    write(&changed);
    assert!(error().contains("tensor text_model.encoder.layers.1.mlp.fc2.weight: missing"), "{}", error());
    changed = all.clone();
    changed.insert("lora.down".into(), all["text_projection.weight"].clone());
    write(&changed);
    assert!(error().contains("tensor lora.down: not a part of this network"), "{}", error());
    changed = all.clone();
    changed.get_mut("text_projection.weight").unwrap().shape.reverse();
    write(&changed);
    assert!(error().contains("expected the shape [12, 24], found [24, 12]"), "{}", error());
    write(&all);
    let config = fs::read_to_string(source.join("config.json")).unwrap();
    fs::write(dir.path().join("config.json"), config.replace("\"gelu\"", "\"gelu_fast\"")).unwrap();
    assert!(error().contains("hidden_act: unknown activation \"gelu_fast\""), "{}", error());
}
