//! The dictionary of columns: it has an entry for every column that is written, and the page, the list and the metadata
//! of the files say the same. `unchanged.rs` hands every Parquet file of its runs to
//! [`every_column_is_described`].

use crate::cli::Isoline;
use isoline::acts::columns::{TABLES, find};
use isoline::table::read_parquet;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Fails where a column of a Parquet file has no entry, or an entry that differs from the dictionary's.
#[track_caller]
pub fn every_column_is_described(path: &Path) {
    let (table, metadata) = read_parquet(path).unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let text = &metadata.iter().find(|(key, _)| key == "isoline.columns").unwrap_or_else(|| panic!("{name}")).1;
    let entries: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
    let written: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
    let missing: Vec<_> = written.iter().filter(|c| !entries.contains_key(**c)).collect();
    assert!(missing.is_empty(), "no entry in src/acts/columns.rs for these columns of {name}: {missing:?}");
    assert_eq!(entries.keys().map(String::as_str).collect::<Vec<_>>(), written, "{name}");
    for (column, entry) in &entries {
        let note = find(name, column).unwrap();
        let wanted = [note.unit, note.range, &note.meaning, note.empty];
        let found = ["unit", "range", "meaning", "empty"].map(|key| entry[key].as_str().unwrap());
        assert_eq!(found, wanted, "{name}.{column}");
    }
}

/// The page, in Markdown.
fn page() -> String {
    let mut page = "# Columns\n\n\
        Every column of every table that the program writes. This page is made from `src/acts/columns.rs` and the files of the\n\
        descriptors by `ISOLINE_GOLDEN=write cargo test --release --test it -- columns::`; a test compares the two. `isoline list\n\
        columns` prints the same, and every Parquet file carries its own part as JSON under the key `isoline.columns` of its\n\
        metadata:\n\n\
        ```python\n\
        import json, pyarrow.parquet as pq\n\
        print(json.loads(pq.read_metadata(\"samples.parquet\").metadata[b\"isoline.columns\"])[\"psi_k\"])\n\
        ```\n\n\
        ψ, ν, δ, the model rank k and the scale of an intrinsic dimension are defined in [theory.md](theory.md). d is the width of the\n\
        latent, P the number of directions that a spectrum was found from. *Calibration* is the sorted table of ψ_k, or of whatever else\n\
        the reward has learnt, over the model's own unguided samples. *Sample values* are the numbers of a picture in the range that\n\
        the model's card names. A unit of 1 is a plain number. In a name, `{i}` stands for a number.\n"
        .to_owned();
    let cell = |text: &str| text.replace('|', "\\|");
    for table in TABLES {
        page += &format!("\n## {}\n\n{}.\n\n", table.name, capital(table.about));
        page += "| column | unit | range | meaning | empty when |\n|---|---|---|---|---|\n";
        for note in (table.notes)() {
            let cells = [note.unit, note.range, &note.meaning, note.empty].map(cell).join(" | ");
            page += &format!("| `{}` | {cells} |\n", note.name);
        }
    }
    page
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[test]
fn the_page_says_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/columns.md");
    if std::env::var_os("ISOLINE_GOLDEN").is_some_and(|v| v == "write") {
        fs::write(&path, page()).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == page(),
        "docs/columns.md is out of date; its head says how it is made"
    );
    let listed: Value = serde_json::from_str(&Isoline::new(&["list", "columns", "--json"]).succeeds()).unwrap();
    let rows = listed.as_array().unwrap();
    let count: usize = TABLES.iter().map(|t| (t.notes)().len()).sum();
    assert!(rows.len() == count && count > 120, "{count}");
    let z_norm = rows.iter().find(|r| r["table"] == "descriptors" && r["name"] == "z_norm").unwrap();
    assert_eq!(z_norm["unit"], "standard deviations of the prior");
    assert_eq!(Isoline::new(&["list", "columns"]).succeeds().lines().count(), 1 + count);
}

#[test]
fn entries_are_complete_and_unique() {
    for table in TABLES {
        let mut names = BTreeSet::new();
        for note in (table.notes)() {
            assert!(names.insert(note.name.clone()), "{}.{} twice", table.name, note.name);
            assert!(!note.unit.is_empty() && !note.meaning.is_empty() && !note.empty.is_empty(), "{note:?}");
            assert!(!note.range.is_empty() || note.unit == "text", "{note:?}");
            // The entry that a column of this name is given is this one, whatever patterns there are.
            let example = note.name.replace("{i}", "3");
            assert_eq!(find(table.name, &example), Some(note));
        }
    }
    assert_eq!(find("descriptors", "lid_0.25").unwrap().name, "lid_{i}");
    assert_eq!(find("descriptors", "delta_0_stderr").unwrap().name, "delta_{i}_stderr");
    assert_eq!((find("descriptors", "z_3"), find("nothing", "seed")), (None, None));
}

/// Columns that the runs of `unchanged.rs` do not write.
#[test]
fn columns_of_rarer_tables_have_entries() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| crate::runs::isoline(args).arg("-q").cwd(dir.path()).succeeds();
    run(&["generate", "-m", "digits-vae", "--seeds", "0-1", "--mode", "balanced", "--save-latents", "-o", "run"]);
    every_column_is_described(&dir.path().join("run/samples.parquet"));
    run(&["describe", "digits-vae", "--latents", "run/samples.parquet", "-o", "latents", "--npz"]);
    every_column_is_described(&dir.path().join("latents/descriptors.parquet"));
    run(&["describe", "digits-vae", "--images", "run/images", "-o", "images"]);
    every_column_is_described(&dir.path().join("images/descriptors.parquet"));
    let (table, _) = read_parquet(&dir.path().join("images/descriptors.parquet")).unwrap();
    assert!(table.column("residual").is_some() && table.column("row").is_some());
    let curve = run(&["lid", "curve", "digits-diffusion", "--seeds", "0", "--points", "3"]);
    for column in curve.lines().next().unwrap().split_whitespace() {
        assert!(find("curve", column).is_some(), "curve.{column}");
    }
    let zip = zip::ZipArchive::new(fs::File::open(dir.path().join("latents/spectra.npz")).unwrap()).unwrap();
    let arrays: BTreeSet<String> = zip.file_names().map(|n| n.unwrap().trim_end_matches(".npy").to_owned()).collect();
    let spectra = TABLES.iter().find(|t| t.name == "spectra").unwrap();
    assert_eq!(arrays, (spectra.notes)().iter().map(|n| n.name.to_string()).collect());
}
