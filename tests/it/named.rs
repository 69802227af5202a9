//! Models by their names, as `inspect` shows them, and what can be asked of each.

use crate::cli::{CARD, Isoline, TinyModel, json};
use isoline::store::WeightTensor;
use std::fs;
use std::path::Path;

/// A folder that cannot be a model's name is found by its path alone, and the message says the rule.
#[test]
fn a_name_outside_the_rule_is_told_the_rule() {
    let model = TinyModel::new();
    fs::rename(model.folder(), model.root().join("My_Model")).unwrap();
    let call = |name: &str| Isoline::new(&["inspect", name]).env("ISOLINE_MODELS", model.root()).cwd(model.root());
    let elsewhere = |name: &str| call(name).cwd(Path::new("/"));
    let rule = "expected 1 to 64 of a-z 0-9 . _ - with a letter or digit first";
    assert!(
        !elsewhere("My_Model").fails(3, &["My_Model", rule, "rename the folder, or give its path"]).contains("mean")
    );
    elsewhere("Digits GAN").fails(3, &["no such model", rule, "found \"Digits GAN\""]);
    assert!(!elsewhere("my-model").fails(3, &["no such model"]).contains("did you mean"));
    assert_eq!(call("My_Model").run().code, 0);
    let list = Isoline::new(&["list", "models"]).env("ISOLINE_MODELS", model.root()).succeeds();
    assert!(list.contains("My_Model") && list.contains("not usable by this name") && list.contains(rule), "{list}");
}

/// What a model is fits a page, and nothing that makes its map is left out.
#[test]
fn inspect_says_all_in_a_hundred_columns() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in ["digits-gan", "digits-vae", "digits-diffusion"] {
        let text = Isoline::new(&["inspect", name]).env("ISOLINE_MODELS", &models).succeeds();
        let long: Vec<&str> = text.lines().filter(|l| l.chars().count() > 100).collect();
        assert!(long.is_empty(), "{}", long.join("\n"));
    }
    let up = "[[layers]]\nkind = \"conv_transpose2d\"\nkey = \"up\"\nout = 1\nkernel = 3\nstride = 2\npadding = 1\noutput_padding = 1\n";
    let card = CARD.replace("shape = [1, 2, 2]\nrange", "shape = [1, 4, 4]\nrange") + up;
    let model = TinyModel::new().with(|t| {
        t.insert("up.weight".into(), WeightTensor { shape: vec![1, 1, 3, 3], values: vec![1.0; 9] });
        t.insert("up.bias".into(), WeightTensor { shape: vec![1], values: vec![0.0] });
    });
    model.write_with(&card, &model.bytes());
    let found = json(&model.inspect().arg("--json").succeeds());
    let about = found["layers"][2]["about"].as_str().unwrap();
    assert_eq!(about, "conv_transpose2d 1 → 1, kernel 3, stride 2, padding 1, output padding 1");
}

/// An unknown method is answered with those that this model has.
#[test]
fn methods_are_those_of_the_model() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let call = |args: &[&str]| Isoline::new(args).env("ISOLINE_MODELS", &models).arg("--device").arg("cpu");
    let generate = |model: &str, method: &str| call(&["generate", "-m", model, "--novelty", "90", "--method", method]);
    let guides = ["forward", "backward", "particles"];
    let gan = generate("digits-gan", "forwrd").fails(2, &["--method forwrd", "digits-gan has: gradient, search"]);
    assert!(guides.iter().all(|g| !gan.contains(g)), "{gan}");
    let gan =
        generate("digits-gan", "forward").fails(2, &["no denoiser", "it has: gradient, search, truncation, none"]);
    assert!(!gan.contains("particles"), "{gan}");
    generate("digits-diffusion", "forwrd").fails(2, &["did you mean \"forward\"?", "digits-diffusion has: gradient"]);
    generate("digits-diffusion", "zzz").fails(2, &guides);
    let lid = |model: &str, method: &str| call(&["lid", "estimate", model, "--method", method]);
    lid("digits-gan", "flipd").fails(2, &["--method", "digits-gan has jacobian, lpca, ess, mle, cfdm"]);
    lid("digits-diffusion", "flpd").fails(2, &["did you mean \"flipd\"?", "digits-diffusion has flipd, jacobian"]);
}

/// Among pictures that are all the same there is no neighbourhood, and no number in the table.
#[test]
fn a_dimension_that_is_not_defined_says_why() {
    let model = TinyModel::new();
    fs::create_dir(model.root().join("same")).unwrap();
    let picture = isoline::render::Picture::from_pixels(vec![9, 8, 7, 6], [1, 2, 2]).unwrap();
    let bytes = isoline::render::png::encode(&picture, &Default::default()).unwrap();
    (0..6).for_each(|i| fs::write(model.root().join(format!("same/{i}.png")), &bytes).unwrap());
    let call = |more: &[&str]| {
        let call =
            Isoline::new(&["lid", "estimate", "tiny", "--device", "cpu", "--reference", "same", "--seeds", "0-1"]);
        call.args(more).env("ISOLINE_MODELS", model.root()).cwd(model.root())
    };
    for method in ["lpca", "ess", "mle"] {
        let text = call(&["--method", method, "--setting", "3"]).succeeds();
        assert_eq!(text.matches("its 3 neighbours all lie at one place").count(), 2, "{text}");
        assert!(!["0.000", "1.000", "NaN", "inf"].iter().any(|n| text.contains(n)), "{text}");
        let text = call(&["--method", method, "--setting", "3", "--pictures", "same", "--json"]).succeeds();
        let samples = &json(&text)["samples"];
        assert!(samples[0]["dimension"].is_null(), "{text}");
        assert_eq!(samples[0]["note"], "only 0 of 6 points lie at another place than it, expected 3 neighbours");
    }
    call(&["--method", "lpca", "--setting", "2.5"]).fails(2, &["--setting", "2 to 5 neighbours, found 2.5"]);
    call(&["--method", "cfdm", "--setting", "0"]).fails(2, &["--setting", "above 0"]);
    (1..6).for_each(|i| fs::remove_file(model.root().join(format!("same/{i}.png"))).unwrap());
    call(&["--method", "lpca", "--setting", "2"]).fails(2, &["--reference", "1 pictures, expected at least 3"]);
}
