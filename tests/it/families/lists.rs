//! The tensors of the models that people have, by name and shape: what a config asks for is what the published file holds.

use super::tiny;
use crate::shared;
use flate2::read::GzDecoder;
use isoline::diffusion::schedulers::{python_json, scheduler};
use isoline::families::{AutoencoderKl, ClipText, Component, Unet, today};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;

/// The names, as they are called today and without a prefix, and the shapes of a list.
fn listed(name: &str) -> BTreeMap<String, Vec<usize>> {
    let mut text = String::new();
    let path = shared::data().join(format!("key-lists/{name}.tsv.gz"));
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let one = |line: &str| {
        let mut columns = line.split('\t');
        let name = today(columns.next().unwrap());
        let name = name.strip_prefix("text_model.").map_or(name.clone(), str::to_owned);
        (name, columns.next().unwrap().split('x').map(|n| n.parse().unwrap()).collect())
    };
    text.lines().skip(1).map(one).filter(|(name, _)| !name.ends_with("position_ids")).collect()
}

fn component(name: &str) -> Component {
    let folder = shared::data().join("key-lists");
    let config = fs::read_to_string(folder.join(format!("{name}.config.json"))).unwrap();
    let (class, files, tensors) = (String::new(), Vec::new(), Vec::new());
    Component { name: name.to_owned(), class, folder, config: python_json(&config).unwrap(), files, tensors }
}

/// Every tensor of every model is asked for once, with its shape, and no other is.
#[test]
#[ignore = "needs the shared data"]
fn every_published_tensor_has_its_place() {
    let mut count = 0;
    let mut check = |name: &str, expected: Vec<(String, Vec<usize>)>| {
        let mut listed = listed(name);
        for (key, shape) in expected {
            let found = listed
                .remove(&key)
                .unwrap_or_else(|| panic!("{name}: {key} {shape:?} is not in the list, or was asked for twice"));
            let bare = |s: &[usize]| if s.len() == 4 && s[2..] == [1, 1] { s[..2].to_vec() } else { s.to_vec() };
            assert_eq!(bare(&found), bare(&shape), "{name}: {key}");
            count += 1;
        }
        assert!(listed.is_empty(), "{name}: nothing reads {:?}", listed.keys().take(3).collect::<Vec<_>>());
    };
    for name in
        ["sd15.unet", "sd21.unet", "sd21-base.unet", "sd-turbo.unet", "lcm-sd15.unet", "sdxl.unet", "sdxl-turbo.unet"]
    {
        check(name, Unet::expected(&component(name)).unwrap());
    }
    for name in ["sd15.vae", "sd21.vae", "sd-turbo.vae", "sdxl.vae", "dit-xl-2.vae"] {
        check(name, AutoencoderKl::read(&component(name)).unwrap().expected().unwrap());
    }
    for name in
        ["sd15.text_encoder", "sd21.text_encoder", "sd-turbo.text_encoder", "sdxl.text_encoder", "sdxl.text_encoder_2"]
    {
        check(name, ClipText::expected(&component(name).config).unwrap());
    }
    eprintln!("{count} tensors");
    assert!(count > 7_000, "{count}");
    // Their schedulers are read too.
    for name in ["sd15", "sd21", "sd-turbo", "sdxl", "lcm-sd15"] {
        let path = shared::data().join(format!("key-lists/{name}.scheduler_config.json"));
        let config = python_json(&fs::read_to_string(path).unwrap()).unwrap();
        scheduler(&config, 4, 0.0).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// A key of a U-Net's config that would change pictures is refused by its name.
#[test]
#[ignore = "needs the shared data"]
fn keys_that_change_pictures_are_refused() {
    for (key, value, words) in [
        ("resnet_time_scale_shift", "scale_shift", "resnet_time_scale_shift: expected \"default\""),
        ("class_embed_type", "timestep", "class_embed_type: expected null"),
        ("encoder_hid_dim_type", "text_proj", "encoder_hid_dim_type: expected null"),
        ("new_kind_of_attention", "yes", "new_kind_of_attention: \"yes\" is not known to isoline"),
        ("addition_embed_type", "image", "addition_embed_type: expected text_time"),
    ] {
        let mut unet = Component::read(&tiny("sd15-like/unet"), "unet", "", None).unwrap().0;
        unet.config[key] = value.into();
        let found = Unet::expected(&unet).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(found.contains(words), "{key}: {found}");
    }
}
