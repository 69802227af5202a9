//! Contact sheets, larger pictures, sweeps with their animations, and seeds of 64 bits, through the program.

use crate::cli::{Isoline, on_digits};
use crate::runs::{hashes, isoline};
use isoline::render::png::read_picture;
use std::fs;
use std::path::Path;

fn generate(folder: &Path, args: &[&str]) -> Isoline {
    isoline(&["generate", "-q"]).args(&on_digits(args)).cwd(folder)
}

/// Width over height.
fn shape(path: &Path) -> f64 {
    let picture = read_picture(path).unwrap();
    picture.width as f64 / picture.height as f64
}

#[test]
fn a_sheet_has_the_form_of_what_is_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // One level of sixteen seeds: nearly square.
    generate(dir.path(), &["--mode", "balanced", "--seeds", "0-15", "-o", "square"]).succeeds();
    assert!((0.7..1.4).contains(&shape(&at("square/grid.png"))), "{}", shape(&at("square/grid.png")));
    // One seed at six levels, and at its own place: a strip, whoever of them came first.
    let strip = ["--seeds", "3", "--corrections", "0", "-o", "strip"];
    generate(dir.path(), &[&["--novelty", "5,20,40,60,80,95"], &strip[..]].concat()).succeeds();
    generate(dir.path(), &[&["--mode", "balanced"], &strip[..]].concat()).succeeds();
    assert!(shape(&at("strip/grid.png")) > 2.5, "{}", shape(&at("strip/grid.png")));
    // Very many seeds: pages, in place of the single sheet that was there before.
    let many = |seeds: &str| {
        isoline(&["generate", "-m", "digits-gan", "--mode", "balanced", "-o", "many", "--seeds", seeds])
            .cwd(dir.path())
            .run()
    };
    assert!(many("0-7").stderr.contains("sheet: many/grid.png"));
    let done = many("8-449");
    assert!(done.stderr.contains("sheet: 2 pages, many/grid-001.png to grid-002.png"), "{}", done.stderr);
    assert!(!at("many/grid.png").exists() && !at("many/grid-003.png").exists());
    // 450 samples over two pages of equal length.
    let (first, second) =
        (read_picture(&at("many/grid-001.png")).unwrap(), read_picture(&at("many/grid-002.png")).unwrap());
    assert_eq!(first.width, second.width);
}

#[test]
fn pictures_are_enlarged_only_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, more) in [("plain", &[][..]), ("large", &["--scale", "auto"]), ("four", &["--scale", "4"])] {
        generate(dir.path(), &[&["--mode", "balanced", "--seeds", "0-1", "-o", name], more].concat()).succeeds();
    }
    let picture = |name: &str| at(name).join("images/000001.png");
    assert_eq!(fs::read(picture("large")).unwrap(), fs::read(picture("plain")).unwrap());
    assert_eq!(read_picture(&picture("four")).unwrap(), read_picture(&picture("plain")).unwrap().enlarge(4));
    let width = |name: &str| read_picture(&at(name).join("grid.png")).unwrap().width;
    assert!(width("large") > width("plain"));
    let made = generate(dir.path(), &["--from", "four/images/000001.png", "-o", "again"]).succeeds();
    assert_eq!(fs::read(at(made.trim())).unwrap(), fs::read(picture("four")).unwrap());
    generate(dir.path(), &["--scale", "0"]).fails(2, &["--scale", "from 1 to 64, or auto"]);
    generate(dir.path(), &["--sort", "reached"]).fails(2, &["--sort", "typed, seed or novelty"]);
}

#[test]
fn a_sweep_is_equal_levels_and_an_animation() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let run = ["--seeds", "3,5", "--steps", "4", "--corrections", "0"];
    let done =
        isoline(&["generate", "-m", "digits-gan", "--sweep", "0-100:5", "-o", "run"]).args(&run).cwd(dir.path()).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("animations, back and forth: run/sweep-000003.png and 1 more"), "{}", done.stderr);
    let levels = |folder: &str| {
        let mut names: Vec<String> =
            fs::read_dir(at(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|n| n.starts_with("novelty-"));
        names.sort();
        names
    };
    assert_eq!(levels("run"), ["novelty-0", "novelty-100", "novelty-25", "novelty-50", "novelty-75"]);
    // Five levels forth and three back: the frames that the file announces in its chunk acTL.
    let file = fs::read(at("run/sweep-000005.png")).unwrap();
    let control = file.windows(4).position(|w| w == b"acTL").unwrap();
    assert_eq!(file[control + 4..control + 12], [0, 0, 0, 8, 0, 0, 0, 0]);
    // It is made from the records, so that a resumed run has it too.
    let whole = hashes(&at("run"));
    fs::remove_file(at("run/sweep-000005.png")).unwrap();
    fs::remove_file(at("run/novelty-25/images/000005.png")).unwrap();
    isoline(&["resume", "-q", "run"]).cwd(dir.path()).succeeds();
    assert_eq!(hashes(&at("run")), whole);
    // The levels alone, without an animation.
    generate(dir.path(), &[&["--novelty", "0,25,50,75,100"], &run[..], &["-o", "still"]].concat()).succeeds();
    assert_eq!(levels("still"), levels("run"));
    assert!(!at("still/sweep-000003.png").exists());
    for bad in ["0-100", "0-100:1", "0-100:65", "0:5", "a-b:3"] {
        generate(dir.path(), &["--sweep", bad]).fails(2, &["--sweep", "as in 0-100:21"]);
    }
    generate(dir.path(), &["--sweep", "0-101:5"]).fails(2, &["--sweep", "0 (most typical) to 100", "101"]);
}

#[test]
fn every_number_of_64_bits_is_a_seed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let most = u64::MAX.to_string();
    let printed =
        generate(dir.path(), &["--mode", "novel", "--seeds", &format!("7,{most}"), "--csv", "--json", "-o", "run"])
            .succeeds();
    assert!(printed.contains(&most), "{printed}");
    assert!(fs::read_to_string(at("run/samples.csv")).unwrap().contains(&format!("novel,{most},90")));
    let picture = format!("run/images/{most}.png");
    let made = generate(dir.path(), &["--from", &picture, "-o", "again"]).succeeds();
    assert_eq!(fs::read(at(made.trim())).unwrap(), fs::read(at(&picture)).unwrap());
    isoline(&["verify", "-q", "run"]).cwd(dir.path()).succeeds();
    let described = isoline(&["describe", "digits-gan", "--seeds", &most, "-q", "--csv", "-o", "told"]).cwd(dir.path());
    described.succeeds();
    let table = fs::read_dir(at("told"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.extension().is_some_and(|e| e == "csv"));
    assert!(fs::read_to_string(table.unwrap()).unwrap().contains(&format!("\n{most},ok")));
    generate(dir.path(), &["--seed", &most, "--count", "2"]).fails(2, &["--count", "expected at most 1 seeds"]);
    let done = isoline(&["generate", "-m", "digits-gan", "--mode", "balanced", "--seeds", "3,3,4", "-o", "twice"])
        .cwd(dir.path())
        .run();
    assert!(done.stderr.contains("seed 3 was given twice; it is made once"), "{}", done.stderr);
    assert_eq!(done.stdout.lines().count(), 3);
    // Every command with seeds says so.
    let done = isoline(&["describe", "digits-vae", "--seeds", "3,3,4", "--progress", "none"]).cwd(dir.path()).run();
    assert_eq!((done.code, done.stderr.as_str()), (0, "seed 3 was given twice; it is made once\n"));
    generate(dir.path(), &["--set", "noveltty=3"])
        .fails(2, &["--set noveltty=3: unknown key", "did you mean \"novelty\""]);
}

#[test]
fn a_forced_command_makes_its_own_samples_again_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let call = |args: &[&str]| {
        generate(dir.path(), &[&["--corrections", "0", "--steps", "2", "-o", "run"], args].concat()).succeeds()
    };
    call(&["--novelty", "10,90", "--seeds", "0-3"]);
    let run = dir.path().join("run");
    let made = |path: &str| fs::metadata(run.join(path)).unwrap().modified().unwrap();
    let all = ["novelty-90/images/000003.png", "novelty-90/images/000002.png", "novelty-10/images/000003.png"];
    let before = all.map(made);
    let whole = hashes(&run);
    call(&["--novelty", "90", "--seeds", "3", "--force"]);
    let after = all.map(made);
    assert!(after[0] > before[0], "the forced sample was not made again");
    assert_eq!(after[1..], before[1..], "samples of an earlier command were made again");
    assert_eq!(hashes(&run), whole);
}

#[test]
fn a_plan_that_is_shared_out_stays_so() {
    let dir = tempfile::tempdir().unwrap();
    let job = "model = \"digits-gan\"\nseeds = \"0-3\"\noutdir = \"unused\"\nsteps = 2\ncorrections = 0\n[[jobs]]\nname = \"novel\"\nmode = \"novel\"\n";
    fs::write(dir.path().join("job.toml"), job).unwrap();
    isoline(&["plan", "-q", "job.toml", "-o", "run", "--shards", "2"]).cwd(dir.path()).succeeds();
    let shards = || fs::read_to_string(dir.path().join("run/plan.toml")).unwrap().contains("shards = 2");
    assert!(shards());
    generate(dir.path(), &["-c", "job.toml", "--seeds", "0-5", "-o", "run"]).succeeds();
    assert!(shards());
    assert_eq!(isoline(&["status", "run", "--missing"]).cwd(dir.path()).run().code, 0);
}
