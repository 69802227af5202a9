#![allow(clippy::disallowed_methods)] // fixtures, and pictures to look at, may be cut short by a crash

use super::*;
use std::io::Write;

fn dot() -> Picture {
    Picture::from_pixels((0..60).collect(), [3, 4, 5]).unwrap()
}

fn text(recipe: &str) -> PngText {
    PngText { parameters: Some("seed: 7, novelty: 80".to_owned()), isoline: Some(recipe.to_owned()) }
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    [&(data.len() as u32).to_be_bytes(), kind.as_slice(), data, &sum.sum().to_be_bytes()].concat()
}

fn with_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let plain = encode(&dot(), &PngText::default()).unwrap();
    [&plain[..33], &chunk(kind, data), &plain[33..]].concat()
}

fn message(bytes: &[u8]) -> String {
    decode_metadata_bytes(bytes, Path::new("a.png")).unwrap_err().to_string()
}

#[test]
fn recipe_and_pixels_come_back_and_bytes_repeat() {
    let recipe = "{\"schema\":1,\"note\":\"ψ über\"}";
    let file = encode(&dot(), &text(recipe)).unwrap();
    assert_eq!(file, encode(&dot(), &text(recipe)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    std::fs::write(&path, &file).unwrap();
    assert_eq!(decode_metadata(&path).unwrap(), recipe);
    assert_eq!(read_picture(&path).unwrap(), dot());
    let grey = Picture::from_pixels((0..20).collect(), [1, 4, 5]).unwrap();
    std::fs::write(&path, encode(&grey, &PngText::default()).unwrap()).unwrap();
    assert_eq!(read_picture(&path).unwrap(), grey);
}

#[test]
fn parameters_stay_text_or_become_itxt() {
    let find = |file: &[u8], kind: &[u8]| file.windows(kind.len()).any(|w| w == kind);
    assert!(find(&encode(&dot(), &text("{}")).unwrap(), b"tEXtparameters\0seed: 7"));
    let greek = PngText { parameters: Some("ψ: 3".to_owned()), isoline: None };
    assert!(find(&encode(&dot(), &greek).unwrap(), b"iTXtparameters\0"));
    assert!(encode(&dot(), &text(&"x".repeat(TEXT_BYTES + 1))).is_err());
    assert!(encode(&dot(), &text("a\0b")).is_err());
    let full = "x".repeat(TEXT_BYTES);
    let file = encode(&dot(), &text(&full)).unwrap();
    assert_eq!(decode_metadata_bytes(&file, Path::new("a.png")).unwrap(), full);
}

#[test]
fn pictures_without_a_recipe_say_so() {
    let plain = encode(&dot(), &PngText::default()).unwrap();
    assert!(message(&plain).contains("this picture carries no isoline recipe; "));
    assert!(message(b"\xff\xd8\xff\xe0 a jpeg").contains("expected a PNG file"));
    assert!(message(b"").contains("expected a PNG file"));
    let file = encode(&dot(), &text("{}")).unwrap();
    assert!(message(&file[..50]).contains("ends early"));
    for cut in 0..plain.len() {
        assert!(decode_metadata_bytes(&plain[..cut], Path::new("a.png")).is_err());
    }
}

#[test]
fn bombs_and_damage_are_refused() {
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(&vec![b' '; 40 << 20]).unwrap();
    let bomb = deflate.finish().unwrap();
    let wrapped = [b"isoline\0\x01\0\0\0".as_slice(), &bomb].concat();
    assert!(wrapped.len() < TEXT_BYTES);
    assert!(message(&with_chunk(b"iTXt", &wrapped)).contains("longer than"));
    assert!(message(&with_chunk(b"zTXt", &[b"isoline\0\0".as_slice(), &bomb].concat())).contains("no isoline recipe"));
    let long = [b"isoline\0\0\0\0\0".as_slice(), &vec![b'x'; TEXT_BYTES * 2]].concat();
    assert!(message(&with_chunk(b"iTXt", &long)).contains("expected at most"));
    assert!(message(&with_chunk(b"iTXt", b"isoline\0\x07")).contains("malformed"));
    assert!(message(&with_chunk(b"iTXt", b"isoline\0\0\0\0\0\xff\xfe")).contains("UTF-8"));
    let mut flipped = with_chunk(b"iTXt", b"isoline\0\0\0\0\0{}");
    flipped[33 + 8 + 12] ^= 1;
    assert!(message(&flipped).contains("checksum"));
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(b"{\"a\":1}").unwrap();
    let small = [b"isoline\0\x01\0\0\0".as_slice(), &deflate.finish().unwrap()].concat();
    assert_eq!(decode_metadata_bytes(&with_chunk(b"iTXt", &small), Path::new("a.png")).unwrap(), "{\"a\":1}");
}

#[test]
fn pictures_from_outside_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.png");
    std::fs::write(&path, encode(&Picture::blank(1, 4097, [0; 3]), &PngText::default()).unwrap()).unwrap();
    assert!(read_picture(&path).unwrap_err().to_string().contains("too large"));
    std::fs::write(&path, b"GIF89a").unwrap();
    assert!(read_picture(&path).unwrap_err().to_string().contains("expected a PNG or JPEG"));
    std::fs::write(&path, &encode(&dot(), &PngText::default()).unwrap()[..60]).unwrap();
    assert!(matches!(read_picture(&path), Err(Error::Input { .. })));
    assert!(matches!(read_picture(&folder.path().join("none.png")), Err(Error::Io { .. })));
}
