//! Features of pictures for `isoline evaluate`: preprocessing as PIL and PyTorch do it, encoders and classifiers from ONNX, the
//! latents of a model's own encoder, the cache, classes.

use crate::cli::Isoline;
use crate::identity::Judge;
use crate::onnx::writer::{Message, body, file, floats, node, value};
use crate::shared::{self, Fixtures};
use isoline::device;
use isoline::generator::Encoder;
use isoline::render::Picture;
use isoline::render::resize::{METHODS, method};
use isoline::store::{Arrays, WeightTensor, sha256_hex, write_safetensors};
use isoline::table::{Column, Table, Values, write_parquet};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What experiments/evaluation/features/ has written.
fn golden(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/golden/features").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(golden(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every way to resize, against PIL and PyTorch (resize.py): up, down, one axis, both, edges that overshoot. What works on bytes
/// has their very bytes. The others round twice to f32 (2·2⁻²⁴·255, times the weights' absolute sum of at most 1.6²), and the
/// plain bilinear one also the place (13·2⁻²⁴, times a slope of 255).
#[test]
fn planes_are_resized_as_pil_and_pytorch_do() {
    let cases = json("resize.json");
    let mut compared = 0;
    for case in cases.as_array().unwrap() {
        let sides = |key: &str| -> [usize; 2] {
            numbers(&case[key]).iter().map(|v| *v as usize).collect::<Vec<_>>().try_into().unwrap()
        };
        let plane: Vec<f32> = numbers(&case["plane"]).iter().map(|v| *v as f32).collect();
        for (name, expected) in case["values"].as_object().unwrap() {
            let found = method(name).unwrap().resize(&plane, sides("from"), sides("to"));
            let bound = match name.as_str() {
                "pil-bilinear" | "pil-bicubic" => 0.0,
                "torch-bilinear" => 3e-4,
                _ => 8e-5,
            };
            let expected = numbers(expected);
            assert_eq!(found.len(), expected.len());
            let off = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            println!("{name} {:?} → {:?}: {off:.1e}", sides("from"), sides("to"));
            assert!(off <= bound, "{name} {:?} → {:?}: {off}", sides("from"), sides("to"));
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * METHODS.len());
}

/// The pictures of encoders.py.
fn pictures() -> Vec<Picture> {
    let value = |i: usize, y: usize, x: usize, c: usize| (i * 31 + y * 7 + x * 11 * (c + 1) + x * y * (i + 1)) % 256;
    let pixels = |i| (0..40 * 48 * 3).map(|p| value(i, p / 144, p / 3 % 48, p % 3) as u8).collect();
    (0..5).map(|i| Picture::from_pixels(pixels(i), [3, 40, 48]).unwrap()).collect()
}

/// As an .npz that NumPy could have written.
fn npz(path: &Path, pictures: &[Picture], labels: Option<&[f64]>) {
    let mut arrays = Arrays::default();
    let [c, h, w] = [pictures[0].channels, pictures[0].height, pictures[0].width];
    let values = pictures.iter().flat_map(|p| p.pixels.iter().map(|b| f64::from(*b))).collect();
    arrays.insert("images", &[pictures.len(), h, w, c], values);
    if let Some(labels) = labels {
        arrays.insert("labels", &[labels.len()], labels.to_vec());
    }
    fs::write(path, arrays.to_npz().unwrap()).unwrap();
}

const TORCHVISION: &[&str] = &[
    "--interpolation",
    "pil-bicubic",
    "--short-side",
    "36",
    "--mean",
    "0.485,0.456,0.406",
    "--std",
    "0.229,0.224,0.225",
];
const CLEAN_FID: &[&str] = &["--interpolation", "clean-fid", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5"];

fn import(file: &str, folder: &Path, more: &[&str]) -> Isoline {
    Isoline::new(&["import"]).arg(golden(file)).arg("-o").arg(folder).args(more)
}

fn load(folder: &Path) -> Encoder {
    Encoder::load(folder, &device::open("cpu").unwrap().1).unwrap()
}

#[track_caller]
fn near(found: &[f32], expected: &Value, bound: f64) {
    let expected = numbers(expected);
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let off = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs() / largest).fold(0.0, f64::max);
    println!("within {off:.1e} of the largest of {}", expected.len());
    assert!(off < bound, "{off}");
}

/// A convolutional network and a transformer with their preprocessing, from picture to features, against PyTorch in f64 with
/// torchvision's and clean-fid's own steps. An inner value is taken as the features of the first.
#[test]
fn onnx_encoders_have_the_features_of_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    let expected = json("encoders.json");
    let pictures = pictures();
    let all: Vec<&Picture> = pictures.iter().collect();
    for (name, more) in [
        ("cnn", [TORCHVISION, &["--as", "encoder", "--output", "/ReduceMean_output_0", "--range", "0,1"]].concat()),
        ("vit", [CLEAN_FID, &["--as", "encoder", "--range", "0,1"]].concat()),
    ] {
        let folder = dir.path().join(name);
        let told = import(&format!("{name}.onnx"), &folder, &more).run();
        assert_eq!(told.code, 0, "{}", told.stderr);
        let said = told.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("picture \"image\" [3, 32, 32], 3072 values"), "{said}");
        assert!(said.contains("independent: a batch of two equals two rows"), "{said}");
        assert!(told.stderr.contains("next: isoline evaluate REAL GENERATED --features"), "{}", told.stderr);
        let encoder = load(&folder);
        assert_eq!(encoder.about(), format!("features of {name}"));
        let seen = encoder.see(&all).unwrap();
        near(&seen.features.0, &expected[name]["features"], 1e-5);
        assert!(seen.probabilities.is_none() && seen.spatial.is_none());
    }
}

/// The same file as a classifier: scores, what the last matrix reads, and a map that the card names.
#[test]
fn an_onnx_classifier_tells_classes_and_places() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cnn");
    let told = import("cnn.onnx", &folder, &[TORCHVISION, &["--as", "classifier", "--range", "0,1"]].concat()).run();
    assert_eq!((told.code, told.stdout.contains("[5], 5 values of each picture")), (0, true), "{}", told.stdout);
    let card = fs::read_to_string(folder.join("card.toml")).unwrap();
    assert!(card.contains("std = [0.229, 0.224, 0.225]"), "{card}");
    let with = |spatial: &str| {
        fs::write(folder.join("card.toml"), card.replace("[provenance]", &format!("{spatial}\n[provenance]"))).unwrap();
    };
    with("[spatial]\nlayer = \"/body/body.2/Relu\"\nchannels = 2\n");
    let expected = json("encoders.json");
    let pictures = pictures();
    let seen = load(&folder).see(&pictures.iter().collect::<Vec<_>>()).unwrap();
    near(&seen.features.0, &expected["cnn"]["features"], 1e-5);
    let (probabilities, classes) = seen.probabilities.unwrap();
    assert_eq!(classes, 5);
    near(&probabilities, &expected["cnn"]["probabilities"], 1e-5);
    let (spatial, width) = seen.spatial.unwrap();
    assert_eq!(width, 2 * 16 * 16);
    let some: Vec<f32> = spatial.chunks(width).flat_map(|row| row.iter().step_by(37).copied()).collect();
    near(&some, &expected["cnn"]["spatial"], 1e-5);

    let (real, made) = (dir.path().join("real.npz"), dir.path().join("made.npz"));
    npz(&real, &pictures, None);
    npz(&made, &pictures[1..], None);
    for (spatial, says) in [
        ("[spatial]\nlayer = \"/body/body.2/Rleu\"\n", "no layer has this place or key; did you mean"),
        ("[spatial]\nlayer = \"/head/Gemm\"\n", "expected a layer that makes [channels, height, width]"),
        ("[spatial]\nlayer = \"/body/body.2/Relu\"\nchannels = 9\n", "spatial.channels: expected 1 to 8, found 9"),
    ] {
        with(spatial);
        let args = [text(&real), text(&made), "--features", text(&folder)];
        evaluate(dir.path()).args(&args).fails(2, &[says]);
    }
    fs::write(folder.join("graph.json"), "{}").unwrap();
    with("");
    let args = [text(&real), text(&made), "--features", text(&folder)];
    evaluate(dir.path()).args(&args).fails(3, &["graph.json", "the file was changed or damaged"]);
}

#[test]
fn what_is_no_encoder_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("model");
    let onnx = |name: &str, nodes, constants, inputs, shape: &[i64]| {
        let path = dir.path().join(name);
        fs::write(&path, file(17, body(nodes, constants, inputs, vec![value("y", shape)]), vec![])).unwrap();
        path
    };
    let tanh = || vec![node("Tanh", &["x"], &["y"], vec![])];
    let add = || vec![node("Add", &["x", "z"], &["y"], vec![])];
    let image = |name: &str| value(name, &[0, 3, 4, 4]);
    let two = onnx("two.onnx", add(), vec![], vec![image("x"), image("z")], &[0, 3, 4, 4]);
    let side = |name: &str| Message::default().text(2, name);
    let sides = Message::default().all(1, [side("n"), Message::default().int(1, 3), side("h"), side("w")]);
    let tensor = Message::default().message(1, Message::default().int(1, 1).message(2, sides));
    let nameless = Message::default().text(1, "x").message(2, tensor);
    let open = onnx("open.onnx", tanh(), vec![], vec![nameless], &[0, 3]);
    let last = onnx("last.onnx", tanh(), vec![], vec![value("x", &[0, 4, 4, 3])], &[0, 4, 4, 3]);
    let flat = onnx("flat.onnx", tanh(), vec![], vec![value("x", &[0, 48])], &[0, 48]);
    let still = onnx(
        "still.onnx",
        vec![node("Identity", &["c"], &["y"], vec![])],
        vec![floats("c", &[1, 4], &[1.0, 2.0, 3.0, 4.0])],
        vec![image("x")],
        &[1, 4],
    );
    let constant = onnx(
        "constant.onnx",
        vec![node("Mul", &["x", "c"], &["y"], vec![])],
        vec![floats("c", &[1], &[0.0])],
        vec![image("x")],
        &[0, 3, 4, 4],
    );
    let endless = onnx(
        "endless.onnx",
        vec![node("Mul", &["x", "c"], &["h"], vec![]), node("Exp", &["h"], &["y"], vec![])],
        vec![floats("c", &[1], &[1e6])],
        vec![image("x")],
        &[0, 3, 4, 4],
    );
    let softmax = onnx(
        "softmax.onnx",
        vec![node("Flatten", &["x"], &["h"], vec![]), node("Softmax", &["h"], &["y"], vec![])],
        vec![],
        vec![image("x")],
        &[0, 48],
    );
    for (path, more, code, says) in [
        (&two, vec![], 2, "say which is the picture, as in latent x"),
        (&open, vec![], 2, "give the picture's shape, as in 3x224x224"),
        (&last, vec![], 3, "reads pictures [4, 4, 3], expected channels first"),
        (&flat, vec![], 3, "reads [48], expected a picture [1 or 3, height, width]"),
        (&still, vec![], 3, "depends on no input"),
        (&constant, vec![], 3, "the same for every picture"),
        (&endless, vec![], 3, "of a picture of noise it makes inf, expected finite numbers"),
        (&softmax, vec!["--as", "classifier"], 2, "is probabilities"),
        (&softmax, vec!["--output", "hh"], 2, "the model has no such output; did you mean \"h\"?"),
        (&softmax, vec!["--interpolation", "bicubic"], 2, "--interpolation: expected one of torch-bilinear"),
        (&softmax, vec!["--mean", "0.5"], 2, "--mean: expected a number for each of 3 channels, found 1"),
        (&softmax, vec!["--std", "1,0,1"], 2, "--std: expected finite numbers above 0, found 0"),
        (&softmax, vec!["--short-side", "3"], 2, "--short-side: expected 4 to 2048"),
        (&softmax, vec!["--picture", "3x4x4"], 2, "--picture: is for a generator"),
        (&softmax, vec!["--as", "generator", "--mean", "0,0,0"], 2, "--mean: is for a network that reads pictures"),
    ] {
        let kind: &[&str] = if more.contains(&"--as") { &[] } else { &["--as", "encoder"] };
        let call = Isoline::new(&["import"]).arg(path).arg("-o").arg(&folder).args(kind).args(&more);
        call.fails(code, &[says]);
        assert!(!folder.exists(), "{more:?} left something");
    }
    let draft = Path::new(ROOT).join("experiments/digits/lenet.toml");
    let call = Isoline::new(&["import"]).arg(&draft).arg("-o").arg(&folder);
    call.args(&["--as", "encoder"]).fails(2, &["--as: is for ONNX files"]);
}

fn evaluate(dir: &Path) -> Isoline {
    Isoline::new(&["evaluate", "--device", "cpu", "-o"])
        .arg(dir.join("out"))
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("ISOLINE_MODELS", Path::new(ROOT).join("models"))
}

fn generate(dir: &Path, model: &str, seeds: &str) -> PathBuf {
    let folder = dir.join(model);
    let args = ["generate", "-q", "--device", "cpu", "-m", model, "--mode", "balanced", "--seeds", seeds, "-o"];
    Isoline::new(&args).arg(&folder).env("ISOLINE_MODELS", Path::new(ROOT).join("models")).succeeds();
    folder
}

fn report(call: Isoline) -> (Value, String) {
    let done = call.arg("--json").run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    (serde_json::from_str(&done.stdout).unwrap(), done.stderr)
}

fn finding<'a>(report: &'a Value, metric: &str) -> &'a Value {
    let findings = report["generated"][0]["findings"].as_array().unwrap();
    findings.iter().find(|f| f["metric"] == metric).unwrap_or_else(|| panic!("no {metric}"))
}

/// A model with an encoder, by its name: the means of what it finds. Another size, and a model without one, are refused.
#[test]
fn latents_of_a_models_own_encoder_are_features() {
    let dir = tempfile::tempdir().unwrap();
    let (gan, vae) = (generate(dir.path(), "digits-gan", "0-39"), generate(dir.path(), "digits-vae", "0-39"));
    let args = [text(&gan), text(&vae), "--features", "digits-vae"];
    let (found, _) = report(evaluate(dir.path()).args(&args));
    assert_eq!((&found["features"], &found["width"]), (&"latents of digits-vae".into(), &12.into()));
    assert!(finding(&found, "inception_score")["note"].as_str().unwrap().contains("needs class probabilities"));
    assert!(found["generated"][0].get("classes").is_none());

    // The decoder's own latents come back from its pictures: the encoder is the right one, and takes the means.
    let folder = Path::new(ROOT).join("models/digits-vae");
    let model = isoline::generator::load(&folder, &device::open("cpu").unwrap().1).unwrap();
    let latents: Vec<f32> = (0..12 * 32).map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.8).collect();
    let made = isoline::generator::pictures(&*model, &latents).unwrap();
    let made: Vec<Picture> = made.into_iter().flatten().collect();
    let seen = load(&folder).see(&made.iter().collect::<Vec<_>>()).unwrap();
    let (a, b): (Vec<f64>, Vec<f64>) =
        latents.iter().zip(&seen.features.0).map(|(a, b)| (f64::from(*a), f64::from(*b))).unzip();
    let r = isoline::statistics::pearson(&a, &b).unwrap();
    assert!(seen.features.1 == 12 && r > 0.5, "{r}");

    let other = dir.path().join("other.npz");
    npz(&other, &pictures(), None);
    let args = [text(&other), text(&other), "--features", "digits-vae"];
    let words = ["--features digits-vae: reads pictures of 28×28, as its model makes, found 40×48; resize them first"];
    evaluate(dir.path()).args(&args).fails(2, &words);
    let args = [text(&gan), text(&vae), "--features", "digits-gan"];
    evaluate(dir.path()).args(&args).fails(2, &["encoder: missing; only the encoder of a model"]);
}

/// The same table with the cache, from it, and without; a damaged file is said and made again; --no-cache leaves nothing.
#[test]
fn features_are_kept_and_the_table_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (gan, vae) = (generate(dir.path(), "digits-gan", "0-39"), generate(dir.path(), "digits-vae", "0-39"));
    let judge = Judge::new("judge", 0.12);
    let kept = dir.path().join("cache/isoline/features");
    let run = |more: &[&str]| {
        let args = [text(&gan), text(&vae), "--features", text(judge.folder())];
        let done = evaluate(dir.path()).args(&args).args(more).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        let read = |name: &str| fs::read(dir.path().join("out").join(name)).unwrap();
        (["evaluation.csv", "evaluation.parquet", "classes.csv"].map(read), done.stderr)
    };
    let (without, _) = run(&["--no-cache"]);
    assert!(!kept.exists());
    let (first, _) = run(&[]);
    let files: Vec<PathBuf> = fs::read_dir(&kept).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    let (second, said) = run(&[]);
    assert!(!said.contains("computed again"), "{said}");
    let mut bytes = fs::read(&files[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let (third, said) = run(&[]);
    assert!(said.contains("is damaged; the features were computed again"), "{said}");
    let (_, said) = run(&[]);
    assert!(!said.contains("computed again"), "{said}");
    for other in [first, second, third] {
        assert_eq!(without, other);
    }
    // Another network, or the same one told to look otherwise, has features of its own.
    let card = judge.folder().join("card.toml");
    let changed = fs::read_to_string(&card).unwrap().replace("range = [0.0, 1.0]", "range = [0.0, 1.0]\nmean = [0.5]");
    fs::write(&card, changed).unwrap();
    let (other, _) = run(&[]);
    assert!(other != without && fs::read_dir(&kept).unwrap().count() == 4);
}

/// Each class has its share and its metrics, in the table, the report and on the page; a class without samples says so. The
/// labels beside the pictures tell how often the classifier is right.
#[test]
fn every_class_has_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let grey = |level: u8, i: usize| {
        let pixels = (0..784).map(|p| level.saturating_add(((p * 31 + i * 17) % 23) as u8)).collect();
        Picture::from_pixels(pixels, [1, 28, 28]).unwrap()
    };
    // The judge calls a picture bright (class 1) from a mean of 0.12, that is 30.6 of 255; the noise adds about 11.
    let real: Vec<Picture> = (0..40).map(|i| grey(if i < 10 { 0 } else { 60 }, i)).collect();
    let made: Vec<Picture> = (0..30).map(|i| grey(80, i)).collect();
    let (a, b) = (dir.path().join("real.npz"), dir.path().join("made.npz"));
    let labels: Vec<f64> = (0..40).map(|i| if i < 12 { 0.0 } else { 1.0 }).collect();
    npz(&a, &real, Some(&labels));
    npz(&b, &made, None);
    let judge = Judge::new("judge", 0.12);
    let (found, said) = report(evaluate(dir.path()).args(&[text(&a), text(&b), "--features", text(judge.folder())]));
    let classes = found["generated"][0]["classes"].as_array().unwrap();
    let counts: Vec<[&Value; 2]> = classes.iter().map(|c| [&c["real"], &c["generated"]]).collect();
    assert_eq!(counts, [[&Value::from(10), &Value::from(0)], [&Value::from(30), &Value::from(30)]]);
    assert_eq!(classes[0]["real_share"], 0.25);
    assert!(
        classes[0]["note"].as_str().unwrap().contains("needs at least 2 of each, found 0"),
        "{}",
        classes[0]["note"]
    );
    assert!(classes[1]["note"].as_str().unwrap().contains("biased by 30 samples"), "{}", classes[1]["note"]);
    assert!(classes[1]["findings"].as_array().unwrap().iter().all(|f| f["value"].is_number()));
    // 38 of 40: two bright pictures are labelled dark.
    assert_eq!((&found["agreement"][0]["right"], &found["agreement"][0]["labelled"]), (&38.into(), &40.into()));
    assert!(said.contains("names the class of 95.00 % of 40 labelled samples"), "{said}");
    let out = dir.path().join("out");
    crate::columns::every_column_is_described(&out.join("classes.parquet"));
    let csv = fs::read_to_string(out.join("classes.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("Class by class"));

    npz(&a, &real, Some(&labels[1..]));
    let args = [text(&a), text(&b), "--features", text(judge.folder())];
    evaluate(dir.path()).args(&args).fails(3, &["expected a label for each of 40 pictures, found 39"]);
    let mut arrays = Arrays::default();
    arrays.insert("images", &[2, 2, 2], vec![0.0, 1.0, 2.0, 256.0, 0.0, 0.0, 0.0, 0.0]);
    fs::write(&a, arrays.to_npz().unwrap()).unwrap();
    evaluate(dir.path()).args(&args).fails(3, &["\"images\": expected bytes, 0 to 255"]);
}

/// Rows in which a column is undefined are left out and counted; where too few are left that is said too.
#[test]
fn undefined_rows_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, holes: &[usize]| {
        let column = |phase: usize, holes: &[usize]| {
            let one = |i: usize| (!holes.contains(&i)).then_some(((i * 7 + phase) % 13) as f64 / 3.0);
            Values::F64((0..40).map(one).collect())
        };
        let mut nu = column(5, &[]);
        if let Values::F64(v) = &mut nu {
            v[7] = Some(f64::NAN);
        }
        let table = Table::new(vec![Column::new("psi", column(0, holes)), Column::new("nu", nu)]).unwrap();
        let path = dir.path().join(name);
        fs::write(&path, write_parquet(&table, &[]).unwrap()).unwrap();
        path
    };
    let (a, b) = (write("a.parquet", &[3, 4]), write("b.parquet", &[]));
    let (found, said) = report(evaluate(dir.path()).args(&[text(&a), text(&b), "--columns", "psi,nu"]));
    assert_eq!((&found["real"]["samples"], &found["generated"][0]["set"]["samples"]), (&37.into(), &39.into()));
    assert!(said.contains("3 of 40 rows left out, where a column is undefined: psi in 2, nu in 1"), "{said}");
    let all: Vec<usize> = (1..40).collect();
    let c = write("c.parquet", &all);
    let args = [text(&a), text(&c), "--columns", "psi"];
    let words =
        ["expected at least 2 samples, found 1; ", "39 of 40 rows left out, where a column is undefined: psi in 39"];
    evaluate(dir.path()).args(&args).fails(3, &words);
}

/// A classifier that makes features that are not finite is named with the picture.
#[test]
fn features_that_are_not_finite_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("vast");
    fs::create_dir(&folder).unwrap();
    let square =
        |name: &str| (name.to_owned(), WeightTensor { shape: vec![4, 4], values: (0..16).map(|_| 3e38).collect() });
    let weights = write_safetensors(&BTreeMap::from([square("a.weight"), square("b.weight")])).unwrap();
    fs::write(folder.join("w.safetensors"), &weights).unwrap();
    let layers: String = ["a", "b"]
        .map(|key| format!("[[layers]]\nkind = \"linear\"\nkey = \"{key}\"\nout = 4\nbias = false\n"))
        .concat();
    let card = format!(
        "format = 1\nid = \"vast\"\nfamily = \"encoder\"\nabout = \"for tests\"\n\n[input]\nshape = [1, 2, 2]\nrange = [0.0, 1.0]\n\n\
         [provenance]\ntrained_on = \"nothing\"\nlicence = \"CC0-1.0\"\nhow = \"by hand\"\n\n\
         [weights]\nfile = \"w.safetensors\"\nsha256 = \"{}\"\n\n{layers}",
        sha256_hex(&weights)
    );
    let set = dir.path().join("a.npz");
    let picture = |i: u8| Picture::from_pixels(vec![i, 200, 9, 255], [1, 2, 2]).unwrap();
    npz(&set, &[picture(0), picture(9), picture(40)], None);
    let args = [text(&set), text(&set), "--features", text(&folder)];
    fs::write(folder.join("card.toml"), &card).unwrap();
    evaluate(dir.path()).args(&args).fails(3, &["picture 0: a feature of vast is not finite"]);
    for (from, to, says) in [
        ("range = [0.0, 1.0]", "range = [0.0, 1.0]\nstd = [0.0]", "input.std: expected finite numbers above 0"),
        ("range = [0.0, 1.0]", "range = [0.0, 1.0]\ninterpolate = \"x\"", "interpolate"),
        (
            "[[layers]]",
            "[graph]\nfile = \"g.json\"\nsha256 = \"0\"\n\n[[layers]]",
            "layers: expected none beside a graph",
        ),
        ("family = \"encoder\"", "family = \"classifer\"", "family: unknown family"),
    ] {
        fs::write(folder.join("card.toml"), card.replacen(from, to, 1)).unwrap();
        evaluate(dir.path()).args(&args).fails(2, &[says]);
    }
}

/// A folder of the foreign ResNet-20 with its card.
fn resnet(root: &Path) -> PathBuf {
    fs::copy(Path::new(ROOT).join("experiments/cifar/resnet20.toml"), root.join("card.toml")).unwrap();
    let weights = shared::data().join("weights/resnet20-cifar10/resnet20.safetensors");
    fs::copy(weights, root.join("resnet20.safetensors")).unwrap();
    root.to_owned()
}

/// Someone else's ResNet-20 through its card: features and probabilities of its fixtures.
#[test]
#[ignore = "needs the shared data"]
fn a_foreign_resnet_has_its_features() {
    let dir = tempfile::tempdir().unwrap();
    let encoder = load(&resnet(dir.path()));
    let fixtures = Fixtures::read(&shared::data().join("weights/resnet20-cifar10/resnet20.fixtures.safetensors"));
    let bytes = fs::read(shared::data().join("weights/resnet20-cifar10/resnet20.fixtures.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let seen = tensors.tensor("input_u8").unwrap();
    let picture = |chw: &[u8]| {
        let pixels = (0..3072).map(|p| chw[p % 3 * 1024 + p / 3]).collect();
        Picture::from_pixels(pixels, [3, 32, 32]).unwrap()
    };
    let pictures: Vec<Picture> = seen.data().chunks_exact(3072).map(picture).collect();
    let found = encoder.see(&pictures.iter().collect::<Vec<_>>()).unwrap();
    let off = shared::relative_l2(&found.features.0, fixtures.get("features64"));
    let softmax = |scores: &[f64]| {
        let all: f64 = scores.iter().map(|s| s.exp()).sum();
        scores.iter().map(|s| s.exp() / all).collect::<Vec<_>>()
    };
    let expected: Vec<f64> = fixtures.get("logits_f64").chunks(10).flat_map(softmax).collect();
    let scores_off = shared::relative_l2(&found.probabilities.unwrap().0, &expected);
    println!("features within {off:.1e}, probabilities within {scores_off:.1e}");
    // Twenty layers in f32.
    assert!(off < 1e-5 && scores_off < 1e-5, "{off} {scores_off}");
    assert_eq!(found.spatial.unwrap().1, 7 * 64);
}

/// What it says of the 4,000 lossless pictures. They are of the training set, so nearly all are right, and not the 91.8 % of the
/// test pictures: PyTorch with the same weights is right on 3,992. A picture between two classes may fall to either side.
#[test]
#[ignore = "needs the shared data"]
fn a_foreign_resnet_knows_the_lossless_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let folder = resnet(dir.path());
    let set = shared::data().join("datasets/cifar10/cifar10_lossless_4000.npz");
    let args = [text(&set), text(&set), "--features", text(&folder), "--metrics", "fd"];
    let (found, said) = report(evaluate(dir.path()).args(&args));
    println!("{said}");
    let agreement = &found["agreement"][0];
    let (right, n) = (agreement["right"].as_u64().unwrap(), agreement["labelled"].as_u64().unwrap());
    assert!(n == 4000 && right.abs_diff(3992) <= 1, "{right} of {n}");
}
