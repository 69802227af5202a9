//! Plots as SVG text: scatter, histogram and lines, in one calm style.
//!
//! Values that cannot be drawn (not finite, beyond ±1e100, or not positive on a logarithmic axis) are left out, and the
//! subtitle counts them.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, drawable};
use crate::error::{Error, Result};

type Failure = DrawingAreaErrorKind<std::io::Error>;
type Chart<'c, 'b> = ChartContext<'c, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const INK: RGBColor = RGBColor(0x1d, 0x21, 0x27);
const SOFT: RGBColor = RGBColor(0x5d, 0x64, 0x6e);
const HAIR: RGBColor = RGBColor(0xe3, 0xe5, 0xe8);
const MARK: RGBColor = RGBColor(0xc2, 0x62, 0x0c);
/// Series colours that can be told apart with any colour vision; the first three match the contact sheets.
const SERIES: [RGBColor; 7] = [
    RGBColor(0x2f, 0x6f, 0xb7),
    RGBColor(0xe0, 0x86, 0x1f),
    RGBColor(0x2a, 0x91, 0x6b),
    RGBColor(0x8a, 0x56, 0xa8),
    RGBColor(0xc9, 0x3c, 0x4e),
    RGBColor(0x3c, 0xa6, 0xc4),
    RGBColor(0x8b, 0x93, 0x9e),
];
const TOP: u32 = 66;
const LEGEND: u32 = 158;
/// The most points written into one plot; of more, only every k-th is written.
const POINTS: usize = 20_000;
/// The most bars of a histogram: more would be thinner than two pixels.
const BINS: usize = 300;

/// Everything around the drawn data.
struct Frame<'t> {
    title: &'t str,
    subtitle: String,
    x_label: &'t str,
    y_label: &'t str,
    size: (u32, u32),
    legend: Vec<String>,
    empty: bool,
}

/// One dot per point. With `identity_line` both axes share one range, the plot is square, and a dashed line marks y =
/// x.
///
/// # Errors
/// [`Error::Bug`] if the plot library fails, which no input is known to cause.
pub fn scatter(
    title: &str,
    x_label: &str,
    y_label: &str,
    points: &[(f64, f64)],
    identity_line: bool,
) -> Result<String> {
    let kept: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| drawable(*x) && drawable(*y)).collect();
    let stride = kept.len().div_ceil(POINTS).max(1);
    let xs = kept.iter().map(|p| p.0);
    let ys = kept.iter().map(|p| p.1);
    let (x_axis, y_axis) = if identity_line {
        let both = Axis::linear(xs.chain(ys));
        (both.clone(), both)
    } else {
        (Axis::linear(xs), Axis::linear(ys))
    };
    let mut subtitle = counted(kept.len(), points.len() - kept.len(), "not finite");
    if stride > 1 {
        subtitle += &format!("; 1 in {stride} drawn");
    }
    let size = if identity_line { (600, 640) } else { (720, 460) };
    let frame = Frame { title, subtitle, x_label, y_label, size, legend: Vec::new(), empty: kept.is_empty() };
    draw(&frame, &x_axis, &y_axis, |chart| {
        if identity_line {
            let ends = [(x_axis.low, x_axis.low), (x_axis.high, x_axis.high)];
            chart.draw_series(DashedLineSeries::new(ends, 6, 5, SOFT.stroke_width(1)))?;
        }
        let share = if kept.len() > 2_000 { 0.25 } else { 0.55 };
        let style = SERIES[0].mix(share).filled();
        chart.draw_series(kept.iter().step_by(stride).map(|point| Circle::new(*point, 3, style)))?;
        Ok(())
    })
}

/// Dots of several series, each in its colour.
///
/// # Errors
/// [`Error::Bug`] if the plot library fails, which no input is known to cause.
pub fn clouds(title: &str, x_label: &str, y_label: &str, series: &[(&str, Vec<(f64, f64)>)]) -> Result<String> {
    let good = |p: &(f64, f64)| drawable(p.0) && drawable(p.1);
    let kept: Vec<Vec<(f64, f64)>> = series.iter().map(|(_, s)| s.iter().copied().filter(good).collect()).collect();
    let total: usize = series.iter().map(|(_, s)| s.len()).sum();
    let count: usize = kept.iter().map(Vec::len).sum();
    let stride = count.div_ceil(POINTS).max(1);
    let x_axis = Axis::linear(kept.iter().flatten().map(|p| p.0));
    let y_axis = Axis::linear(kept.iter().flatten().map(|p| p.1));
    let mut subtitle = counted(count, total - count, "not finite");
    if stride > 1 {
        subtitle += &format!("; 1 in {stride} drawn");
    }
    let legend = series.iter().map(|(name, _)| clean(name, 18)).collect();
    let frame = Frame { title, subtitle, x_label, y_label, size: (720, 520), legend, empty: count == 0 };
    let share = if count > 2_000 { 0.3 } else { 0.55 };
    draw(&frame, &x_axis, &y_axis, |chart| {
        for (i, points) in kept.iter().enumerate() {
            let style = SERIES[i % SERIES.len()].mix(share).filled();
            chart.draw_series(points.iter().step_by(stride).map(|point| Circle::new(*point, 3, style)))?;
        }
        Ok(())
    })
}

/// Counts of `values` in `bins` (1..=300) equal intervals from the smallest to the largest value, with named vertical
/// marks.
///
/// # Errors
/// [`Error::Bug`] if the plot library fails, which no input is known to cause.
pub fn histogram(title: &str, x_label: &str, values: &[f64], bins: usize, marks: &[(f64, &str)]) -> Result<String> {
    let kept: Vec<f64> = values.iter().copied().filter(|v| drawable(*v)).collect();
    let mut marks: Vec<(f64, &str)> = marks.iter().copied().filter(|(at, _)| drawable(*at)).collect();
    marks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let x_axis = Axis::linear(kept.iter().copied().chain(marks.iter().map(|m| m.0)));
    let bins = bins.clamp(1, BINS);
    let mut low = kept.iter().copied().fold(f64::INFINITY, f64::min);
    let mut width = (kept.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low) / bins as f64;
    // Values that (nearly) coincide become one bar of a visible width.
    let single = !kept.is_empty() && width * bins as f64 <= (x_axis.high - x_axis.low) * 1e-6;
    if single {
        width = (x_axis.high - x_axis.low) / 30.0;
        low -= width / 2.0;
    }
    let mut counts = vec![0usize; if single { 1 } else { bins }];
    let last = counts.len() - 1;
    for value in &kept {
        counts[(((value - low) / width).max(0.0) as usize).min(last)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let y_axis = Axis::counts(most, if marks.is_empty() { 0.08 } else { 0.25 });
    let subtitle = counted(kept.len(), values.len() - kept.len(), "not finite");
    let frame = Frame {
        title,
        subtitle,
        x_label,
        y_label: "count",
        size: (720, 460),
        legend: Vec::new(),
        empty: kept.is_empty(),
    };
    draw(&frame, &x_axis, &y_axis, |chart| {
        chart.draw_series(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bin, count)| {
            let left = low + bin as f64 * width;
            let mut bar = Rectangle::new([(left, 0.0), (left + width, *count as f64)], SERIES[0].mix(0.75).filled());
            bar.set_margin(0, 0, 0, u32::from(last < 120));
            bar
        }))?;
        for (index, (at, name)) in marks.iter().enumerate() {
            // A label stays clear of the next mark's line and of the right edge of the plot.
            let near = 0.12 * (x_axis.high - x_axis.low);
            let crowded = marks.get(index + 1).is_some_and(|next| next.0 - at < near);
            let left = crowded || at + 2.0 * near > x_axis.high;
            draw_mark(chart, (*at, name), index, left, y_axis.high)?;
        }
        Ok(())
    })
}

/// A dashed vertical line with its name at the top, to its left or right.
fn draw_mark(
    chart: &mut Chart<'_, '_>,
    (at, name): (f64, &str),
    index: usize,
    left: bool,
    top: f64,
) -> Result<(), Failure> {
    chart.draw_series(DashedLineSeries::new([(at, 0.0), (at, top)], 5, 3, MARK.stroke_width(2)))?;
    let (side, shift) = if left { (HPos::Right, -6) } else { (HPos::Left, 6) };
    let style = text(15.0, &MARK).pos(Pos::new(side, VPos::Top));
    let label = EmptyElement::at((at, top)) + Text::new(clean(name, 32), (shift, 16 * (index % 3) as i32), style);
    chart.plotting_area().draw(&label)
}

/// One line per named series, through its points in the given order, with a legend at the right. Short series get a dot
/// at every point.
///
/// # Errors
/// [`Error::Bug`] if the plot library fails, which no input is known to cause.
pub fn lines(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[(&str, Vec<(f64, f64)>)],
    log_x: bool,
) -> Result<String> {
    lines_with(title, x_label, y_label, series, log_x, &Extras::default())
}

/// What is drawn beside lines.
#[derive(Default)]
pub struct Extras<'a> {
    /// Named horizontal lines, which the vertical axis always holds.
    pub bounds: &'a [(f64, &'a str)],
    /// Vertical bars: (x, least y, greatest y) of each series.
    pub bars: &'a [Vec<(f64, f64, f64)>],
    /// Points of each series with a ring around them.
    pub rings: &'a [Vec<(f64, f64)>],
    /// What bars and rings are, for the line below the title.
    pub said: &'a str,
}

/// [`lines`] with bounds, bars and rings.
///
/// # Errors
/// [`Error::Bug`] if the plot library fails, which no input is known to cause.
pub fn lines_with(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[(&str, Vec<(f64, f64)>)],
    log_x: bool,
    extras: &Extras,
) -> Result<String> {
    let along = |x: f64| if !log_x || x > 0.0 { if log_x { x.log10() } else { x } } else { f64::NAN };
    let kept: Vec<Vec<(f64, f64)>> = series
        .iter()
        .map(|(_, points)| {
            points.iter().map(|p| (along(p.0), p.1)).filter(|(x, y)| drawable(*x) && drawable(*y)).collect()
        })
        .collect();
    let total: usize = series.iter().map(|(_, points)| points.len()).sum();
    let drawn: usize = kept.iter().map(Vec::len).sum();
    let xs = kept.iter().flatten().map(|p| p.0);
    let x_axis = if log_x { Axis::logarithmic(xs) } else { Axis::linear(xs) };
    let ends = extras.bars.iter().flatten().flat_map(|b| [b.1, b.2]).filter(|y| drawable(*y));
    let ys = kept.iter().flatten().map(|p| p.1);
    let y_axis = Axis::linear(ys.chain(ends).chain(extras.bounds.iter().map(|b| b.0)));
    let reason = if log_x { "not finite or not positive" } else { "not finite" };
    let left_out = if total > drawn { format!("{} left out: {reason}", total - drawn) } else { String::new() };
    let parts = [extras.said.to_owned(), left_out];
    let subtitle = parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("; ");
    let legend = series.iter().map(|(name, _)| clean(name, 18)).collect();
    let frame = Frame { title, subtitle, x_label, y_label, size: (760, 460), legend, empty: drawn == 0 };
    draw(&frame, &x_axis, &y_axis, |chart| {
        for (at, name) in extras.bounds {
            let ends = [(x_axis.low, *at), (x_axis.high, *at)];
            chart.draw_series(DashedLineSeries::new(ends, 6, 5, SOFT.stroke_width(1)))?;
            let style = text(14.0, &SOFT).pos(Pos::new(HPos::Right, VPos::Bottom));
            let label = EmptyElement::at((x_axis.high, *at)) + Text::new(clean(name, 40), (-4, -3), style);
            chart.plotting_area().draw(&label)?;
        }
        for (index, bars) in extras.bars.iter().enumerate() {
            let colour = SERIES[index % SERIES.len()];
            let fits = |(x, low, high): &&(f64, f64, f64)| [along(*x), *low, *high].into_iter().all(drawable);
            for (x, low, high) in bars.iter().filter(fits) {
                let ends = [(along(*x), *low), (along(*x), *high)];
                chart.draw_series(LineSeries::new(ends, colour.mix(0.7).stroke_width(2)))?;
            }
        }
        for (index, rings) in extras.rings.iter().enumerate() {
            let colour = SERIES[index % SERIES.len()];
            let rings = rings.iter().map(|(x, y)| (along(*x), *y)).filter(|(x, y)| drawable(*x) && drawable(*y));
            chart.draw_series(rings.map(|at| Circle::new(at, 8, colour.stroke_width(2))))?;
        }
        for (index, points) in kept.iter().enumerate() {
            let colour = SERIES[index % SERIES.len()];
            let stride = points.len().div_ceil(POINTS).max(1);
            chart.draw_series(LineSeries::new(points.iter().copied().step_by(stride), colour.stroke_width(2)))?;
            if points.len() <= 40 {
                chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            }
        }
        Ok(())
    })
}

/// Draws title, axes and legend, and then the data with `paint`.
fn draw(
    frame: &Frame<'_>,
    x_axis: &Axis,
    y_axis: &Axis,
    paint: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Failure>,
) -> Result<String> {
    let mut svg = String::new();
    try_draw(&mut svg, frame, (x_axis, y_axis), paint)
        .map_err(|error| Error::Bug(format!("a plot could not be drawn: {error}")))?;
    // Screen readers and mouse pointers show the title only if it is an element of its own.
    if let Some(at) = svg.find('>') {
        let title = clean(frame.title, 200).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        svg.insert_str(at + 1, &format!("\n<title>{title}</title>"));
    }
    Ok(svg)
}

fn try_draw(
    svg: &mut String,
    frame: &Frame<'_>,
    (x_axis, y_axis): (&Axis, &Axis),
    paint: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let root = SVGBackend::with_string(svg, frame.size).into_drawing_area();
    root.fill(&WHITE)?;
    let bold = ("sans-serif", 20.0).into_font().style(FontStyle::Bold).color(&INK);
    root.draw(&Text::new(clean(frame.title, 72), (24, 18), bold))?;
    root.draw(&Text::new(frame.subtitle.clone(), (24, 43), text(15.5, &SOFT)))?;
    let right = if frame.legend.is_empty() { 28 } else { LEGEND };
    let mut chart = ChartBuilder::on(&root)
        .margin_top(TOP)
        .margin_right(right)
        .margin_bottom(14)
        .margin_left(14)
        .x_label_area_size(48)
        .y_label_area_size(70)
        .build_cartesian_2d(x_axis.clone(), y_axis.clone())?;
    chart
        .configure_mesh()
        .bold_line_style(HAIR)
        .light_line_style(TRANSPARENT)
        .axis_style(SOFT)
        .label_style(text(15.0, &SOFT))
        .axis_desc_style(text(16.5, &INK))
        .x_desc(clean(frame.x_label, 80))
        .y_desc(clean(frame.y_label, 60))
        .draw()?;
    if frame.empty {
        let middle = ((x_axis.low + x_axis.high) / 2.0, (y_axis.low + y_axis.high) / 2.0);
        let style = text(18.0, &SOFT).pos(Pos::new(HPos::Center, VPos::Center));
        chart.plotting_area().draw(&Text::new("nothing to draw", middle, style))?;
    }
    paint(&mut chart)?;
    for (index, name) in frame.legend.iter().enumerate() {
        let (x, y) = ((frame.size.0 - LEGEND) as i32 + 16, TOP as i32 + 6 + 22 * index as i32);
        let colour = SERIES[index % SERIES.len()];
        root.draw(&Rectangle::new([(x, y + 4), (x + 16, y + 7)], colour.filled()))?;
        root.draw(&Text::new(name.clone(), (x + 24, y), text(15.5, &INK)))?;
    }
    root.present()
}

/// Sans-serif text. The SVG back-end divides the size by 1.24 to get pixels.
fn text(size: f64, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(colour)
}

/// The subtitle, as in `n = 12; 3 left out: not finite`.
fn counted(kept: usize, dropped: usize, reason: &str) -> String {
    let left_out = if dropped > 0 { format!("; {dropped} left out: {reason}") } else { String::new() };
    format!("n = {kept}{left_out}")
}

/// At most `letters` characters, without those that XML forbids.
fn clean(words: &str, letters: usize) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let mut kept: Vec<char> = words.chars().filter(allowed).take(letters + 1).collect();
    if kept.len() > letters {
        kept.truncate(letters.saturating_sub(1));
        kept.push('…');
    }
    kept.into_iter().collect()
}

#[cfg(test)]
#[path = "plot_tests.rs"]
mod tests;
