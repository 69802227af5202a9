//! Pictures as cameras and file managers leave them: turned by a tag, among hidden files and other formats.

use crate::cli::{Isoline, TinyModel};
use isoline::data::{DataConfig, Dataset};
use isoline::render::Picture;
use isoline::render::png::{PngText, encode, read_picture};
use std::fs;
use std::path::{Path, PathBuf};

/// Sides of the upright picture: in blocks of 8×8, which JPEG keeps apart, so that turning costs nothing.
const HEIGHT: usize = 16;
const WIDTH: usize = 24;

fn upright(i: usize, j: usize) -> u8 {
    [10, 60, 110, 160, 210, 250][(i / 8) * (WIDTH / 8) + j / 8]
}

/// The pixels that a camera stores for orientation `o`, and their height and width. By the EXIF standard the tag says
/// where in the picture the first stored row and the first stored column belong: 1 top and left, 2 top and right, 3
/// bottom and right, 4 bottom and left, 5 left and top, 6 right and top, 7 right and bottom, 8 left and bottom.
fn stored(o: u8) -> (Vec<u8>, [usize; 2]) {
    let (bottom, right) = (HEIGHT - 1, WIDTH - 1);
    let place = |r: usize, c: usize| match o {
        1 => (r, c),
        2 => (r, right - c),
        3 => (bottom - r, right - c),
        4 => (bottom - r, c),
        5 => (c, r),
        6 => (c, right - r),
        7 => (bottom - c, right - r),
        _ => (bottom - c, r),
    };
    let [height, width] = if o < 5 { [HEIGHT, WIDTH] } else { [WIDTH, HEIGHT] };
    let pixel = |n: usize| {
        let (i, j) = place(n / width, n % width);
        upright(i, j)
    };
    ((0..height * width).map(pixel).collect(), [height, width])
}

/// A TIFF block with the orientation alone, in either order of bytes.
fn exif(o: u8) -> Vec<u8> {
    match o % 2 {
        0 => [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[o, 0, 0, 0, 0, 0, 0, 0]].concat(),
        _ => [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"[..], &[0, o, 0, 0, 0, 0, 0, 0]].concat(),
    }
}

fn png(o: u8) -> Vec<u8> {
    let (pixels, [height, width]) = stored(o);
    let plain = encode(&Picture::from_pixels(pixels, [1, height, width]).unwrap(), &PngText::default()).unwrap();
    let body = [b"eXIf".as_slice(), &exif(o)].concat();
    let mut sum = flate2::Crc::new();
    sum.update(&body);
    let chunk = [&(body.len() as u32 - 4).to_be_bytes()[..], &body, &sum.sum().to_be_bytes()].concat();
    // Behind the signature and the header.
    [&plain[..33], &chunk, &plain[33..]].concat()
}

fn jpeg(o: u8) -> Vec<u8> {
    let (pixels, [height, width]) = stored(o);
    let mut plain = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut plain, 100)
        .encode(&pixels, width as u32, height as u32, image::ExtendedColorType::L8)
        .unwrap();
    let body = [b"Exif\0\0".as_slice(), &exif(o)].concat();
    let segment = [b"\xff\xe1".as_slice(), &(body.len() as u16 + 2).to_be_bytes(), &body].concat();
    [&plain[..2], &segment, &plain[2..]].concat()
}

#[test]
fn all_eight_orientations_give_the_upright_picture() {
    let dir = tempfile::tempdir().unwrap();
    let expected: Vec<u8> = (0..HEIGHT * WIDTH).map(|n| upright(n / WIDTH, n % WIDTH)).collect();
    for (ending, make) in [("png", png as fn(u8) -> Vec<u8>), ("jpg", jpeg)] {
        for o in 1..=8 {
            let path = dir.path().join(format!("{o}.{ending}"));
            fs::write(&path, make(o)).unwrap();
            let found = read_picture(&path).unwrap();
            assert_eq!([found.channels, found.height, found.width], [1, HEIGHT, WIDTH], "{ending} {o}");
            // A flat block is one number in a JPEG; at this quality it is rounded by at most 1.
            let off = found.pixels.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(off <= u8::from(ending == "jpg"), "{ending} {o}: off by {off}");
        }
    }
    // A folder of all of them is a set of sixteen equal pictures.
    let config = DataConfig { kind: "folder".into(), ..DataConfig::default() };
    let set = Dataset::read(&config, dir.path(), [1, HEIGHT, WIDTH]).unwrap();
    assert_eq!(set.count(), 16);
    for i in 0..16 {
        let values: Vec<f32> = set.values(i, [0.0, 255.0]).collect();
        assert!(values.iter().zip(&expected).all(|(a, b)| (a - f32::from(*b)).abs() <= 1.0), "picture {i}");
    }
}

/// What four inks look like is for a printer's profile to say. The file is one of 8×8 as Pillow writes it.
#[test]
fn a_jpeg_of_inks_is_refused_by_name() {
    use base64::Engine;
    let file = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwD////////////////////////////////////////////////////////////////////////////////////\
                //8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAID/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwAmSj//2Q==";
    let bytes = base64::engine::general_purpose::STANDARD.decode(file).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ink.jpg"), &bytes).unwrap();
    let config = DataConfig { kind: "folder".into(), ..DataConfig::default() };
    let error = Dataset::read(&config, dir.path(), [3, 8, 8]).unwrap_err();
    let text = error.to_string();
    assert!(error.exit_code() == 3 && text.contains("ink.jpg: a JPEG of four inks (CMYK)"), "{text}");
    // Cut anywhere before that is known, it is damaged or of inks, and no panic.
    for cut in 0..bytes.len() {
        fs::write(dir.path().join("ink.jpg"), &bytes[..cut]).unwrap();
        assert_eq!(Dataset::read(&config, dir.path(), [3, 8, 8]).unwrap_err().exit_code(), 3, "{cut}");
    }
}

/// There is one place that decodes pictures, which is the one that turns them.
#[test]
fn pictures_are_decoded_in_one_place() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).unwrap().lines().take_while(|l| *l != "#[cfg(test)]").any(|l| {
                let code = l.split("//").next().unwrap();
                ["image::", "DynamicImage", "png::Decoder", "JpegDecoder"].iter().any(|w| {
                    code.match_indices(w)
                        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
                })
            }) {
                found.push(path);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("render/png.rs"), "{found:?}");
}

/// A folder as it comes from a Mac with a download in it, beside two pictures of 2×2.
fn folder(dir: &Path) -> PathBuf {
    let folder = dir.join("pictures");
    fs::create_dir_all(folder.join("more")).unwrap();
    for name in ["a.png", "b.PNG", "more/c.png"] {
        let picture = Picture::from_pixels(vec![0, 80, 160, 255], [1, 2, 2]).unwrap();
        fs::write(folder.join(name), encode(&picture, &PngText::default()).unwrap()).unwrap();
    }
    for name in [".DS_Store", "._a.png", "d.webp", "Thumbs.db", "README", "more/._c.png"] {
        fs::write(folder.join(name), "junk").unwrap();
    }
    fs::create_dir(folder.join(".thumbnails")).unwrap();
    fs::copy(folder.join("a.png"), folder.join(".thumbnails/a.png")).unwrap();
    folder
}

#[test]
fn what_is_skipped_in_a_folder_is_counted_aloud() {
    let model = TinyModel::new();
    let folder = folder(model.root());
    let call = |args: &[&str]| {
        Isoline::new(args).args(&["--device", "cpu"]).env("ISOLINE_MODELS", model.root()).cwd(model.root())
    };
    // Pictures are described one folder at a time.
    let done = call(&["describe", "tiny", "--images", "pictures", "--progress", "none"]).run();
    assert_eq!((done.code, done.stdout.lines().count()), (0, 3), "{}", done.stderr);
    let others = "1 file without an ending, 1 .db, 1 .webp (not read; give .png, .jpg or .jpeg)";
    assert!(done.stderr.contains(&format!("skipped 2 hidden files, {others}, 2 folders\n")), "{}", done.stderr);
    assert_eq!(call(&["describe", "-q", "tiny", "--images", "pictures"]).run().stderr, "");
    // A data set has one level of folders below it.
    let lid = |more: &[&str]| call(&["lid", "estimate", "tiny", "--method", "lpca", "--setting", "2"]).args(more);
    let done = lid(&["--seeds", "0", "--reference", "pictures"]).run();
    assert!(done.stderr.contains("skipped 3 hidden files") && done.stderr.contains("1 folder"), "{}", done.stderr);
    // Nothing but what is not read.
    for name in ["a.png", "b.PNG"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
    call(&["describe", "-q", "tiny", "--images", "pictures"])
        .fails(3, &["found none; skipped 2 hidden files", ".webp"]);
}

#[test]
fn another_format_under_the_name_of_a_picture_is_named() {
    let model = TinyModel::new();
    for (bytes, word) in [
        (&b"RIFF\x10\0\0\0WEBPVP8 "[..], "a WebP picture; convert it to PNG or JPEG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<html>no such picture</html>", "a web page"),
        (b"", "an empty file"),
        (b"\x89PNG", "expected a PNG or JPEG picture"),
    ] {
        let folder = model.root().join("one");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x.png"), bytes).unwrap();
        let call = Isoline::new(&["describe", "--device", "cpu", "tiny", "--images"]).arg(&folder);
        call.env("ISOLINE_MODELS", model.root()).fails(3, &["x.png", word]);
    }
}

/// What lies in place of a picture or a card is named by its first bytes.
#[test]
fn another_file_in_place_of_a_recipe_or_a_card_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("x.png");
    for (bytes, words) in [
        (&b"<!DOCTYPE html><html>"[..], "found a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", "found a Git LFS pointer"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "found a JPEG picture"),
        (b"", "found an empty file"),
    ] {
        fs::write(&page, bytes).unwrap();
        let call = crate::cli::Isoline::new(&["generate", "--from"]).arg(&page).arg("-o").arg(dir.path().join("run"));
        call.fails(3, &["x.png: expected a PNG file", words]);
        if bytes.is_empty() {
            continue;
        }
        fs::write(dir.path().join("card.toml"), bytes).unwrap();
        crate::cli::Isoline::new(&["inspect"]).arg(dir.path()).fails(2, &["card.toml", "expected TOML", words]);
    }
}
