//! PNG files that carry their recipe, and bounded reading of pictures from outside.
//!
//! Encoding uses one fixed filter and the `fdeflate` compressor. Its bytes do not depend on the zlib back-end of the
//! build, so equal pictures give equal files everywhere.

use image::ImageDecoder;
use image::metadata::Orientation;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::panic::AssertUnwindSafe;
use std::path::Path;

use super::Picture;
use crate::error::{Error, Result};
use crate::limits;

/// Keyword of the iTXt chunk with the recipe as JSON.
pub const RECIPE_KEYWORD: &str = "isoline";
/// Keyword of the tEXt chunk with one line of parameters in the style of AUTOMATIC1111.
pub const PARAMETERS_KEYWORD: &str = "parameters";
/// The largest text chunk that is written or read, in bytes.
pub const TEXT_BYTES: usize = 64 << 10;
/// The most chunks that are examined: a 4096² picture in pieces of 8 KiB has at most 8,192.
const CHUNKS: usize = 65_536;
/// Bytes of a file that tell what it is.
const HEAD: u64 = 512;
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// What a picture file says about itself. Both parts are left out under `--no-metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PngText {
    /// One line of parameters, A1111 style. Written as tEXt, or as iTXt if it holds more than Latin-1.
    pub parameters: Option<String>,
    /// The whole recipe as JSON. Written as uncompressed iTXt.
    pub isoline: Option<String>,
}

/// The smallest PNG file that this encoder can make of `picture`; its size measures how complex the picture is. Slower
/// than [`encode`], and the bytes may differ between builds.
///
/// # Errors
/// Those of [`encode`].
pub fn smallest(picture: &Picture) -> Result<Vec<u8>> {
    encode_with(picture, &PngText::default(), ::png::DeflateCompression::Level(9), ::png::Filter::Adaptive)
}

/// The PNG file of `picture`: 8 bits per channel, sRGB, the text chunks before the pixels.
///
/// # Errors
/// [`Error::Bug`] for a malformed picture, or for a text that is longer than [`TEXT_BYTES`] or contains NUL.
pub fn encode(picture: &Picture, text: &PngText) -> Result<Vec<u8>> {
    encode_with(picture, text, ::png::DeflateCompression::FdeflateUltraFast, ::png::Filter::Paeth)
}

fn encode_with(
    picture: &Picture,
    text: &PngText,
    compression: ::png::DeflateCompression,
    filter: ::png::Filter,
) -> Result<Vec<u8>> {
    let bug = |error: ::png::EncodingError| Error::Bug(format!("a picture could not be encoded: {error}"));
    let colour = match picture.channels {
        1 => ::png::ColorType::Grayscale,
        3 => ::png::ColorType::Rgb,
        other => return Err(Error::Bug(format!("a PNG needs 1 or 3 channels, found {other}"))),
    };
    let side = |pixels: usize| {
        u32::try_from(pixels).map_err(|_| Error::Bug(format!("a picture side of {pixels} pixels does not fit a PNG")))
    };
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, side(picture.width)?, side(picture.height)?);
    encoder.set_color(colour);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_source_srgb(::png::SrgbRenderingIntent::Perceptual);
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    if let Some(line) = &text.parameters {
        check_text(PARAMETERS_KEYWORD, line)?;
        if line.chars().all(|c| u32::from(c) < 256) {
            encoder.add_text_chunk(PARAMETERS_KEYWORD.to_owned(), line.clone()).map_err(bug)?;
        } else {
            encoder.add_itxt_chunk(PARAMETERS_KEYWORD.to_owned(), line.clone()).map_err(bug)?;
        }
    }
    if let Some(recipe) = &text.isoline {
        check_text(RECIPE_KEYWORD, recipe)?;
        encoder.add_itxt_chunk(RECIPE_KEYWORD.to_owned(), recipe.clone()).map_err(bug)?;
    }
    let mut writer = encoder.write_header().map_err(bug)?;
    writer.write_image_data(&picture.pixels).map_err(bug)?;
    writer.finish().map_err(bug)?;
    Ok(file)
}

/// Whatever is written must be readable again by [`decode_metadata`].
fn check_text(keyword: &str, text: &str) -> Result<()> {
    if text.len() > TEXT_BYTES {
        return Err(Error::Bug(format!("the text {keyword} has {} bytes, at most {TEXT_BYTES} fit", text.len())));
    }
    if text.contains('\0') {
        return Err(Error::Bug(format!("the text {keyword} holds a NUL character")));
    }
    Ok(())
}

/// The recipe (as JSON text) that the PNG file at `path` carries in its iTXt chunk `isoline`.
///
/// Walks the chunks without decoding pixels, so memory stays within a few times [`TEXT_BYTES`] for any file. The text
/// is checked to be UTF-8, but not to be a valid recipe.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Input`] if it is not a PNG, is damaged or carries no recipe.
pub fn decode_metadata(path: &Path) -> Result<String> {
    let file = crate::store::open_file(path)?;
    find_recipe(BufReader::new(file), path)
}

/// Like [`decode_metadata`], for a PNG file in memory; `name` stands for the file in errors.
pub fn decode_metadata_bytes(bytes: &[u8], name: &Path) -> Result<String> {
    find_recipe(Cursor::new(bytes), name)
}

fn find_recipe(mut source: impl BufRead + Seek, name: &Path) -> Result<String> {
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::input(name, "the PNG file ends early; it may be half copied"),
        _ => Error::io(name, "read the picture", error),
    };
    let mut head = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    if !head.starts_with(&SIGNATURE) {
        let found = crate::store::told(&head).unwrap_or_else(|| "another format".to_owned());
        let found = found.split(';').next().unwrap_or_default();
        let message = format!("expected a PNG file, found {found}; recipes are carried by PNG only");
        return Err(Error::input(name, message));
    }
    source.seek(SeekFrom::Start(SIGNATURE.len() as u64)).map_err(unreadable)?;
    for _ in 0..CHUNKS {
        let mut head = [0; 8];
        source.read_exact(&mut head).map_err(unreadable)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let kind = [head[4], head[5], head[6], head[7]];
        if kind == *b"IEND" {
            return Err(Error::input(
                name,
                "this picture carries no isoline recipe; it was made by another program, or without metadata, \
                 or a later program removed it",
            ));
        }
        // Keyword, flags, empty language and empty translation take only a few bytes besides the text.
        if kind == *b"iTXt" && length as usize <= TEXT_BYTES + 512 {
            let mut data = vec![0; length as usize];
            source.read_exact(&mut data).map_err(unreadable)?;
            let mut sum = [0; 4];
            source.read_exact(&mut sum).map_err(unreadable)?;
            if let Some(text) = recipe_text(&data) {
                check_sum(kind, &data, sum).map_err(|m| Error::input(name, m))?;
                return text.map_err(|m| Error::input(name, m));
            }
        } else {
            if kind == *b"iTXt" && starts_with_keyword(&mut source).map_err(unreadable)? {
                return Err(Error::input(
                    name,
                    format!("its iTXt chunk isoline has {length} bytes, expected at most {TEXT_BYTES}"),
                ));
            }
            source.seek(SeekFrom::Current(i64::from(length) + 4)).map_err(unreadable)?;
        }
    }
    Err(Error::input(name, format!("the PNG file has over {CHUNKS} chunks; it is damaged or no picture")))
}

/// Whether the next bytes are the keyword `isoline`. Consumes none of them.
fn starts_with_keyword(source: &mut impl BufRead) -> std::io::Result<bool> {
    let ahead = source.fill_buf()?;
    Ok(ahead.len() > RECIPE_KEYWORD.len()
        && ahead.starts_with(RECIPE_KEYWORD.as_bytes())
        && ahead[RECIPE_KEYWORD.len()] == 0)
}

/// The text of an iTXt chunk with our keyword; `None` for any other keyword.
fn recipe_text(data: &[u8]) -> Option<Result<String, String>> {
    let rest = data.strip_prefix(RECIPE_KEYWORD.as_bytes())?.strip_prefix(&[0])?;
    Some(itxt_body(rest))
}

fn itxt_body(rest: &[u8]) -> Result<String, String> {
    let malformed = || "its iTXt chunk isoline is malformed".to_owned();
    let [flag, method, rest @ ..] = rest else { return Err(malformed()) };
    let mut parts = rest.splitn(3, |&b| b == 0);
    let (Some(_language), Some(_translation), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed());
    };
    let text = match (flag, method) {
        (0, _) => body.to_vec(),
        (1, 0) => {
            let mut text = Vec::new();
            let limit = TEXT_BYTES as u64 + 1;
            flate2::read::ZlibDecoder::new(body).take(limit).read_to_end(&mut text).map_err(|_| malformed())?;
            text
        }
        _ => return Err(malformed()),
    };
    if text.len() > TEXT_BYTES {
        return Err(format!("its iTXt chunk isoline is longer than {TEXT_BYTES} bytes"));
    }
    String::from_utf8(text).map_err(|_| "its iTXt chunk isoline is not UTF-8".to_owned())
}

fn check_sum(kind: [u8; 4], data: &[u8], expected: [u8; 4]) -> Result<(), String> {
    let mut sum = flate2::Crc::new();
    sum.update(&kind);
    sum.update(data);
    if sum.sum().to_be_bytes() == expected {
        return Ok(());
    }
    Err("its iTXt chunk isoline is damaged (checksum); take another copy of the picture".to_owned())
}

/// Reads a PNG or JPEG picture as 8-bit grey or RGB, turned as its EXIF orientation says. A palette becomes its colours; a
/// level v of 16 bits becomes v·255/65535, rounded; what is transparent lies over white. A JPEG of four inks is refused, for
/// only a profile of the printer says what colours they are. Colour profiles and gamma are not applied.
///
/// Sides are limited to [`limits::IMAGE_SIDE_IN`], which bounds the decoder's memory.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Input`] for any other format, a damaged picture or one that is
/// too large.
pub fn read_picture(path: &Path) -> Result<Picture> {
    let file = crate::store::open_file(path)?;
    let about = file.metadata().map_err(|e| Error::io(path, "read the picture", e))?;
    if !about.is_file() || about.len() > limits::PICTURE_BYTES {
        return Err(Error::input(
            path,
            format!("expected a picture file of at most {} MiB", limits::PICTURE_BYTES >> 20),
        ));
    }
    decode(BufReader::new(file), path, None)
}

/// Like [`read_picture`], for a picture file in memory; `place` stands for the file in errors.
///
/// # Errors
/// Those of [`read_picture`].
pub fn parse_picture(bytes: &[u8], place: &Path) -> Result<Picture> {
    decode(Cursor::new(bytes), place, None)
}

/// Like [`parse_picture`], for a picture that must have this `[height, width]`. One of another size is refused before its
/// pixels are decoded.
///
/// # Errors
/// Those of [`read_picture`]; [`Error::Input`] for another size.
pub fn parse_picture_of(bytes: &[u8], place: &Path, size: [usize; 2]) -> Result<Picture> {
    decode(Cursor::new(bytes), place, Some(size))
}

fn decode<R: BufRead + Seek>(mut source: R, path: &Path, size: Option<[usize; 2]>) -> Result<Picture> {
    let failed = |e| Error::io(path, "read the picture", e);
    let head = source.fill_buf().map_err(failed)?;
    let found = crate::store::told(head).filter(|_| !head.starts_with(b"\x89PNG") && !head.starts_with(b"\xff\xd8"));
    if head.starts_with(b"\xff\xd8") && jpeg_channels(&mut source).map_err(failed)? == Some(4) {
        let message =
            "a JPEG of four inks (CMYK), whose colours depend on a printer's profile; convert it to RGB first";
        return Err(Error::input(path, message));
    }
    source.rewind().map_err(failed)?;
    let mut reader = image::ImageReader::new(source).with_guessed_format().map_err(failed)?;
    if !matches!(reader.format(), Some(image::ImageFormat::Png | image::ImageFormat::Jpeg)) {
        let found = found.unwrap_or_else(|| "another format".into());
        return Err(Error::input(path, format!("expected a PNG or JPEG picture, found {found}")));
    }
    let mut bounds = image::Limits::default();
    bounds.max_image_width = Some(limits::IMAGE_SIDE_IN);
    bounds.max_image_height = Some(limits::IMAGE_SIDE_IN);
    let side = u64::from(limits::IMAGE_SIDE_IN);
    // Four 16-bit channels at the largest side: once for the rows and once for the result.
    bounds.max_alloc = Some(side * side * 8 * 2);
    reader.limits(bounds);
    let turned = |reader: image::ImageReader<R>| {
        let mut decoder = reader.into_decoder()?;
        // As every viewer shows it: cameras store the rows as the sensor has them, and the turn beside them.
        let orientation = decoder.orientation()?;
        let (width, height) = decoder.dimensions();
        let lying = matches!(
            orientation,
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        let own = if lying { [width, height] } else { [height, width] }.map(|side| side as usize);
        if size.is_some_and(|size| size != own) {
            return Ok(Err(own));
        }
        let mut decoded = image::DynamicImage::from_decoder(decoder)?;
        decoded.apply_orientation(orientation);
        Ok(Ok(decoded))
    };
    // The decoder of JPEG pictures panics on some damaged ones; nothing that it was writing to is used then.
    let decoded = std::panic::catch_unwind(AssertUnwindSafe(|| turned(reader)))
        .map_err(|_| Error::input(path, "the picture is damaged: its rows do not fit together; take another copy"))?;
    let decoded = decoded.map_err(|error| match error {
        image::ImageError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
            Error::io(path, "read the picture", e)
        }
        image::ImageError::Limits(_) => {
            Error::input(path, format!("the picture is too large; sides up to {side} pixels are read"))
        }
        other => Error::input(path, format!("the picture is damaged: {}", other.to_string().to_lowercase())),
    })?;
    let decoded = decoded.map_err(|[height, width]| {
        let wanted = size.map_or(String::new(), |[height, width]| format!(", expected {height}×{width}"));
        Error::input(path, format!("picture of {height}×{width}{wanted}; resize the data first"))
    })?;
    let (height, width) = (decoded.height() as usize, decoded.width() as usize);
    let colour = decoded.color();
    if colour.has_alpha() {
        return match colour.has_color() {
            true => Picture::from_pixels(over_white::<4>(decoded.into_rgba16().into_raw()), [3, height, width]),
            false => Picture::from_pixels(over_white::<2>(decoded.into_luma_alpha16().into_raw()), [1, height, width]),
        };
    }
    if colour.has_color() {
        Picture::from_pixels(decoded.into_rgb8().into_raw(), [3, height, width])
    } else {
        Picture::from_pixels(decoded.into_luma8().into_raw(), [1, height, width])
    }
}

/// Levels of 8 bits of pixels whose last of `N` values of 16 bits is their opacity, over white.
fn over_white<const N: usize>(pixels: Vec<u16>) -> Vec<u8> {
    let mut seen = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        let opacity = u64::from(pixel[N - 1]);
        let most = u64::from(u16::MAX);
        // (v·opacity + most·(most − opacity))/most in 16 bits, times 255/most in 8, rounded once.
        let level =
            |v: &u16| ((u64::from(*v) * opacity + most * (most - opacity)) * 255 + most * most / 2) / (most * most);
        seen.extend(pixel[..N - 1].iter().map(|v| level(v) as u8));
    }
    seen
}

/// The number of colour channels in the frame header of a JPEG file; `None` where there is no such header, which is for the
/// decoder to tell.
fn jpeg_channels(source: &mut (impl BufRead + Seek)) -> std::io::Result<Option<u8>> {
    let mut walk = || -> std::io::Result<Option<u8>> {
        source.seek(SeekFrom::Start(2))?;
        for _ in 0..CHUNKS {
            let mut marker = [0; 2];
            source.read_exact(&mut marker)?;
            match marker {
                // A marker may be filled up with any number of 0xff before it.
                [0xff, 0xff] => drop(source.seek(SeekFrom::Current(-1))?),
                [0xff, 0x01 | 0xd0..=0xd8] => {}
                [0xff, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf] => {
                    // Its length, the depth, height, width, and the number of channels.
                    let mut header = [0; 8];
                    source.read_exact(&mut header)?;
                    return Ok(Some(header[7]));
                }
                [0xff, 0x02..=0xd8 | 0xdb..=0xfe] => {
                    let mut length = [0; 2];
                    source.read_exact(&mut length)?;
                    source.seek(SeekFrom::Current(i64::from(u16::from_be_bytes(length).max(2)) - 2))?;
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    };
    match walk() {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        found => found,
    }
}

#[cfg(test)]
#[path = "png_tests.rs"]
mod tests;
