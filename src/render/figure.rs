//! Figures that the plot library has no form for: heat maps with pictures at their corners, and intervals one below the
//! other. SVG as text, in the style of [`super::plot`].

use super::Picture;
use super::png::{PngText, encode};
use crate::error::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write;

const INK: &str = "#1d2127";
const SOFT: &str = "#5d646e";
const HAIR: &str = "#e3e5e8";
const VOID: &str = "#f1f1ef";
const SERIES: [&str; 4] = ["#2f6fb7", "#e0861f", "#2a916b", "#8a56a8"];
/// Colours from low to high: viridis in ten equal steps, which stays readable in grey.
const RAMP: [[u8; 3]; 10] = [
    [68, 1, 84],
    [72, 40, 120],
    [62, 74, 137],
    [49, 104, 142],
    [38, 130, 142],
    [31, 158, 137],
    [53, 183, 121],
    [109, 205, 89],
    [180, 222, 44],
    [253, 231, 37],
];
/// The most cells along a side of a heat map that are drawn.
const CELLS: usize = 256;

/// A heat map: values on a grid with row 0 at the bottom, and a colour bar. `corners` are pictures beside the four
/// corners (bottom left, bottom right, top left, top right); `marks` are labels at (column, row). Cells without a
/// finite value stay empty, and the subtitle counts them.
///
/// # Errors
/// [`crate::error::Error::Bug`] for a malformed picture.
pub fn heat_map(
    title: &str,
    [x_label, y_label]: [&str; 2],
    values: &[Vec<Option<f64>>],
    corners: Option<&[Picture; 4]>,
    marks: &[(f64, f64, String)],
) -> Result<String> {
    let rows = values.len().clamp(1, CELLS);
    let columns = values.first().map_or(1, Vec::len).clamp(1, CELLS);
    let finite = || values.iter().flatten().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let span = if high > low { high - low } else { 1.0 };
    let empty = values.iter().flatten().count() - finite().count();
    let side = 420.0;
    let (left, top) = (150.0, 70.0);
    let (cell_w, cell_h) = (side / columns as f64, side / rows as f64);
    let mut svg = open(800, 560, title);
    let range =
        if finite().next().is_some() { format!("{} to {}", short(low), short(high)) } else { "nothing to draw".into() };
    let left_out = if empty > 0 { format!("; {empty} cells undefined") } else { String::new() };
    words(&mut svg, 24.0, 54.0, 12.5, SOFT, "start", &format!("{range}{left_out}"));
    let _ = write!(svg, "<rect x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" fill=\"{VOID}\"/>");
    for (r, row) in values.iter().take(rows).enumerate() {
        for (c, value) in row.iter().take(columns).enumerate() {
            let Some(value) = value.filter(|v| v.is_finite()) else { continue };
            let colour = colour((value - low) / span);
            let (x, y) = (left + c as f64 * cell_w, top + side - (r + 1) as f64 * cell_h);
            // Slightly larger than the cell, because otherwise seams show between cells.
            let _ = write!(
                svg,
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{colour}\"/>",
                cell_w + 0.4,
                cell_h + 0.4
            );
        }
    }
    for (x, y, name) in marks {
        let (x, y) = (left + (x + 0.5) * cell_w, top + side - (y + 0.5) * cell_h);
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#fff\" stroke=\"{INK}\" stroke-width=\"1.5\"/>"
        );
        let _ = write!(svg, "<g stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\">");
        words(&mut svg, x + 8.0, y + 4.0, 12.0, INK, "start", name);
        svg.push_str("</g>");
    }
    let bar = left + side + 20.0;
    let ends = finite().next().is_some().then_some([low, low + span]);
    colour_bar(&mut svg, [bar, top, side], ends);
    words(&mut svg, left + side / 2.0, top + side + 34.0, 13.5, INK, "middle", x_label);
    let _ = write!(svg, "<g transform=\"translate({:.0} {:.0}) rotate(-90)\">", left - 14.0, top + side / 2.0);
    words(&mut svg, 0.0, 0.0, 13.5, INK, "middle", y_label);
    svg.push_str("</g>");
    if let Some(corners) = corners {
        let box_side = 92.0;
        let (low, right) = (top + side - box_side, bar + 76.0);
        let places = [(16.0, low), (right, low), (16.0, top), (right, top)];
        for (picture, place) in corners.iter().zip(places) {
            framed(&mut svg, picture, place, box_side)?;
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The colour bar, with its top left corner at (`x`, `top`) and `side` high, and five numbers from one of the `ends` to
/// the other if there are values.
fn colour_bar(svg: &mut String, [x, top, side]: [f64; 3], ends: Option<[f64; 2]>) {
    for step in 0..60 {
        let y = top + side - (step + 1) as f64 * side / 60.0;
        let (height, colour) = (side / 60.0 + 0.4, colour(f64::from(step) / 59.0));
        let _ = write!(svg, "<rect x=\"{x}\" y=\"{y:.2}\" width=\"14\" height=\"{height:.2}\" fill=\"{colour}\"/>");
    }
    let Some([low, high]) = ends else { return };
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let y = top + side * (1.0 - part) + 4.0;
        words(svg, x + 20.0, y, 12.0, SOFT, "start", &short(low + part * (high - low)));
    }
}

/// A picture with a thin frame and its top left corner at (x, y).
fn framed(svg: &mut String, picture: &Picture, (x, y): (f64, f64), side: f64) -> Result<()> {
    let source = data_uri(picture)?;
    let _ = write!(
        svg,
        "<image x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" image-rendering=\"pixelated\" href=\"{source}\"/>"
    );
    let _ =
        write!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"none\" stroke=\"{HAIR}\"/>");
    Ok(())
}

/// A named estimate with its interval: (label, series, value, low, high).
pub type Interval = (String, usize, f64, f64, f64);

/// Intervals one below the other on a common axis from `low` to `high`, with a line at 0. `series` gives the names of
/// the colours.
pub fn intervals(title: &str, x_label: &str, [low, high]: [f64; 2], series: &[&str], rows: &[Interval]) -> String {
    let (left, right, top) = (230.0, 760.0, 84.0);
    let height = top + 20.0 * rows.len() as f64 + 56.0;
    let mut svg = open(800, height as usize, title);
    let x = |v: f64| left + (v.clamp(low, high) - low) / (high - low) * (right - left);
    for (i, name) in series.iter().enumerate() {
        let at = 24.0 + 150.0 * i as f64;
        let _ = write!(svg, "<circle cx=\"{at}\" cy=\"52\" r=\"4\" fill=\"{}\"/>", SERIES[i % SERIES.len()]);
        words(&mut svg, at + 10.0, 56.0, 12.5, SOFT, "start", name);
    }
    let bottom = top + 20.0 * rows.len() as f64;
    for step in 0..=4 {
        let v = low + (high - low) * f64::from(step) / 4.0;
        let line = if v == 0.0 { SOFT } else { HAIR };
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1}\" y2=\"{bottom}\" stroke=\"{line}\"/>",
            x(v),
            top - 8.0
        );
        words(&mut svg, x(v), bottom + 18.0, 12.0, SOFT, "middle", &format!("{v:.1}"));
    }
    for (i, (label, series, value, a, b)) in rows.iter().enumerate() {
        let y = top + 20.0 * i as f64 + 6.0;
        let colour = SERIES[series % SERIES.len()];
        words(&mut svg, left - 12.0, y + 4.0, 12.5, INK, "end", label);
        if [*value, *a, *b].iter().all(|v| v.is_finite()) {
            let _ = write!(
                svg,
                "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                x(*a),
                x(*b)
            );
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>", x(*value));
        } else {
            words(&mut svg, left + 6.0, y + 4.0, 12.0, SOFT, "start", "undefined");
        }
    }
    words(&mut svg, (left + right) / 2.0, bottom + 42.0, 13.5, INK, "middle", x_label);
    svg.push_str("</svg>\n");
    svg
}

/// A picture as a `data:` URI, for pages and figures that open offline.
///
/// # Errors
/// [`crate::error::Error::Bug`] for a malformed picture.
pub fn data_uri(picture: &Picture) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(encode(picture, &PngText::default())?)))
}

/// Text with the characters escaped that XML and HTML do not allow.
pub fn escaped(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}'));
    allowed.fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
        out
    })
}

fn open(width: usize, height: usize, title: &str) -> String {
    let name = escaped(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\">\n<title>{name}</title><rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    );
    let _ = write!(svg, "<text x=\"24\" y=\"33\" font-size=\"16\" font-weight=\"bold\" fill=\"{INK}\">{name}</text>");
    svg
}

fn words(svg: &mut String, x: f64, y: f64, size: f64, colour: &str, anchor: &str, text: &str) {
    let text = escaped(text);
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

/// The colour of a number from 0 to 1, linear between the steps of [`RAMP`].
fn colour(part: f64) -> String {
    let at = part.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let (i, f) = ((at as usize).min(RAMP.len() - 2), at - (at as usize).min(RAMP.len() - 2) as f64);
    let mix = |c: usize| (f64::from(RAMP[i][c]) * (1.0 - f) + f64::from(RAMP[i + 1][c]) * f).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

fn short(v: f64) -> String {
    if v != 0.0 && !(1e-3..1e5).contains(&v.abs()) {
        format!("{v:.2e}")
    } else if v.abs() >= 100.0 {
        format!("{v:.1}")
    } else {
        format!("{v:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_leave_whole_svgs() -> Result<()> {
        let picture = Picture::blank(2, 2, [9, 8, 7]);
        let corners = [picture.clone(), picture.clone(), picture.clone(), picture];
        let odd = vec![vec![Some(1.0), Some(f64::NAN), None], vec![Some(f64::INFINITY), Some(1.0), Some(1.0)]];
        for values in [odd, Vec::new(), vec![vec![None; 3]; 2], vec![vec![Some(-1e300), Some(1e300)]]] {
            let svg = heat_map("a <b> & \"c\"\u{0}", ["x", "y"], &values, Some(&corners), &[(0.0, 0.0, "s".into())])?;
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf")
            );
            assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;"));
        }
        let rows = vec![("a".into(), 0, 0.5, 0.1, 0.9), ("b".into(), 5, f64::NAN, 0.0, 1.0)];
        let svg = intervals("t", "x", [-1.0, 1.0], &["one"], &rows);
        assert!(svg.contains("undefined") && !svg.contains("NaN"));
        Ok(())
    }

    #[test]
    fn colours_rise_from_dark_to_light() {
        assert_eq!(colour(0.0), "#440154");
        assert_eq!(colour(1.0), "#fde725");
        assert_eq!(colour(f64::from(1u8)), colour(2.0));
    }
}
