//! Folders of pipelines: what is in them, and one clear line for each way in which they are wrong.

use super::tiny;
use crate::cli::{Isoline, json};
use isoline::families::Folder;
use std::fs;
use std::path::Path;

fn inspect(path: &Path) -> Isoline {
    Isoline::new(&["inspect"]).arg(path)
}

/// Every pipeline is read whole: in shards, in f16 alone, with two text networks, with a class in place of a prompt.
#[test]
#[ignore = "needs the shared data"]
fn folders_are_read_as_they_were_downloaded() {
    for (name, class, networks, dtype) in [
        ("sd15-like", "StableDiffusionPipeline", 3, "F32"),
        ("sd15-sharded", "StableDiffusionPipeline", 3, "F32"),
        ("sd15-fp16", "StableDiffusionPipeline", 3, "F16"),
        ("sd21-like", "StableDiffusionPipeline", 3, "F32"),
        ("sd-turbo-like", "StableDiffusionPipeline", 3, "F32"),
        ("lcm-like", "LatentConsistencyModelPipeline", 3, "F32"),
        ("sdxl-like", "StableDiffusionXLPipeline", 4, "F32"),
        ("dit-like", "DiTPipeline", 2, "F32"),
    ] {
        let folder = Folder::read(&tiny(name), None).unwrap();
        assert_eq!(folder.class, class, "{name}");
        let found: Vec<_> = folder.components.iter().filter(|c| !c.tensors.is_empty()).collect();
        assert!(found.len() == networks && found.iter().all(|c| c.dtype() == dtype), "{name}");
        assert_eq!(folder.notes.is_empty(), name != "sd15-fp16", "{name}: {:?}", folder.notes);
        let shown = inspect(&tiny(name)).succeeds();
        assert!(shown.contains(class) && shown.contains("makes no pictures from it yet"), "{shown}");
    }
    let [whole, sharded] = ["sd15-like", "sd15-sharded"].map(|n| Folder::read(&tiny(n), None).unwrap());
    let unet = |f: &Folder| f.find("unet").unwrap().weights();
    assert_eq!((unet(&whole), sharded.find("unet").unwrap().files.len()), (unet(&sharded), 3));
    let report = json(&inspect(&tiny("sdxl-like")).arg("--json").succeeds());
    assert_eq!(
        (report["pipeline"].as_str(), report["makes_pictures"].as_bool()),
        (Some("StableDiffusionXLPipeline"), Some(false))
    );
    Folder::read(&tiny("sd15-fp16"), Some("fp16")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|e| e.unwrap()) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => fs::write(to.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

/// What is wrong with a folder is one line that names the place and says what to do.
#[test]
#[ignore = "needs the shared data"]
fn what_is_wrong_with_a_folder_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let try_it = |name: &str, from: &str, change: &dyn Fn(&Path), words: &[&str]| {
        let place = dir.path().join(name);
        copy(&tiny(from), &place);
        change(&place);
        inspect(&place).fails(3, words);
        fs::remove_dir_all(place).unwrap();
    };
    let text = |place: &Path, file: &str, from: &str, to: &str| {
        let path = place.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{file}: {from}");
        fs::write(path, before.replace(from, to)).unwrap();
    };
    let unet = "unet/diffusion_pytorch_model.safetensors";
    let sd = "sd15-like";
    try_it(
        "shard",
        "sd15-sharded",
        &|p| fs::remove_file(p.join("unet/diffusion_pytorch_model-00002-of-00003.safetensors")).unwrap(),
        &["index.json", "diffusion_pytorch_model-00002-of-00003.safetensors", "not complete"],
    );
    try_it(
        "pickle",
        sd,
        &|p| fs::rename(p.join(unet), p.join("unet/diffusion_pytorch_model.bin")).unwrap(),
        &["only diffusion_pytorch_model.bin, a pickle"],
    );
    try_it(
        "pointer",
        sd,
        &|p| fs::write(p.join(unet), "version https://git-lfs.github.com/spec/v1\n").unwrap(),
        &["Git LFS pointer", "git lfs pull"],
    );
    try_it("page", sd, &|p| fs::write(p.join(unet), "<!DOCTYPE html><html>").unwrap(), &["a web page; log in"]);
    try_it(
        "cut",
        sd,
        &|p| {
            let bytes = fs::read(p.join(unet)).unwrap();
            fs::write(p.join(unet), &bytes[..bytes.len() / 2]).unwrap();
        },
        &["unet", "cut short"],
    );
    try_it(
        "index",
        sd,
        &|p| fs::remove_file(p.join("model_index.json")).unwrap(),
        &["model_index.json is missing beside its components"],
    );
    try_it(
        "flux",
        sd,
        &|p| text(p, "model_index.json", "\"StableDiffusionPipeline\"", "\"FluxPipeline\""),
        &["_class_name", "\"FluxPipeline\" is not supported"],
    );
    try_it(
        "inpaint",
        sd,
        &|p| text(p, "unet/config.json", "\"in_channels\": 4", "\"in_channels\": 9"),
        &["in_channels: found 9", "only text to picture"],
    );
    try_it(
        "vae",
        sd,
        &|p| text(p, "vae/config.json", "\"latent_channels\": 4", "\"latent_channels\": 16"),
        &["latent_channels: found 16", "another model"],
    );
    try_it(
        "null",
        sd,
        &|p| text(p, "model_index.json", "\"transformers\",\n    \"CLIPTextModel\"", "null,\n    null"),
        &["text_encoder: expected a component, found null", "prompts cannot be read"],
    );
    try_it("gone", sd, &|p| fs::remove_dir_all(p.join("vae")).unwrap(), &["the folder vae is missing"]);
    try_it(
        "quantised",
        sd,
        &|p| text(p, "unet/config.json", "{", "{\"quantization_config\": {\"quant_method\": \"bitsandbytes\"},"),
        &["quantised weights (bitsandbytes)", "f16 version"],
    );
    try_it(
        "json",
        sd,
        &|p| fs::write(p.join("unet/config.json"), "<html>").unwrap(),
        &["unet/config.json", "a web page"],
    );
    try_it(
        "empty",
        sd,
        &|p| fs::remove_file(p.join(unet)).unwrap(),
        &["expected a file of weights (.safetensors), found no file of weights"],
    );
    // The folder itself is right, and something else was named.
    inspect(&tiny("sd15-like/unet")).fails(3, &["one component; give the folder above it"]);
    inspect(&tiny("sd15-like").join(unet)).fails(3, &["a file of weights; expected the folder of a pipeline"]);
    let place = dir.path().join("beside");
    copy(&tiny(sd), &place);
    fs::copy(place.join(unet), place.join("my_lora.safetensors")).unwrap();
    let shown = inspect(&place).succeeds();
    assert!(shown.contains("my_lora.safetensors lies beside the components and is not applied"), "{shown}");
    fs::copy(place.join(unet), place.join("unet/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    let shown = inspect(&place).succeeds();
    assert!(shown.contains("unet: the weights are there as fp16 too"), "{shown}");
    assert!(
        Folder::read(&place, Some("fp32")).err().unwrap().to_string().contains("no weights of the variant \"fp32\"")
    );
}
