//! Checks what the documents say about the source tree: code they quote stands in the file they name, and files they
//! name exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README, CONTRIBUTING and every page under `docs`.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false if entry.extension().is_some_and(|e| e == "md") => found.push(entry),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// Every file below the folders that documents mention, as a path from the package's root with forward slashes.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let tops = ["src", "tests", "docs", "configs", "models", "benches", "experiments", "contrib", "third_party", ".ci"];
    let mut folders: Vec<PathBuf> = tops.iter().map(|t| root().join(t)).filter(|t| t.is_dir()).collect();
    while let Some(folder) = folders.pop() {
        found.insert(format!("{}/", folder.strip_prefix(root()).unwrap().display()));
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => drop(found.insert(entry.strip_prefix(root()).unwrap().display().to_string())),
            }
        }
    }
    found
}

/// The blocks of code that follow a comment `<!-- from PATH -->`: path and text.
fn quotes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(path) = line.trim().strip_prefix("<!-- from ").and_then(|l| l.strip_suffix(" -->")) else { continue };
        assert!(lines.next().is_some_and(|l| l.starts_with("```")), "no block of code behind {line}");
        let block: Vec<&str> = lines.by_ref().take_while(|l| !l.starts_with("```")).collect();
        found.push((path.to_owned(), block.join("\n")));
    }
    found
}

/// The paths that a document names between backticks: Rust files, and anything that begins with a folder of the
/// package.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        for word in line.split('`').skip(1).step_by(2) {
            let plain = word.chars().all(|c| c.is_alphanumeric() || "/_-.".contains(c));
            let is_path =
                word.ends_with(".rs") || ["src/", "tests/", "docs/", "configs/"].iter().any(|t| word.starts_with(t));
            if plain && is_path {
                found.push(word.to_owned());
            }
        }
    }
    found
}

/// Whether the path exists, or a longer one that ends in it.
fn exists(path: &str, files: &BTreeSet<String>) -> bool {
    files.iter().any(|f| f == path || f.trim_end_matches('/') == path || f.ends_with(&format!("/{path}")))
}

#[test]
fn quoted_code_stands_where_they_say() {
    let mut count = 0;
    for document in documents() {
        for (path, block) in quotes(&fs::read_to_string(&document).unwrap()) {
            let file = fs::read_to_string(root().join(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert!(file.contains(&block), "{}: this is no longer in {path}:\n{block}", document.display());
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} quotes found");
}

#[test]
fn named_files_exist() {
    let files = files();
    let mut missing = Vec::new();
    for document in documents() {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        let text = fs::read_to_string(&document).unwrap();
        missing.extend(named(&text).into_iter().filter(|p| !exists(p, &files)).map(|p| format!("{name}: {p}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The keys in the first column of the table whose heading begins so, and the text of the rows.
fn table(text: &str, heading: &str) -> (BTreeSet<String>, String) {
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|l| !l.starts_with(&format!("| {heading} |")))
        .skip(2)
        .take_while(|l| l.starts_with('|'))
        .collect();
    let key = |row: &&str| row.split('`').nth(1).unwrap().to_owned();
    (rows.iter().map(key).collect(), rows.join("\n"))
}

#[test]
fn keys_of_configs_are_those_of_the_program() {
    let text = fs::read_to_string(root().join("docs/configs.md")).unwrap();
    let (documented, rows) = table(&text, "key of a job");
    let known: BTreeSet<String> = isoline::acts::generate::JobKeys::names().unwrap().into_iter().collect();
    assert_eq!(documented, known, "docs/configs.md against the keys of a job");
    let usual = serde_json::to_value(isoline::acts::generate::JobKeys::default()).unwrap();
    for key in ["method", "tile", "metadata", "save_latents", "subdirs"] {
        let row = rows.lines().find(|r| r.contains(&format!("| `{key}` |"))).unwrap();
        let default = usual[key].to_string();
        assert!(
            row.ends_with(&format!("| {default} |")) || row.ends_with(&format!("| `{}` |", default.trim_matches('"'))),
            "{row}: {default}"
        );
    }
    // The batch that the page shows is one.
    let example = text.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let batch =
        isoline::acts::generate::BatchConfig::resolve(Some(Path::new("job.toml")), example, &toml::Table::new(), None);
    assert_eq!(batch.unwrap().jobs.len(), 2);
}

#[test]
fn the_card_that_is_shown_is_one_and_its_geometry_is_explained() {
    let extending = fs::read_to_string(root().join("docs/extending.md")).unwrap();
    let blocks: Vec<&str> = extending.split("```toml").skip(1).map(|b| b.split("```").next().unwrap()).collect();
    let card: isoline::generator::RawCard = toml::from_str(blocks[0]).unwrap();
    isoline::generator::Card::check(card.clone(), Path::new("card.toml")).unwrap();
    let _: toml::Table = toml::from_str(blocks[1]).unwrap();
    let keys = serde_json::to_value(card.geometry).unwrap();
    let keys: BTreeSet<String> = keys.as_object().unwrap().keys().cloned().collect();
    let configs = fs::read_to_string(root().join("docs/configs.md")).unwrap();
    let (documented, rows) = table(&configs, "key of `[geometry]`");
    assert_eq!(documented, keys);
    for output in [isoline::generator::Output::Image, isoline::generator::Output::Preactivation] {
        let name = serde_json::to_value(output).unwrap();
        assert!(rows.contains(&format!("`{}`:", name.as_str().unwrap())), "{name} is not explained");
    }
}

#[test]
fn a_wrong_path_would_be_seen() {
    let files = BTreeSet::from(["src/geometry/frame.rs".to_owned(), "src/geometry/".to_owned()]);
    let text = "see `geometry/frame.rs`, `src/geometry`, `src/geometri`, `frames.rs` and `cargo test`";
    let missing: Vec<String> = named(text).into_iter().filter(|p| !exists(p, &files)).collect();
    assert_eq!(missing, ["src/geometri", "frames.rs"]);
    assert_eq!(quotes("a\n<!-- from x.rs -->\n```rust\nfn f() {}\n```\n"), [("x.rs".into(), "fn f() {}".into())]);
}

/// Everything of others that a card or an experiment reads is on the page that says where it is published.
#[test]
fn what_is_needed_from_others_says_where_it_is_published() {
    let page = fs::read_to_string(root().join("docs/data.md")).unwrap();
    let mut missing = Vec::new();
    for card in fs::read_dir(root().join("tests/cards")).unwrap().map(|e| e.unwrap().path()) {
        let text = fs::read_to_string(&card).unwrap();
        let source = text.lines().find_map(|l| l.strip_prefix("source = \"")).unwrap_or_else(|| panic!("{card:?}"));
        // The address, without "at COMMIT, FILE".
        let address = source.trim_end_matches('"').split(" at ").next().unwrap().trim_start_matches("https://");
        let name = card.file_stem().unwrap().to_string_lossy().into_owned();
        missing.extend([format!("`{name}`"), address.to_owned()].into_iter().filter(|word| !page.contains(word)));
    }
    let scripts = ["experiments/foreign/run", "experiments/geometry-study/run", "experiments/peers/main.rs"];
    let mut count = 0;
    for script in scripts {
        let text = fs::read_to_string(root().join(script)).unwrap();
        let folders = ["burgess-vae/", "mnist-", "flux2-tiny-autoencoder/"];
        let words = text.split(|c: char| !(c.is_alphanumeric() || "/_-".contains(c)));
        for word in words.filter(|w| w.matches('/').count() == 1 && folders.iter().any(|f| w.starts_with(f))) {
            count += 1;
            missing.extend((!page.contains(&format!("`{word}."))).then(|| format!("{script}: {word}")));
        }
        assert!(page.contains(&format!("`{}", script.trim_end_matches("/main.rs"))), "{script}");
    }
    assert!(missing.is_empty() && count >= 20, "{count}, not in docs/data.md: {missing:?}");
}

/// The file that others cite by is of this version and licence, and names what the program builds on.
#[test]
fn the_citation_is_of_this_version() {
    let text = fs::read_to_string(root().join("CITATION.cff")).unwrap();
    let version = format!("version: {}", env!("CARGO_PKG_VERSION"));
    for line in ["cff-version: 1.2.0", version.as_str(), "  - MIT", "  - Apache-2.0", "  - name: The isoline authors"] {
        assert!(text.lines().any(|l| l == line), "CITATION.cff has no line {line:?}");
    }
    assert!(text.contains("arXiv:2408.08307") && text.contains("arXiv:2406.03537"));
}
