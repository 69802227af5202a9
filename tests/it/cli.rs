//! The program as a user meets it: exit codes, one line per error, results on stdout only.

use clap::CommandFactory;
use isoline::store::{WeightTensor, sha256_hex, write_safetensors};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One call of the program.
pub struct Isoline {
    command: Command,
}

/// What a call left behind.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Isoline {
    /// The built program with `args`, without settings from the caller's environment.
    pub fn new(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isoline"));
        command.args(args).stdin(Stdio::null());
        for name in ["ISOLINE_DEVICE", "ISOLINE_MODELS", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        // What the program unpacks for its user stays among the build's files.
        command.env("XDG_DATA_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/data"));
        command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        Self { command }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same call of the program that fails at `points` (`tests/failing`).
    pub fn failing_at(self, points: impl AsRef<std::ffi::OsStr>) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_isoline")).with_file_name("examples").join("failing");
        let mut command = Command::new(program);
        command.args(self.command.get_args()).stdin(Stdio::null()).env("ISOLINE_FAILPOINTS", points);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            command.current_dir(folder);
        }
        Self { command }
    }

    pub fn cwd(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The call as it would be made, not yet run.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// A call that is wrapped in another program.
    pub fn from_command(command: Command) -> Self {
        Self { command }
    }

    pub fn run(mut self) -> Finished {
        let output = self.command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Finished { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs, expects success with nothing on stderr, and returns stdout.
    #[track_caller]
    pub fn succeeds(self) -> String {
        let done = self.run();
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{}", done.stdout);
        done.stdout
    }

    /// Runs, expects `code` and one line on stderr that contains all of `words`, and returns that line.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> String {
        let done = self.run();
        assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.starts_with("isoline: ") && done.stderr.ends_with('\n'), "{:?}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        let missing: Vec<_> = words.iter().filter(|w| !done.stderr.contains(**w)).collect();
        assert!(missing.is_empty(), "{missing:?} not in {}", done.stderr);
        done.stderr
    }
}

/// A model of two layers, from a latent of 2 values to a sample of shape [1, 2, 2], in a folder that is removed with
/// it.
pub struct TinyModel {
    root: tempfile::TempDir,
    tensors: BTreeMap<String, WeightTensor>,
}

pub const CARD: &str = r#"format = 1
id = "tiny"
family = "gan"
about = "two layers for tests"

[latent]
shape = [2]
prior = "normal"

[sample]
shape = [1, 2, 2]
range = [-1.0, 1.0]

[provenance]
trained_on = "nothing"
licence = "CC0-1.0"
how = "by hand"

[[layers]]
kind = "linear"
key = "first"
out = 4

[[layers]]
kind = "reshape"
shape = [1, 2, 2]
"#;

impl TinyModel {
    pub fn new() -> Self {
        let weight = WeightTensor { shape: vec![4, 2], values: vec![1.0, 0.5, -1.0, 2.0, 0.0, 1.0, 3.0, -2.0] };
        let bias = WeightTensor { shape: vec![4], values: vec![0.1, 0.2, 0.3, 0.4] };
        let tensors = BTreeMap::from([("first.weight".to_owned(), weight), ("first.bias".to_owned(), bias)]);
        let model = Self { root: tempfile::tempdir().unwrap(), tensors };
        fs::create_dir(model.folder()).unwrap();
        fs::write(model.root().join("draft.toml"), CARD).unwrap();
        model.write(&model.bytes());
        model
    }

    /// The folder that holds the model's folder and a draft of its card.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn folder(&self) -> PathBuf {
        self.root().join("tiny")
    }

    pub fn weights(&self) -> PathBuf {
        self.folder().join("weights.safetensors")
    }

    pub fn bytes(&self) -> Vec<u8> {
        write_safetensors(&self.tensors).unwrap()
    }

    /// Writes weights and a card with their hash.
    pub fn write(&self, weights: &[u8]) {
        self.write_with(CARD, weights);
    }

    /// Writes weights and `card` with their hash.
    pub fn write_with(&self, card: &str, weights: &[u8]) {
        fs::write(self.weights(), weights).unwrap();
        let hash = sha256_hex(weights);
        let card = format!("{card}\n[weights]\nfile = \"weights.safetensors\"\nsha256 = \"{hash}\"\n");
        fs::write(self.folder().join("card.toml"), card).unwrap();
    }

    /// The same model with other tensors.
    pub fn with(mut self, change: impl FnOnce(&mut BTreeMap<String, WeightTensor>)) -> Self {
        change(&mut self.tensors);
        self.write(&self.bytes());
        self
    }

    /// The same model with `from` replaced in its card.
    pub fn with_card(self, from: &str, to: &str) -> Self {
        let path = self.folder().join("card.toml");
        let card = fs::read_to_string(&path).unwrap();
        assert!(card.contains(from));
        fs::write(path, card.replace(from, to)).unwrap();
        self
    }

    pub fn inspect(&self) -> Isoline {
        Isoline::new(&["inspect", "tiny"]).env("ISOLINE_MODELS", self.root())
    }

    pub fn import(&self, source: &Path, folder: &Path) -> Isoline {
        self.loud_import(source, folder).arg("-q")
    }

    pub fn loud_import(&self, source: &Path, folder: &Path) -> Isoline {
        Isoline::new(&["import"]).arg(source).arg("--card").arg(self.root().join("draft.toml")).arg("-o").arg(folder)
    }
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

// ---- the command line itself -------------------------------------------------------------------------------------

#[test]
fn help_of_every_command_explains_every_argument() {
    let cli = isoline::cli::Cli::command();
    assert!(Isoline::new(&["--help"]).succeeds().contains("Commands:"));
    assert!(cli.get_subcommands().count() >= 4);
    for command in cli.get_subcommands() {
        let help = Isoline::new(&[command.get_name(), "--help"]).succeeds();
        assert!(help.contains("Usage: isoline") && help.contains("[default: auto]"), "{help}");
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
    }
}

#[test]
fn wrong_command_lines_are_one_line_each() {
    Isoline::new(&[]).fails(2, &["expected a command"]);
    Isoline::new(&["inspekt"]).fails(2, &["'inspekt'", "'inspect'"]);
    Isoline::new(&["inspect"]).fails(2, &["MODEL"]);
    Isoline::new(&["list", "layer"]).fails(2, &["layers, operators"]);
    Isoline::new(&["list", "layers", "--jsno"]).fails(2, &["'--jsno'", "'--json'"]);
    Isoline::new(&["list", "layers", "-q", "-v"]).fails(2, &["cannot be used with"]);
}

#[test]
fn version_goes_to_stdout() {
    assert_eq!(Isoline::new(&["--version"]).succeeds(), format!("isoline {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut isoline = Isoline::new(&["list", "layers"]);
    let output = isoline.command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut isoline = Isoline::new(&["list", "layers"]);
    let output = isoline.command.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}

/// Plays `main` with a fault in it. It needs a process of its own, because the panic hook belongs to the whole process.
#[test]
fn a_panic_is_one_line_and_exit_code_70() {
    use isoline::{cli::output, panics};
    if std::env::var_os("ISOLINE_TEST_PANIC").is_some() {
        panics::install();
        let fault = || -> isoline::error::Result<()> {
            let worker = std::thread::spawn(|| panic!("slot {} of {}\nis taken", 3, 2));
            worker.join().expect("the worker has an answer");
            Ok(())
        };
        let error = panics::caught(fault).unwrap_err();
        output::complain(&error);
        signal_hook::low_level::exit(i32::from(error.exit_code()));
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["cli::a_panic_is_one_line_and_exit_code_70", "--exact"]).env("ISOLINE_TEST_PANIC", "1");
    let output = child.env_remove("RUST_BACKTRACE").output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(70), 1), "{line}");
    assert!(line.starts_with("isoline: internal error: slot 3 of 2 is taken at tests/it/cli.rs:"), "{line}");
}

// ---- inspect and list --------------------------------------------------------------------------------------------

#[test]
fn inspect_shows_a_model_that_fits() {
    let model = TinyModel::new();
    let text = model.inspect().succeeds();
    for words in
        ["tiny", "linear 2 → 4", "[1, 2, 2]", "CC0-1.0", "image yes, pre-activation yes", "all there, all read"]
    {
        assert!(text.contains(words), "{words} not in\n{text}");
    }
    let report = json(&model.inspect().arg("--json").succeeds());
    assert_eq!(
        (&report["parameters"], &report["fits"], &report["layers"][0]["parameters"]),
        (&12.into(), &true.into(), &12.into())
    );
    let by_path = Isoline::new(&["inspect"]).arg(model.folder()).succeeds();
    assert_eq!(by_path, text);
    assert_eq!(Isoline::new(&["inspect", "tiny"]).cwd(model.root()).succeeds(), text);
}

#[test]
fn a_model_that_is_not_there_names_the_nearest() {
    let model = TinyModel::new();
    Isoline::new(&["inspect", "tinny"])
        .env("ISOLINE_MODELS", model.root())
        .fails(3, &["tinny", "did you mean \"tiny\"?"]);
    Isoline::new(&["inspect", "../tiny/x"]).cwd(&model.folder()).fails(3, &["no such model"]);
}

#[test]
fn a_misspelt_key_has_a_line_and_a_suggestion() {
    let model = TinyModel::new().with_card("licence =", "licenze =");
    model.inspect().fails(2, &["card.toml:16:1", "unknown key \"licenze\"", "did you mean \"licence\"?"]);
    let model = TinyModel::new().with_card("out = 4", "outt = 4");
    model.inspect().fails(2, &["card.toml: layers[0]", "\"outt\"", "\"out\""]);
}

#[test]
fn tensors_that_do_not_fit_are_all_named() {
    let model = TinyModel::new().with(|t| {
        let bias = t.remove("first.bias").unwrap();
        t.insert("first.bais".into(), bias);
    });
    model.inspect().fails(3, &["weights.safetensors", "\"first.bias\" is missing", "\"first.bais\""]);
    let done = model.inspect().arg("--json").run();
    let report = json(&done.stdout);
    assert_eq!((&report["missing"][0]["nearest"], &report["extra"][0]), (&"first.bais".into(), &"first.bais".into()));
    let model = TinyModel::new().with(|t| t.get_mut("first.weight").unwrap().shape.reverse());
    model.inspect().fails(3, &["first.weight", "expected shape [4, 2], found [2, 4]"]);
}

#[test]
fn damaged_weights_are_refused() {
    let model = TinyModel::new();
    let bytes = model.bytes();
    for length in [0, 7, 20, bytes.len() - 1] {
        model.write(&bytes[..length]);
        model.inspect().fails(3, &["weights.safetensors"]);
    }
    let model = TinyModel::new().with(|t| t.get_mut("first.bias").unwrap().values[2] = f32::NAN);
    model.inspect().fails(3, &["first.bias", "value 2 is NaN"]);
    let model = TinyModel::new();
    let other = TinyModel::new().with(|t| t.get_mut("first.bias").unwrap().values[2] = 7.0);
    fs::write(model.weights(), other.bytes()).unwrap();
    model.inspect().fails(3, &["weights.safetensors", "SHA-256"]);
    fs::remove_file(model.weights()).unwrap();
    model.inspect().fails(4, &["weights.safetensors", "could not read"]);
}

#[test]
fn text_of_a_foreign_card_cannot_drive_the_terminal() {
    let model = TinyModel::new().with_card("two layers for tests", "\\u001b[2J two\\nlines");
    let text = model.inspect().succeeds();
    assert!(text.contains("\\u{1b}[2J two lines") && !text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn every_component_in_the_source_is_listed() {
    for (table, folder) in [
        ("layers", "nn/layers"),
        ("estimators", "geometry/estimators"),
        ("descriptors", "geometry/descriptors"),
        ("predictions", "diffusion/predictions"),
        ("schedules", "diffusion/schedules"),
        ("solvers", "diffusion/solvers"),
    ] {
        let mut written = BTreeSet::new();
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let names = code.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
            written.extend(names.map(str::to_owned));
        }
        let rows = json(&Isoline::new(&["list", table, "--json"]).succeeds());
        let listed = rows.as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned());
        assert_eq!(listed.collect::<BTreeSet<_>>(), written, "{table}");
        assert_eq!(Isoline::new(&["list", table]).succeeds().lines().count(), written.len(), "{table}");
    }
}

#[test]
fn listed_models_say_what_is_wrong_with_them() {
    let model = TinyModel::new();
    let models = || Isoline::new(&["list", "models"]).env("ISOLINE_MODELS", model.root());
    let line = |text: &str| text.lines().find(|l| l.starts_with("tiny ")).unwrap().to_owned();
    assert!(line(&models().succeeds()).contains("gan: two layers for tests"));
    fs::write(model.folder().join("card.toml"), "format = 2").unwrap();
    assert!(line(&models().succeeds()).contains("not usable"));
}

// ---- devices -----------------------------------------------------------------------------------------------------

#[test]
fn devices_check_themselves() {
    let text = Isoline::new(&["devices", "--device", "cpu"]).succeeds();
    assert!(text.contains("cuda") && text.contains("matmul 8x16x8") && !text.contains("FAILED"), "{text}");
    let report = json(&Isoline::new(&["devices", "--json"]).env("ISOLINE_DEVICE", "cpu").succeeds());
    let checks = report["checked"][0]["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 3);
    for check in checks {
        let difference = check["difference"].as_f64().unwrap();
        assert!(difference > 0.0 && difference < check["tolerance"].as_f64().unwrap(), "{check}");
    }
}

#[test]
fn devices_that_are_not_there() {
    Isoline::new(&["devices", "--device", "gpu"]).fails(2, &["device gpu", "expected cpu, wgpu"]);
    Isoline::new(&["devices"]).env("ISOLINE_DEVICE", "cpu:1").fails(2, &["device cpu:1"]);
    if !cfg!(feature = "cuda") {
        Isoline::new(&["devices", "--device", "cuda"]).fails(5, &["device cuda", "this build has no cuda"]);
    }
}

/// More threads than cores wait for one another, and a hundred thousand would bring the machine down.
#[cfg(target_os = "linux")]
#[test]
fn no_more_threads_are_started_than_are_of_use() {
    let model = TinyModel::new();
    let call = |threads: &str, seeds: &str| {
        let args = ["describe", "--device", "cpu", "--progress", "none", "--seeds", seeds, "tiny"];
        Isoline::new(&args).env("ISOLINE_MODELS", model.root()).env("RAYON_NUM_THREADS", threads)
    };
    let [few, many] = ["1", "100000"].map(|threads| call(threads, "0-3").run());
    assert_eq!((many.code, &many.stdout), (0, &few.stdout), "{}", many.stderr);
    assert!(
        !few.stderr.contains("threads") && many.stderr.contains("asks for 100000 threads; using"),
        "{}",
        many.stderr
    );
    assert_eq!(call("100000", "0-3").arg("-q").run().stderr, "");
    let mut command = call("100000", "0-3999").into_command();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut most, mut looks) = (0, 0);
    while child.try_wait().unwrap().is_none() {
        let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).map_or(0, Iterator::count);
        (most, looks) = (most.max(tasks), looks + 1);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let cores = std::thread::available_parallelism().unwrap().get();
    println!("at most {most} threads seen in {looks} looks");
    assert!((1..=cores.max(16) + 16).contains(&most), "{most} threads, {cores} cores");
}

// ---- import ------------------------------------------------------------------------------------------------------

#[test]
fn an_imported_model_can_be_inspected() {
    let model = TinyModel::new().with(|t| {
        t.insert("unread".into(), WeightTensor { shape: vec![1], values: vec![1.0] });
    });
    let folder = model.root().join("imported");
    assert_eq!(model.import(&model.weights(), &folder).succeeds(), "", "-q is not quiet");
    let loud = model.loud_import(&model.weights(), &model.root().join("another")).run();
    let (text, code) = (loud.stdout, loud.code);
    assert!(code == 0 && text.contains("2 tensors") && text.contains("left out") && text.contains("unread"), "{text}");
    assert_eq!(json(&Isoline::new(&["inspect", "--json"]).arg(folder).succeeds())["fits"], true);
}

#[test]
fn an_import_that_cannot_be_written_says_where() {
    let model = TinyModel::new();
    fs::write(model.root().join("file"), "").unwrap();
    model.import(&model.weights(), &model.root().join("file")).fails(4, &["file", "could not", "choose another path"]);
    model
        .import(&model.weights(), &model.root().join("file/below"))
        .fails(4, &["file", "a file stands where a folder is needed"]);
    model
        .import(&model.root().join("absent.pth"), &model.root().join("new"))
        .fails(4, &["absent.pth", "check the path"]);
    model.import(&model.root().join("draft.toml"), &model.root().join("new")).fails(3, &["draft.toml"]);
    assert!(!model.root().join("new").exists());
}

/// Arguments of `isoline generate` that say nothing of a model, on the small one of digits.
pub fn on_digits<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let named = |i: usize| match args[i] {
        "-m" | "-c" | "--from" => true,
        "--vary" => args.get(i + 1).is_some_and(|v| v.ends_with(".png")),
        _ => false,
    };
    match (0..args.len()).any(named) {
        true => args.to_vec(),
        false => [&["-m", "digits-gan"], args].concat(),
    }
}
