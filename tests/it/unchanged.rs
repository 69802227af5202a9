//! What users rely on, byte for byte: help, tables of names, recipes and their run ids, columns, exit codes with their
//! messages. A change here is a change for users: write the golden files again with `ISOLINE_GOLDEN=write`, and read
//! the diff before it is committed.

use crate::cli::TinyModel;
use crate::runs::isoline;
use clap::CommandFactory;
use isoline::store::run_id;
use std::fs;
use std::path::{Path, PathBuf};

/// Compares `text` with `tests/golden/program/NAME`, or writes it there if `ISOLINE_GOLDEN=write`.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/program").join(name);
    if std::env::var_os("ISOLINE_GOLDEN").is_some_and(|v| v == "write") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let line = wanted.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or_else(|| wanted.lines().count().min(text.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("nothing").to_owned();
    assert!(wanted == text, "{name} has changed at line {}:\n  was {}\n  is  {}", line + 1, at(&wanted), at(text));
}

/// Every command of the program as it is typed, including nested ones.
fn commands(command: &clap::Command, typed: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![typed.to_vec()];
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let mut inner = typed.to_vec();
        inner.push(sub.get_name().to_owned());
        all.extend(commands(sub, &inner));
    }
    all
}

#[test]
fn help_of_every_command() {
    let all = commands(&::isoline::cli::Cli::command(), &[]);
    assert!(all.len() > 25, "{all:?}");
    for typed in all {
        let words: Vec<&str> = typed.iter().map(String::as_str).chain(["--help"]).collect();
        let name = if typed.is_empty() { "isoline".to_owned() } else { typed.join("-") };
        golden(&format!("help/{name}.txt"), &isoline(&words).env("COLUMNS", "100").succeeds());
    }
}

#[test]
fn tables_of_names() {
    let command = ::isoline::cli::Cli::command();
    let list = command.find_subcommand("list").unwrap();
    let what = list.get_arguments().find(|a| a.get_id() == "what").unwrap().get_possible_values();
    assert!(what.len() > 10);
    for value in what.iter().map(clap::builder::PossibleValue::get_name) {
        // Models come and go; their number is no promise.
        if !["models", "rewards"].contains(&value) {
            golden(&format!("list/{value}.txt"), &isoline(&["list", value]).succeeds());
        }
    }
}

const GUIDED: &str = "model = \"digits-diffusion\"\nreward = \"denoiser\"\nseeds = \"0-3,9\"\noutdir = \"unused\"\ntile = 4\n\
[[jobs]]\nname = \"plain\"\nmode = \"balanced\"\n\
[[jobs]]\nname = \"three\"\nmethod = \"none\"\nmode = \"balanced\"\nclass = 3\ncfg_scale = 1.5\nrecurrence = 2\npreview_every = 2\n\
[[jobs]]\nname = \"gradient\"\nnovelty = 80\nsteps = 5\ncorrections = 1\ndrift = 0.5\nmax_angle = 0.1\n\
[[jobs]]\nname = \"forward\"\nmethod = \"forward\"\nnovelty = 90\ninterval = [0.1, 10.0]\nguidance = 0.25\n\
[[jobs]]\nname = \"backward\"\nmethod = \"backward\"\nform = \"push\"\nclass = 1\nrecurrence = 2\n\
[[jobs]]\nname = \"particles\"\nmethod = \"particles\"\nnovelty = 20\nparticles = 4\npotential = \"max\"\n\
[[jobs]]\nname = \"noise\"\nmethod = \"noise\"\nmode = \"typical\"\nguidance = 0.05\n\
[[jobs]]\nname = \"density\"\nmethod = \"density\"\nguidance = -0.2\n\
[[jobs]]\nname = \"minority\"\nmethod = \"minority\"\n";

const LATENTS: &str = "model = \"digits-gan\"\nseeds = \"7\"\noutdir = \"unused\"\nsave_latents = true\nmetadata = false\n\
[[jobs]]\nname = \"fixed\"\nmethod = \"truncation\"\ntrunc = 0.7\nmode = \"balanced\"\nsubdirs = true\n\
[[jobs]]\nname = \"search\"\nmethod = \"search\"\nnovelty = 99\nseeds = \"3-1\"\n\
[[jobs]]\nname = \"searched\"\nmethod = \"truncation\"\nnovelty = 5\nseeds = \"1\"\n";

const DESCRIBE: &str = "[describe]\nmodel = \"digits-vae\"\nseeds = \"0-9\"\nestimator = \"stencil:6\"\nradius = 0.02\n\
frame_seed = 3\nscales = [0.1, 0.3]\nmodel_rank = 4\ncalibrate_on = 2\ntile = 4\nnpz = true\ncomplexity_radius = 0.05\n\
complexity_directions = 5\nmemory = 64\n";

/// The plan and the recipes of every kind of job; each recipe with its run id.
#[test]
fn plans_and_recipes() {
    let dir = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = |path: &str| fs::read_to_string(root.join("configs").join(path)).unwrap();
    let jobs = [
        ("batch-default", config("batch/default.toml")),
        ("batch-methods", config("batch/methods.toml")),
        ("guided", GUIDED.to_owned()),
        ("latents", LATENTS.replace("seeds = \"3-1\"", "seeds = \"3,1\"")),
        ("describe", DESCRIBE.to_owned()),
        ("describe-default", "[describe]\nmodel = \"digits-gan\"\n".to_owned()),
        (
            "describe-diffusion",
            "[describe]\nmodel = \"digits-diffusion\"\nseeds = \"4\"\ncomplexity = false\n".to_owned(),
        ),
        ("labels-gan", config("reward/digits-gan.toml")),
        ("labels-diffusion", config("reward/digits-diffusion.toml")),
        ("labels-denoiser", config("reward/digits-diffusion-denoiser.toml")),
    ];
    for (name, text) in jobs {
        fs::write(dir.path().join("job.toml"), text).unwrap();
        isoline(&["plan", "-q", "job.toml", "--shards", "3", "-o", name]).cwd(dir.path()).succeeds();
        let folder = dir.path().join(name);
        let mut files = vec![folder.join("plan.toml")];
        let mut recipes: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().path().join("recipe.toml"))
            .chain([folder.join("recipe.toml")])
            .filter(|p| p.is_file())
            .collect();
        recipes.sort();
        assert!(!recipes.is_empty());
        files.extend(recipes);
        let mut found = String::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let below = file.strip_prefix(&folder).unwrap().display();
            found.push_str(&format!("# {below}, run id {}\n{text}\n", run_id(&text)));
        }
        golden(&format!("plans/{name}.toml"), &found);
    }
}

/// The first line of each CSV file below `folder`, the names of the arrays in each npz file, and the names of other
/// files.
fn columns(folder: &Path, found: &mut Vec<String>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            columns(&path, found);
        } else if name.ends_with(".csv") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(format!("{name}: {}", text.lines().next().unwrap()));
        } else if name.ends_with(".npz") && !name.starts_with("tile-") {
            let zip = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
            let mut names: Vec<String> = zip.file_names().map(|n| n.unwrap().into_owned()).collect();
            names.sort_unstable();
            found.push(format!("{name}: {}", names.join(",")));
        } else {
            if name.ends_with(".parquet") {
                crate::columns::every_column_is_described(&path);
            }
            found.push(name);
        }
    }
}

/// The keys of a JSON value, one path per line; for a list, those of its first entry.
fn keys(value: &serde_json::Value, at: &str, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(k, v)| keys(v, &format!("{at}.{k}"), found)),
        serde_json::Value::Array(list) => list.first().iter().for_each(|v| keys(v, &format!("{at}[]"), found)),
        _ => found.push(at.to_owned()),
    }
}

/// The files, columns and JSON keys of what every command leaves and prints.
#[test]
fn files_and_columns() {
    let dir = tempfile::tempdir().unwrap();
    let calls: [(&str, &[&str], bool); 13] = [
        (
            "generate",
            &["generate", "-m", "digits-gan", "--seeds", "0-1", "--csv", "--steps", "1", "--corrections", "0"],
            true,
        ),
        (
            "generate-latents",
            &["generate", "-m", "digits-vae", "--seed", "1", "--mode", "novel", "--save-latents", "--csv", "--subdirs"],
            true,
        ),
        ("describe", &["describe", "digits-gan", "--seeds", "0-2", "--csv", "--npz", "--scales", "0.1,0.3"], true),
        (
            "describe-calibrated",
            &["describe", "digits-vae", "--seeds", "0-9", "--csv", "--estimator", "input-subspace:6"],
            true,
        ),
        ("study-convergence", &["study", "convergence", "digits-vae", "--seeds", "0-7", "--directions", "4"], true),
        ("study-map", &["study", "map", "digits-vae", "--plane", "0,1,2", "--size", "5"], true),
        ("study-relate", &["study", "relate", "digits-vae", "--seeds", "0-17"], true),
        ("study-trajectory", &["study", "trajectory", "digits-vae", "--seeds", "3,14", "--steps", "4"], true),
        (
            "steer-report",
            &["steer-report", "digits-vae", "--seeds", "0-1", "--novelty", "10,90", "--tile", "2", "--steps", "2"],
            true,
        ),
        ("lid-estimate", &["lid", "estimate", "digits-diffusion", "--seeds", "0"], false),
        ("lid-doctor", &["lid", "doctor", "digits-diffusion"], false),
        ("lid-curve", &["lid", "curve", "digits-diffusion", "--seeds", "0", "--points", "4", "--probes", "2"], true),
        ("trajectory", &["trajectory", "digits-diffusion", "--seeds", "0", "--estimator", "input-subspace:4"], true),
    ];
    for (name, args, has_folder) in calls {
        let mut call = isoline(args).args(&["-q", "--json"]);
        if has_folder {
            call = call.args(&["-o", name]);
        }
        let printed = call.cwd(dir.path()).succeeds();
        let mut found = Vec::new();
        if has_folder {
            columns(&dir.path().join(name), &mut found);
        }
        keys(&serde_json::from_str(&printed).unwrap(), "json", &mut found);
        golden(&format!("columns/{name}.txt"), &(found.join("\n") + "\n"));
    }
}

/// Wrong calls, with their exit codes and messages.
#[test]
fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "class.toml",
        "model = \"digits-diffusion\"\nreward = \"denoiser\"\noutdir = \"a\"\nmethod = \"forward\"\nnovelty = 90\nseeds = \"0\"\nclass = 12\n[[jobs]]\nname = \"a\"\n",
    );
    write("typo.toml", "model = \"digits-gan\"\noutdir = \"a\"\nnovlety = 90\nseeds = \"0\"\n[[jobs]]\nname = \"a\"\n");
    write("type.toml", "model = \"digits-gan\"\noutdir = \"a\"\nseeds = 3\n[[jobs]]\nname = \"a\"\n");
    write(
        "range.toml",
        "model = \"digits-gan\"\noutdir = \"a\"\nseeds = \"0\"\n[[jobs]]\nname = \"a\"\nnovelty = 101\n",
    );
    write("rank.toml", "[describe]\nmodel = \"digits-vae\"\nmodel_rank = 40\n");
    write("estimator.toml", "[describe]\nmodel = \"digits-vae\"\nestimator = \"input-subspce:8\"\n");
    write(
        "labels.toml",
        "model = \"digits-gan\"\n[labels]\ncount = 5\nestimator = \"exact\"\n[fit]\nwidth = 8\nblocks = 1\nepochs = 1\nbatch = 8\nlearning_rate = 0.1\n",
    );
    let tiny = TinyModel::new();
    fs::rename(tiny.folder(), dir.path().join("tiny")).unwrap();
    let calls: &[&[&str]] = &[
        &[],
        &["generat"],
        &["generate", "--novelty", "101"],
        &["generate", "--novelty", "x"],
        &["generate", "--mode", "nvel"],
        &["generate", "--seeds", "5-1"],
        &["generate", "--count", "0"],
        &["generate", "--method", "gradent"],
        &["generate", "--corrections", "65"],
        &["generate", "--steps", "0"],
        &["generate", "--set", "drift=9"],
        &["generate", "--set", "drift"],
        &["generate", "--set", "novelt=3"],
        &["generate", "--trunc", "0.5"],
        &["generate", "--method", "truncation", "--trunc", "9", "--mode", "balanced"],
        &["generate", "--class", "3", "--method", "none", "--mode", "balanced"],
        &["generate", "-m", "digits-gan", "--method", "forward", "--novelty", "90"],
        &["generate", "-m", "digits-gam"],
        &["generate", "-m", "tiny"],
        &["generate", "-m", "digits-diffusion", "--method", "forward", "--reward", "denoizer"],
        &["generate", "-m", "digits-diffusion", "--method", "none", "--mode", "balanced", "--class", "12"],
        &["generate", "-m", "digits-diffusion", "--cfg-scale", "2"],
        &["generate", "-m", "digits-diffusion", "--method", "particles", "--particles", "0"],
        &["generate", "-m", "digits-diffusion", "--method", "particles", "--potential", "dif"],
        &["generate", "-m", "digits-diffusion", "--method", "density", "--novelty", "3"],
        &["generate", "-m", "digits-diffusion", "--form", "pusch", "--method", "forward"],
        &["generate", "--from", "nowhere.png"],
        &["generate", "--from", "nowhere.png", "--steps", "3"],
        &["generate", "-c", "nowhere.toml"],
        &["generate", "-c", "class.toml"],
        &["generate", "-c", "typo.toml"],
        &["generate", "-c", "type.toml"],
        &["generate", "-c", "range.toml"],
        &["generate", "--device", "cuda:x"],
        &["describe", "digits-vae", "--estimator", "input-subspce:8"],
        &["describe", "digits-vae", "--estimator", "input-subspace:x"],
        &["describe", "digits-vae", "--estimator", "input-subspace:4", "--directions", "5"],
        &["describe", "digits-vae", "--directions", "0"],
        &["describe", "digits-vae", "--estimator", "input-subspace", "--directions", "99"],
        &["describe", "digits-vae", "--model-rank", "40"],
        &["describe", "digits-vae", "--model-rank", "0"],
        &["describe", "digits-vae", "--radius", "-1"],
        &["describe", "digits-vae", "--memory", "0"],
        &["describe", "digits-vae", "--scales", "0"],
        &["describe", "digits-vae", "--tile", "0"],
        &["describe", "digits-vae", "--complexity-radius", "0"],
        &["describe", "digits-vae", "--complexity-directions", "99"],
        &["describe", "digits-vae", "--seeds", "x"],
        &["describe", "digits-vae", "--seeds", "0", "--latents", "z.npz"],
        &["describe", "digits-vae", "--latents", "z.npz"],
        &["describe", "digits-vae", "--key", "z"],
        &["describe", "digits-vae", "--images", "nowhere"],
        &["plan", "class.toml", "-o", "p"],
        &["plan", "rank.toml", "-o", "p"],
        &["plan", "estimator.toml", "-o", "p"],
        &["plan", "labels.toml", "-o", "p"],
        &["plan", "range.toml", "-o", "p", "--shards", "0"],
        &["train-reward", "-c", "labels.toml"],
        &["train-reward", "--curve", "2"],
        &["study", "map", "digits-vae", "--plane", "0,1"],
        &["study", "map", "digits-vae", "--size", "1"],
        &["study", "relate", "digits-vae", "--seeds", "0"],
        &["study", "trajectory", "digits-vae", "--seeds", "0"],
        &["study", "convergence", "digits-vae", "--directions", "1"],
        &["study", "convergence", "digits-vae", "--radius", "0"],
        &["study", "convergence", "digits-vae", "--model-rank", "99"],
        &["steer-report", "digits-vae", "--novelty", "101"],
        &["steer-report", "digits-vae", "--tile", "0"],
        &["steer-report", "digits-vae", "--corrections", "0"],
        &["steer-report", "digits-vae", "--reward", "x"],
        &["steer-report", "digits-vae", "--methods", "forward"],
        &["lid", "estimate", "digits-gan"],
        &["lid", "estimate", "digits-diffusion", "--sigma", "-1"],
        &["lid", "estimate", "digits-diffusion", "--class", "12"],
        &["lid", "bench", "--set", "lolipop"],
        &["trajectory", "digits-gan"],
        &["trajectory", "digits-diffusion", "--class", "12"],
        &["status", "."],
        &["work", ".", "--shard", "3/2"],
        &["merge", "nowhere"],
        &["resume", "nowhere"],
        &["verify", "nowhere"],
        &["emit", "slurm", "nowhere"],
        &["import", "nowhere.pth", "--card", "nowhere.toml", "-o", "m"],
        &["inspect", "nowhere"],
        &["list", "layer"],
    ];
    let mut found = String::new();
    for args in calls {
        let done = isoline(args).cwd(dir.path()).run();
        assert_ne!(done.code, 0, "{args:?}");
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let shown = done.stderr.replace(&*models.to_string_lossy(), "MODELS");
        let shown = shown.replace(&*dir.path().to_string_lossy(), "DIR");
        // How long labels take is measured.
        let shown = match (shown.find(": about "), shown.find(" for 40,960 labels")) {
            (Some(from), Some(to)) => format!("{}: about TIME{}", &shown[..from], &shown[to..]),
            _ => shown,
        };
        let beside = Path::new(env!("CARGO_BIN_EXE_isoline")).parent().unwrap();
        let shown = shown.replace(env!("CARGO_TARGET_TMPDIR"), "TMP").replace(&*beside.to_string_lossy(), "BESIDE");
        found.push_str(&format!("$ isoline {}\n{}{shown}\n", args.join(" "), format_args!("exit {}\n", done.code)));
    }
    golden("refusals.txt", &found);
}
