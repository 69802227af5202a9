//! Checks the shape of the source tree, from its text.
//!
//! A module may use only what stands above it in [`ORDER`]; two components of one kind never know each other; only one
//! file names the compute backends. The rules work on any set of (path, text) pairs, so each of them is shown below to
//! catch an offender that was written for the purpose.
//!
//! It reads tokens, so paths inside macros count too. It follows `crate::`, `super::` and `self::` paths and use
//! groups, and does not see a path that a macro assembles.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Top-level modules of the library, from the one that all others may use to the one that may use all others.
const ORDER: [&str; 32] = [
    "error",
    "panics",
    "faults",
    "limits",
    "memory",
    "cancel",
    "progress",
    "device",
    "noise",
    "tile",
    "statistics",
    "units",
    "onnx",
    "linalg",
    "store",
    "evaluate",
    "tensors",
    "render",
    "table",
    "nn",
    "host",
    "data",
    "diffusion",
    "families",
    "generator",
    "geometry",
    "reward",
    "steer",
    "run",
    "acts",
    "studio",
    "cli",
];
/// Folders whose files are components of one kind. Their `mod.rs` lists them in a table; they do not know each other.
const KINDS: [[&str; 2]; 10] = [
    ["evaluate", "metrics"],
    ["nn", "layers"],
    ["nn", "operators"],
    ["diffusion", "guidance"],
    ["diffusion", "predictions"],
    ["diffusion", "schedules"],
    ["diffusion", "solvers"],
    ["geometry", "estimators"],
    ["geometry", "descriptors"],
    ["steer", "latent"],
];
/// Modules that a screen (a file of `cli`) must not use: it calls an act and prints.
const BEHIND_SCREENS: [&str; 4] = ["diffusion", "geometry", "nn", "steer"];
/// Screens that may all the same: they print the tables of these modules, a network's layers, or the keys and the states of
/// samples that `generate` shows.
const OPEN_SCREENS: [&str; 2] = ["list", "inspect"];
/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];
/// Constructors of a compute device. `default` is one of them, because it depends on which features other crates turned
/// on.
const BACKENDS: [&str; 10] =
    ["flex", "wgpu", "cuda", "vulkan", "webgpu", "metal", "rocm", "ndarray", "libtorch", "default"];
/// The one file that may construct a device.
const BACKEND_HOME: &str = "src/device.rs";
/// Where code may ask a generator whether it is a diffusion model. Elsewhere its `Spec` says what suits it.
const SAMPLER_HOMES: [&str; 3] = ["src/generator/", "src/steer/denoiser/", "src/reward/quantities/mod.rs"];
/// Most lines that a file may have, not counting its tests.
const MAX_LINES: usize = 500;

/// One source file: path from the package root with forward slashes, and its text.
struct Source {
    path: String,
    text: String,
}

/// An identifier, `::`, one character of punctuation or `"` for a literal, with its line from 1.
type Token = (String, usize);

/// The tokens of a file, without comments. If `tests` is false, items under `#[cfg(test)]` are left out too.
fn tokens(source: &Source, tests: bool) -> Vec<Token> {
    let stream = source.text.parse().unwrap_or_else(|e| panic!("{}: {e}", source.path));
    let mut found = Vec::new();
    flatten(stream, tests, &mut found);
    found
}

fn flatten(stream: TokenStream, tests: bool, found: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(name) => found.push((name.to_string(), line)),
            TokenTree::Literal(_) => found.push(("\"".to_owned(), line)),
            TokenTree::Punct(mark) if mark.as_char() == '#' && !tests && trees.peek().is_some_and(is_cfg_test) => {
                skip_item(&mut trees);
            }
            TokenTree::Punct(mark)
                if mark.as_char() == ':' && trees.peek().is_some_and(is_colon) && mark.spacing() == Spacing::Joint =>
            {
                trees.next();
                found.push(("::".to_owned(), line));
            }
            TokenTree::Punct(mark) => found.push((mark.to_string(), line)),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                found.push((open.to_owned(), line));
                flatten(group.stream(), tests, found);
                found.push((close.to_owned(), group.span_close().start().line));
            }
        }
    }
}

/// Skips to the end of an item: behind its braces, or its semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    trees.find(|tree| match tree {
        TokenTree::Group(body) => body.delimiter() == Delimiter::Brace,
        other => other.to_string() == ";",
    });
}

fn is_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(mark) if mark.as_char() == ':')
}

fn is_cfg_test(tree: &TokenTree) -> bool {
    tree.to_string().replace(' ', "") == "[cfg(test)]"
}

/// `src/geometry/estimators/exact.rs` → `[geometry, estimators, exact]`; `mod.rs`, `lib.rs` and `main.rs` add no part.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every path into this crate that occurs in the module `own`, made absolute, with its line.
fn references(tokens: &[Token], own: &[String]) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    let is_separator = |i: usize| tokens.get(i).is_some_and(|t| t.0 == "::");
    for (i, (root, line)) in tokens.iter().enumerate() {
        if (i > 0 && is_separator(i - 1)) || !is_separator(i + 1) {
            continue;
        }
        let base = match root.as_str() {
            "crate" => Vec::new(),
            "self" => own.to_vec(),
            "super" => own[..own.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        follow(tokens, i + 2, base, *line, &mut found);
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Follows a path or a use group from token `i`; returns the index after it.
fn follow(
    tokens: &[Token],
    mut i: usize,
    mut base: Vec<String>,
    line: usize,
    found: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    loop {
        match tokens.get(i) {
            Some((name, here)) if is_word(name) => {
                match name.as_str() {
                    "super" => drop(base.pop()),
                    "self" => {}
                    _ => base.push(name.clone()),
                }
                if tokens.get(i + 1).is_none_or(|t| t.0 != "::") {
                    found.push((base, *here));
                    return i + 1;
                }
                i += 2;
            }
            Some((open, _)) if open == "{" => {
                i += 1;
                while let Some((token, _)) = tokens.get(i) {
                    match token.as_str() {
                        "}" => return i + 1,
                        word if word == "{" || is_word(word) => i = follow(tokens, i, base.clone(), line, found),
                        _ => i += 1,
                    }
                    // `name as other` inside a group: the other name is not a path.
                    if tokens.get(i).is_some_and(|t| t.0 == "as") {
                        i += 2;
                    }
                }
                return i;
            }
            _ => {
                found.push((base, line));
                return i + 1;
            }
        }
    }
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|&name| name == module)
}

/// Every broken rule, as `file:line: what is wrong`.
fn violations(sources: &[Source]) -> Vec<String> {
    let components: BTreeSet<Vec<String>> =
        sources.iter().map(|s| module_of(&s.path)).filter(|m| kind_of(m).is_some()).map(|m| m[..3].to_vec()).collect();
    let mut broken = Vec::new();
    for source in sources {
        let all = tokens(source, true);
        check_name(&source.path, &mut broken);
        check_length(source, &all, &mut broken);
        check_words(&source.path, &all, &mut broken);
        if !source.path.ends_with("/tests.rs") {
            check_imports(&source.path, &tokens(source, false), &components, &mut broken);
            let stream = source.text.parse().unwrap_or_else(|e| panic!("{}: {e}", source.path));
            check_flags(&source.path, stream, &mut broken);
        }
    }
    broken.dedup(); // `{self, Name}` names one module twice.
    broken
}

/// The folder of components that the module lies in, if any.
fn kind_of(module: &[String]) -> Option<[&'static str; 2]> {
    KINDS.into_iter().find(|kind| module.len() >= 3 && module[0] == kind[0] && module[1] == kind[1])
}

fn check_name(path: &str, broken: &mut Vec<String>) {
    for part in path.trim_end_matches(".rs").split('/') {
        if EMPTY_NAMES.contains(&part) {
            broken.push(format!("{path}:1: nothing may be called \"{part}\"; name it after what it holds"));
        }
    }
    let module = module_of(path);
    if let Some(top) = module.first().filter(|top| rank(top).is_none()) {
        broken.push(format!("{path}:1: module \"{top}\" has no place in the order; add it to ORDER"));
    }
}

fn check_length(source: &Source, tokens: &[Token], broken: &mut Vec<String>) {
    let tests = ["#", "[", "cfg", "(", "test", ")", "]"];
    let start = tokens.windows(tests.len()).find(|w| w.iter().map(|t| t.0.as_str()).eq(tests));
    let lines = start.map_or(source.text.lines().count(), |w| w[0].1 - 1);
    if lines > MAX_LINES {
        broken
            .push(format!("{}:{lines}: {lines} lines before the tests, at most {MAX_LINES} are allowed", source.path));
    }
}

fn check_words(path: &str, tokens: &[Token], broken: &mut Vec<String>) {
    for (i, (word, line)) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(i + n).map_or("", |t| t.0.as_str());
        if matches!(word.as_str(), "todo" | "unimplemented") && next(1) == "!" {
            broken.push(format!("{path}:{line}: `{word}!` is left in the code"));
        }
        if word == "as_sampler" && !SAMPLER_HOMES.iter().any(|home| path.starts_with(home)) {
            broken.push(format!(
                "{path}:{line}: `as_sampler` outside its homes; read what suits the model from its spec"
            ));
        }
        if path == BACKEND_HOME {
            continue;
        }
        if word == "Device" && next(1) == "::" && BACKENDS.contains(&next(2)) {
            broken.push(format!("{path}:{line}: `Device::{}` is named outside {BACKEND_HOME}", next(2)));
        }
        if word == "&" && [next(1), next(2), next(3)] == ["Default", "::", "default"] {
            broken.push(format!("{path}:{line}: `&Default::default()` may be a device in disguise; name the type"));
        }
    }
}

/// Texts of the library speak of keys: a flag is one of the ways to type a key, and whoever read it knows which. Attributes
/// are left out, for the help of a flag stands in them, and so are tests. The studio's page tells people commands to type.
fn check_flags(path: &str, stream: TokenStream, broken: &mut Vec<String>) {
    if ["src/cli/", "src/studio/", "src/main.rs"].iter().any(|screen| path.starts_with(screen)) {
        return;
    }
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                // `#![doc = "…"]` is one too.
                trees.next_if(|t| matches!(t, TokenTree::Punct(mark) if mark.as_char() == '!'));
                let Some(attribute) = trees.next_if(|t| !matches!(t, TokenTree::Punct(_))) else { continue };
                if is_cfg_test(&attribute) {
                    skip_item(&mut trees);
                }
            }
            TokenTree::Group(group) => check_flags(path, group.stream(), broken),
            TokenTree::Literal(text) => {
                let (line, text) = (text.span().start().line, text.to_string());
                let flag = text
                    .split("--")
                    .skip(1)
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()) && !rest.starts_with("features "));
                if flag {
                    broken.push(format!("{path}:{line}: the library names keys, never flags: {text}"));
                }
            }
            _ => {}
        }
    }
}

fn check_imports(path: &str, code: &[Token], components: &BTreeSet<Vec<String>>, broken: &mut Vec<String>) {
    let own = module_of(path);
    let Some(own_rank) = own.first().and_then(|top| rank(top)) else { return };
    let own_kind = kind_of(&own);
    for (target, line) in references(code, &own) {
        let Some(target_rank) = target.first().and_then(|top| rank(top)) else { continue };
        if target_rank > own_rank {
            let (from, to) = (ORDER[own_rank], ORDER[target_rank]);
            broken.push(format!("{path}:{line}: `{from}` uses `{to}`, which does not stand above it"));
        }
        let open = own.get(1).is_some_and(|screen| OPEN_SCREENS.contains(&screen.as_str()));
        if own[0] == "cli" && !open && BEHIND_SCREENS.contains(&target[0].as_str()) {
            broken.push(format!("{path}:{line}: a screen computes nothing, so it must not use `{}`", target[0]));
        }
        let Some(kind) = own_kind.filter(|_| kind_of(&target) == own_kind) else { continue };
        if target[2] != own[2] && components.contains(&target[..3]) {
            let (own, other, kind) = (&own[2], &target[2], kind.join("/"));
            broken.push(format!(
                "{path}:{line}: `{own}` uses its sibling `{other}`; what both need belongs above {kind}"
            ));
        }
    }
}

fn read_sources(folder: &Path, root: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_sources(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let parts = path.strip_prefix(root).unwrap().iter().map(|part| part.to_string_lossy());
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path: parts.collect::<Vec<_>>().join("/"), text });
        }
    }
}

#[test]
fn source_tree_keeps_its_shape() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read_sources(&root.join("src"), root, &mut sources);
    assert!(sources.len() >= 3, "only {} files found under src", sources.len());
    let broken = violations(&sources);
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

// ---- the rules can fail ------------------------------------------------------------------------------------------

fn check(files: &[(&str, &str)]) -> Vec<String> {
    let sources = files.iter().map(|&(path, text)| Source { path: path.to_owned(), text: text.to_owned() });
    violations(&sources.collect::<Vec<_>>())
}

/// Asserts exactly one broken rule for `text` at `path`, reported at `place`, with `words` in its message.
#[track_caller]
fn caught(path: &str, text: &str, place: &str, words: &str) {
    let broken = check(&[(path, text)]);
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].starts_with(&format!("{place}: ")) && broken[0].contains(words), "{broken:?}");
}

#[test]
fn import_from_below_is_caught_in_every_spelling() {
    let words = "`nn` uses `steer`";
    caught("src/nn/mod.rs", "use crate::error::Error;\nuse crate::steer::Guard;\n", "src/nn/mod.rs:2", words);
    caught(
        "src/nn/mod.rs",
        "use crate::{\n    error::Error,\n    steer::{self, Guard as G},\n};\n",
        "src/nn/mod.rs:3",
        words,
    );
    caught("src/nn/mod.rs", "fn f() {\n    let x = crate::steer::guard();\n}\n", "src/nn/mod.rs:2", words);
    caught("src/nn/mod.rs", "pub use crate::steer::*;\n", "src/nn/mod.rs:1", words);
    caught("src/nn/mod.rs", "use super::steer::Guard;\n", "src/nn/mod.rs:1", words);
    caught("src/nn/layers/relu.rs", "use super::super::super::steer::G;\n", "src/nn/layers/relu.rs:1", words);
    caught(
        "src/nn/layers/mod.rs",
        "macro_rules! m { () => { $crate::steer::f() } }\n",
        "src/nn/layers/mod.rs:1",
        words,
    );
}

#[test]
fn import_from_above_and_from_within_is_allowed() {
    let text = "use crate::{error::{Error, Result}, linalg};\nuse super::super::Layer;\nuse self::inner::X;\nuse crate::Result as R;\n";
    assert_eq!(check(&[("src/nn/layers/relu.rs", text)]), Vec::<String>::new());
    assert_eq!(
        check(&[("src/main.rs", "use isoline::cli;\n"), ("src/lib.rs", "pub use crate::cli::run;\n")]),
        Vec::<String>::new()
    );
}

#[test]
fn comments_literals_and_tests_do_not_count() {
    let text = r##"
//! See [`crate::cli`].
/* crate::cli /* nested */ crate::cli */
const A: &str = "crate::cli \" crate::cli todo!()";
const B: &str = r#"crate::cli " crate::cli"#;
const C: (char, char, u8) = ('"', '\'', b'"');
fn f<'a>(x: &'a str) -> &'a str { x }
#[cfg(test)]
mod tests {
    use crate::cli;
    fn g() { { crate::cli::run() } }
}
#[cfg(test)]
use crate::cli::run;
"##;
    assert_eq!(check(&[("src/nn/mod.rs", text)]), Vec::<String>::new());
    let after = format!("{text}use crate::cli;\n");
    let line = after.lines().count();
    caught("src/nn/mod.rs", &after, &format!("src/nn/mod.rs:{line}"), "`nn` uses `cli`");
}

#[test]
fn siblings_are_caught_and_their_folder_is_not() {
    let table = ("src/steer/latent/mod.rs", "pub mod gradient;\npub mod search;\nuse self::search::Search;\n");
    let search = ("src/steer/latent/search.rs", "use super::Method;\nuse crate::steer::driver::Step;\n");
    assert_eq!(check(&[table, search, ("src/steer/latent/gradient.rs", "")]), Vec::<String>::new());
    for text in ["use crate::steer::latent::search::Search;", "use super::search;", "use super::{Method, search::S};"] {
        let broken = check(&[table, search, ("src/steer/latent/gradient.rs", text)]);
        assert_eq!(broken.len(), 1, "{text}: {broken:?}");
        assert!(broken[0].starts_with("src/steer/latent/gradient.rs:1: `gradient` uses its sibling `search`"));
    }
}

#[test]
fn a_screen_that_computes_is_caught() {
    let words = "a screen computes nothing";
    caught("src/cli/study.rs", "use crate::acts::study;\nuse crate::geometry::psi_k;\n", "src/cli/study.rs:2", words);
    caught("src/cli/lid/curve.rs", "fn f() { crate::diffusion::flipd(); }\n", "src/cli/lid/curve.rs:1", words);
    let list = "use crate::{diffusion::solvers::SOLVERS, geometry::ESTIMATORS, nn::layers::KINDS};\n";
    assert_eq!(check(&[("src/cli/list.rs", list), ("src/acts/study/map.rs", list)]), Vec::<String>::new());
}

#[test]
fn other_rules_are_caught() {
    caught("src/nn/utils.rs", "", "src/nn/utils.rs:1", "\"utils\"");
    let flag = "#[cfg(test)]\nmod tests;\n/// As --tile.\nfn f() -> &'static str {\n\"a smaller --tile\"\n}\n";
    caught("src/nn/mod.rs", flag, "src/nn/mod.rs:5", "keys, never flags");
    caught("src/geometry/common/frame.rs", "", "src/geometry/common/frame.rs:1", "\"common\"");
    caught("src/novelty.rs", "", "src/novelty.rs:1", "no place in the order");
    caught("src/nn/mod.rs", "\nfn f() { todo!() }\n", "src/nn/mod.rs:2", "`todo!`");
    caught("src/nn/mod.rs", "fn f() { unimplemented!(\"x\") }\n", "src/nn/mod.rs:1", "`unimplemented!`");
    caught(
        "src/nn/mod.rs",
        "fn f() -> Device {\n    burn::tensor::Device::flex()\n}\n",
        "src/nn/mod.rs:2",
        "`Device::flex`",
    );
    caught("src/cli/mod.rs", "fn f() { Device::default(); }\n", "src/cli/mod.rs:1", "`Device::default`");
    caught("src/cli/mod.rs", "fn f() { g(&Default::default()); }\n", "src/cli/mod.rs:1", "in disguise");
    caught("src/acts/mod.rs", "fn f() { g.as_sampler(); }\n", "src/acts/mod.rs:1", "`as_sampler` outside");
    assert_eq!(check(&[("src/generator/sampler.rs", "fn as_sampler() {}\n")]), Vec::<String>::new());
    assert_eq!(check(&[("src/device.rs", "fn f() { Device::cuda(0); Device::wgpu(k); }\n")]), Vec::<String>::new());
    let long = "\n".repeat(MAX_LINES);
    assert_eq!(
        check(&[("src/noise.rs", &format!("{long}#[cfg(test)]\nmod tests {{ {long} }}\n"))]),
        Vec::<String>::new()
    );
    caught("src/noise.rs", &format!("{long}\n"), "src/noise.rs:501", "501 lines");
}
