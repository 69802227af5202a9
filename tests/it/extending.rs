//! "One file and one line": no other file refers to a component by its name.
//!
//! Walks every table of components. The name of a row may appear as a string in the component's own file and nowhere
//! else in `src`, except in the places of [`KNOWN`], each with its reason: for instance a default, or the one that
//! others are compared with.

use isoline::acts::study::STUDIES;
use isoline::diffusion::{predictions::PREDICTIONS, schedules::SCHEDULES, solvers::SOLVERS};
use isoline::evaluate::METRICS;
use isoline::geometry::{DESCRIPTORS, ESTIMATORS};
use isoline::nn::layers::KINDS as LAYERS;
use isoline::reward::QUANTITIES;
use isoline::steer::{GUIDES, METHODS};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A kind of component: what it is called, its folder, and the names in its table.
struct Kind {
    name: &'static str,
    folder: &'static str,
    rows: Vec<&'static str>,
}

fn kinds() -> Vec<Kind> {
    let kind = |name, folder, rows| Kind { name, folder, rows };
    vec![
        kind("layer", "src/nn/layers", LAYERS.iter().map(|r| r.name).collect()),
        kind("prediction", "src/diffusion/predictions", PREDICTIONS.iter().map(|r| r.name).collect()),
        kind("schedule", "src/diffusion/schedules", SCHEDULES.iter().map(|r| r.name).collect()),
        kind("solver", "src/diffusion/solvers", SOLVERS.iter().map(|r| r.name).collect()),
        kind("estimator", "src/geometry/estimators", ESTIMATORS.iter().map(|r| r.name).collect()),
        kind("descriptor", "src/geometry/descriptors", DESCRIPTORS.iter().map(|r| r.name).collect()),
        kind("metric", "src/evaluate/metrics", METRICS.iter().map(|r| r.name).collect()),
        kind("quantity", "src/reward/quantities", QUANTITIES.iter().map(|r| r.name).collect()),
        kind("steering method", "src/steer/latent", METHODS.iter().map(|r| r.name).collect()),
        kind("guide", "src/steer/denoiser", GUIDES.iter().map(|r| r.name).collect()),
        kind("study", "src/acts/study", STUDIES.iter().map(|r| r.name).collect()),
    ]
}

/// A name that may also appear outside its component's own file.
struct Known {
    kind: &'static str,
    name: &'static str,
    files: &'static [&'static str],
    why: &'static str,
}

const fn known(kind: &'static str, name: &'static str, files: &'static [&'static str], why: &'static str) -> Known {
    Known { kind, name, files, why }
}

/// Folders that read the files of other programs, in those programs' words.
const FOREIGN: &[&str] = &["src/onnx/", "src/diffusion/schedulers/", "src/families/", "src/cli/inspect/folder.rs"];
const FUNCTIONS: &[&str] = &["src/nn/operators/unary.rs"];
const UNET: &[&str] = &["src/nn/layers/unet.rs"];
const UNET_AND_REWARD: &[&str] = &["src/nn/layers/unet.rs", "src/reward/train.rs"];

const DENSITY: &[&str] = &["src/acts/columns.rs", "src/acts/study/diagnose.rs"];
const KNOWING: &[&str] = &[
    "src/acts/columns/knowing.rs",
    "src/acts/study/diagnose.rs",
    "src/acts/study/memorisation/report.rs",
    "src/acts/study/ood/score.rs",
];
const COPYING: &[&str] = &["src/acts/evaluate/page.rs"];

/// Every such name, with its reason.
const KNOWN: &[Known] = &[
    known("layer", "attention", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "concat", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "conv2d", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "group_norm", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "modulate", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "upsample", UNET, "a U-Net is written as layers of other kinds"),
    known("layer", "silu", UNET_AND_REWARD, "a U-Net and a reward are written as layers of other kinds"),
    known("layer", "residual", UNET_AND_REWARD, "a U-Net and a reward are written as layers of other kinds"),
    known(
        "layer",
        "residual",
        &["src/acts/columns.rs", "src/acts/describe/values.rs", "src/acts/study/dimension/curve.rs"],
        "the column of an inversion's error",
    ),
    known("guide", "density", &["src/evaluate/metrics/density.rs"], "a metric of that name"),
    known("guide", "density", DENSITY, "the table of densities"),
    known("metric", "density", DENSITY, "the table of densities"),
    known(
        "descriptor",
        "log_likelihood",
        &["src/acts/columns/knowing.rs", "src/acts/study/ood/score.rs"],
        "a column of that name",
    ),
    known("quantity", "dimension", KNOWING, "a column of that name"),
    known(
        "guide",
        "noise",
        &["src/acts/columns/knowing.rs", "src/acts/study/memorisation/report.rs"],
        "a column of that name",
    ),
    known("metric", "density", &["src/steer/denoiser/density.rs"], "a guide of that name"),
    known("guide", "noise", &["src/generator/train/noised.rs"], "a table of a training's config"),
    known("steering method", "none", &["src/studio/guard.rs"], "what a browser says of an address that was typed"),
    known(
        "descriptor",
        "nu",
        &["src/studio/taste/features.rs"],
        "the local rank is one of the numbers that a taste is about",
    ),
    known("metric", "coverage", &["src/reward/report.rs"], "how often an interval held the truth"),
    known("metric", "auth_pct", COPYING, "the metrics of memorisation, side by side"),
    known("metric", "c_t", COPYING, "the metrics of memorisation, side by side"),
    known("metric", "ct_modified", COPYING, "the metrics of memorisation, side by side"),
    known("metric", "fls_pog", COPYING, "the metrics of memorisation, side by side"),
    known("layer", "concat", &["src/nn/operators/concat.rs"], "a node of a graph of that name"),
    known("layer", "gelu", FUNCTIONS, "functions that are layers"),
    known("layer", "leaky_relu", FUNCTIONS, "functions that are layers"),
    known("layer", "relu", FUNCTIONS, "functions that are layers"),
    known("layer", "sigmoid", FUNCTIONS, "functions that are layers"),
    known("layer", "silu", FUNCTIONS, "functions that are layers"),
    known("layer", "tanh", FUNCTIONS, "functions that are layers"),
    known("layer", "linear", &["src/reward/train.rs"], "a reward is written as layers of other kinds"),
    known("layer", "linear", &["src/generator/train/classifier.rs"], "training adds a classifier's last layer"),
    known("layer", "linear", &["src/diffusion/clock.rs"], "a clock of that name"),
    known("prediction", "edm", &["src/generator/train/denoising.rs"], "the objective of that name teaches it"),
    known("prediction", "edm", &["src/data/mod.rs", "src/data/edm_tests.rs"], "a kind of data set of that name"),
    known("prediction", "flow", &["src/generator/train/denoising.rs"], "the objective of that name teaches it"),
    known("prediction", "flow", &["src/diffusion/schedules/flow.rs"], "a schedule of that name"),
    known("prediction", "epsilon", &["src/diffusion/lid/score.rs"], "what the networks of the LID benchmark predict"),
    known(
        "prediction",
        "v",
        &["src/acts/columns.rs", "src/acts/study/map.rs", "src/cli/generate/jobs.rs"],
        "an axis, and a key of a literal",
    ),
    known("schedule", "cosine", &["src/diffusion/clock.rs"], "a clock of that name"),
    known("schedule", "flow", &["src/diffusion/predictions/flow.rs"], "a prediction of that name"),
    known("schedule", "flow", &["src/generator/train/denoising.rs"], "an objective of that name"),
    known("schedule", "karras", &["src/diffusion/integrate.rs"], "the default of a sampler"),
    known("steering method", "none", &["src/generator/train/targets.rs"], "the class of pictures without an attribute"),
    known("solver", "dpmpp-2m", &["src/diffusion/integrate.rs"], "the default of a sampler"),
    known("solver", "ancestral", &["src/steer/denoiser/particles.rs"], "particles need noise in every step"),
    known(
        "estimator",
        "exact",
        &[
            "src/acts/describe/measurer.rs",
            "src/acts/describe/report.rs",
            "src/acts/describe/tiles.rs",
            "src/acts/study/convergence/mod.rs",
        ],
        "the one that others are compared with",
    ),
    known(
        "estimator",
        "exact",
        &["src/acts/study/dimension/estimate.rs", "src/acts/study/memorisation/audit.rs"],
        "a whole spectrum gives the dimension",
    ),
    known("estimator", "exact", &["src/acts/import/checks.rs"], "what a reference's singular values are compared with"),
    known("estimator", "exact", &["src/generator/usual.rs"], "the default of one-shot models"),
    known("estimator", "exact", &["src/reward/quantities/mod.rs"], "the exact trace, another thing"),
    known("estimator", "exact", &["src/render/plot_tests.rs"], "a test"),
    known("estimator", "input-subspace", &["src/generator/usual.rs"], "the default of diffusion models"),
    known("estimator", "stencil", &["src/render/plot_tests.rs"], "a test"),
    known("descriptor", "delta", &["src/acts/study/relations/mod.rs"], "what the study is about"),
    known("descriptor", "nu", &["src/acts/study/relations/mod.rs"], "what the study is about"),
    known("descriptor", "psi_k", &["src/acts/study/relations/mod.rs"], "what the study is about"),
    known("descriptor", "delta", &["src/diffusion/lid/methods/cfdm.rs"], "a setting of that name"),
    known("descriptor", "delta", &["src/render/canvas.rs"], "the Greek letter"),
    known("descriptor", "nu", &["src/render/canvas.rs", "src/render/plot_tests.rs"], "the Greek letter"),
    known("descriptor", "psi", &["src/render/canvas.rs", "src/render/plot_tests.rs"], "the Greek letter"),
    known("descriptor", "lid", &["src/cli/lid.rs"], "a command of that name"),
    known(
        "descriptor",
        "ln_frobenius",
        &["src/acts/study/convergence/trials.rs"],
        "a rival that needs no estimator, compared with psi_k",
    ),
    known(
        "descriptor",
        "sigma_1",
        &["src/acts/study/convergence/trials.rs"],
        "a rival that needs no estimator, compared with psi_k",
    ),
    known(
        "descriptor",
        "log_likelihood",
        &["src/acts/study/denoiser_path.rs"],
        "means nothing at a noised picture, and is left out there",
    ),
    known("descriptor", "nu", &["src/cli/generate.rs"], "a column of the printed table"),
    known(
        "descriptor",
        "psi_k",
        &[
            "src/acts/columns.rs",
            "src/acts/describe/report.rs",
            "src/acts/describe/values.rs",
            "src/acts/generate/row.rs",
            "src/acts/generate/table.rs",
            "src/acts/study/convergence/mod.rs",
            "src/acts/study/convergence/trials.rs",
            "src/cli/generate.rs",
            "src/reward/quantities/psi.rs",
        ],
        "what is ranked: novelty is its percentile",
    ),
    known("descriptor", "psi", &["src/acts/describe/values.rs"], "the one whose calibration has columns of its own"),
    known(
        "descriptor",
        "psi",
        &[
            "src/acts/label/mod.rs",
            "src/acts/label/parts.rs",
            "src/reward/labels.rs",
            "src/reward/network.rs",
            "src/reward/quantities/psi.rs",
        ],
        "the quantity of that name",
    ),
    known(
        "quantity",
        "psi",
        &["src/acts/label/mod.rs", "src/acts/label/parts.rs", "src/reward/labels.rs", "src/reward/network.rs"],
        "the default, which old files do not name",
    ),
    known(
        "quantity",
        "psi",
        &["src/acts/describe/values.rs", "src/geometry/descriptors/local_scaling.rs"],
        "the descriptor of that name",
    ),
    known("quantity", "psi", &["src/render/canvas.rs", "src/render/plot_tests.rs"], "the Greek letter"),
    known(
        "quantity",
        "dimension",
        &["src/acts/columns.rs", "src/acts/study/dimension/curve.rs", "src/acts/study/dimension/estimate.rs"],
        "a column and an axis",
    ),
    known("steering method", "gradient", &["src/acts/generate/keys.rs"], "the default"),
    known("steering method", "gradient", &["src/generator/train/autoencoder.rs"], "a setting of that name"),
    known("steering method", "gradient", &["src/steer/open_loop.rs"], "the fault of that name"),
    known("steering method", "gradient", &["src/acts/study/steering/entries.rs"], "the budget of a search"),
    known("steering method", "search", &["src/acts/study/steering/entries.rs"], "takes whatever budget it gets"),
    known(
        "steering method",
        "none",
        &["src/acts/generate/recipe.rs", "src/steer/denoiser/keys.rs"],
        "what a method is where nothing is to be moved",
    ),
    known(
        "steering method",
        "none",
        &["src/acts/describe/source.rs", "src/cli/status.rs", "src/render/grid_tests.rs", "src/table/tests.rs"],
        "the word",
    ),
    known("guide", "noise", &["src/diffusion/solvers/churn.rs"], "a setting of that name"),
    known("guide", "noise", &["src/steer/engine.rs"], "the fault of that name"),
    known("study", "map", &["src/acts/study/convergence/mod.rs"], "the map that a generator is"),
    known(
        "study",
        "trajectory",
        &["src/acts/study/denoiser_path.rs", "src/cli/trajectory.rs"],
        "the command of that name and its tables",
    ),
];

/// The string literals of a file, with their lines, except those in its tests or attributes.
fn texts(source: &str) -> Vec<(String, usize)> {
    fn walk(stream: TokenStream, found: &mut Vec<(String, usize)>) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    let attribute = trees.next().map_or(String::new(), |t| t.to_string().replace(' ', ""));
                    if attribute == "[cfg(test)]" {
                        trees.find(|t| matches!(t, TokenTree::Group(_)) || t.to_string() == ";");
                    }
                }
                TokenTree::Literal(text) => {
                    if let Some(inner) = text.to_string().strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
                        found.push((inner.to_owned(), text.span().start().line));
                    }
                }
                TokenTree::Group(group) => walk(group.stream(), found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(source.parse().unwrap(), &mut found);
    found
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => sources(&path, found),
            // The page's own files are no Rust.
            false if path.extension().is_none_or(|e| e != "rs") => {}
            false => {
                let below = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
                found.push((below, fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// Every place that refers to a component by name and may not, as `file:line: kind "name"`; and for each kind, how many
/// rows only their own file refers to.
fn strangers(kinds: &[Kind], sources: &[(String, String)], known: &[Known]) -> (Vec<String>, Vec<usize>) {
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let texts: Vec<(&str, Vec<(String, usize)>)> = sources.iter().map(|(p, s)| (p.as_str(), texts(s))).collect();
    for kind in kinds {
        let mut own = 0;
        for name in &kind.rows {
            // The component's own file: the one with a row of this name.
            let table = format!("{}/mod.rs", kind.folder);
            let mut homes = texts.iter().filter(|(path, all)| {
                path.starts_with(kind.folder) && **path != table && all.iter().any(|(t, _)| t == name)
            });
            let is_row = |path: &str| {
                let source = &sources.iter().find(|(p, _)| p == path).unwrap().1;
                let packed: String = source.split_whitespace().collect();
                [format!("name:\"{name}\""), format!(">(\"{name}\""), "name:NAME".to_owned()]
                    .iter()
                    .any(|r| packed.contains(r))
            };
            let home = homes.find(|(path, _)| is_row(path));
            let home = home.unwrap_or_else(|| panic!("{} \"{name}\" has no file in {}", kind.name, kind.folder)).0;
            let others = texts.iter().filter(|(path, _)| *path != home);
            let places: Vec<(&str, usize)> = others
                .flat_map(|(path, all)| all.iter().filter(|(t, _)| t == name).map(|(_, line)| (*path, *line)))
                .collect();
            own += usize::from(places.is_empty());
            // The reader of ONNX speaks its own language: names of operators, attributes and kinds of a graph file.
            let may = |path: &str| {
                FOREIGN.iter().any(|folder| path.starts_with(folder))
                    || known.iter().any(|k| k.kind == kind.name && k.name == *name && k.files.contains(&path))
            };
            let strange = places.iter().filter(|(path, _)| !may(path));
            found.extend(strange.map(|(path, line)| format!("{path}:{line}: {} \"{name}\"", kind.name)));
        }
        unknown.push(own);
    }
    (found, unknown)
}

#[test]
fn no_other_file_knows_a_component_by_name() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let kinds = kinds();
    let (found, unknown) = strangers(&kinds, &all, KNOWN);
    assert!(found.is_empty(), "{} places know a component by its name:\n{}", found.len(), found.join("\n"));
    // Of every kind, some are named only in their own file, as a new one would be.
    for (kind, own) in kinds.iter().zip(unknown) {
        println!("{}: {own} of {} rows are known to their own file alone", kind.name, kind.rows.len());
        assert!(own > 0 || kind.name == "steering method", "{}", kind.name);
    }
    // A reason that no longer applies must go.
    let needed = |name: &str, path: &str| {
        let file = all.iter().find(|(p, _)| p == path);
        file.is_some_and(|(_, text)| texts(text).iter().any(|(t, _)| t == name))
    };
    let stale: Vec<String> = KNOWN
        .iter()
        .flat_map(|k| k.files.iter().filter(|f| !needed(k.name, f)).map(|f| format!("{} {f}: {}", k.name, k.why)))
        .collect();
    assert!(stale.is_empty(), "{stale:?}");
}

#[test]
fn a_stranger_is_seen() {
    let kind = || Kind { name: "solver", folder: "src/s", rows: vec!["heun"] };
    let own = ("src/s/heun.rs".to_owned(), "/// \"heun\"\nconst A: Row = Row { name: \"heun\" };".to_owned());
    let test = "#[cfg(test)]\nmod tests { fn f() { g(\"heun\"); } }\n#[doc = \"heun\"]\nfn h() {}\n";
    let stranger = ("src/x.rs".to_owned(), format!("{test}fn f(n: &str) -> bool {{ n == \"heun\" }}"));
    let all = [own, stranger];
    assert_eq!(strangers(&[kind()], &all, &[]), (vec!["src/x.rs:5: solver \"heun\"".to_owned()], vec![0]));
    let excused = [known("solver", "heun", &["src/x.rs"], "the default")];
    assert_eq!(strangers(&[kind()], &all, &excused), (Vec::new(), vec![0]));
    assert_eq!(strangers(&[kind()], &all[..1], &[]), (Vec::new(), vec![1]));
}

/// The tables hold what the folders hold, since a file that no table lists would never be used.
#[test]
fn every_component_file_is_in_its_table() {
    for kind in kinds().iter().filter(|k| !["guide", "study"].contains(&k.name)) {
        let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.folder).join("mod.rs")).unwrap();
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.folder)).unwrap();
        let names: BTreeSet<String> = files
            .map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|n| n != "mod" && n != "tests")
            .collect();
        for name in names {
            assert!(table.contains(&format!("{name}::")), "{}/{name}.rs is in no table", kind.folder);
        }
    }
}
