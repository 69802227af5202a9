#![allow(clippy::disallowed_methods)] // fixtures may be cut short by a crash

use super::*;
use crate::data::DataConfig;
use crate::render::Picture;
use crate::render::png::{PngText, encode};
use std::fs;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// A picture of 2×3 whose every byte is `level`.
fn png(channels: usize, level: u8) -> Vec<u8> {
    encode(&Picture::from_pixels(vec![level; channels * 6], [channels, 2, 3]).unwrap(), &PngText::default()).unwrap()
}

/// Writes the same files as a folder and as a .zip file, and gives both.
fn both(root: &Path, files: &[(&str, &[u8])]) -> [std::path::PathBuf; 2] {
    let (folder, zip) = (root.join("set"), root.join("set.zip"));
    let _ = fs::remove_dir_all(&folder);
    // As they are, so that a test can find their bytes in the file.
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let place = folder.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
        writer.start_file(*name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    fs::write(&zip, writer.finish().unwrap().into_inner()).unwrap();
    [folder, zip]
}

fn set(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let config = DataConfig { kind: "edm".into(), path: path.to_string_lossy().into_owned(), ..DataConfig::default() };
    Dataset::read(&config, Path::new(""), shape)
}

/// Three pictures, listed in another order than that of their names.
const LABELED: &[u8] = br#"{"labels": [["1/b.png", 7], ["0/z.png", 300], ["1.png", 0]], "made by": "a tool"}"#;

/// Files by their names below the set.
type Files = Vec<(&'static str, Vec<u8>)>;

fn good() -> Files {
    vec![("1/b.png", png(3, 30)), ("0/z.png", png(1, 10)), ("1.png", png(3, 20)), ("dataset.json", LABELED.to_vec())]
}

fn with(files: &[(&'static str, Vec<u8>)], root: &Path) -> [std::path::PathBuf; 2] {
    both(root, &files.iter().map(|(n, b)| (*n, b.as_slice())).collect::<Vec<_>>())
}

#[test]
fn pictures_come_by_name_with_their_classes_from_a_folder_and_a_zip() {
    let dir = tempfile::tempdir().unwrap();
    for path in with(&good(), dir.path()) {
        let found = set(&path, [3, 2, 3]).unwrap();
        // "0/z.png", "1.png", "1/b.png": a dot stands before a slash.
        let levels: Vec<f32> = (0..3).filter_map(|i| found.values(i, [0.0, 255.0]).next()).collect();
        assert_eq!(levels, [10.0, 20.0, 30.0]);
        assert_eq!(found.classes(&[0, 1, 2]), Some(vec![300, 0, 7]));
        assert_eq!((found.class_count(), found.class_names()), (Some(301), None));
        // Grey pictures are taken for colour, and colour ones for grey.
        assert!(set(&path, [1, 2, 3]).unwrap().values(2, [0.0, 255.0]).all(|v| v == 30.0));
    }
    let [folder, zip] = with(&good(), dir.path()).map(|p| set(&p, [3, 2, 3]).unwrap().sha256());
    assert_eq!(folder, zip);
    // Without classes, and with names for them.
    let mut files = good();
    files[3].1 = br#"{"labels": null}"#.to_vec();
    let plain = with(&files, dir.path()).map(|p| set(&p, [3, 2, 3]).unwrap());
    assert!(plain.iter().all(|s| s.classes(&[0]).is_none() && s.class_count().is_none()));
    files[3].1 = br#"{"labels": [["1/b.png", 2], ["0/z.png", 0], ["1.png", 0]], "classes": ["x", "y", "z"]}"#.to_vec();
    let named = with(&files, dir.path()).map(|p| set(&p, [3, 2, 3]).unwrap());
    assert!(named.iter().all(|s| s.class_names().is_some_and(|n| n == ["x", "y", "z"]) && s.class_count() == Some(3)));
}

#[test]
fn a_bad_set_is_refused_by_the_name_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let labels = |text: &str| {
        let mut files = good();
        files[3].1 = text.as_bytes().to_vec();
        files
    };
    let one = |class: &str| labels(&format!(r#"{{"labels": [["1/b.png", {class}], ["0/z.png", 0], ["1.png", 0]]}}"#));
    let with_picture = |name: &'static str, bytes: Vec<u8>| {
        let mut files = good();
        files.push((name, bytes));
        files
    };
    let without = |at: usize| {
        let mut files = good();
        files.remove(at);
        files
    };
    let mut wide = good();
    wide[1].1 = encode(&Picture::from_pixels(vec![0; 8], [1, 2, 4]).unwrap(), &PngText::default()).unwrap();
    let mut damaged = good();
    damaged[2].1.truncate(40);
    let cases: Vec<(Files, [&str; 2])> = vec![
        (without(3), ["dataset.json: missing", "kind \"folder\""]),
        (without(0), ["dataset.json: \"1/b.png\" has a label", "no such picture"]),
        (with_picture("0/more.png", png(1, 5)), ["dataset.json", "no label for \"0/more.png\""]),
        (labels(r#"{"labels": [["1.png", 0], ["1.png", 1]]}"#), ["dataset.json", "\"1.png\" has two labels"]),
        (labels(r#"{"label": []}"#), ["dataset.json: expected {\"labels\"", "missing field `labels`"]),
        (labels(r#"{"labels": {"1.png": 0}}"#), ["dataset.json: expected {\"labels\"", "line 1"]),
        (labels("{"), ["dataset.json: expected {\"labels\"", "EOF"]),
        (labels(&"[".repeat(4000)), ["dataset.json: expected {\"labels\"", "line 1"]),
        (one("-1"), ["\"1/b.png\": expected a class", "0 to 65535, found -1"]),
        (one("65536"), ["\"1/b.png\": expected a class", "found 65536"]),
        (one("1.5"), ["\"1/b.png\": expected a class", "found 1.5"]),
        (one("null"), ["\"1/b.png\": expected a class", "found null"]),
        (one("[0.5, 0.25]"), ["\"1/b.png\": expected a class", "found [0.5,0.25]"]),
        (
            labels(r#"{"labels": [["1/b.png", 2], ["0/z.png", 0], ["1.png", 0]], "classes": ["x", "y"]}"#),
            ["\"1/b.png\": expected a class", "0 to 1, found 2"],
        ),
        (labels(r#"{"labels": [["../x.png", 0]]}"#), ["\"../x.png\" is no name of a picture", "empty, . or .."]),
        (labels(r#"{"labels": [["/etc/x.png", 0]]}"#), ["\"/etc/x.png\" is no name of a picture", "empty"]),
        (labels(r#"{"labels": [["C:\\x.png", 0]]}"#), ["is no name of a picture", "no backslash, colon"]),
        (wide, ["0/z.png: picture of 2×4", "expected 2×3"]),
        (damaged, ["1.png: the picture is damaged", ""]),
        (vec![("dataset.json", LABELED.to_vec())], ["expected PNG or JPEG pictures", "found none"]),
    ];
    for (files, words) in cases {
        for path in with(&files, dir.path()) {
            let error = set(&path, [3, 2, 3]).expect_err(words[0]);
            let text = error.to_string();
            assert_eq!(error.exit_code(), 3, "{text}");
            assert!(words.iter().all(|w| text.contains(w)) && !text.contains('\n'), "{words:?}: {text}");
        }
    }
}

#[test]
fn a_bad_zip_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(&with(&good(), dir.path())[1]).unwrap();
    let path = dir.path().join("bad.zip");
    for cut in [0, 30, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(
            set(&path, [3, 2, 3]).unwrap_err().to_string().contains("bad.zip: expected a whole .zip file"),
            "{cut}"
        );
    }
    // A member that does not have the sum that the directory says: the picture is named.
    let mut flipped = whole.clone();
    let at = flipped.windows(4).position(|w| w == b"IHDR").unwrap();
    flipped[at + 30] ^= 1;
    fs::write(&path, &flipped).unwrap();
    let text = set(&path, [3, 2, 3]).unwrap_err().to_string();
    assert!(text.contains("1/b.png: ") && text.contains("damaged"), "{text}");
    // What is no .zip file by its name is not opened as one.
    fs::write(dir.path().join("set.tar"), b"x").unwrap();
    let text = set(&dir.path().join("set.tar"), [3, 2, 3]).unwrap_err().to_string();
    assert!(text.contains("expected a folder or a .zip file of pictures"), "{text}");
    assert_eq!(set(&dir.path().join("none.zip"), [3, 2, 3]).unwrap_err().exit_code(), 4);
    let config =
        DataConfig { kind: "edm".into(), path: "set".into(), labels: Some("x".into()), ..DataConfig::default() };
    assert!(Dataset::read(&config, dir.path(), [3, 2, 3]).unwrap_err().to_string().contains("labels: expected none"));
}

#[test]
fn a_file_that_unpacks_to_more_than_its_kind_may_have_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("1.png", SimpleFileOptions::default()).unwrap();
    writer.write_all(&png(1, 1)).unwrap();
    writer.start_file("dataset.json", SimpleFileOptions::default()).unwrap();
    let part = vec![b' '; 1 << 20];
    for _ in 0..=limits::LABELS_BYTES >> 20 {
        writer.write_all(&part).unwrap();
    }
    let path = dir.path().join("bomb.zip");
    let bytes = writer.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    fs::write(&path, bytes).unwrap();
    let text = set(&path, [1, 2, 3]).unwrap_err().to_string();
    assert!(text.contains("bomb.zip/dataset.json: larger than"), "{text}");
}
