//! Where everything on a contact sheet goes, and how many columns a line and a page should have.

use super::canvas::{self, Face};
use super::grid::{Mark, Sheet};
use crate::limits;

/// The longest side of a sheet in pixels.
const SIDE: usize = 4 * limits::IMAGE_SIDE_OUT;
/// The longest side of a page that is one of several, or that wraps: more is hard to look at.
const PAGE: usize = 2 * limits::IMAGE_SIDE_OUT;
/// The most pictures on a page.
const PAGE_CELLS: usize = 400;
/// Pictures are enlarged by a whole factor until their shorter side has at least this many pixels.
const CELL: usize = 72;
const CAPTION_LETTERS: usize = 20;
/// What a last line counts that is only begun, against a page whose sides are in the ratio e.
const RAGGED: f64 = 1.5;

/// Sizes in pixels.
pub struct Layout {
    /// By how much pictures are enlarged.
    pub factor: usize,
    /// Size (width, height) of the box that every enlarged picture fits into.
    pub picture: (usize, usize),
    /// Width of a column, without the gap.
    pub column: usize,
    /// Columns shown.
    pub columns: usize,
    /// Rows shown.
    pub rows: usize,
    /// Height of a row, without the gap.
    pub row_height: usize,
    /// The lines below the headline.
    pub subtitle: Vec<String>,
    /// What is explained below the rows.
    pub footer: Footer,
    /// Width of the sheet.
    pub width: usize,
    /// Height of the sheet.
    pub height: usize,
    /// Columns side by side.
    wrap: usize,
    /// Left edge of the first column and top edge of the first band.
    origin: (usize, usize),
    /// Height of the labels above a band.
    column_label: usize,
}

/// The lines below the rows that explain what is not self-evident.
#[derive(Default)]
pub struct Footer {
    /// The marks that are on the sheet.
    pub marks: Vec<Mark>,
    /// Whether a picture is missing.
    pub missing: bool,
    /// What was left out.
    pub cut: Option<String>,
}

impl Footer {
    /// Number of lines.
    pub fn lines(&self) -> usize {
        self.marks.len() + usize::from(self.missing) + usize::from(self.cut.is_some())
    }
}

/// How many columns a line and a page of a sheet should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Columns side by side.
    pub wrap: usize,
    /// Columns on one page, in lines of `wrap`.
    pub page: usize,
}

impl Sheet {
    /// How its columns, those given and those that exist besides, are best shown: up to `line` of them in one line, more
    /// in lines that make the page nearly square, and on several pages of equal length where one would be too large.
    pub fn fit(&self, line: usize) -> Fit {
        let layout = Layout::of(self);
        let count = (self.rows.iter().map(|r| r.cells.len()).max().unwrap_or(0) + self.more_columns).max(1);
        let (across, down) = (layout.column + Layout::GAP, layout.band_pitch());
        let foot = Layout::MARGIN + 5 * Face::Plain.height();
        let most = |side: usize, each: usize| (PAGE.saturating_sub(side) / each.max(1)).max(1);
        let widest = most(layout.origin.0 + Layout::MARGIN, across);
        if count <= line.min(widest) {
            return Fit { wrap: count, page: count };
        }
        let cells = (PAGE_CELLS / self.rows.len().max(1)).max(1);
        let page = (widest * most(layout.origin.1 + foot, down)).min(cells);
        let page = count.div_ceil(count.div_ceil(page));
        let cost = |wrap: usize| {
            let width = layout.origin.0 + wrap * across;
            let height = layout.origin.1 + page.div_ceil(wrap) * down + foot;
            let empty = (wrap - (page - 1) % wrap - 1) as f64 / wrap as f64;
            let over = if height > PAGE { 10.0 } else { 0.0 };
            (width as f64 / height as f64).ln().abs() + RAGGED * empty + over
        };
        let wrap = (1..=widest.min(page)).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(1);
        Fit { wrap, page }
    }
}

impl Layout {
    /// Space around the sheet.
    pub const MARGIN: usize = 28;
    /// Space between rows and between columns.
    pub const GAP: usize = 14;
    /// Width of the bar beside a row.
    pub const BAR: usize = 5;
    /// The most letters of a row's label in one line.
    pub const LABEL_LETTERS: usize = 24;
    /// The most lines of the text below a row's label.
    pub const SUBLABEL_LINES: usize = 3;
    const SUBTITLE_LINES: usize = 3;

    /// The layout of a sheet.
    pub fn of(sheet: &Sheet) -> Self {
        let cells = || sheet.rows.iter().flat_map(|row| &row.cells);
        let pictures = || cells().filter_map(|cell| cell.picture.as_ref());
        let least = if sheet.least == 0 { CELL } else { sheet.least };
        let tallest = pictures().map(|p| p.height).max().unwrap_or(CELL).max(1);
        let widest = pictures().map(|p| p.width).max().unwrap_or(CELL).max(1);
        // The second bound keeps long thin pictures from being enlarged too far.
        let factor = least.div_ceil(tallest.min(widest)).min(least.div_ceil(tallest.max(widest)) * 2).max(1);
        let picture = (widest * factor, tallest * factor);
        let letters = |texts: &mut dyn Iterator<Item = &String>, most: usize| {
            texts.map(|t| canvas::plain_letters(t).chars().count()).max().unwrap_or(0).min(most)
        };
        let under = letters(&mut cells().map(|c| &c.caption).chain(&sheet.column_labels), CAPTION_LETTERS);
        let column = picture.0.max(under * Face::Plain.advance());
        let captions = cells().any(|cell| !cell.caption.is_empty());
        let label_letters = letters(&mut sheet.rows.iter().flat_map(|r| [&r.label, &r.sublabel]), Self::LABEL_LETTERS);
        let label = if label_letters == 0 { 0 } else { label_letters * Face::Plain.advance() + 12 };
        let column_label = if sheet.column_labels.is_empty() { 0 } else { Face::Plain.height() + 8 };
        let left = Self::MARGIN + Self::BAR + label + 2 * Self::GAP;
        let caption = if captions { Face::Plain.height() + 6 } else { 0 };
        let text_lines = Face::Strong.height() + Self::SUBLABEL_LINES * (Face::Plain.height() + 1);
        let row_height = (picture.1 + caption).max(if label == 0 { 0 } else { text_lines });

        let all_columns = sheet.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let fit = |space: usize, each: usize| (space.saturating_sub(2 * Self::MARGIN) + Self::GAP) / (each + Self::GAP);
        let most_wrap = fit(SIDE - left, column).max(1);
        let wrap = if sheet.wrap == 0 { all_columns } else { sheet.wrap.min(all_columns) }.clamp(1, most_wrap);
        let pitch = |count: usize, each: usize| (count * (each + Self::GAP)).saturating_sub(Self::GAP);
        let titled = sheet.title.as_deref().map_or(0, |t| Face::Title.width(&canvas::plain_letters(t)));
        let shown = if all_columns == 0 { 0 } else { wrap };
        let width =
            (left + pitch(shown, column)).max(Self::MARGIN + titled).max(Self::MARGIN + 30 * Face::Plain.advance());
        let width = (width + Self::MARGIN).min(SIDE);
        let subtitle = sheet.subtitle.as_deref().map(canvas::plain_letters).unwrap_or_default();
        let line = (width - 2 * Self::MARGIN) / Face::Plain.advance();
        let mut layout = Self {
            factor,
            picture,
            column,
            columns: all_columns,
            rows: 0,
            row_height,
            subtitle: canvas::wrap(&subtitle, line, Self::SUBTITLE_LINES),
            footer: Footer::default(),
            width,
            height: 0,
            wrap,
            origin: (left, 0),
            column_label,
        };
        layout.origin.1 = layout.head(sheet.title.is_some());
        let rest = SIDE - layout.origin.1 - column_label - 4 * Face::Plain.height();
        layout.rows = sheet.rows.len().min(fit(rest, row_height).max(1));
        // Without a wrap further columns are left out; with one, further lines.
        let bands = if sheet.wrap == 0 { 1 } else { (rest / layout.band_pitch().max(1)).max(1) };
        layout.columns = all_columns.min(bands * wrap);
        layout.footer = layout.explained(sheet, all_columns);
        let lines = layout.footer.lines();
        let foot = if lines == 0 { 0 } else { 20 + lines * (Face::Plain.height() + 4) };
        let end = layout.band_top(layout.bands().max(1) - 1) + layout.band_height();
        layout.height = (end + foot + Self::MARGIN).min(SIDE);
        layout
    }

    fn explained(&self, sheet: &Sheet, all_columns: usize) -> Footer {
        let mut left_out = Vec::new();
        let more_columns = all_columns - self.columns + sheet.more_columns;
        if more_columns > 0 {
            left_out.push(format!("{more_columns} more columns"));
        }
        if sheet.rows.len() > self.rows {
            left_out.push(format!("{} more rows", sheet.rows.len() - self.rows));
        }
        let shown = || sheet.rows.iter().take(self.rows).flat_map(|row| row.cells.iter().take(self.columns));
        Footer {
            marks: Mark::ALL.into_iter().filter(|m| shown().any(|cell| cell.mark == Some(*m))).collect(),
            missing: shown().any(|cell| cell.picture.is_none()),
            cut: (!left_out.is_empty()).then(|| format!("... +{}", left_out.join(", +"))),
        }
    }

    /// Top edge of the first band.
    fn head(&self, titled: bool) -> usize {
        match (titled, self.subtitle.len()) {
            (false, 0) => Self::MARGIN,
            (true, 0) => Self::MARGIN + Face::Title.height() + 18,
            (_, lines) => self.subtitle_y(lines) + 14,
        }
    }

    /// Top edge of a line below the headline.
    pub fn subtitle_y(&self, line: usize) -> usize {
        Self::MARGIN + Face::Title.height() + 7 + line * (Face::Plain.height() + 3)
    }

    fn band_height(&self) -> usize {
        self.column_label + (self.rows * (self.row_height + Self::GAP)).saturating_sub(Self::GAP)
    }

    /// From one band to the next. Bands of several rows stand further apart than rows.
    fn band_pitch(&self) -> usize {
        self.band_height() + Self::GAP + if self.rows > 1 { 2 * Self::GAP } else { 4 }
    }

    /// Number of lines that the columns take.
    pub fn bands(&self) -> usize {
        self.columns.div_ceil(self.wrap)
    }

    /// Top edge of a band.
    pub fn band_top(&self, band: usize) -> usize {
        self.origin.1 + band * self.band_pitch()
    }

    /// Left edge of a column, and the top edge of its band.
    pub fn place(&self, column: usize) -> (usize, usize) {
        let x = self.origin.0 + column % self.wrap * (self.column + Self::GAP);
        (x, self.band_top(column / self.wrap))
    }

    /// Top edge of a row in the band that begins at `top`.
    pub fn row_top(&self, top: usize, row: usize) -> usize {
        top + self.column_label + row * (self.row_height + Self::GAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Picture;
    use crate::render::grid::{Cell, NOVEL, SheetRow};

    fn sheet(rows: usize, columns: usize, side: usize) -> Sheet {
        let cell = |i: usize| Cell {
            picture: (i == 0).then(|| Picture::blank(side, side, [0; 3])),
            caption: "99.9".into(),
            mark: None,
        };
        let row = SheetRow {
            label: "novel".into(),
            sublabel: "asked 90".into(),
            colour: NOVEL,
            cells: (0..columns).map(cell).collect(),
        };
        let column_labels = (0..columns).map(|i| format!("seed {i}")).collect();
        Sheet { title: Some("digits".into()), rows: vec![row; rows], column_labels, ..Sheet::default() }
    }

    #[test]
    fn lines_make_the_page_nearly_square() {
        let fit = |rows, columns| sheet(rows, columns, 28).fit(8);
        assert_eq!(fit(3, 8), Fit { wrap: 8, page: 8 });
        assert_eq!(fit(1, 16), Fit { wrap: 4, page: 16 });
        assert_eq!(fit(1, 100), Fit { wrap: 10, page: 100 });
        assert_eq!(fit(5, 16), Fit { wrap: 8, page: 16 });
        // A strip of levels is one line.
        assert_eq!(sheet(1, 21, 28).fit(24), Fit { wrap: 21, page: 21 });
    }

    #[test]
    fn pages_are_of_equal_length_and_no_larger_than_the_bound() {
        for (rows, columns, side) in [(1, 1000, 28), (3, 1000, 28), (3, 64, 512), (1, 50_000, 256), (64, 40, 28)] {
            let mut all = sheet(rows, columns, side);
            let fit = all.fit(8);
            let pages = columns.div_ceil(fit.page);
            assert!(pages > 1 && fit.page * pages - columns < pages, "{fit:?}");
            assert!(fit.page * rows <= PAGE_CELLS + rows, "{fit:?}");
            all.rows.iter_mut().for_each(|r| r.cells.truncate(fit.page));
            all.column_labels.truncate(fit.page);
            all.wrap = fit.wrap;
            let layout = Layout::of(&all);
            assert_eq!(layout.columns, fit.page);
            assert!(layout.width <= PAGE, "{}", layout.width);
            // One band of so many rows may be taller than a page.
            assert!(layout.height <= PAGE || layout.bands() == 1, "{}", layout.height);
        }
    }
}
