//! The main job, through the program: the same bytes whatever the neighbours, measured novelty, clear refusals.

use crate::cli::{Isoline, on_digits};
use isoline::acts::generate::JobKeys;
use isoline::noise::{self, Stream};
use isoline::steer::{Denoising, DenoisingKeys};
use isoline::store::sha256_hex;
use serde::Deserialize;
use std::fs;
use std::path::Path;

fn generate(outdir: &Path, args: &[&str]) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["generate", "-q", "--device", "cpu", "-o"])
        .arg(outdir)
        .env("ISOLINE_MODELS", models)
        .args(&on_digits(args))
        .succeeds()
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn noise_has_not_changed() {
    // Golden values. A change here changes every picture ever made; if it is intended, raise noise::SCHEME.
    let hash = |seed, sample, stream, step| {
        let values = noise::normals(seed, sample, stream, step, 1000);
        sha256_hex(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())[..16].to_owned()
    };
    let found = [hash(0, 0, Stream::Latent, 0), hash(0, 17, Stream::Latent, 0), hash(5, 17, Stream::Label, 2)];
    assert_eq!(noise::SCHEME, 1);
    assert_eq!(found, GOLDEN_NOISE);
}

const GOLDEN_NOISE: [&str; 3] = ["a7f7dcc425fc3db1", "2fd4af33c03df65a", "d61bab5a02940cd3"];

#[test]
fn seed_17_is_the_same_picture_in_any_company() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let novel = |name: &str, seeds: &str| {
        generate(&at(name), &["--novelty", "90", "--seeds", seeds]);
        bytes(&at(name).join("images/000017.png"))
    };
    let alone = novel("alone", "17");
    assert_eq!(novel("range", "0-33"), alone);
    assert_eq!(novel("reverse", "19,18,17,16"), alone);
    // One picture is lost and another damaged. The same command repairs both and touches nothing else.
    fs::remove_file(at("range").join("images/000017.png")).unwrap();
    fs::write(at("range").join("images/000003.png"), b"damaged").unwrap();
    let third = at("range").join("records/tile-0000002.json");
    let before = fs::metadata(&third).unwrap().modified().unwrap();
    assert_eq!(novel("range", "0-33"), alone);
    assert_eq!(fs::metadata(&third).unwrap().modified().unwrap(), before, "a finished tile was made again");
    assert_ne!(bytes(&at("range").join("images/000003.png")), b"damaged");
}

#[test]
fn a_picture_makes_itself_again() {
    let dir = tempfile::tempdir().unwrap();
    generate(&dir.path().join("a"), &["--mode", "typical", "--seeds", "5"]);
    let picture = dir.path().join("a/images/000005.png");
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let made = Isoline::new(&["generate", "-q", "--from"])
        .arg(&picture)
        .arg("-o")
        .arg(dir.path().join("b"))
        .env("ISOLINE_MODELS", models)
        .succeeds();
    assert_eq!(bytes(Path::new(made.trim())), bytes(&picture));
}

#[test]
fn three_rows_differ_and_reach_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let text = generate(dir.path(), &["--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows.len(), 24);
    let mut errors: Vec<f64> = rows
        .iter()
        .filter_map(|r| {
            r["sample"]["novelty_asked"].as_f64().map(|a| (a - r["sample"]["novelty_reached"].as_f64().unwrap()).abs())
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    assert_eq!(errors.len(), 16);
    // The closed loop promises a median error of at most 3 percentile points.
    assert!(errors[8] <= 3.0, "{errors:?}");
    for seed in 0..8 {
        let picture = |row: &str| bytes(&dir.path().join(format!("{row}/images/{seed:06}.png")));
        assert!(picture("typical") != picture("novel") && picture("balanced") != picture("novel"));
    }
    assert!(dir.path().join("grid.png").is_file() && dir.path().join("samples.parquet").is_file());
}

#[test]
fn balanced_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = generate(dir.path(), &["--mode", "balanced", "--seeds", "0-3", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(rows.iter().all(|r| r["sample"]["distance"] == 0.0 && r["sample"]["steps"] == 0));
    let plain = dir.path().join("none");
    generate(&plain, &["--novelty", "70", "--method", "none", "--seeds", "0-3", "--no-metadata"]);
    generate(&dir.path().join("bare"), &["--mode", "balanced", "--seeds", "0-3", "--no-metadata"]);
    for seed in 0..4 {
        let name = format!("images/{seed:06}.png");
        assert_eq!(bytes(&plain.join(&name)), bytes(&dir.path().join("bare").join(&name)));
    }
}

#[test]
fn a_fixed_truncation_is_applied_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let out = generate(
        dir.path(),
        &["--method", "truncation", "--trunc", "0.25", "--mode", "balanced", "--seeds", "3", "--json"],
    );
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    let sample = &rows[0]["sample"];
    let norm = noise::normals(0, 3, Stream::Latent, 0, 32).iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    // z = z₀/4 exactly in f32, so ‖z − z₀‖ = ¾‖z₀‖ up to the rounding of the sum.
    assert!((sample["distance"].as_f64().unwrap() - 0.75 * norm).abs() < 1e-5 * norm, "{sample}");
    assert!(sample["angle"].as_f64().unwrap() < 0.05, "{sample}");
    assert!(sample["novelty_reached"].is_number() && sample["novelty_asked"].is_null(), "{sample}");
    // No latent as short as this one was labelled; that is reported, not hidden.
    assert_eq!(sample["status"], "off_manifold");
}

#[test]
fn a_changed_card_is_another_model() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/digits-gan");
    let model = dir.path().join("m");
    fs::create_dir_all(model.join("reward")).unwrap();
    for name in
        ["weights.safetensors", "reward/card.toml", "reward/reward.safetensors", "reward/calibration.safetensors"]
    {
        fs::copy(shipped.join(name), model.join(name)).unwrap();
    }
    let card = fs::read_to_string(shipped.join("card.toml")).unwrap();
    let run = |card: &str| {
        fs::write(model.join("card.toml"), card).unwrap();
        Isoline::new(&["generate", "-q", "--device", "cpu", "--seeds", "0", "-m"])
            .arg(&model)
            .arg("-o")
            .arg(dir.path().join("run"))
    };
    // The description for people is not part of the model; what the network computes is.
    run(&card.replace("about = \"", "about = \"by hand: ")).succeeds();
    run(&card.replace("range = [-1.0, 1.0]", "range = [-1.0, 2.0]"))
        .fails(3, &["reward/card.toml", "another card", "train-reward"]);
}

#[test]
fn refusals_are_one_line() {
    for (args, words) in [
        (["--trunc", "0.7", "--mode", "balanced"], "only the method \"truncation\""),
        (["--method=truncation", "--trunc=0", "--mode", "balanced"], "above 0 and up to 3"),
        (["--method=truncation", "--trunc=0.7", "--mode", "novel"], "mode = \"balanced\""),
    ] {
        Isoline::new(&["generate", "-m", "digits-gan", "--seeds", "0"]).args(&args).fails(2, &["trunc", words]);
    }
    let dir = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let call = |args: &[&str]| {
        Isoline::new(&["generate", "--device", "cpu"])
            .args(&on_digits(args))
            .cwd(dir.path())
            .env("ISOLINE_MODELS", &models)
    };
    call(&["--novelty", "140"]).fails(2, &["--novelty", "0 (most typical) to 100", "140"]);
    call(&["-m", "digits-gam"]).fails(3, &["digits-gam", "did you mean \"digits-gan\""]);
    call(&["--seeds", "9-3"]).fails(2, &["--seeds", "9-3"]);
    call(&["--set", "stepps=3"]).fails(2, &["stepps", "did you mean \"steps\""]);
    call(&["--set", "steps=0"]).fails(2, &["steps", "expected 1 to 4096", "found 0"]);
    call(&["--method", "gradeint"]).fails(2, &["--method", "did you mean \"gradient\""]);
    fs::write(dir.path().join("file"), b"").unwrap();
    call(&["-o", "file/run", "--seeds", "1", "--mode", "novel"])
        .fails(4, &["file", "a file stands where a folder is needed"]);
    fs::write(dir.path().join("no.png"), b"no picture").unwrap();
    call(&["--from", "no.png"]).fails(3, &["no.png"]);
    generate(&dir.path().join("run"), &["--mode", "novel", "--seeds", "1"]);
    call(&["-o", "run", "--seeds", "1", "--mode", "novel", "--steps", "3"])
        .fails(2, &["run: this folder has a job \"novel\" made otherwise", "settings.steps was 48, is 3"]);
}

#[test]
fn a_key_is_refused_where_it_was_typed() {
    let dir = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let job = |text: &str| {
        let text = format!("model = \"digits-diffusion\"\noutdir = \"o\"\nseeds = \"0\"\nmode = \"balanced\"\n{text}");
        fs::write(dir.path().join("job.toml"), text).unwrap();
        Isoline::new(&["generate", "--device", "cpu", "-c", "job.toml"]).cwd(dir.path()).env("ISOLINE_MODELS", &models)
    };
    let class = "method = \"none\"\nclass = 12";
    job(class).fails(2, &["isoline: job.toml: jobs[0]: class: expected a class from 0 to 9, found 12"]);
    job(class).args(&["--class", "13"]).fails(2, &["isoline: --class: expected a class from 0 to 9, found 13"]);
    let method = "method = \"gradeint\"";
    job(method).fails(2, &["isoline: job.toml: jobs[0]: method = \"gradeint\"", "did you mean \"gradient\""]);
    job(method).args(&["--method", "serach"]).fails(2, &["isoline: --method serach", "did you mean \"search\""]);
    job("preview_every = 5000\nmethod = \"none\"").fails(2, &["job.toml: jobs[0]: preview_every", "found 5000"]);
    job(class).args(&["--interval", "1"]).fails(2, &["--interval", "expected two numbers, found 1"]);
}

#[test]
fn every_flag_of_a_job_is_a_key() {
    let flags = <JobKeys as clap::Args>::augment_args(clap::Command::new("job"));
    let names = JobKeys::names().unwrap();
    assert!(names.len() > 20);
    for flag in flags.get_arguments().map(|a| a.get_id().to_string()) {
        assert!(names.contains(&flag), "{flag} is no key of a config");
    }
    for (key, is_text) in [("seeds", true), ("outdir", true), ("potential", true), ("steps", false), ("novelty", false)]
    {
        assert_eq!(JobKeys::takes_text(key), is_text, "{key}");
    }
}

#[test]
fn a_recipe_says_all_of_denoising_and_nothing_else() {
    let keys = DenoisingKeys { guidance: Some(0.5), ..DenoisingKeys::default() };
    let denoising = keys.filled("particles").unwrap();
    let text = "cfg_scale = 1.0\nstrength = 0.5\npush = false\nrecurrence = 1\nparticles = 8\npotential = \"diff\"\npreview_every = 0\n";
    assert_eq!(toml::to_string(&denoising).unwrap(), text);
    assert_eq!(toml::from_str::<Denoising>(text).unwrap(), denoising);
    assert!(denoising.is_bounded());
    let given: toml::Table = toml::from_str(&format!("{text}guidance = 0.5\n")).unwrap();
    let read = Denoising::deserialize(given.clone()).unwrap();
    let given = serde_json::to_value(given).unwrap();
    assert_eq!(isoline::acts::unread(&given, &read).as_deref(), Some("guidance"));
    for (from, to) in
        [("recurrence = 1", "recurrence = 5"), ("\"diff\"", "\"dif\""), ("strength = 0.5", "strength = nan")]
    {
        assert!(!toml::from_str::<Denoising>(&text.replace(from, to)).unwrap().is_bounded(), "{to}");
    }
}

#[test]
fn one_folder_has_one_worker() {
    let dir = tempfile::tempdir().unwrap();
    let lock = fs::File::create(dir.path().join("run.lock")).unwrap();
    lock.lock().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["generate", "-m", "digits-gan", "--device", "cpu", "--mode", "novel", "--seeds", "1", "-o"])
        .arg(dir.path())
        .env("ISOLINE_MODELS", models)
        .fails(7, &["another isoline process"]);
}

#[test]
fn thousands_have_folders_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let go = || generate(dir.path(), &["--subdirs", "--mode", "balanced", "--seeds", "7,1003", "--json"]);
    let first = go();
    let at = |seed: &str| dir.path().join("images").join(seed);
    let (low, high) = (at("000000/000007.png"), at("001000/001003.png"));
    let before = bytes(&high);
    assert!(low.is_file() && !at("000007.png").exists());
    // A damaged picture is made again; its neighbours are kept.
    fs::write(&high, b"damaged").unwrap();
    fs::write(at("001000/.isoline-x.tmp"), b"left").unwrap();
    assert_eq!(go(), first);
    assert_eq!(bytes(&high), before);
    assert!(!at("001000/.isoline-x.tmp").exists());
}

#[test]
fn kept_latents_are_what_describe_measures() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, plain) = (dir.path().join("kept"), dir.path().join("plain"));
    let steered = ["-m", "digits-vae", "--novelty", "20", "--seeds", "0-5,17", "--csv"];
    generate(&kept, &[&steered[..], &["--save-latents"]].concat());
    generate(&plain, &steered);
    assert_eq!(bytes(&kept.join("images/000017.png")), bytes(&plain.join("images/000017.png")));
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    Isoline::new(&["describe", "-q", "--device", "cpu", "digits-vae", "--csv", "-o", "described", "--latents"])
        .arg(kept.join("samples.parquet"))
        .cwd(dir.path())
        .env("ISOLINE_MODELS", &models)
        .succeeds();
    let column = |path: &Path, name: &str| -> Vec<f64> {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
        let at = lines.next().unwrap().iter().position(|n| *n == name).unwrap_or_else(|| panic!("no {name}"));
        lines.map(|l| l[at].parse().unwrap()).collect()
    };
    let described = dir.path().join("described/descriptors.csv");
    for (told, measured) in [("psi_k", "psi_k"), ("nu", "nu"), ("novelty_reached", "novelty")] {
        let (told, measured) = (column(&kept.join("samples.csv"), told), column(&described, measured));
        assert_eq!(told.len(), 7);
        // They are computed in other tiles, and so with other rounding.
        assert!(
            told.iter().zip(&measured).all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + a.abs())),
            "{told:?} {measured:?}"
        );
    }
    // The last column is the end of the latent; without the flag there are no such columns.
    assert!(fs::read_to_string(kept.join("samples.csv")).unwrap().lines().next().unwrap().ends_with("z_11"));
    assert!(!fs::read_to_string(plain.join("samples.csv")).unwrap().contains("z_0"));
    let guided = ["-m", "digits-diffusion", "--method", "forward", "--reward", "denoiser", "--novelty", "90"];
    Isoline::new(&["generate", "-q", "--device", "cpu", "--seeds", "1", "--save-latents"])
        .args(&guided)
        .cwd(dir.path())
        .env("ISOLINE_MODELS", &models)
        .fails(2, &["--save-latents", "guided picture"]);
}

/// Pictures that a run already has stay in its tables, whatever is made beside them; and two commands do not meet in one
/// folder unless they are told to.
#[test]
fn a_second_command_adds_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let call = |args: &[&str]| {
        Isoline::new(&["generate", "--device", "cpu", "-q", "--corrections", "1"])
            .args(&on_digits(args))
            .cwd(dir.path())
            .env("ISOLINE_MODELS", &models)
    };
    let rows = |run: &str| fs::read_to_string(dir.path().join(run).join("samples.csv")).unwrap().lines().count() - 1;
    call(&["-o", "run", "--novelty", "10,90", "--seeds", "0-3", "--csv"]).succeeds();
    // Another level: a job more. The CSV table goes on without being asked for again.
    call(&["-o", "run", "--novelty", "50", "--seeds", "0-1"]).succeeds();
    assert_eq!(rows("run"), 10);
    // More seeds of a job that is there; what is printed is what was asked for.
    let printed = call(&["-o", "run", "--novelty", "90", "--seeds", "2-5"]).succeeds();
    assert_eq!((rows("run"), printed.lines().count()), (12, 5), "{printed}");
    // A single job, which lies right in the folder, and then another.
    call(&["-o", "single", "--mode", "novel", "--seeds", "1", "--csv"]).succeeds();
    call(&["-o", "single", "--mode", "typical", "--seeds", "1"]).succeeds();
    assert_eq!(rows("single"), 2);
    for run in ["run", "single"] {
        Isoline::new(&["verify", "-q", run]).cwd(dir.path()).succeeds();
    }
    // Without a folder each wish has its own.
    for more in [
        &["--mode", "novel"][..],
        &["--mode", "novel", "-m", "digits-vae"],
        &["--novelty", "90"],
        &["--mode", "novel", "--steps", "7"],
    ] {
        call(&[more, &["--seeds", "0"]].concat()).succeeds();
    }
    let mut names: Vec<String> =
        fs::read_dir(dir.path().join("runs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let shown: Vec<&str> = names.iter().map(|n| n.rsplit_once('-').map_or(n.as_str(), |(name, _)| name)).collect();
    assert_eq!(
        shown,
        ["digits-gan-novel", "digits-gan-novel", "digits-gan-novelty-90", "digits-vae-novel"],
        "{names:?}"
    );
}

/// A miss is said in the table, the record and the last line, with its reason.
#[test]
fn a_miss_is_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let call = |args: &[&str]| {
        Isoline::new(&["generate", "-m", "digits-gan", "--device", "cpu", "-o"])
            .arg(&out)
            .args(&["--seeds", "0-7", "--csv"])
            .args(args)
            .run()
    };
    let done = call(&["--novelty", "95", "--set", "drift=0.02", "--corrections", "3"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("unreached (drift)"), "{}", done.stdout);
    assert!(done.stderr.contains("samples did not reach what was asked ("), "{}", done.stderr);
    let table = fs::read_to_string(out.join("samples.csv")).unwrap();
    assert!(table.contains(",unreached,drift,"), "{table}");
}
