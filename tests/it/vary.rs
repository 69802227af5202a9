//! Variations, and pictures made again with other keys, through the program.

use crate::cli::{Isoline, on_digits};
use crate::runs::isoline;
use isoline::noise::{Stream, normals};
use isoline::render::png::read_picture;
use isoline::steer::{angle_between, norm};
use isoline::table::{Values, read_parquet};
use std::fs;
use std::path::Path;

fn generate(folder: &Path, args: &[&str]) -> Isoline {
    isoline(&["generate", "-q"]).args(&on_digits(args)).cwd(folder)
}

/// The latents that a run has kept, by seed or number.
fn kept(run: &Path) -> Vec<(u64, Vec<f32>)> {
    let table = read_parquet(&run.join("samples.parquet")).unwrap().0;
    let Values::U64(seeds) = &table.column("seed").unwrap().values else { panic!("seeds are no 64-bit numbers") };
    let mut columns = Vec::new();
    while let Some(column) = table.column(&format!("z_{}", columns.len())) {
        let Values::F64(values) = &column.values else { panic!("latents are no numbers") };
        columns.push(values.clone());
    }
    let latent = |row: usize| columns.iter().map(|c| c[row].unwrap() as f32).collect();
    seeds.iter().enumerate().map(|(row, seed)| (seed.unwrap(), latent(row))).collect()
}

/// Every value is rounded to f32 once, by at most 2^-24 of itself, and so are norms and angles.
const ROUNDING: f64 = f32::EPSILON as f64;

#[test]
fn variations_of_a_seed_lie_around_its_noise() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    generate(dir.path(), &["--vary", "17", "--angle", "0.2", "--count", "8", "--save-latents", "-o", "eight"])
        .succeeds();
    let found = kept(&at("eight"));
    let z = normals(0, 17, Stream::Latent, 0, found[0].1.len());
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), (1..=8).collect::<Vec<u64>>());
    for (number, latent) in &found {
        assert!((angle_between(latent, &z) - 0.2).abs() < ROUNDING, "{number}: {}", angle_between(latent, &z));
        assert!((norm(latent) / norm(&z) - 1.0).abs() < ROUNDING);
    }
    // Each lies in a direction of its own.
    assert!(angle_between(&found[0].1, &found[1].1) > 0.2);
    // A variation does not know how many there are, nor in which order they were asked for.
    generate(dir.path(), &["--vary", "17", "--count", "4", "-o", "four"]).succeeds();
    generate(dir.path(), &["--vary", "17", "--seeds", "9,3,0", "-o", "some"]).succeeds();
    let picture = |run: &str, number: u64| fs::read(at(run).join(format!("images/{number:06}.png"))).unwrap();
    assert_eq!(picture("four", 3), picture("eight", 3));
    assert_eq!(picture("some", 3), picture("eight", 3));
    // Number 0 is the sample itself.
    generate(dir.path(), &["--mode", "balanced", "--seeds", "17", "-o", "plain"]).succeeds();
    let pixels = |run: &str, number: u64| read_picture(&at(run).join(format!("images/{number:06}.png"))).unwrap();
    assert_eq!(pixels("some", 0), pixels("plain", 17));
    let recipe = fs::read_to_string(at("eight/recipe.toml")).unwrap();
    assert!(recipe.contains("[vary]\nseed = \"17\"\nangle = 0.2\n"), "{recipe}");
}

#[test]
fn variations_of_a_steered_picture_lie_around_its_steered_latent() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    generate(dir.path(), &["--novelty", "90", "--seeds", "17", "--save-latents", "-o", "base"]).succeeds();
    let steered = kept(&at("base")).remove(0).1;
    let noise = normals(0, 17, Stream::Latent, 0, steered.len());
    assert!(angle_between(&steered, &noise) > 0.1, "nothing was steered");
    let picture = "base/images/000017.png";
    let call = generate(
        dir.path(),
        &["--vary", picture, "--angle", "0.3", "--seeds", "0-2", "--save-latents", "-o", "around"],
    );
    let done = isoline(&["generate", "--vary", picture, "--seeds", "1", "-o", "said"]).cwd(dir.path()).run();
    assert!(
        done.stderr.contains("seed 17 steered to novelty 90: its steered latent, made again by its recipe"),
        "{}",
        done.stderr
    );
    call.succeeds();
    let found = kept(&at("around"));
    assert_eq!(found[0].1, steered);
    for (number, latent) in &found[1..] {
        assert!((angle_between(latent, &steered) - 0.3).abs() < ROUNDING, "{number}");
        assert!((norm(latent) / norm(&steered) - 1.0).abs() < ROUNDING);
    }
    let pixels = |path: &str| read_picture(&at(path)).unwrap();
    assert_eq!(pixels("around/images/000000.png"), pixels(picture));
    // A varied picture makes itself again, and can be varied and steered in its turn.
    let made = generate(dir.path(), &["--from", "around/images/000002.png", "-o", "again"]).succeeds();
    assert_eq!(fs::read(at(made.trim())).unwrap(), fs::read(at("around/images/000002.png")).unwrap());
    let args =
        ["--vary", "around/images/000002.png", "--seeds", "0-1", "--novelty", "20", "--save-latents", "-o", "further"];
    let printed = generate(dir.path(), &args).arg("--json").succeeds();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&printed).unwrap();
    assert!(rows.iter().all(|r| (r["sample"]["novelty_reached"].as_f64().unwrap() - 20.0).abs() <= 3.0), "{printed}");
    generate(dir.path(), &["--vary", "around/images/000002.png", "--seeds", "0", "--save-latents", "-o", "centre"])
        .succeeds();
    assert_eq!(kept(&at("centre"))[0].1, found[2].1);
    // Keys beside such a picture leave it a variation of the same latent.
    generate(dir.path(), &["--from", "around/images/000002.png", "--seeds", "1-2", "-o", "other"]).succeeds();
    for number in ["images/000001.png", "images/000002.png"] {
        assert_eq!(fs::read(at("other").join(number)).unwrap(), fs::read(at("around").join(number)).unwrap());
    }
    let made = generate(dir.path(), &["--from", "further/images/000001.png", "-o", "twice"]).succeeds();
    assert_eq!(fs::read(at(made.trim())).unwrap(), fs::read(at("further/images/000001.png")).unwrap());
}

#[test]
fn the_noise_of_a_diffusion_model_is_varied_too() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["-m", "digits-diffusion", "--vary", "3", "--seeds", "1", "--save-latents", "-o", "run"];
    generate(dir.path(), &args).succeeds();
    let found = kept(&dir.path().join("run")).remove(0).1;
    let z = normals(0, 3, Stream::Latent, 0, found.len());
    assert!((angle_between(&found, &z) - 0.2).abs() < ROUNDING);
}

#[test]
fn variations_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let call = |args: &[&str]| generate(dir.path(), args);
    call(&["--vary", "3", "--angle", "0"]).fails(2, &["angle", "above 0 and up to π", "found 0"]);
    call(&["--vary", "3", "--angle", "3.2"]).fails(2, &["angle", "found 3.2"]);
    call(&["--angle", "0.2"]).fails(2, &["angle", "needs vary"]);
    call(&["--vary", "nowhere.png"]).fails(4, &["nowhere.png", "check the path"]);
    call(&["--vary", "99999999999999999999"]).fails(2, &["--vary", "18446744073709551615"]);
    call(&["--mode", "balanced", "--seeds", "1", "--no-metadata", "-o", "bare"]).succeeds();
    call(&["--vary", "bare/images/000001.png"]).fails(3, &["bare/images/000001.png", "no isoline recipe"]);
    call(&["--mode", "balanced", "--seeds", "1", "-o", "told"]).succeeds();
    call(&["--vary", "told/images/000001.png", "-m", "digits-vae"])
        .fails(2, &["--vary", "another model", "digits-gan"]);
    let particles = ["-m", "digits-diffusion", "--reward", "denoiser", "--method", "particles", "--novelty", "90"];
    call(&[&particles[..], &["--vary", "1"]].concat()).fails(2, &["--vary", "draws noise of its own"]);
}

#[test]
fn keys_beside_a_picture_win_over_its_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    generate(dir.path(), &["--novelty", "90", "--seeds", "5", "--steps", "20", "-o", "a"]).succeeds();
    let picture = "a/images/000005.png";
    // The same seed by its own recipe: the same bytes, whether or not anything is typed beside it.
    generate(dir.path(), &["--from", picture, "--seeds", "5-6", "-o", "b"]).succeeds();
    assert_eq!(fs::read(at("b/images/000005.png")).unwrap(), fs::read(at(picture)).unwrap());
    // Other levels and another key: what a command with all of these keys would make.
    let done = isoline(&["generate", "--from", picture, "--novelty", "20,80", "--set", "drift=0.5", "-o", "c"])
        .cwd(dir.path())
        .run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let differs = "novelty was 90.0, is 20.0, settings.drift was absent, is 0.5";
    assert!(done.stderr.contains(differs), "{}", done.stderr);
    assert!(fs::read_to_string(at("c/plan.toml")).unwrap().contains(differs));
    let whole = ["--novelty", "20,80", "--seeds", "5", "--steps", "20", "--set", "drift=0.5", "-o", "d"];
    generate(dir.path(), &whole).succeeds();
    for level in ["novelty-20", "novelty-80"] {
        let name = format!("{level}/images/000005.png");
        assert_eq!(fs::read(at("c").join(&name)).unwrap(), fs::read(at("d").join(&name)).unwrap());
    }
    // A plain picture can be steered; a guided one takes another method, and what belongs to the first one goes.
    generate(dir.path(), &["--mode", "balanced", "--seeds", "5", "-o", "e"]).succeeds();
    generate(dir.path(), &["--from", "e/images/000005.png", "--novelty", "90", "--steps", "20", "-o", "f"]).succeeds();
    assert_eq!(fs::read(at("f/images/000005.png")).unwrap(), fs::read(at(picture)).unwrap());
    generate(dir.path(), &["--from", picture, "-c", "job.toml"]).fails(2, &["--from", "--config"]);
}

#[test]
fn a_guided_recipe_comes_back_from_its_picture() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let guided = [
        "-m",
        "digits-diffusion",
        "--reward",
        "denoiser",
        "--method",
        "forward",
        "--novelty",
        "90",
        "--corrections",
        "1",
    ];
    generate(
        dir.path(),
        &[&guided[..], &["--class", "3", "--cfg-scale", "1.5", "--seeds", "2", "--set", "tile=1", "-o", "a"]].concat(),
    )
    .succeeds();
    generate(dir.path(), &["--from", "a/images/000002.png", "--csv", "-o", "b"]).succeeds();
    assert_eq!(fs::read(at("b/images/000002.png")).unwrap(), fs::read(at("a/images/000002.png")).unwrap());
    assert_eq!(fs::read(at("b/recipe.toml")).unwrap(), fs::read(at("a/recipe.toml")).unwrap());
    // Its variations are guided as it was.
    generate(dir.path(), &["--vary", "a/images/000002.png", "--seeds", "0", "-o", "c"]).succeeds();
    let pixels = |path: &str| read_picture(&at(path)).unwrap();
    assert_eq!(pixels("c/images/000000.png"), pixels("a/images/000002.png"));
}
