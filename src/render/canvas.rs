//! Drawing on an RGB picture: text in a bitmap font, and small anti-aliased shapes.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::Picture;

/// One of the three type faces on a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// 20 pixels, bold.
    Title,
    /// 16 pixels, bold.
    Strong,
    /// 16 pixels, regular.
    Plain,
}

impl Face {
    fn font(self) -> (FontWeight, RasterHeight) {
        match self {
            Self::Title => (FontWeight::Bold, RasterHeight::Size20),
            Self::Strong => (FontWeight::Bold, RasterHeight::Size16),
            Self::Plain => (FontWeight::Regular, RasterHeight::Size16),
        }
    }

    /// Height of a line in pixels.
    pub fn height(self) -> usize {
        self.font().1.val()
    }

    /// Width of one character in pixels.
    pub fn advance(self) -> usize {
        let (weight, size) = self.font();
        get_raster_width(weight, size)
    }

    /// Width of `text` in pixels, after [`plain_letters`].
    pub fn width(self, text: &str) -> usize {
        text.chars().count() * self.advance()
    }
}

/// `text` in the letters that the font has (Basic Latin). Others are spelt out or become `?`.
pub fn plain_letters(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' '..='~' => plain.push(letter),
            '…' => plain.push_str("..."),
            '–' | '—' | '−' => plain.push('-'),
            '±' => plain.push_str("+/-"),
            '×' => plain.push('x'),
            '·' | '•' => plain.push('.'),
            '→' => plain.push_str("->"),
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            '“' | '”' => plain.push('"'),
            '‘' | '’' => plain.push('\''),
            'ψ' => plain.push_str("psi"),
            'ν' => plain.push_str("nu"),
            'δ' => plain.push_str("delta"),
            'σ' => plain.push_str("sigma"),
            _ if letter.is_whitespace() => plain.push(' '),
            _ => plain.push('?'),
        }
    }
    plain
}

/// The first `letters` characters of a plain text, ending in `...` if some were cut.
pub fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters.saturating_sub(3)).collect();
    format!("{}{}", kept.trim_end(), &"..."[..letters.min(3)])
}

/// `text` broken at spaces into at most `lines` lines of at most `letters` characters.
pub fn wrap(text: &str, letters: usize, lines: usize) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let full = done.len() == lines;
        match done.last_mut() {
            Some(line) if full || line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => done.push(word.to_owned()),
        }
    }
    done.iter().map(|line| shorten(line, letters)).collect()
}

/// Mixes `colour` into the pixel at (`x`, `y`) by `share`, from 0 to 1. Does nothing outside the picture.
fn mix(picture: &mut Picture, x: usize, y: usize, colour: [u8; 3], share: f32) {
    if x >= picture.width || y >= picture.height || share <= 0.0 {
        return;
    }
    let at = (y * picture.width + x) * 3;
    for (old, new) in picture.pixels[at..at + 3].iter_mut().zip(colour) {
        *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share).round() as u8;
    }
}

/// Writes plain `text` with its top left corner at (`x`, `y`).
pub fn write(picture: &mut Picture, text: &str, x: usize, y: usize, face: Face, colour: [u8; 3]) {
    let (weight, size) = face.font();
    for (index, letter) in text.chars().enumerate() {
        let Some(glyph) = get_raster(letter, weight, size) else { continue };
        let left = x + index * face.advance();
        for (row, levels) in glyph.raster().iter().enumerate() {
            for (column, &level) in levels.iter().enumerate() {
                mix(picture, left + column, y + row, colour, f32::from(level) / 255.0);
            }
        }
    }
}

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: usize,
    /// Top edge.
    pub y: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// Fills the part of `area` where `inside(x, y)` holds; the coordinates are relative to the area's top left corner.
/// Sixteen points per pixel decide how much of the pixel is covered.
fn cover(picture: &mut Picture, area: Area, colour: [u8; 3], inside: impl Fn(f32, f32) -> bool) {
    for row in 0..area.height {
        for column in 0..area.width {
            let hits = (0..16).filter(|point| {
                let (dx, dy) = ((point % 4) as f32, (point / 4) as f32);
                inside(column as f32 + (dx + 0.5) / 4.0, row as f32 + (dy + 0.5) / 4.0)
            });
            mix(picture, area.x + column, area.y + row, colour, hits.count() as f32 / 16.0);
        }
    }
}

/// A filled rectangle with rounded corners.
pub fn rounded(picture: &mut Picture, area: Area, radius: f32, colour: [u8; 3]) {
    let (width, height) = (area.width as f32, area.height as f32);
    let radius = radius.min(width / 2.0).min(height / 2.0);
    cover(picture, area, colour, |x, y| {
        let dx = (radius - x).max(x - (width - radius)).max(0.0);
        let dy = (radius - y).max(y - (height - radius)).max(0.0);
        dx * dx + dy * dy <= radius * radius
    });
}

/// A frame of `stroke` pixels along the inner edge of `area`, with both diagonals. It means "no picture".
pub fn crossed(picture: &mut Picture, area: Area, stroke: f32, colour: [u8; 3]) {
    let (width, height) = (area.width as f32, area.height as f32);
    let length = width.hypot(height);
    cover(picture, area, colour, |x, y| {
        let edge = x.min(y).min(width - x).min(height - y);
        let falling = (x * height - y * width).abs() / length;
        let rising = ((width - x) * height - y * width).abs() / length;
        edge < stroke || falling.min(rising) < stroke / 2.0
    });
}

/// A frame of one pixel just outside `area`.
pub fn frame(picture: &mut Picture, area: Area, colour: [u8; 3]) {
    let (right, bottom) = (area.x + area.width, area.y + area.height);
    for x in area.x.saturating_sub(1)..=right {
        mix(picture, x, area.y.wrapping_sub(1), colour, 1.0);
        mix(picture, x, bottom, colour, 1.0);
    }
    for y in area.y..bottom {
        mix(picture, area.x.wrapping_sub(1), y, colour, 1.0);
        mix(picture, right, y, colour, 1.0);
    }
}

/// A disc with a rim, both inside `area`.
pub fn disc(picture: &mut Picture, area: Area, rim: f32, colour: [u8; 3], rim_colour: [u8; 3]) {
    let radius = area.width.min(area.height) as f32 / 2.0;
    let within = |x: f32, y: f32, r: f32| (x - radius).hypot(y - radius) <= r;
    cover(picture, area, rim_colour, |x, y| within(x, y, radius));
    cover(picture, area, colour, |x, y| within(x, y, radius - rim));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_plain_short_and_wrapped() {
        assert_eq!(plain_letters("ψ ≥ 3 … 猫\n"), "psi >= 3 ... ? ");
        assert_eq!(shorten("novelty", 7), "novelty");
        assert_eq!(shorten("novelty 80", 8), "novel...");
        assert_eq!(shorten("abc", 2), "..");
        assert_eq!(wrap("one two three four five", 9, 2), ["one two", "three..."]);
        assert!(wrap("  ", 9, 2).is_empty());
        assert_eq!(wrap("incomprehensibilities", 9, 2), ["incomp..."]);
    }

    #[test]
    fn drawing_outside_does_nothing_and_inside_something() {
        let mut picture = Picture::blank(20, 30, [255; 3]);
        let clean = picture.clone();
        write(&mut picture, "x", 40, 0, Face::Plain, [0; 3]);
        rounded(&mut picture, Area { x: 30, y: 20, width: 9, height: 9 }, 2.0, [0; 3]);
        assert_eq!(picture, clean);
        write(&mut picture, "xyz", 20, 10, Face::Title, [0; 3]);
        frame(&mut picture, Area { x: 0, y: 0, width: 30, height: 20 }, [0; 3]);
        assert_ne!(picture, clean);
    }
}
