//! The contact sheet: each row is one mode or setting, each column one seed, so that the eye compares like with like.

use super::Picture;
use super::canvas::{self, Area, Face};
use crate::limits;

/// Bar colour of rows in mode `typical`.
pub const TYPICAL: [u8; 3] = [0x2f, 0x6f, 0xb7];
/// Bar colour of rows in mode `balanced`, which is plain sampling.
pub const BALANCED: [u8; 3] = [0x8b, 0x93, 0x9e];
/// Bar colour of rows in mode `novel`.
pub const NOVEL: [u8; 3] = [0xe0, 0x86, 0x1f];

/// The longest side of a sheet in pixels.
const SIDE: usize = 4 * limits::IMAGE_SIDE_OUT;
/// Pictures are enlarged by a whole factor until their shorter side has at least this many pixels.
const CELL: usize = 72;
/// The most columns that can fit on a sheet. Of further columns only the number is needed.
pub const MOST_COLUMNS: usize = SIDE / (CELL + GAP) + 1;
const PAPER: [u8; 3] = [0xfb, 0xfb, 0xf9];
const INK: [u8; 3] = [0x1d, 0x21, 0x27];
const SOFT: [u8; 3] = [0x6a, 0x71, 0x7b];
const HAIR: [u8; 3] = [0xd9, 0xdb, 0xde];
const VOID: [u8; 3] = [0xf1, 0xf1, 0xef];
const FLAG: [u8; 3] = [0xd6, 0x33, 0x4c];
const MARGIN: usize = 28;
const GAP: usize = 14;
const BAR: usize = 5;
const LABEL_LETTERS: usize = 24;
const SUBLABEL_LINES: usize = 3;
const CAPTION_LETTERS: usize = 18;
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
    /// It lies outside of the labelled range, so that its number is not to be trusted.
    Odd,
}

impl Mark {
    const ALL: [Self; 2] = [Self::Missed, Self::Odd];

    fn colour(self) -> [u8; 3] {
        match self {
            Self::Missed => NOVEL,
            Self::Odd => FLAG,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Missed => "missed what was asked",
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
    /// The rows from top to bottom.
    pub rows: Vec<SheetRow>,
    /// One short text per column, such as the seed; may have fewer entries than there are columns.
    pub column_labels: Vec<String>,
    /// Number of columns that exist besides those given; the sheet says that they are left out.
    pub more_columns: usize,
}

/// Where everything on a sheet goes, in pixels.
struct Layout {
    factor: usize,
    /// Size (width, height) of the box that every enlarged picture fits into.
    picture: (usize, usize),
    /// Width of a column, without the gap.
    column: usize,
    columns: usize,
    rows: usize,
    /// Left edge of the first column and top edge of the first row.
    origin: (usize, usize),
    column_label_y: usize,
    row_height: usize,
    footer: Footer,
    width: usize,
    height: usize,
}

/// The lines below the rows that explain what is not self-evident.
#[derive(Default)]
struct Footer {
    marks: Vec<Mark>,
    missing: bool,
    cut: Option<String>,
}

impl Footer {
    fn lines(&self) -> usize {
        self.marks.len() + usize::from(self.missing) + usize::from(self.cut.is_some())
    }
}

const MISSING_TEXT: &str = "not finite, no picture";

impl Sheet {
    /// Draws the sheet, dark on light. Neither side exceeds four times [`limits::IMAGE_SIDE_OUT`]; columns and rows
    /// that do not fit are left out, and the sheet says how many.
    pub fn draw(&self) -> Picture {
        let layout = Layout::of(self);
        let mut picture = Picture::blank(layout.height, layout.width, PAPER);
        if let Some(title) = self.title.as_deref().map(canvas::plain_letters) {
            let fits = (layout.width - 2 * MARGIN) / Face::Title.advance();
            canvas::write(&mut picture, &canvas::shorten(&title, fits), MARGIN, MARGIN, Face::Title, INK);
        }
        for (column, label) in self.column_labels.iter().take(layout.columns).enumerate() {
            let x = layout.column_x(column);
            layout.centred(&mut picture, label, x, layout.column_label_y, Face::Plain, SOFT);
        }
        for (index, row) in self.rows.iter().take(layout.rows).enumerate() {
            let top = layout.origin.1 + index * (layout.row_height + GAP);
            layout.draw_label(&mut picture, row, top);
            for (column, cell) in row.cells.iter().take(layout.columns).enumerate() {
                layout.draw_cell(&mut picture, cell, layout.column_x(column), top);
            }
        }
        layout.draw_footer(&mut picture);
        picture
    }
}

impl Layout {
    fn of(sheet: &Sheet) -> Self {
        let cells = || sheet.rows.iter().flat_map(|row| &row.cells);
        let pictures = || cells().filter_map(|cell| cell.picture.as_ref());
        let tallest = pictures().map(|p| p.height).max().unwrap_or(CELL).max(1);
        let widest = pictures().map(|p| p.width).max().unwrap_or(CELL).max(1);
        // The second bound keeps long thin pictures from being enlarged too far.
        let factor = CELL.div_ceil(tallest.min(widest)).min(CELL.div_ceil(tallest.max(widest)) * 2).max(1);
        let picture = (widest * factor, tallest * factor);
        let letters = |texts: &mut dyn Iterator<Item = &String>, most: usize| {
            texts.map(|t| canvas::plain_letters(t).chars().count()).max().unwrap_or(0).min(most)
        };
        let under = letters(&mut cells().map(|c| &c.caption).chain(&sheet.column_labels), CAPTION_LETTERS);
        let column = picture.0.max(under * Face::Plain.advance());
        let captions = cells().any(|cell| !cell.caption.is_empty());
        let label_letters = letters(&mut sheet.rows.iter().flat_map(|r| [&r.label, &r.sublabel]), LABEL_LETTERS);
        let label = if label_letters == 0 { 0 } else { label_letters * Face::Plain.advance() + 12 };
        let title = if sheet.title.is_some() { Face::Title.height() + 18 } else { 0 };
        let column_label = if sheet.column_labels.is_empty() { 0 } else { Face::Plain.height() + 8 };
        let origin = (MARGIN + BAR + label + 2 * GAP, MARGIN + title + column_label);
        let caption = if captions { Face::Plain.height() + 6 } else { 0 };
        let text_lines = Face::Strong.height() + SUBLABEL_LINES * (Face::Plain.height() + 1);
        let row_height = (picture.1 + caption).max(if label == 0 { 0 } else { text_lines });
        let most_columns = sheet.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let fit = |space: usize, each: usize| (space.saturating_sub(2 * MARGIN) + GAP) / (each + GAP);
        let columns = most_columns.min(fit(SIDE - origin.0, column).max(1));
        let rows = sheet.rows.len().min(fit(SIDE - origin.1 - 4 * Face::Plain.height(), row_height).max(1));
        let mut left_out = Vec::new();
        let more_columns = most_columns - columns + sheet.more_columns;
        if more_columns > 0 {
            left_out.push(format!("{more_columns} more columns"));
        }
        if sheet.rows.len() > rows {
            left_out.push(format!("{} more rows", sheet.rows.len() - rows));
        }
        let shown = || sheet.rows.iter().take(rows).flat_map(|row| row.cells.iter().take(columns));
        let footer = Footer {
            marks: Mark::ALL.into_iter().filter(|m| shown().any(|cell| cell.mark == Some(*m))).collect(),
            missing: shown().any(|cell| cell.picture.is_none()),
            cut: (!left_out.is_empty()).then(|| format!("... +{}", left_out.join(", +"))),
        };
        let pitch = |count: usize, each: usize| (count * (each + GAP)).saturating_sub(GAP);
        let titled = sheet.title.as_deref().map_or(0, |t| Face::Title.width(&canvas::plain_letters(t)));
        let width = (origin.0 + pitch(columns, column)).max(MARGIN + titled).max(MARGIN + 30 * Face::Plain.advance());
        let foot = if footer.lines() == 0 { 0 } else { 20 + footer.lines() * (Face::Plain.height() + 4) };
        let height = origin.1 + pitch(rows, row_height) + foot + MARGIN;
        Self {
            factor,
            picture,
            column,
            columns,
            rows,
            origin,
            column_label_y: MARGIN + title,
            row_height,
            footer,
            width: (width + MARGIN).min(SIDE),
            height: height.min(SIDE),
        }
    }

    fn column_x(&self, column: usize) -> usize {
        self.origin.0 + column * (self.column + GAP)
    }

    /// Writes a text centred in the column that starts at `x`.
    fn centred(&self, picture: &mut Picture, text: &str, x: usize, y: usize, face: Face, colour: [u8; 3]) {
        let text = canvas::shorten(&canvas::plain_letters(text), self.column / face.advance());
        canvas::write(picture, &text, x + (self.column - face.width(&text)) / 2, y, face, colour);
    }

    fn draw_label(&self, picture: &mut Picture, row: &SheetRow, top: usize) {
        let bar = Area { x: MARGIN, y: top, width: BAR, height: self.picture.1.min(self.row_height) };
        canvas::rounded(picture, bar, BAR as f32 / 2.0, row.colour);
        let x = MARGIN + BAR + GAP;
        let lines = canvas::wrap(&canvas::plain_letters(&row.sublabel), LABEL_LETTERS, SUBLABEL_LINES);
        let block = Face::Strong.height() + lines.len() * (Face::Plain.height() + 1);
        let mut y = top + bar.height.saturating_sub(block) / 2;
        let label = canvas::shorten(&canvas::plain_letters(&row.label), LABEL_LETTERS);
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
        let mut y = self.height.saturating_sub(MARGIN + self.footer.lines() * step);
        let left = Area { x: MARGIN, y: y + 2, width: MARK, height: MARK };
        let text_x = MARGIN + MARK + 8;
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
            canvas::write(picture, text, MARGIN, y, Face::Plain, INK);
        }
    }
}

#[cfg(test)]
#[path = "grid_tests.rs"]
mod tests;
