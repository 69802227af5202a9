//! The contact sheet: each row is one mode or setting, each column one seed, so that the eye compares like with like.
//! Where there are more columns than a line should have, all rows begin again below.

use super::Picture;
use super::canvas::{self, Area, Face};
pub use super::grid_layout::Fit;
use super::grid_layout::Layout;

/// Bar colour of rows in mode `typical`.
pub const TYPICAL: [u8; 3] = [0x2f, 0x6f, 0xb7];
/// Bar colour of rows in mode `balanced`, which is plain sampling.
pub const BALANCED: [u8; 3] = [0x8b, 0x93, 0x9e];
/// Bar colour of rows in mode `novel`.
pub const NOVEL: [u8; 3] = [0xe0, 0x86, 0x1f];

/// Colour of the background.
pub const PAPER: [u8; 3] = [0xfb, 0xfb, 0xf9];
/// Colour of text.
pub const INK: [u8; 3] = [0x1d, 0x21, 0x27];
/// Colour of text that matters less.
pub const SOFT: [u8; 3] = [0x6a, 0x71, 0x7b];
/// Colour of thin lines.
pub const HAIR: [u8; 3] = [0xd9, 0xdb, 0xde];
/// Colour of a place without a picture.
pub const VOID: [u8; 3] = [0xf1, 0xf1, 0xef];
/// Colour of a warning.
pub const FLAG: [u8; 3] = [0xd6, 0x33, 0x4c];
/// Colour of what the guard flags.
pub const GUARD: [u8; 3] = [0x7a, 0x3f, 0xb0];
const MARK: usize = 13;

/// One sample on a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The picture; `None` for a sample that was not finite, drawn as a crossed box.
    pub picture: Option<Picture>,
    /// A few characters below the picture, such as the novelty reached; may be empty.
    pub caption: String,
    /// The small mark in the corner, if any.
    pub mark: Option<Mark>,
}

/// What a mark in the corner of a picture says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It did not reach what was asked.
    Missed,
    /// The guard found it unusual beside the model's data.
    Flagged,
    /// It lies outside of the labelled range, so that its number is not to be trusted.
    Odd,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Self; 3] = [Self::Missed, Self::Flagged, Self::Odd];

    fn colour(self) -> [u8; 3] {
        match self {
            Self::Missed => NOVEL,
            Self::Flagged => GUARD,
            Self::Odd => FLAG,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Missed => "missed what was asked",
            Self::Flagged => "flagged by the guard, kept",
            Self::Odd => "outside of the labelled range, kept",
        }
    }
}

/// The samples of one mode or setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetRow {
    /// Name of the row, on one line.
    pub label: String,
    /// Softer text below the name, wrapped to three lines; may be empty.
    pub sublabel: String,
    /// Colour of the bar beside the label; by convention [`TYPICAL`], [`BALANCED`] or [`NOVEL`].
    pub colour: [u8; 3],
    /// The samples from left to right.
    pub cells: Vec<Cell>,
}

/// A contact sheet, ready to be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    /// The headline.
    pub title: Option<String>,
    /// Softer text below the headline, wrapped to three lines.
    pub subtitle: Option<String>,
    /// The rows from top to bottom.
    pub rows: Vec<SheetRow>,
    /// One short text per column, such as the seed; may have fewer entries than there are columns.
    pub column_labels: Vec<String>,
    /// Number of columns that exist besides those given; the sheet says that they are left out.
    pub more_columns: usize,
    /// Columns side by side before all rows begin again below; 0 for all in one line.
    pub wrap: usize,
    /// Pictures are enlarged by a whole factor until their shorter side has so many pixels; 0 for the usual size.
    pub least: usize,
}

const MISSING_TEXT: &str = "not finite, no picture";

impl Sheet {
    /// Draws the sheet, dark on light. Neither side exceeds four times [`IMAGE_SIDE_OUT`](crate::limits::IMAGE_SIDE_OUT);
    /// columns and rows that do not fit are left out, and the sheet says how many.
    pub fn draw(&self) -> Picture {
        let layout = Layout::of(self);
        let mut picture = Picture::blank(layout.height, layout.width, PAPER);
        let left = Layout::MARGIN;
        if let Some(title) = self.title.as_deref().map(canvas::plain_letters) {
            let fits = (layout.width - 2 * left) / Face::Title.advance();
            canvas::write(&mut picture, &canvas::shorten(&title, fits), left, left, Face::Title, INK);
        }
        for (line, text) in layout.subtitle.iter().enumerate() {
            canvas::write(&mut picture, text, left, layout.subtitle_y(line), Face::Plain, SOFT);
        }
        for (column, label) in self.column_labels.iter().take(layout.columns).enumerate() {
            let (x, top) = layout.place(column);
            layout.centred(&mut picture, label, x, top, Face::Plain, SOFT);
        }
        for (index, row) in self.rows.iter().take(layout.rows).enumerate() {
            // A single row says once what it is.
            let bands = if self.rows.len() == 1 { 1 } else { layout.bands() };
            for band in 0..bands {
                layout.draw_label(&mut picture, row, layout.row_top(layout.band_top(band), index));
            }
            for (column, cell) in row.cells.iter().take(layout.columns).enumerate() {
                let (x, top) = layout.place(column);
                layout.draw_cell(&mut picture, cell, x, layout.row_top(top, index));
            }
        }
        layout.draw_footer(&mut picture);
        picture
    }
}

impl Layout {
    /// Writes a text centred in the column that starts at `x`.
    fn centred(&self, picture: &mut Picture, text: &str, x: usize, y: usize, face: Face, colour: [u8; 3]) {
        let text = canvas::shorten(&canvas::plain_letters(text), self.column / face.advance());
        canvas::write(picture, &text, x + (self.column - face.width(&text)) / 2, y, face, colour);
    }

    fn draw_label(&self, picture: &mut Picture, row: &SheetRow, top: usize) {
        let bar = Area { x: Self::MARGIN, y: top, width: Self::BAR, height: self.picture.1.min(self.row_height) };
        canvas::rounded(picture, bar, Self::BAR as f32 / 2.0, row.colour);
        let x = Self::MARGIN + Self::BAR + Self::GAP;
        let lines = canvas::wrap(&canvas::plain_letters(&row.sublabel), Self::LABEL_LETTERS, Self::SUBLABEL_LINES);
        let block = Face::Strong.height() + lines.len() * (Face::Plain.height() + 1);
        let mut y = top + bar.height.saturating_sub(block) / 2;
        let label = canvas::shorten(&canvas::plain_letters(&row.label), Self::LABEL_LETTERS);
        canvas::write(picture, &label, x, y, Face::Strong, INK);
        y += Face::Strong.height() + 1;
        for line in lines {
            canvas::write(picture, &line, x, y, Face::Plain, SOFT);
            y += Face::Plain.height() + 1;
        }
    }

    fn draw_cell(&self, picture: &mut Picture, cell: &Cell, x: usize, top: usize) {
        let (width, height) = self.picture;
        let left = x + (self.column - width) / 2;
        let mut area = Area { x: left, y: top, width, height };
        if let Some(sample) = &cell.picture {
            let sample = sample.enlarge(self.factor);
            area = Area {
                x: left + (width - sample.width) / 2,
                y: top + (height - sample.height) / 2,
                width: sample.width,
                height: sample.height,
            };
            picture.paste(&sample, area.y, area.x);
            canvas::frame(picture, area, HAIR);
        } else {
            canvas::rounded(picture, area, 0.0, VOID);
            canvas::crossed(picture, area, 1.2, HAIR);
        }
        if let Some(mark) = cell.mark {
            let corner =
                Area { x: area.x + area.width - MARK / 2 - 3, y: area.y - MARK / 2 + 2, width: MARK, height: MARK };
            canvas::disc(picture, corner, 2.0, mark.colour(), PAPER);
        }
        let colour = if cell.picture.is_some() { INK } else { SOFT };
        self.centred(picture, &cell.caption, x, top + height + 5, Face::Plain, colour);
    }

    fn draw_footer(&self, picture: &mut Picture) {
        let step = Face::Plain.height() + 4;
        let mut y = self.height.saturating_sub(Self::MARGIN + self.footer.lines() * step);
        let left = Area { x: Self::MARGIN, y: y + 2, width: MARK, height: MARK };
        let text_x = Self::MARGIN + MARK + 8;
        for mark in &self.footer.marks {
            canvas::disc(picture, Area { y: y + 2, ..left }, 2.0, mark.colour(), PAPER);
            canvas::write(picture, mark.text(), text_x, y, Face::Plain, SOFT);
            y += step;
        }
        if self.footer.missing {
            canvas::crossed(picture, Area { y: y + 2, ..left }, 1.2, BALANCED);
            canvas::write(picture, MISSING_TEXT, text_x, y, Face::Plain, SOFT);
            y += step;
        }
        if let Some(text) = &self.footer.cut {
            canvas::write(picture, text, Self::MARGIN, y, Face::Plain, INK);
        }
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
