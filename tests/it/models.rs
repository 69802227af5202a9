//! Models are found from any folder: the program alone is enough, and every place where it looks can be seen.

use crate::cli::{Isoline, TinyModel};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A copy of the program alone in a folder, with an empty home and an empty folder to work in.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "home", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_isoline"), root.path().join("bin/isoline")).unwrap();
        Self { root }
    }

    fn at(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    /// A call with no more in its environment than a home and a device.
    fn isoline(&self, args: &[&str]) -> Isoline {
        let mut command = Command::new(self.at("bin/isoline"));
        command.args(args).env_clear().env("HOME", self.at("home")).env("ISOLINE_DEVICE", "cpu");
        Isoline::from_command(command).cwd(&self.at("work"))
    }

    fn put(&self, model: &TinyModel, folder: &str) {
        fs::create_dir_all(self.at(folder)).unwrap();
        for file in ["card.toml", "weights.safetensors"] {
            fs::copy(model.folder().join(file), self.at(folder).join(file)).unwrap();
        }
    }
}

/// The folder that `isoline list models` names for a model.
fn folder(machine: &Machine, name: &str, call: impl Fn(Isoline) -> Isoline) -> Option<String> {
    let text = call(machine.isoline(&["list", "models", "--json"])).succeeds();
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = rows.as_array().unwrap().iter().find(|r| r["name"] == name).unwrap();
    row["folder"].as_str().map(str::to_owned)
}

#[test]
fn the_program_alone_makes_pictures_and_measures() {
    let machine = Machine::new();
    // Listing touches nothing.
    let listed = machine.isoline(&["list", "models"]).succeeds();
    for model in ["digits-diffusion", "digits-gan", "digits-vae", "peeps", "peeps-diffusion"] {
        let line = listed.lines().find(|l| l.starts_with(model)).unwrap();
        assert!(line.ends_with("built into the program"), "{line}");
    }
    assert!(machine.isoline(&["list", "rewards"]).succeeds().contains("digits-diffusion --reward denoiser"));
    assert_eq!(fs::read_dir(machine.at("home")).unwrap().count(), 0);
    machine.isoline(&["generate", "-q", "--seeds", "0", "--novelty", "90", "-o", "run"]).succeeds();
    let data = machine.at("home/.local/share/isoline/built-in");
    let folder = folder(&machine, "peeps", |c| c).unwrap();
    assert!(Path::new(&folder).starts_with(&data) && folder.ends_with("/peeps"), "{folder}");
    // The same picture as with the model from its own folder.
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let call = machine.isoline(&["generate", "-q", "--seeds", "0", "--novelty", "90", "-o", "other"]);
    call.env("ISOLINE_MODELS", models).succeeds();
    let picture = |run: &str| fs::read(machine.at("work").join(run).join("images/000000.png")).unwrap();
    assert!(picture("run") == picture("other"));
    machine.isoline(&["describe", "digits-vae", "-q", "--seeds", "0", "-o", "described"]).succeeds();
}

/// Every file below `folder`, by its path from `root`, without the pages that `train-reward` leaves for the eye.
fn files(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        match path.is_dir() {
            true => files(&path, root, found),
            false if path.extension().is_some_and(|e| e == "html") => {}
            false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
        }
    }
}

#[test]
fn the_program_holds_every_file_of_models() {
    let machine = Machine::new();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let card = |name: &String| fs::read_to_string(models.join(name).join("card.toml")).unwrap();
    let names = fs::read_dir(&models).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    // Networks that judge pictures lie there too, and first stages of models; they are read from their folders.
    let alone =
        |name: &String| ["classifier", "autoencoder"].iter().any(|f| card(name).contains(&format!("family = \"{f}\"")));
    for name in names.filter(|name| !alone(name)) {
        // Several at once, as when a job array starts for the first time.
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| machine.isoline(&["inspect", &name]).succeeds());
            }
        });
        let folder = PathBuf::from(folder(&machine, &name, |c| c).unwrap());
        let (mut wanted, mut unpacked) = (BTreeMap::new(), BTreeMap::new());
        files(&models.join(&name), &models.join(&name), &mut wanted);
        files(&folder, &folder, &mut unpacked);
        assert_eq!(wanted.keys().collect::<Vec<_>>(), unpacked.keys().collect::<Vec<_>>());
        assert!(wanted == unpacked, "{name}");
        assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1, "half-made folders are left");
    }
}

#[test]
fn places_are_searched_in_the_order_that_is_listed() {
    let machine = Machine::new();
    let model = TinyModel::new();
    let mut wanted = Vec::new();
    // From the last place to the first: each takes over from the one before.
    for place in ["bin/models", "home/.local/share/isoline/models", "work/models", "elsewhere"] {
        let at = format!("{place}/tiny");
        machine.put(&model, &at);
        let call = |c: Isoline| if place == "elsewhere" { c.env("ISOLINE_MODELS", machine.at(place)) } else { c };
        assert_eq!(folder(&machine, "tiny", call).map(PathBuf::from), Some(machine.at(&at)));
        let inspected = call(machine.isoline(&["inspect", "tiny", "--json"])).succeeds();
        assert!(inspected.contains("\"fits\": true"), "{inspected}");
        wanted.insert(0, machine.at(place));
    }
    let listed = machine.isoline(&["list", "models"]).env("ISOLINE_MODELS", &wanted[0]).succeeds();
    let places: Vec<&str> = listed.lines().skip_while(|l| !l.is_empty()).skip(2).collect();
    assert_eq!(places.len(), 5, "{listed}");
    for (i, place) in wanted.iter().enumerate() {
        assert!(places[i].starts_with(&format!("{}. {}", i + 1, place.display())), "{}", places[i]);
    }
    assert_eq!(places[4], "5. built into the program");
    // A shipped model too is taken from the first place that has one: here a folder that is no model any more.
    machine.put(&model, "work/models/digits-gan");
    assert_eq!(folder(&machine, "digits-gan", |c| c).map(PathBuf::from), Some(machine.at("work/models/digits-gan")));
}

#[test]
fn a_model_that_is_nowhere_says_where_it_was_looked_for() {
    let machine = Machine::new();
    let own = machine.at("home/.local/share/isoline/models");
    let (here, beside) = (machine.at("work/models"), machine.at("bin/models"));
    let places = [&here, &own, &beside].map(|p| p.display().to_string());
    let mut words: Vec<&str> = places.iter().map(String::as_str).collect();
    words.extend(["digits-gam: no such model", "looked in", "built into the program", "did you mean \"digits-gan\"?"]);
    machine.isoline(&["generate", "-m", "digits-gam"]).fails(3, &words);
    // A home that cannot be written to: said with what to do, not a panic.
    fs::write(machine.at("file"), "").unwrap();
    let call = machine.isoline(&["generate", "--seeds", "0"]).env("HOME", machine.at("file"));
    call.fails(4, &["a file stands where a folder is needed"]);
    let mut bare = Command::new(machine.at("bin/isoline"));
    bare.args(["generate", "--seeds", "0"]).env_clear().current_dir(machine.at("work"));
    Isoline::from_command(bare).fails(4, &["peeps", "XDG_DATA_HOME or ISOLINE_MODELS"]);
}
