//! What a model knows and what it copied, through the program.

use crate::cli::{Isoline, json};
use crate::shared;
use isoline::table::{Values, read_parquet};
use std::fs;
use std::path::Path;

fn call(words: &[&str]) -> Isoline {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["-q", "--device", "cpu"]).args(words).env("ISOLINE_MODELS", models)
}

/// An IDX file of pictures of 28×28.
fn idx(path: &Path, pictures: &[Vec<u8>]) {
    let head: Vec<u8> = [2051u32, pictures.len() as u32, 28, 28].iter().flat_map(|v| v.to_be_bytes()).collect();
    fs::write(path, [head, pictures.concat()].concat()).unwrap();
}

/// Pictures that differ, with `bright` of 784 pixels lit.
fn drawn(i: usize, bright: usize) -> Vec<u8> {
    let mut pixels = vec![0; 784];
    (0..bright).for_each(|j| pixels[(i * 131 + j * 17) % 784] = 200 + (i % 50) as u8);
    pixels
}

/// A model's own pictures as its training set: each sample's nearest picture is itself, at the distance of rounding to bytes. The
/// model varies there, so that it is free.
#[test]
fn an_audit_finds_the_nearest_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let made =
        call(&["generate", "-m", "digits-vae", "--mode", "balanced", "--seeds", "0-59", "-o"]).arg(at("run")).run();
    assert_eq!(made.code, 0, "{}", made.stderr);
    let audit = || call(&["memorisation", "audit", "digits-vae", "--seeds", "0-9", "--train"]).arg(at("run/images"));
    let found = json(&audit().arg("--json").arg("-o").arg(at("audit")).succeeds());
    assert_eq!((found["train"].as_u64(), found["neighbours"].as_u64()), (Some(60), Some(20)));
    for (i, sample) in found["samples"].as_array().unwrap().iter().enumerate() {
        assert_eq!(sample["nearest"], i, "{sample}");
        // Rounding to bytes moves a value by at most half of 1/255.
        assert!(sample["distance"].as_f64().unwrap() <= 28.0 * 0.51 / 255.0, "{sample}");
        assert!(sample["calibrated"].as_f64().unwrap() < 0.2 && sample["verdict"] == "free", "{sample}");
        let dimension = sample["dimension"].as_f64().unwrap();
        assert!((4.0..=13.0).contains(&dimension) && sample["denoising"].is_null(), "{sample}");
    }
    let (table, _) = read_parquet(&at("audit/memorisation.parquet")).unwrap();
    assert!(matches!(&table.column("nearest").unwrap().values, Values::U64(v) if v.len() == 10));
    // Ten pairs of pictures, three times as large, with a margin.
    let sheet = isoline::render::png::read_picture(&at("audit/nearest.png")).unwrap();
    assert_eq!((sheet.height, sheet.width), (2 * 88 + 4, 10 * 88 + 4));
    let page = fs::read_to_string(at("audit/report.html")).unwrap();
    assert!(page.contains("What digits-vae copied") && page.matches("<figure>").count() == 20);
    let told = audit().succeeds();
    assert!(told.contains("free") && !told.contains("AUC"), "{told}");
}

/// Training sets that have no neighbourhoods, or of another shape, and models without a denoiser.
#[test]
fn a_set_that_says_nothing_is_refused_or_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    idx(&at("two.idx"), &[drawn(0, 90), drawn(1, 90)]);
    idx(&at("same.idx"), &vec![drawn(0, 90); 12]);
    idx(&at("some.idx"), &(0..60).map(|i| drawn(i, 40 + i)).collect::<Vec<_>>());
    let audit = |train: &str| call(&["memorisation", "audit", "digits-vae", "--train"]).arg(at(train));
    audit("two.idx").fails(2, &["--train", "2 pictures, expected at least 3"]);
    audit("none.idx").fails(4, &["none.idx", "No such file"]);
    audit("some.idx").args(&["--neighbours", "1"]).fails(2, &["--neighbours", "at least 2"]);
    audit("some.idx")
        .args(&["--seeds", "0-1"])
        .arg("--pictures")
        .arg(at("two.idx"))
        .fails(2, &["--pictures", "no denoiser"]);
    // Twelve times the same picture have no dimension. Among others it has none either, and nothing is divided by zero.
    audit("same.idx").fails(2, &["--train", "the data have no dimension"]);
    let mixed: Vec<Vec<u8>> = (0..60).map(|i| drawn(i, 40 + i)).chain(vec![drawn(0, 300); 12]).collect();
    idx(&at("mixed.idx"), &mixed);
    let found = json(&audit("mixed.idx").args(&["--seeds", "0-15", "--json"]).succeeds());
    for sample in found["samples"].as_array().unwrap() {
        let copied = sample["copies"] == 12;
        assert_eq!(sample["data_dimension"] == 0.0, copied, "{sample}");
        assert!(sample["calibrated"].as_f64().is_some_and(f64::is_finite), "{sample}");
    }
    let fit = |model: &str, more: &[&str]| {
        call(&["ood", "fit", model, "--train"]).arg(at("some.idx")).args(more).arg("-o").arg(at("ood.toml"))
    };
    fit("digits-vae", &["--seeds", "0-49"]).fails(2, &["digits-vae", "no diffusion model"]);
    fit("digits-diffusion", &["--seeds", "0-9"]).fails(2, &["--seeds", "10 pictures, expected at least 40"]);
    fit("digits-diffusion", &["--seeds", "0-99"]).fails(2, &["--seeds", "the set has pictures 0 to 59"]);
    fit("digits-diffusion", &["--seeds", "0-49", "--sigma", "1e-9"]).fails(2, &["--sigma"]);
    fit("digits-diffusion", &["--seeds", "0-49", "--probes", "1"]).fails(2, &["--probes", "at least 2"]);
    assert!(!at("ood.toml").exists());
    let score = |file: &str| call(&["ood", "score", "digits-diffusion", "--fit"]).arg(at(file));
    score("nothing.toml").fails(3, &["nothing.toml", "isoline ood fit makes it"]);
    score("some.idx").fails(2, &["some.idx", "expected UTF-8 text"]);
    score("nothing.toml").args(&["--alpha", "1.5"]).fails(2, &["--alpha", "between 0 and 1"]);
    call(&["diagnose", "digits-vae", "--low", "2", "--high", "1"]).fails(2, &["--low", "the second is greater"]);
}

/// A fit and a score from end to end: noise is off the manifold, and a fit of another model is refused.
#[test]
#[ignore = "needs the shared data"]
fn pictures_are_judged_by_what_is_usual() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let digits = shared::data().join("datasets/mnist/t10k-images-idx3-ubyte.gz");
    let fast = ["--steps", "6", "--probes", "2"];
    let fitted = call(&["ood", "fit", "digits-diffusion", "--seeds", "0-39"]).args(&fast).arg("--train").arg(&digits);
    assert_eq!(fitted.arg("-o").arg(at("ood.toml")).run().code, 0);
    let noise = |i: usize| (0..784).map(|j| ((i * 7919 + j * j * 31 + j * 17) % 251) as u8).collect::<Vec<u8>>();
    idx(&at("noise.idx"), &(0..50).map(noise).collect::<Vec<_>>());
    let score = |pictures: &Path| {
        call(&["ood", "score", "digits-diffusion", "--seeds", "40-47", "--json", "--fit"])
            .arg(at("ood.toml"))
            .arg("--pictures")
            .arg(pictures)
            .arg("--against")
            .arg(&digits)
            .arg("-o")
            .arg(at("score"))
    };
    let found = json(&score(&at("noise.idx")).succeeds());
    assert!(found["pictures"].as_array().unwrap().iter().all(|p| p["verdict"] == "off-manifold"), "{found}");
    assert_eq!(found["separation"]["likelihood"]["auc"], 1.0);
    assert_eq!(found["separation"]["pair"]["auc"], 1.0);
    assert!(fs::read_to_string(at("score/report.html")).unwrap().contains("off the manifold"));
    // The same digits on both sides cannot be told apart.
    let same = json(&score(&digits).succeeds());
    assert_eq!(same["separation"]["pair"]["auc"], 0.5);
    let text = fs::read_to_string(at("ood.toml")).unwrap();
    let hash = text.split("model_sha256 = \"").nth(1).unwrap()[..8].to_owned();
    fs::write(at("ood.toml"), text.replace(&hash, "00000000")).unwrap();
    score(&digits).fails(3, &["ood.toml", "another model"]);
}

/// What may be concluded, in words, of a model with a density on its surface and of a diffusion model.
#[test]
fn a_diagnosis_says_what_may_be_concluded() {
    let dir = tempfile::tempdir().unwrap();
    let vae = call(&["diagnose", "digits-vae", "--seeds", "0-7"]).succeeds();
    assert!(vae.contains("12 of 12") && vae.contains("exists and may be compared") && !vae.contains("sigma"), "{vae}");
    let told =
        call(&["diagnose", "digits-diffusion", "--seeds", "0", "--probes", "2", "-o"]).arg(dir.path()).succeeds();
    for words in [
        "quote no likelihood without its sigma",
        "of 784 directions were measured",
        "growth without bound",
        "is no denoiser there",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(dir.path().join("density.parquet").exists() && dir.path().join("density.svg").exists());
    let report = json(&fs::read_to_string(dir.path().join("study.json")).unwrap());
    assert_eq!(report["density"]["levels"].as_array().unwrap().len(), 5);
}

/// The guard from end to end, with a share so large that it finds something on a model that copies nothing.
#[test]
#[ignore = "needs the shared data"]
fn a_guard_flags_resamples_and_goes_around() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let digits = shared::data().join("datasets/mnist/t10k-images-idx3-ubyte.gz");
    let fitted =
        call(&["ood", "fit", "digits-diffusion", "--seeds", "0-39", "--steps", "6", "--probes", "2", "--train"]);
    assert_eq!(fitted.arg(&digits).arg("-o").arg(at("ood.toml")).run().code, 0);
    let generate = |name: &str, words: &[&str]| {
        let run = call(&["generate", "-m", "digits-diffusion", "--guard-fit"]).arg(at("ood.toml")).args(words);
        let run = run.args(&["--csv", "--json", "-o"]).arg(at(name)).run();
        assert_eq!(run.code, 0, "{}", run.stderr);
        let rows = json(&run.stdout);
        rows.as_array().unwrap().iter().map(|r| r["sample"].clone()).collect::<Vec<_>>()
    };
    let plain = ["--mode", "balanced", "--seeds", "0-11", "--no-metadata", "--guard-alpha", "0.1"];
    let flagged = generate("flag", &[&plain[..], &["--guard"]].concat());
    let again = generate("again", &[&plain[..], &["--guard", "resample"]].concat());
    let unusual = |r: &&serde_json::Value| r["guard"]["verdict"] != "in";
    let found = flagged.iter().filter(unusual).count();
    assert!((2..=8).contains(&found), "{found} of 12");
    for (flag, again) in flagged.iter().zip(&again) {
        let caught = unusual(&flag);
        assert_eq!(flag["status"] == "flagged", caught, "{flag}");
        assert!(flag["guard"]["dimension"].is_f64() && flag["guard"]["resampled"] == 0, "{flag}");
        // What was usual is the same to the byte; anything else was made again until it was.
        assert_eq!(flag["sha256"] == again["sha256"], !caught, "{again}");
        let times = again["guard"]["resampled"].as_u64().unwrap();
        assert_eq!((times > 0, again["guard"]["verdict"] == "in"), (caught, true), "{again}");
        assert_eq!(again["status"], "ok", "{again}");
    }
    // A sample that is made again depends on nothing but its seed.
    let caught = again.iter().find(|r| r["guard"]["resampled"] != 0).unwrap();
    let seed = caught["seed"].to_string();
    let alone =
        ["--mode", "balanced", "--no-metadata", "--guard-alpha", "0.1", "--guard", "resample", "--seeds", &seed];
    let lone = generate("alone", &alone);
    assert_eq!((&lone[0]["sha256"], &lone[0]["guard"]), (&caught["sha256"], &caught["guard"]));
    // Its recipe has the limits: what is varied, or made with another seed, is under the same guard, unless it is to have none.
    let whole = ["--mode", "balanced", "--guard-alpha", "0.1", "--guard", "resample", "--seeds", &seed];
    generate("whole", &whole);
    let picture = at("whole/images").join(format!("{:06}.png", caught["seed"].as_u64().unwrap()));
    let pixels = |path: &Path| isoline::render::png::read_picture(path).unwrap().pixels;
    call(&["generate", "-m", "digits-diffusion", "--seeds", "0", "--vary"])
        .arg(&picture)
        .arg("-o")
        .arg(at("varied"))
        .succeeds();
    assert_eq!(pixels(&at("varied/images/000000.png")), pixels(&picture));
    let from = |more: &[&str]| {
        let run = call(&["generate", "--seeds", "1", "--json", "--from"]).arg(&picture).args(more);
        json(&run.arg("-o").arg(at("from")).succeeds())[0]["sample"]["guard"].clone()
    };
    assert_eq!(from(&[])["verdict"], "in");
    fs::remove_dir_all(at("from")).unwrap();
    assert!(from(&["--guard", "none"]).is_null());
    let (table, _) = read_parquet(&at("again/samples.parquet")).unwrap();
    assert!(matches!(&table.column("guard").unwrap().values, Values::Text(v) if v.iter().flatten().all(|t| t == "in")));
    // The way is guarded too. What is left of a sample is never worse than what the guard let through.
    let steered = ["--novelty", "20", "--seeds", "0-3", "--corrections", "4", "--guard-alpha", "0.1", "--guard"];
    for (name, action) in [("stop", "stop"), ("around", "steer-away")] {
        let rows = generate(name, &[&steered[..], &[action]].concat());
        let caught: u64 = rows.iter().map(|r| r["guard"]["caught"].as_u64().unwrap()).sum();
        assert!(caught > 0, "{action}: {rows:?}");
        // An unusual place is kept only where every attempt was one.
        for row in &rows {
            let attempts = row["attempts"].as_u64().unwrap_or(1);
            let all = row["guard"]["caught"].as_u64().unwrap() == attempts;
            assert_eq!(row["guard"]["verdict"] != "in", all, "{row}");
        }
    }
    let refused = |words: &[&str], parts: &[&str]| {
        call(&["generate", "--guard-fit"]).arg(at("ood.toml")).args(words).arg("-o").arg(at("no")).fails(2, parts);
        assert!(!at("no/plan.toml").exists());
    };
    refused(&["-m", "digits-gan", "--guard"], &["--guard", "\"digits-gan\" is no diffusion model"]);
    refused(&["-m", "digits-diffusion", "--guard-alpha", "0.1"], &["guard_alpha", "needs guard"]);
    refused(
        &["-m", "digits-diffusion", "--guard", "--guard-alpha", "0.01"],
        &["--guard-alpha", "at least 200 pictures"],
    );
    refused(&["-m", "digits-diffusion", "--guard", "drop"], &["--guard", "drop", "steer-away"]);
    let still = ["-m", "digits-diffusion", "--novelty", "20", "--corrections", "0", "--guard", "stop"];
    refused(&still, &["--guard", "give corrections"]);
    let variation = ["-m", "digits-diffusion", "--vary", "3", "--count", "2", "--guard", "resample"];
    refused(&variation, &["--guard", "a variation has to stay near"]);
}

/// A curve that was learnt from a circle: the density on it, N(z)·det(JᵀJ)^(−½), adds up to 1 along its length. Without the determinant
/// it does not: the negative control.
#[test]
fn a_learned_curve_holds_all_of_the_mass() {
    use isoline::generator;
    use isoline::geometry::estimator;
    use isoline::noise::{Stream, normals, uniforms};
    use isoline::tensors::{host, rows};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let axes = isoline::linalg::orthonormal_columns(
        &normals(3, 0, Stream::Latent, 0, 20).into_iter().map(f64::from).collect::<Vec<_>>(),
        10,
        2,
    );
    let picture = |u: f32| -> Vec<u8> {
        // Denser on one side, as the density of von Mises is.
        let angle = std::f64::consts::TAU * (f64::from(u) + 0.12 * (std::f64::consts::TAU * f64::from(u)).sin());
        let value = |j: usize| 0.5 + 0.45 * (axes[2 * j] * angle.cos() + axes[2 * j + 1] * angle.sin());
        (0..10).map(|j| (255.0 * value(j)).round() as u8).collect()
    };
    let set: Vec<u8> = uniforms(4, 0, Stream::Training, 0, 4000).into_iter().flat_map(picture).collect();
    let head: Vec<u8> = [2051u32, 4000, 1, 10].iter().flat_map(|v| v.to_be_bytes()).collect();
    fs::write(at("circle.idx"), [head, set].concat()).unwrap();
    let linear =
        |of: &str, key: &str, out: usize| format!("[[{of}]]\nkind = \"linear\"\nkey = \"{key}\"\nout = {out}\n");
    let act = |of: &str, kind: &str| format!("[[{of}]]\nkind = \"{kind}\"\n");
    let reshape = "[[layers]]\nkind = \"reshape\"\nshape = [1, 1, 10]\n".to_owned();
    let (d, e) = ("layers", "encoder.layers");
    let card = [
        "format = 1\nid = \"curve\"\nfamily = \"vae\"\nabout = \"a circle\"\n[latent]\nshape = [1]\nprior = \"normal\"\n[sample]\n",
        "shape = [1, 1, 10]\nrange = [0.0, 1.0]\n[provenance]\ntrained_on = \"a circle\"\nlicence = \"none\"\nhow = \"draft\"\n",
        &[
            linear(d, "a", 32),
            act(d, "silu"),
            linear(d, "b", 32),
            act(d, "silu"),
            linear(d, "c", 10),
            act(d, "sigmoid"),
            reshape,
        ]
        .concat(),
        &[linear(e, "d", 32), act(e, "silu"), linear(e, "e", 2)].concat(),
    ];
    fs::write(at("curve.card.toml"), card.concat()).unwrap();
    let config = "card = \"curve.card.toml\"\nobjective = \"vae\"\nepochs = 8\nbatch = 64\nlearning_rate = 1e-2\nseed = 1\n\
        [data]\nkind = \"idx\"\npath = \"circle.idx\"\n[settings]\nbeta = 0.02\n";
    fs::write(at("curve.toml"), config).unwrap();
    let trained = call(&["train-generator", "-c"]).arg(at("curve.toml")).arg("--data").arg(dir.path());
    let trained = trained.arg("-o").arg(at("training")).arg("--model").arg(at("curve")).run();
    assert_eq!(trained.code, 0, "{}", trained.stderr);
    let device = isoline::device::open("cpu").unwrap().1;
    let model = generator::load(&at("curve"), &device).unwrap();
    let z: Vec<f32> = (0..=6000).map(|i| (i as f32 - 3000.0) / 500.0).collect();
    let x = host(model.generate(rows(z.clone(), 1, &device))).unwrap();
    let spectra = estimator("exact").unwrap().spectra(&*model, &z).unwrap();
    let prior = |z: f32| (-0.5 * f64::from(z).powi(2)).exp() / std::f64::consts::TAU.sqrt();
    let (mut mass, mut without, mut length) = (0.0, 0.0, 0.0);
    for i in 0..6000 {
        let step = (0..10).map(|j| f64::from(x[10 * i + 10 + j] - x[10 * i + j]).powi(2)).sum::<f64>().sqrt();
        let stretch = spectra[i].as_ref().unwrap().singular_values[0];
        mass += prior(z[i]) / stretch * step;
        without += prior(z[i]) * step;
        length += step;
    }
    assert!((mass - 1.0).abs() < 0.02 && (without - 1.0).abs() > 0.2, "{mass} {without} {length}");
    // It is more than half of the circle, of radius 0.45.
    assert!(length > 0.5 * 0.45 * std::f64::consts::TAU, "{length}");
}
