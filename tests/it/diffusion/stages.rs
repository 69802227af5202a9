//! Models of two stages, through the program and the library: an autoencoder, a denoiser of its codes, and the map from
//! noise to picture through both.

use super::{cpu, models};
use crate::cli::Isoline;
use isoline::diffusion::{SamplerConfig, State};
use isoline::generator;
use isoline::nn::{Rows, Tangents};
use isoline::noise::{Stream, normals};
use isoline::table::{Values, read_parquet};
use isoline::tensors::{host, rows};
use std::fs;
use std::path::Path;

const AUTOENCODER: &str = r#"format = 1
id = "coder"
family = "autoencoder"
about = "for tests"
[latent]
shape = [2, 2, 2]
prior = "normal"
[sample]
shape = [1, 4, 4]
range = [-1.0, 1.0]
[provenance]
trained_on = "stripes"
licence = "CC0-1.0"
how = "draft"
[[layers]]
kind = "conv2d"
key = "decoder.in"
out = 6
kernel = 1
[[layers]]
kind = "silu"
[[layers]]
kind = "conv_transpose2d"
key = "decoder.out"
out = 1
kernel = 4
stride = 2
padding = 1
[[encoder.layers]]
kind = "conv2d"
key = "encoder.in"
out = 6
kernel = 4
stride = 2
padding = 1
[[encoder.layers]]
kind = "silu"
[[encoder.layers]]
kind = "conv2d"
key = "encoder.out"
out = 4
kernel = 1
"#;

const CODER: &str = r#"card = "coder.card.toml"
objective = "autoencoder"
epochs = 30
batch = 20
learning_rate = 1e-2
seed = 3
ema = 0.9
[data]
kind = "idx"
path = "stripes.idx"
[settings]
kl = 1e-3
edges = 0.5
"#;

/// The models of [`models::setting`], with a denoiser of codes in place of pictures.
fn setting() -> tempfile::TempDir {
    let dir = models::setting();
    let card = models::CARD
        .replace("shape = [1, 4, 4]\nprior", "shape = [2, 2, 2]\nprior")
        .replace("channels = [4, 8]", "channels = [4]")
        .replace("attention = [1]", "attention = [0]")
        .replace("key = \"out\"\nout = 1", "key = \"out\"\nout = 2");
    fs::write(dir.path().join("mini.card.toml"), card).unwrap();
    let config = models::CONFIG.replace("seed = 3", "autoencoder = \"coder\"\nseed = 3");
    fs::write(dir.path().join("mini.toml"), config).unwrap();
    fs::write(dir.path().join("coder.card.toml"), AUTOENCODER).unwrap();
    fs::write(dir.path().join("coder.toml"), CODER).unwrap();
    dir
}

fn train(dir: &Path, config: &str, name: &str) -> Isoline {
    Isoline::new(&["train-generator", "-q", "--device", "cpu", "--data", ".", "-c"])
        .arg(format!("{config}.toml"))
        .arg("-o")
        .arg(format!("work-{name}"))
        .arg("--model")
        .arg(name)
        .cwd(dir)
}

/// A decoder that goes on from a model of two stages, its encoder as it was: the same codes, and better pictures of them.
#[test]
fn a_decoder_goes_on_alone_from_a_model_that_holds_it() {
    let (dir, taught) = (setting(), taught());
    let write = |name: &str, from: &str, to: &str| {
        assert!(CODER.contains(from), "{from}");
        fs::write(dir.path().join(name), CODER.replace(from, to)).unwrap();
    };
    let start = format!("seed = 3\nstart = {:?}", taught.join("mini"));
    let [on, alone] = ["", "decoder_alone = true\n"].map(|more| format!("{start}\n[settings]\n{more}"));
    let text = CODER.replace("[settings]\n", "").replace("kl = 1e-3\nedges = 0.5\n", "");
    for (name, head) in [("on", &on), ("alone", &alone)] {
        let settings = head.split_once("[settings]\n").unwrap();
        let config = text.replace("seed = 3", settings.0);
        fs::write(dir.path().join(format!("{name}.toml")), format!("{config}[settings]\n{}kl = 1e-3\n", settings.1))
            .unwrap();
        train(dir.path(), name, name).succeeds();
    }
    let tensors = |folder: &Path| {
        let path = folder.join("weights.safetensors");
        isoline::store::Weights::parse(&path, &fs::read(&path).unwrap()).unwrap()
    };
    let [before, on, alone] =
        [taught.join("mini"), dir.path().join("on"), dir.path().join("alone")].map(|f| tensors(&f));
    // What ships is the running average of the weights, which rounds in each of its 180 steps.
    let same = |a: &isoline::store::Weights, name: &str| {
        let pairs = a.get(name).unwrap().values.iter().zip(&before.get(name).unwrap().values);
        pairs.fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) < 180.0 * f32::EPSILON
    };
    for name in ["encoder.in.weight", "encoder.out.bias"] {
        assert!(same(&alone, name) && !same(&on, name), "{name}");
    }
    assert!(!same(&alone, "decoder.out.weight"));
    let last = |name: &str| {
        let text = fs::read_to_string(dir.path().join(format!("work-{name}/metrics.jsonl"))).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        [&rows[0], &rows[rows.len() - 1]].map(|r| r["loss"].as_f64().unwrap())
    };
    let [first, end] = last("alone");
    assert!(end < first, "{first} {end}");
    // A start that does not fit, and an encoder that was never taught.
    write("bad.toml", "seed = 3", "seed = 3\nstart = \"digits-vae\"");
    train(dir.path(), "bad", "bad")
        .fails(2, &["start", "expected the tensor decoder.in.weight", "found one with [256, 12]"]);
    write("means.toml", "seed = 3", "seed = 3\ncodes = \"mean\"");
    train(dir.path(), "means", "bad").fails(2, &["means.toml: codes", "expected an autoencoder"]);
    write("untaught.toml", "kl = 1e-3", "decoder_alone = true");
    train(dir.path(), "untaught", "bad").fails(2, &["settings.decoder_alone", "expected a model in start"]);
    write("drawn.toml", "kl = 1e-3", "means = true");
    train(dir.path(), "drawn", "bad").fails(2, &["settings.means", "expected decoder_alone"]);
    // On mean codes the decoder learns another thing than on drawn ones, and nothing about the encoder.
    let text = fs::read_to_string(dir.path().join("alone.toml")).unwrap();
    fs::write(dir.path().join("mean.toml"), text.replace("decoder_alone = true", "decoder_alone = true\nmeans = true"))
        .unwrap();
    train(dir.path(), "mean", "mean").succeeds();
    let mean = tensors(&dir.path().join("mean"));
    assert!(same(&mean, "encoder.in.weight"));
    assert!(mean.get("decoder.out.weight").unwrap().values != alone.get("decoder.out.weight").unwrap().values);
    // Without a pass, a denoiser is joined with the new decoder of its codes.
    let text = fs::read_to_string(dir.path().join("mini.toml")).unwrap();
    let start = format!("autoencoder = \"mean\"\nstart = {:?}\n", taught.join("mini"));
    let epochs = text.lines().find(|l| l.starts_with("epochs")).unwrap().to_owned();
    let joined = text.replace("autoencoder = \"coder\"\n", &start).replace(&epochs, "epochs = 0");
    fs::write(dir.path().join("joined.toml"), &joined).unwrap();
    train(dir.path(), "joined", "joined").succeeds();
    let joined_model = tensors(&dir.path().join("joined"));
    assert!(same(&joined_model, "embed.weight") && same(&joined_model, "out.bias"));
    assert_eq!(joined_model.get("decoder.out.weight").unwrap().values, mean.get("decoder.out.weight").unwrap().values);
    let other = joined.replace("autoencoder = \"mean\"", "autoencoder = \"on\"");
    fs::write(dir.path().join("other.toml"), other).unwrap();
    train(dir.path(), "other", "bad").fails(2, &["start", "its codes are not those of the autoencoder"]);
    fs::write(dir.path().join("nothing.toml"), text.replace(&epochs, "epochs = 0")).unwrap();
    train(dir.path(), "nothing", "bad").fails(2, &["nothing.toml: epochs", "expected 1 to 10000"]);
}

/// The first stage may be that of a model of two, and the means of codes may be learnt in place of drawn ones.
#[test]
fn codes_come_from_a_model_of_two_stages_too() {
    let (dir, taught) = (setting(), taught());
    let text = fs::read_to_string(dir.path().join("mini.toml")).unwrap();
    let weights = |folder: &Path| fs::read(folder.join("weights.safetensors")).unwrap();
    let write = |name: &str, autoencoder: &Path, more: &str, seed: u32| {
        let line = format!("autoencoder = {autoencoder:?}\n{more}");
        let text = text.replace("autoencoder = \"coder\"\n", &line).replace("seed = 3", &format!("seed = {seed}"));
        fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
        train(dir.path(), name, name).succeeds();
        weights(&dir.path().join(name))
    };
    let first = weights(&taught.join("mini"));
    assert!(write("again", &taught.join("mini"), "", 3) == first, "the same codes, so the same model");
    assert!(write("still", &taught.join("coder"), "codes = \"mean\"\n", 3) != first);
    // The denoiser is the one that was trained, though the model of two stages has one too; the other stage is as it was.
    write("other", &taught.join("mini"), "", 4);
    let read = |folder: &Path| isoline::store::Weights::read(&folder.join("weights.safetensors")).unwrap();
    let (other, first) = (read(&dir.path().join("other")), read(&taught.join("mini")));
    for name in first.names() {
        let kept = name.starts_with("decoder.") || name.starts_with("encoder.");
        assert_eq!(other.get(name).unwrap().values == first.get(name).unwrap().values, kept, "{name}");
    }
}

/// A folder with the models `coder` and `mini`, made once for all tests.
fn taught() -> &'static Path {
    static TAUGHT: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    let made = TAUGHT.get_or_init(|| {
        let dir = setting();
        train(dir.path(), "coder", "coder").succeeds();
        train(dir.path(), "mini", "mini").succeeds();
        dir
    });
    made.path()
}

#[test]
fn both_trainings_resume_to_the_same_bits() {
    let dir = setting();
    let weights = |name: &str| fs::read(dir.path().join(name).join("weights.safetensors")).unwrap();
    for config in ["coder", "mini"] {
        let [whole, parts] = [format!("{config}-whole"), format!("{config}-parts")];
        train(dir.path(), config, &whole).succeeds();
        train(dir.path(), config, &parts).arg("--stop-after").arg("1").succeeds();
        train(dir.path(), config, &parts).succeeds();
        assert!(weights(&whole) == weights(&parts), "{config}: weights differ after a resume");
        if config == "coder" {
            fs::rename(dir.path().join(whole), dir.path().join("coder")).unwrap();
        }
    }
}

/// An autoencoder that learns leaves less error than the best constant picture does.
#[test]
fn an_autoencoder_rebuilds_pictures() {
    let metrics = fs::read_to_string(taught().join("work-coder/metrics.jsonl")).unwrap();
    let of = |line: &str, key: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()[key].as_f64().unwrap();
    let [first, last] = [metrics.lines().next().unwrap(), metrics.lines().last().unwrap()];
    // A third of the values is white and the rest near black. The best constant, black, is off by 1/3 of the range.
    assert!(of(last, "error") < 0.15, "{last}");
    assert!(of(last, "loss") < of(first, "loss"), "{first} {last}");
}

#[test]
fn one_map_from_noise_to_picture() {
    let device = cpu();
    let model = generator::load(&taught().join("mini"), &device).unwrap();
    let (d, width) = (model.spec().latent_width, 16);
    assert_eq!((d, model.spec().state_shape, model.spec().sample_shape), (8, [2, 2, 2], [1, 4, 4]));
    let z = normals(5, 0, Stream::Latent, 0, 3 * d);
    let at = |z: &[f32]| host(model.generate(rows(z.to_vec(), d, &device))).unwrap();
    let picture = at(&z);
    // The picture is the decoded state.
    let sampler = model.as_sampler().unwrap();
    let states = model.states(rows(z.clone(), d, &device));
    assert_eq!(host(model.pictures_of(states.clone())).unwrap(), picture);
    assert_ne!(host(states).unwrap().len(), picture.len());
    // Tangents of the whole map: by tensors, by host memory, by central differences.
    let unit = |i: usize| -> Vec<f32> { (0..d).map(|j| f32::from(u8::from(i == j))).collect() };
    let units: Vec<f32> = (0..d).flat_map(unit).collect();
    let (value, tangents) = model.tangents(rows(z.clone(), d, &device), Tangents::shared(rows(units, d, &device)));
    assert_eq!(host(value).unwrap(), picture);
    let tangents = host(tangents.rows()).unwrap();
    let graph = model.host().expect("a map on host memory");
    assert_eq!(graph.features(), width);
    let step = 1e-2f32;
    for row in 0..3 {
        let z = &z[row * d..(row + 1) * d];
        let (value, point) = graph.value(z);
        let largest = tangents.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        for (a, b) in value.iter().zip(&picture[row * width..]) {
            assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} {b}");
        }
        let units = isoline::host::HostRows::units(d, 0, d);
        let pushed = graph.tangent(&point, &graph.entering(units), None);
        for i in 0..d {
            let moved = |by: f32| -> Vec<f32> {
                let z: Vec<f32> = z.iter().enumerate().map(|(j, v)| if i == j { v + by } else { *v }).collect();
                at(&z)
            };
            let (up, down) = (moved(step), moved(-step));
            let lane = pushed.lane(i);
            for j in 0..width {
                let found = tangents[(row * d + i) * width + j];
                let difference = (up[j] - down[j]) / (2.0 * step);
                // Rounding: 1e-7·|picture|/step; curvature: step²/6 of a third derivative of the map's own size.
                assert!((found - difference).abs() < 2e-3 * largest, "{found} {difference} of {largest}");
                assert!((found - lane[j]).abs() < 1e-5 * largest, "{found} {} of {largest}", lane[j]);
            }
        }
    }
    // Codes of pictures are standardised: they vary by about 1.
    let pictures: Vec<f32> =
        (0..120).flat_map(|i| (0..16).map(move |p| if (p % 4 + i) % 3 == 0 { 1.0 } else { -1.0 })).collect();
    let codes = host(model.states_of(rows(pictures, 16, &device))).unwrap();
    let square = codes.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / codes.len() as f64;
    assert!((0.3..2.0).contains(&square), "{square}");
    // The noise that a state would come from leads back to it, on a path of many small steps.
    let fine = SamplerConfig { steps: 96, ..sampler.config().clone() }.build(sampler.denoiser().range()).unwrap();
    let follow = |z: Rows| {
        let end = sampler.sample(State::plain(z), &[0, 1], &fine, &mut |_, _| Ok(())).unwrap();
        end.value
    };
    let end = follow(rows(normals(6, 0, Stream::Latent, 0, 2 * d), d, &device));
    let again = host(follow(sampler.noise_of(end.clone()).unwrap())).unwrap();
    let end = host(end).unwrap();
    let off: f64 = end.iter().zip(&again).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let all: f64 = end.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>().sqrt();
    assert!(off < 0.1 * all, "{off} of {all}");
}

#[test]
fn the_commands_see_one_model() {
    let dir = taught();
    let run = |arguments: &[&str]| Isoline::new(arguments).cwd(dir).succeeds();
    let inspected = run(&["inspect", "mini"]);
    assert!(
        inspected.contains("decoder") && inspected.contains("encoder") && inspected.contains("all there"),
        "{inspected}"
    );
    run(&["generate", "-q", "--device", "cpu", "-m", "mini", "--mode", "balanced", "--seeds", "0-3", "-o", "made"]);
    let images = fs::read_dir(dir.join("made/images")).unwrap().count();
    assert_eq!(images, 4);
    // Pictures that were made are inverted through the encoder and back along the flow.
    run(&["describe", "-q", "--device", "cpu", "mini", "--images", "made/images", "-o", "inverted"]);
    let recipe = fs::read_to_string(dir.join("inverted/recipe.toml")).unwrap();
    assert!(recipe.contains("encoder and 24 levels back"), "{recipe}");
    // The density on the learned manifold, p(x) = p_Z(E(x)) / det(JᵀJ)^½, stands beside the error that gates it: how far the
    // picture of the latent that was found is from the picture that was given.
    let table = read_parquet(&dir.join("inverted/descriptors.parquet")).unwrap().0;
    let column = |name: &str| match &table.column(name).unwrap_or_else(|| panic!("no column {name}")).values {
        Values::F64(v) => v.iter().map(|v| v.unwrap()).collect::<Vec<f64>>(),
        other => panic!("{name}: {other:?}"),
    };
    let [densities, psis, norms, residuals] = ["log_likelihood", "psi_k", "z_norm", "residual"].map(column);
    assert_eq!(densities.len(), 4);
    for (((density, psi), norm), residual) in densities.iter().zip(psis).zip(norms).zip(residuals) {
        let prior = -0.5 * (norm * norm + 8.0 * (2.0 * std::f64::consts::PI).ln());
        assert!((density - (prior - psi)).abs() < 1e-9 * (1.0 + density.abs()), "{density} {prior} {psi}");
        assert!(residual.is_finite() && residual >= 0.0, "{residual}");
    }
    run(&["describe", "-q", "--device", "cpu", "mini", "--seeds", "0-3", "-o", "described"]);
    run(&["lid", "estimate", "-q", "--device", "cpu", "mini", "--sigma", "0.5", "--probes", "0", "--seeds", "0-2"]);
    // A reward of noised codes, and a guide that it leads.
    fs::write(dir.join("reward.toml"), models::REWARD).unwrap();
    run(&["train-reward", "-q", "--device", "cpu", "-c", "reward.toml", "-o", "labels"]);
    let table =
        run(&["generate", "-q", "--device", "cpu", "-m", "mini", "--novelty", "80", "--seeds", "0-3", "-o", "steered"]);
    assert_eq!(table.lines().filter(|l| l.contains("ok")).count(), 4, "{table}");
    let args = ["--method", "forward", "--novelty", "80", "--seeds", "0-3", "--preview-every", "1", "-o", "guided"];
    Isoline::new(&["generate", "-q", "--device", "cpu", "-m", "mini"]).args(&args).cwd(dir).succeeds();
    let picture = isoline::render::png::read_picture(&dir.join("guided/images/000000.png")).unwrap();
    assert_eq!((picture.height, picture.width), (4, 4));
}

/// A quantity of pictures is one of codes here: the report on steering measures again what `generate` measures again.
#[test]
fn the_report_holds_out_what_generate_holds_out() {
    let dir = taught();
    let run = |arguments: &[&str]| Isoline::new(arguments).cwd(dir).succeeds();
    let config = models::REWARD
        .replace("[labels]", "name = \"geometry\"\n[labels]")
        .replace("estimator = \"exact\"", "quantity = \"denoiser-psi:0.5\"\nestimator = \"input-subspace:4\"");
    fs::write(dir.join("geometry.toml"), config).unwrap();
    run(&["train-reward", "-q", "--device", "cpu", "-c", "geometry.toml", "-o", "geometry-labels"]);
    let asked = ["--reward", "geometry", "--novelty", "80", "--seeds", "0-3", "--device", "cpu", "-q"];
    let generate = ["generate", "-m", "mini", "--remeasure", "--json", "-o", "remeasured"];
    let made = run(&[&generate[..], &asked].concat());
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    run(&[&["steer-report", "mini", "--methods", "gradient", "-o", "reported"][..], &asked].concat());
    let table = read_parquet(&dir.join("reported/samples.parquet")).unwrap().0;
    let Values::F64(reported) = &table.column("novelty_remeasured").unwrap().values else { panic!("numbers") };
    for sample in made.as_array().unwrap() {
        let wanted = sample["sample"]["novelty_remeasured"].as_f64().unwrap();
        assert!(reported.iter().flatten().any(|r| (r - wanted).abs() < 1e-9), "{wanted} is not in {reported:?}");
    }
}

#[test]
fn an_autoencoder_that_does_not_fit_is_refused() {
    let dir = setting();
    train(dir.path(), "mini", "x").fails(3, &["coder", "no such model"]);
    train(dir.path(), "coder", "coder").arg("--stop-after").arg("30").succeeds();
    let write = |name: &str, from: &str, to: &str| {
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).unwrap();
        text
    };
    let text = write("mini.card.toml", "shape = [2, 2, 2]", "shape = [2, 1, 4]");
    train(dir.path(), "mini", "x").fails(2, &["mini.card.toml: latent.shape", "[2, 2, 2]", "coder"]);
    fs::write(dir.path().join("mini.card.toml"), text).unwrap();
    let text = write("mini.card.toml", "range = [-1.0, 1.0]", "range = [0.0, 1.0]");
    train(dir.path(), "mini", "x").fails(2, &["mini.card.toml: sample", "range [-1.0, 1.0]"]);
    fs::write(dir.path().join("mini.card.toml"), text).unwrap();
    // A decoder by hand: the wrong number of channels, a deviation of 0.
    train(dir.path(), "mini", "mini").succeeds();
    let card = fs::read_to_string(dir.path().join("mini/card.toml")).unwrap();
    let edited = |from: &str, to: &str| {
        let place = card.find(from).unwrap();
        let end = card[place..].find(']').unwrap() + place + 1;
        fs::write(dir.path().join("mini/card.toml"), format!("{}{to}{}", &card[..place], &card[end..])).unwrap();
        Isoline::new(&["inspect", "mini"]).cwd(dir.path())
    };
    edited("mean = [", "mean = [0.0]").fails(2, &["decoder.mean", "2 channels", "found 1"]);
    edited("std = [", "std = [1.0, 0.0]").fails(2, &["decoder.std", "above 0", "found 0"]);
}

/// Singular values through three of Heun's steps and the decoder, against PyTorch in f64 (tests/golden/two-stage/case.py).
#[test]
fn two_stages_equal_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/two-stage");
    let model = generator::load(&folder, &cpu()).unwrap();
    let text = fs::read_to_string(folder.join("reference.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let numbers =
        |v: &serde_json::Value| -> Vec<f64> { v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    // Five calls of four sums each and the decoder's two, in sequence, of up to 54 terms.
    let bound = 22.0 * 54f64.sqrt() * f64::from(f32::EPSILON);
    let d = model.spec().latent_width;
    for case in &cases {
        let z: Vec<f32> = numbers(&case["latent"]).iter().map(|v| *v as f32).collect();
        let found = host(model.generate(rows(z.clone(), d, &cpu()))).unwrap();
        let off = crate::shared::relative_l2(&found, &numbers(&case["picture"]));
        assert!(off < bound, "picture off by {off:e}");
        let spectra = isoline::geometry::estimator("exact").unwrap().spectra(&*model, &z).unwrap();
        let found = &spectra[0].as_ref().unwrap().singular_values;
        let expected = numbers(&case["singular_values"]);
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < bound * expected[0], "{a} {b} of {}", expected[0]);
        }
    }
}
