//! Animations as APNG files: lossless like every other picture here, written by the same encoder, and shown by browsers
//! and most viewers; one that does not know them shows the first frame. (A GIF has 256 colours, and would need a crate.)

use super::Picture;
use super::canvas::{self, Area, Face};
use super::grid::{FLAG, HAIR, INK, NOVEL, PAPER, SOFT, TYPICAL, VOID};
use crate::error::{Error, Result};

/// Pictures are enlarged by a whole factor until their shorter side has at least this many pixels.
const CELL: usize = 192;
const MARGIN: usize = 16;
const DOT: usize = 13;
/// How long the first and the last level are shown, in milliseconds.
const REST: u16 = 700;
/// How long the levels between are shown.
const STEP: u16 = 110;

/// A picture of a sample with the level that was asked for, and the one that was reached.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The picture; `None` for a sample that was not finite.
    pub picture: Option<Picture>,
    /// Percentile asked for.
    pub asked: f64,
    /// Percentile reached, if it was measured.
    pub reached: Option<f64>,
    /// Whether the number reached is not to be trusted.
    pub odd: bool,
}

/// The animation of these frames: back and forth without end, resting at both ends. Above each picture stands `title`,
/// below it the percentiles as text and on a scale from 0 to 100: a line is what was asked, a dot what was reached.
///
/// # Errors
/// [`Error::Bug`] if the frames cannot be encoded.
pub fn encode(title: &str, frames: &[Frame]) -> Result<Vec<u8>> {
    let side = |of: fn(&Picture) -> usize| {
        frames.iter().filter_map(|f| f.picture.as_ref()).map(of).max().unwrap_or(CELL).max(1)
    };
    let (width, height) = (side(|p| p.width), side(|p| p.height));
    let factor = CELL.div_ceil(width.min(height));
    let drawn: Vec<Picture> =
        frames.iter().map(|f| draw(title, f, factor, (width * factor, height * factor))).collect();
    let last = drawn.len().saturating_sub(1);
    let order: Vec<usize> = (0..=last).chain((1..last).rev()).collect();
    let bug = |e: ::png::EncodingError| Error::Bug(format!("an animation could not be encoded: {e}"));
    let Some(first) = drawn.first() else { return Err(Error::Bug("an animation without frames".into())) };
    let size = |pixels: usize| u32::try_from(pixels).map_err(|_| Error::Bug(format!("a frame of {pixels} pixels")));
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, size(first.width)?, size(first.height)?);
    encoder.set_color(::png::ColorType::Rgb);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_source_srgb(::png::SrgbRenderingIntent::Perceptual);
    encoder.set_deflate_compression(::png::DeflateCompression::FdeflateUltraFast);
    encoder.set_filter(::png::Filter::Paeth);
    if order.len() > 1 {
        encoder.set_animated(u32::try_from(order.len()).unwrap_or(u32::MAX), 0).map_err(bug)?;
    }
    let mut writer = encoder.write_header().map_err(bug)?;
    for at in &order {
        if order.len() > 1 {
            writer.set_frame_delay(if *at == 0 || *at == last { REST } else { STEP }, 1000).map_err(bug)?;
        }
        writer.write_image_data(&drawn[*at].pixels).map_err(bug)?;
    }
    writer.finish().map_err(bug)?;
    Ok(file)
}

fn draw(title: &str, frame: &Frame, factor: usize, (width, height): (usize, usize)) -> Picture {
    let line = Face::Plain.height();
    let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.1}"));
    let (asked, reached) = (number(Some(frame.asked)), number(frame.reached));
    // As wide as the widest text, so that all frames are equal.
    let inner = width.max(Face::Plain.width("asked 100.0 reached 100.0")).max(Face::Strong.width(title));
    let top = MARGIN + line + 8;
    let scale = top + height + 18;
    let text = scale + 16;
    let mut page = Picture::blank(text + line + MARGIN, inner + 2 * MARGIN, PAPER);
    canvas::write(&mut page, &canvas::plain_letters(title), MARGIN, MARGIN, Face::Strong, INK);
    let left = MARGIN + (inner - width) / 2;
    let area = Area { x: left, y: top, width, height };
    match &frame.picture {
        Some(picture) => {
            page.paste(&picture.enlarge(factor), top, left);
            canvas::frame(&mut page, area, HAIR);
        }
        None => {
            canvas::rounded(&mut page, area, 0.0, VOID);
            canvas::crossed(&mut page, area, 1.2, HAIR);
        }
    }
    let at = |percent: f64| MARGIN + ((inner - 1) as f64 * percent.clamp(0.0, 100.0) / 100.0).round() as usize;
    let track = Area { x: MARGIN, y: scale - 2, width: inner, height: 4 };
    canvas::rounded(&mut page, track, 2.0, HAIR);
    let tick = Area { x: at(frame.asked).saturating_sub(1), y: scale - 8, width: 3, height: 16 };
    canvas::rounded(&mut page, tick, 1.0, INK);
    if let Some(percent) = frame.reached {
        let colour = if frame.odd {
            FLAG
        } else if percent < 50.0 {
            TYPICAL
        } else {
            NOVEL
        };
        let dot = Area { x: at(percent) - DOT / 2, y: scale - DOT / 2, width: DOT, height: DOT };
        canvas::disc(&mut page, dot, 2.0, colour, PAPER);
    }
    canvas::write(&mut page, &format!("asked {asked}"), MARGIN, text, Face::Plain, SOFT);
    let told = format!("reached {reached}");
    canvas::write(&mut page, &told, MARGIN + inner - Face::Plain.width(&told), text, Face::Plain, INK);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(asked: f64, picture: Option<Picture>) -> Frame {
        Frame { picture, asked, reached: Some(asked), odd: false }
    }

    #[test]
    fn an_animation_goes_forth_and_back_and_rests_at_its_ends() {
        let frames: Vec<Frame> =
            (0..5).map(|i| frame(25.0 * f64::from(i), Some(Picture::blank(8, 8, [50 * i as u8; 3])))).collect();
        let file = encode("seed 17", &frames).unwrap();
        assert_eq!(file, encode("seed 17", &frames).unwrap());
        let decoder = ::png::Decoder::new(std::io::Cursor::new(&file));
        let mut reader = decoder.read_info().unwrap();
        let about = *reader.info().animation_control().unwrap();
        assert_eq!((about.num_frames, about.num_plays), (8, 0));
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let mut shown = Vec::new();
        for _ in 0..8 {
            reader.next_frame(&mut pixels).unwrap();
            // The middle of the picture.
            let (width, height) = (reader.info().width as usize, reader.info().height as usize);
            shown.push(pixels[(height / 2 * width + width / 2) * 3] / 50);
        }
        // A chunk fcTL has number, size and place of a frame, and then the numerator of its delay.
        let controls = file.windows(4).enumerate().filter(|(_, name)| *name == b"fcTL");
        let delays: Vec<u16> = controls.map(|(at, _)| u16::from_be_bytes([file[at + 24], file[at + 25]])).collect();
        assert_eq!(shown, [0, 1, 2, 3, 4, 3, 2, 1]);
        assert_eq!(delays, [REST, STEP, STEP, STEP, REST, STEP, STEP, STEP]);
    }

    #[test]
    fn frames_without_a_picture_or_a_companion_are_drawn() {
        for frames in [vec![frame(50.0, None)], vec![frame(0.0, None), frame(100.0, None)]] {
            let file = encode("seed 1", &frames).unwrap();
            assert!(::png::Decoder::new(std::io::Cursor::new(&file)).read_info().is_ok());
        }
        assert!(encode("seed 1", &[]).is_err());
    }
}
