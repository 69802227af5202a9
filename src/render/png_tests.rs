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

/// A PNG file of `pixels` as they are packed, 4 wide and 2 high.
fn packed(colour: ::png::ColorType, depth: ::png::BitDepth, pixels: &[u8], palette: Option<[&[u8]; 2]>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, 4, 2);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if let Some([colours, opacity]) = palette {
        encoder.set_palette(colours.to_vec());
        encoder.set_trns(opacity.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

fn read(file: &[u8]) -> Picture {
    parse_picture(file, Path::new("a.png")).unwrap()
}

/// `v` of `most`, with `opacity` of `most` over white, as a level of 8 bits, in f64.
fn level(v: f64, opacity: f64, most: f64) -> u8 {
    let (v, opacity) = (v / most, opacity / most);
    (255.0 * (v * opacity + 1.0 - opacity)).round() as u8
}

#[test]
fn sixteen_bits_are_rounded() {
    let values: Vec<u16> = vec![0, 128, 129, 257, 32_767, 32_896, 65_406, 65_535];
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    let found = read(&packed(::png::ColorType::Grayscale, ::png::BitDepth::Sixteen, &bytes, None));
    let expected: Vec<u8> = values.iter().map(|v| level(f64::from(*v), 65_535.0, 65_535.0)).collect();
    assert_eq!((found.channels, &found.pixels), (1, &expected));
    // The top byte alone would give 0 for 129 and 255 for 65,406.
    assert_eq!(expected[2], 1);
    let colours: Vec<u8> = values.iter().flat_map(|v| [v.to_be_bytes(), [0; 2], v.to_be_bytes()].concat()).collect();
    let found = read(&packed(::png::ColorType::Rgb, ::png::BitDepth::Sixteen, &colours, None));
    assert_eq!(found.pixels, expected.iter().flat_map(|v| [*v, 0, *v]).collect::<Vec<u8>>());
}

#[test]
fn a_palette_becomes_its_colours() {
    let colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
    // Two bits a pixel.
    let found = read(&packed(
        ::png::ColorType::Indexed,
        ::png::BitDepth::Two,
        &[0b00_01_10_11, 0b11_10_01_00],
        Some([&colours, &[]]),
    ));
    let of = |index: usize| &colours[index * 3..index * 3 + 3];
    assert_eq!(found.pixels, [0, 1, 2, 3, 3, 2, 1, 0].map(of).concat());
    // The first two colours are half and wholly transparent.
    let found = read(&packed(
        ::png::ColorType::Indexed,
        ::png::BitDepth::Two,
        &[0b00_01_10_11, 0b11_10_01_00],
        Some([&colours, &[128, 0]]),
    ));
    assert_eq!(found.pixels[..12], [255, 127, 127, 255, 255, 255, 0, 0, 255, 9, 9, 9]);
}

#[test]
fn what_is_transparent_lies_over_white() {
    let pixels: Vec<[u8; 2]> = vec![[0, 0], [200, 0], [0, 255], [200, 255], [0, 128], [200, 127], [77, 1], [254, 254]];
    let expected: Vec<u8> = pixels.iter().map(|[v, a]| level(f64::from(*v), f64::from(*a), 255.0)).collect();
    let found = read(&packed(::png::ColorType::GrayscaleAlpha, ::png::BitDepth::Eight, &pixels.concat(), None));
    assert_eq!((found.channels, &found.pixels), (1, &expected));
    let colours: Vec<u8> = pixels.iter().flat_map(|[v, a]| [*v, 0, *v, *a]).collect();
    let found = read(&packed(::png::ColorType::Rgba, ::png::BitDepth::Eight, &colours, None));
    let none = |a: u8| level(0.0, f64::from(a), 255.0);
    let of = |(at, [_, a]): (usize, &[u8; 2])| [expected[at], none(*a), expected[at]];
    assert_eq!(found.pixels, pixels.iter().enumerate().flat_map(of).collect::<Vec<u8>>());
    // Every level at every opacity.
    for opacity in 0..=255u8 {
        let row: Vec<u16> = (0..=255u16).flat_map(|v| [v * 257, u16::from(opacity) * 257]).collect();
        let expected: Vec<u8> = (0..=255).map(|v| level(f64::from(v), f64::from(opacity), 255.0)).collect();
        assert_eq!(over_white::<2>(row), expected, "{opacity}");
    }
}

#[test]
fn a_picture_of_another_size_is_refused_before_its_pixels() {
    // The pixels are damaged, but the size is told first.
    let mut file = encode(&dot(), &PngText::default()).unwrap();
    let at = file.windows(4).position(|w| w == b"IDAT").unwrap();
    file[at + 6] ^= 0xff;
    let text = parse_picture_of(&file, Path::new("a.png"), [5, 4]).unwrap_err().to_string();
    assert!(text.contains("a.png: picture of 4×5, expected 5×4"), "{text}");
    let text = parse_picture_of(&file, Path::new("a.png"), [4, 5]).unwrap_err().to_string();
    assert!(text.contains("damaged"), "{text}");
}
