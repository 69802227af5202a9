//! Networks that tell several things of a picture: their training, their card, and what can be done with them.

use crate::cli::Isoline;
use crate::shared;
use isoline::data::{DataConfig, Dataset};
use isoline::device;
use isoline::generator::{Attribute, Classifier, Encoder, OutputKind};
use isoline::render::Picture;
use isoline::render::png::{PngText, encode};
use std::fs;
use std::path::Path;

const CARD: &str = r#"format = 1
id = "mini"
family = "classifier"
about = "for tests"
[input]
shape = [1, 8, 8]
range = [-1.0, 1.0]
[provenance]
trained_on = "bars and dots"
licence = "CC0-1.0"
how = "draft"
[[layers]]
kind = "conv2d"
key = "a"
out = 6
kernel = 4
stride = 2
padding = 1
bias = false
[[layers]]
kind = "batch_norm"
key = "n"
[[layers]]
kind = "relu"
[[layers]]
kind = "linear"
key = "features"
out = 12
[[layers]]
kind = "relu"
"#;

const CONFIG: &str = r#"card = "mini.card.toml"
epochs = 30
batch = 16
learning_rate = 1e-2
seed = 3
ema = 0.9
[data]
kind = "edm"
path = "train"
attributes = "truth.jsonl"
[held_out]
kind = "edm"
path = "test"
attributes = "truth.jsonl"
[[targets]]
column = "tone"
kind = "number"
[[targets]]
column = "mark"
kind = "class"
[[targets]]
column = "at"
kind = "number"
component = 1
weight = 0.5
"#;

/// The pictures: grey of a tone, and on it a white bar, a white dot or nothing, at a place from left to right.
fn pictures(folder: &Path, count: usize, first: usize) {
    fs::create_dir_all(folder.join("0")).unwrap();
    let (mut truth, mut labels) = (String::new(), Vec::new());
    for i in first..first + count {
        let (tone, mark, at) = (i * 37 % 101, i % 3, i / 3 % 6);
        let mut pixels = vec![tone as u8; 64];
        match mark {
            1 => (0..8).for_each(|row| pixels[row * 8 + at] = 255),
            2 => [0, 1, 8, 9].into_iter().for_each(|p| pixels[24 + at + p] = 255),
            _ => {}
        }
        let name = format!("0/{i:03}.png");
        let picture = Picture::from_pixels(pixels, [1, 8, 8]).unwrap();
        fs::write(folder.join(&name), encode(&picture, &PngText::default()).unwrap()).unwrap();
        let mark = ["null", "\"bar\"", "\"dot\""][mark];
        truth += &format!("{{\"name\":\"{name}\",\"tone\":{tone},\"mark\":{mark},\"at\":[0.5,{at}],\"more\":true}}\n");
        labels.push(format!("[\"{name}\", {}]", i % 3));
    }
    fs::write(folder.join("truth.jsonl"), truth).unwrap();
    fs::write(folder.join("dataset.json"), format!("{{\"labels\": [{}]}}", labels.join(", "))).unwrap();
}

fn setting() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    pictures(&dir.path().join("train"), 192, 0);
    pictures(&dir.path().join("test"), 60, 192);
    fs::write(dir.path().join("mini.card.toml"), CARD).unwrap();
    fs::write(dir.path().join("mini.toml"), CONFIG).unwrap();
    dir
}

fn train(dir: &Path, name: &str) -> Isoline {
    Isoline::new(&["train-classifier", "-q", "--device", "cpu", "-c", "mini.toml", "--data", ".", "-o"])
        .arg(format!("work-{name}"))
        .arg("--model")
        .arg(name)
        .cwd(dir)
}

#[test]
fn a_network_learns_several_things_and_says_how_well() {
    let dir = setting();
    let text = train(dir.path(), "mini").arg("--json").succeeds();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["pictures"], 60);
    let of = |name: &str| report["outputs"].as_array().unwrap().iter().find(|o| o["name"] == name).unwrap();
    let mark = &of("mark")["classes"];
    assert!(mark["accuracy"].as_f64().unwrap() > 0.9, "{text}");
    assert_eq!((&mark["classes"], &mark["commonest"], &mark["unknown"]), (&3.into(), &(1.0 / 3.0).into(), &0.into()));
    assert!(of("tone")["number"]["r2"].as_f64().unwrap() > 0.8, "{text}");
    // A picture without a mark has no place, so a third of the places can only be guessed.
    assert!(of("at[1]")["number"]["r2"].as_f64().unwrap() > 0.3, "{text}");
    // The card says what is where, and the network gives the same figures when it is loaded.
    let card: toml::Table = toml::from_str(&fs::read_to_string(dir.path().join("mini/card.toml")).unwrap()).unwrap();
    let outputs = card["outputs"].as_array().unwrap();
    assert_eq!(outputs[1]["classes"].as_array().unwrap().len(), 3);
    assert_eq!(card["layers"].as_array().unwrap().last().unwrap()["out"].as_integer(), Some(5));
    let figures = card["provenance"]["figures"].as_table().unwrap();
    assert_eq!(figures["held_out"].as_integer(), Some(60));
    let classifier = Classifier::load(&dir.path().join("mini"), &device::open("cpu").unwrap().1).unwrap();
    let kinds: Vec<OutputKind> = classifier.outputs().iter().map(|o| o.kind).collect();
    assert_eq!(kinds, [OutputKind::Number, OutputKind::Class, OutputKind::Number]);
    assert_eq!(classifier.outputs()[1].classes, ["bar", "dot", "none"]);
    let config = DataConfig { kind: "edm".into(), path: "test".into(), ..DataConfig::default() };
    let set = Dataset::read(&config, dir.path(), [1, 8, 8]).unwrap();
    let shown: Vec<Picture> = (0..60).map(|i| set.picture(i).unwrap()).collect();
    let shown: Vec<&Picture> = shown.iter().collect();
    let told = classifier.attributes(&shown).unwrap();
    let (Attribute::Numbers(tones), Attribute::Classes(marks)) = (&told[0], &told[1]) else { panic!("{told:?}") };
    let squares: f64 = (0..60).map(|i| (f64::from(tones[i]) - ((192 + i) * 37 % 101) as f64).powi(2)).sum();
    let rmse = figures["rmse"]["tone"].as_float().unwrap();
    // Rounded to six digits, of numbers in f32.
    assert!(((squares / 60.0).sqrt() - rmse).abs() < 1e-4, "{squares} {rmse}");
    // As a classifier it says its first classes.
    let reader = Encoder::load(&dir.path().join("mini"), &device::open("cpu").unwrap().1).unwrap();
    let seen = reader.see(&shown).unwrap();
    assert_eq!((classifier.classes(), seen.features.1), (3, 12));
    assert_eq!(seen.probabilities, Some((marks.clone(), 3)));
    let classes = classifier.classify(&shown).unwrap();
    let right = classes.iter().enumerate().filter(|(i, c)| **c == Some([2, 0, 1][(192 + i) % 3])).count();
    assert!((right as f64 / 60.0 - figures["accuracy"]["mark"].as_float().unwrap()).abs() < 1e-5);
    // And its last hidden values are features.
    let done =
        Isoline::new(&["evaluate", "-q", "--device", "cpu", "train", "test", "--features", "mini", "-o", "seen"])
            .cwd(dir.path())
            .succeeds();
    assert!(done.contains("inception_score"), "{done}");
    let seen: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("seen/study.json")).unwrap()).unwrap();
    assert!(seen.to_string().contains("last hidden values of mini"));
}

#[test]
fn a_resumed_training_equals_an_unbroken_one() {
    let dir = setting();
    fs::write(dir.path().join("mini.toml"), CONFIG.replace("epochs = 30", "epochs = 3")).unwrap();
    let table = train(dir.path(), "whole").succeeds();
    train(dir.path(), "parts").arg("--stop-after").arg("1").succeeds();
    assert!(!dir.path().join("parts").exists());
    assert_eq!(train(dir.path(), "parts").succeeds(), table);
    for file in ["weights.safetensors", "card.toml"] {
        let bytes = |name: &str| fs::read(dir.path().join(name).join(file)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{file} differs after a resume");
    }
    // Another table is another training.
    let place = dir.path().join("train/truth.jsonl");
    let text = fs::read_to_string(&place).unwrap().replace("\"bar\"", "\"beam\"").replace("\"tone\":0,", "\"tone\":1,");
    fs::write(place, text).unwrap();
    train(dir.path(), "parts").fails(2, &["work-parts", "checkpoints of another config"]);
}

#[test]
fn classes_that_were_never_taught_are_told() {
    let dir = setting();
    fs::write(dir.path().join("mini.toml"), CONFIG.replace("epochs = 30", "epochs = 1")).unwrap();
    let place = dir.path().join("test/truth.jsonl");
    let text = fs::read_to_string(&place).unwrap().replacen("\"bar\"", "\"beam\"", 3);
    fs::write(place, text).unwrap();
    let table = train(dir.path(), "mini").succeeds();
    let note = "3 classes; 1 more were never seen in training, so 3 held-out pictures must be wrong";
    assert!(table.contains(note), "{table}");
}

#[test]
fn bad_lines_of_config_and_table_are_refused() {
    let dir = setting();
    let refused = |from: &str, to: &str, code: i32, words: &[&str]| {
        assert!(CONFIG.contains(from), "{from}");
        fs::write(dir.path().join("mini.toml"), CONFIG.replace(from, to)).unwrap();
        train(dir.path(), "a").fails(code, words);
        assert!(!dir.path().join("a").exists());
    };
    refused(
        "column = \"mark\"",
        "column = \"marc\"",
        3,
        &["truth.jsonl: line 1", "no \"marc\"", "did you mean \"mark\"?"],
    );
    refused(
        "column = \"mark\"\nkind = \"class\"",
        "column = \"mark\"\nkind = \"number\"",
        2,
        &["targets", "kind = \"class\""],
    );
    refused("kind = \"class\"", "kind = \"classes\"", 2, &["mini.toml", "classes", "did you mean \"class\"?"]);
    refused(
        "column = \"tone\"\n",
        "column = \"more\"\n",
        3,
        &["\"more\" of \"0/000.png\"", "expected a finite number, found true"],
    );
    refused("column = \"mark\"\n", "column = \"more\"\n", 3, &["\"more\" is the same for every picture"]);
    refused(
        "column = \"mark\"\n",
        "column = \"at\"\n",
        3,
        &["\"at\" of \"0/000.png\"", "expected a text", "found [0.5,0]"],
    );
    refused("component = 1", "component = 2", 3, &["\"at\" of \"0/000.png\"", "a finite number at 2"]);
    refused("component = 1", "component = 0", 3, &["\"at[0]\" is the same for every picture"]);
    refused("kind = \"class\"", "kind = \"class\"\ncomponent = 0", 2, &["mini.toml: targets[1].component"]);
    refused("weight = 0.5", "weight = 0", 2, &["mini.toml: targets[2].weight", "above 0"]);
    refused(
        "column = \"at\"\nkind = \"number\"\ncomponent = 1",
        "column = \"tone\"\nkind = \"number\"",
        2,
        &["\"tone\" is there twice"],
    );
    refused("epochs = 30", "epochs = 30\nobjective = \"vae\"", 2, &["mini.toml: objective", "learns its targets"]);
    refused(
        "path = \"train\"\nattributes = \"truth.jsonl\"",
        "path = \"train\"",
        2,
        &["mini.toml: data.attributes: missing"],
    );
    refused(
        "path = \"test\"\nattributes = \"truth.jsonl\"",
        "path = \"test\"",
        2,
        &["mini.toml: held_out.attributes: missing"],
    );
    refused(
        "attributes = \"truth.jsonl\"\n[held",
        "attributes = \"../truth.jsonl\"\n[held",
        2,
        &["data.attributes", "empty, . or .."],
    );
    refused("attributes = \"truth.jsonl\"\n[held", "attributes = \"none.jsonl\"\n[held", 4, &["none.jsonl"]);
    refused("path = \"test\"", "path = \"nowhere.zip\"", 4, &["nowhere.zip"]);
    let without =
        CONFIG[..CONFIG.find("[held_out]").unwrap()].to_owned() + &CONFIG[CONFIG.find("[[targets]]").unwrap()..];
    fs::write(dir.path().join("mini.toml"), without).unwrap();
    train(dir.path(), "a").fails(2, &["mini.toml: held_out: missing"]);
    // The card.
    fs::write(dir.path().join("mini.toml"), CONFIG).unwrap();
    for (from, to, words) in [
        ("family = \"classifier\"", "family = \"vae\"", ["card.toml: family", "expected \"classifier\""]),
        ("shape = [1, 8, 8]", "shape = [1, 8]", ["card.toml", "length"]),
        ("range = [-1.0, 1.0]", "range = [1.0, 1.0]", ["card.toml: input.range", "low < high"]),
        ("key = \"features\"", "key = \"outputs\"", ["card.toml", "outputs"]),
    ] {
        fs::write(dir.path().join("mini.card.toml"), CARD.replace(from, to)).unwrap();
        train(dir.path(), "a").fails(2, &words);
    }
    fs::write(dir.path().join("mini.card.toml"), CARD).unwrap();
    // The table.
    let place = dir.path().join("train/truth.jsonl");
    let good = fs::read_to_string(&place).unwrap();
    let second = good.lines().nth(1).unwrap();
    for (text, words) in [
        (good.replacen("0/001.png", "0/xyz.png", 1), ["truth.jsonl: line 2", "no picture \"0/xyz.png\""]),
        (format!("{good}{second}\n"), ["truth.jsonl: line 193", "\"0/001.png\" has two lines"]),
        (good.replacen(&format!("{second}\n"), "", 1), ["truth.jsonl", "no line for \"0/001.png\""]),
        (good.replacen("\"name\":", "\"nam\":", 1), ["truth.jsonl: line 1", "expected \"name\""]),
        (format!("{good}{{\n"), ["truth.jsonl: line 193", "EOF"]),
        (good.replacen("\"bar\"", "\"none\"", 1), ["truth.jsonl", "\"mark\" holds null"]),
        (good.replacen("\"tone\":37", "\"tone\":null", 1), ["\"tone\" of \"0/001.png\"", "found null"]),
    ] {
        fs::write(&place, text).unwrap();
        train(dir.path(), "a").fails(3, &words);
    }
    fs::write(&place, &good).unwrap();
    // A generator has no targets, and a classifier is none.
    let call = |command: &str, more: &[&str]| Isoline::new(&[command, "-q"]).args(more).cwd(dir.path());
    let generator = call("train-generator", &["-c", "mini.toml", "--data", ".", "--device", "cpu"]);
    generator.fails(2, &["mini.toml: targets", "isoline train-classifier"]);
}

/// The network that comes with the program, on the pictures it was not taught with.
#[test]
#[ignore = "needs the shared data"]
fn the_shipped_network_tells_peeps_as_its_card_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/peeps-attributes");
    let card: toml::Table = toml::from_str(&fs::read_to_string(folder.join("card.toml")).unwrap()).unwrap();
    let figures = &card["provenance"]["figures"];
    let classifier = Classifier::load(&folder, &device::open("cpu").unwrap().1).unwrap();
    let root = shared::data().join("datasets");
    let config = DataConfig { kind: "edm".into(), path: "peeps/peeps-64-test.zip".into(), ..DataConfig::default() };
    let set = Dataset::read(&config, &root, [3, 64, 64]).unwrap();
    assert_eq!((set.count(), set.class_count()), (2000, Some(48)));
    // Pixels as Pillow decodes them, channel by channel in the order of the names, and the classes.
    let pixels = "bfb50cd3df84c98046ab185b70811bc507da64fb78eae2de4192002f62304e79";
    let classes = "ba375af9aeafd502f42d78297bc3f4e4905a0a7ca81a38bdf65d3676a7792961";
    assert_eq!(set.sha256(), format!("{pixels} {classes}"));
    let mut archive = zip::ZipArchive::new(fs::File::open(root.join(&config.path)).unwrap()).unwrap();
    let text = std::io::read_to_string(archive.by_name("truth.jsonl").unwrap()).unwrap();
    // Its lines are in the order of the names.
    let truth: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(truth.is_sorted_by(|a, b| a["name"].as_str() < b["name"].as_str()));
    // Every fifth.
    let picked: Vec<usize> = (0..2000).step_by(5).collect();
    let n = picked.len() as f64;
    let shown: Vec<Picture> = picked.iter().map(|i| set.picture(*i).unwrap()).collect();
    let told = classifier.attributes(&shown.iter().collect::<Vec<_>>()).unwrap();
    for (output, told) in classifier.outputs().iter().zip(&told) {
        match told {
            Attribute::Classes(p) => {
                let best = p.chunks_exact(output.classes.len()).map(|row| {
                    let best = (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
                    output.classes[best].as_str()
                });
                let is = |i: &usize| truth[*i][&output.name].as_str().unwrap_or("none");
                let right = best.zip(picked.iter().map(is)).filter(|(a, b)| a == b).count();
                let (found, wanted) = (right as f64 / n, figures["accuracy"][&output.name].as_float().unwrap());
                // Four standard errors of a share of 400 out of 2,000, and one picture where a share is near 1.
                let off = 4.0 * (wanted * (1.0 - wanted) / n * (1.0 - n / 2000.0)).sqrt() + 1.0 / n;
                assert!((found - wanted).abs() <= off, "{}: {found}, in the card {wanted}", output.name);
            }
            Attribute::Numbers(told) => {
                let (column, component) = match output.name.split_once('[') {
                    Some((column, rest)) => (column, rest.trim_end_matches(']').parse::<usize>().ok()),
                    None => (output.name.as_str(), None),
                };
                let is = |i: usize| component.map_or(&truth[i][column], |c| &truth[i][column][c]).as_f64().unwrap();
                let squares: Vec<f64> =
                    picked.iter().zip(told).map(|(i, v)| (f64::from(*v) - is(*i)).powi(2)).collect();
                let mean = squares.iter().sum::<f64>() / n;
                let spread = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0);
                let wanted = figures["rmse"][&output.name].as_float().unwrap().powi(2);
                // Four standard errors of a mean of squares; heavy tails make that of 400 too small, so twice that.
                let off = 8.0 * (spread / n).sqrt();
                assert!((mean - wanted).abs() <= off, "{}: {mean}, in the card {wanted}", output.name);
            }
        }
    }
}

#[test]
fn a_classifier_among_the_models_is_no_generator() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let call = |args: &[&str]| Isoline::new(args).env("ISOLINE_MODELS", &models).env("ISOLINE_DEVICE", "cpu");
    call(&["generate", "-q", "-m", "peeps-attributes"])
        .fails(2, &["peeps-attributes/card.toml: family: this is a classifier", "expected a generator"]);
    let listed = call(&["list", "models"]).succeeds();
    let line = listed.lines().find(|l| l.starts_with("peeps-attributes")).unwrap();
    assert!(line.contains("classifier, makes no pictures: what a peep shows"), "{line}");
}
