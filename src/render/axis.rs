//! An axis of a plot: its range, where its ticks are and how they are labelled.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// Values larger than this are not drawn, because differences of such numbers may overflow.
const LARGEST: f64 = 1e100;

/// Whether `value` can be drawn at all.
pub fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// One axis. On a logarithmic axis every number here is a decimal exponent.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Left or lower end.
    pub low: f64,
    /// Right or upper end, above `low`.
    pub high: f64,
    /// Positions of the ticks, ascending.
    pub ticks: Vec<f64>,
    step: f64,
    log: bool,
}

impl Axis {
    /// A linear axis around the drawable ones among `values`; 0..1 if there are none.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values).unwrap_or((0.0, 1.0));
        let pad = 0.04 * (high - low);
        Self::within(low - pad, high + pad, 0.0)
    }

    /// An axis of counts from 0 to `most`, with `room` above it (a share of `most`) and ticks at whole numbers.
    pub fn counts(most: usize, room: f64) -> Self {
        Self::within(0.0, (most.max(1) as f64) * (1.0 + room), 1.0)
    }

    /// A logarithmic axis around `values`, which are decimal exponents.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let mut axis = Self::linear(values);
        let (first, last) = (axis.low.floor() as i32, axis.high.ceil() as i32);
        let decades = axis.high - axis.low;
        let stride = ((decades / 8.0).ceil() as usize).max(1);
        let digits: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let marks: Vec<f64> = (first..=last)
            .step_by(stride)
            .flat_map(|decade| digits.iter().map(move |digit| f64::from(decade) + digit.log10()))
            .filter(|mark| (axis.low..=axis.high).contains(mark))
            .collect();
        // If too few round numbers lie in the range, the evenly spaced exponents stay.
        if marks.len() >= 2 {
            axis.ticks = marks;
        }
        axis.log = true;
        axis
    }

    fn within(low: f64, high: f64, least_step: f64) -> Self {
        let step = round_step((high - low) / 6.0).max(least_step);
        let (first, last) = ((low / step).ceil(), (high / step).floor());
        let count = (last - first).clamp(0.0, 24.0) as usize;
        let ticks = (0..=count).map(|k| (first + k as f64) * step).filter(|t| (low..=high).contains(t)).collect();
        Self { low, high, ticks, step, log: false }
    }

    /// The label of a tick.
    pub fn label(&self, tick: f64) -> String {
        if self.log {
            return power_label(tick);
        }
        let tick = if tick.abs() < self.step * 1e-6 { 0.0 } else { tick };
        let largest = self.low.abs().max(self.high.abs());
        let digits = -self.step.log10().floor();
        if largest < 1e6 && digits <= 5.0 {
            return format!("{tick:.*}", digits.max(0.0) as usize);
        }
        if tick == 0.0 {
            return "0".to_owned();
        }
        let precision = (largest.log10().floor() + digits).clamp(0.0, 12.0) as usize;
        format!("{tick:.precision$e}")
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, tick: &f64) -> String {
        self.label(*tick)
    }
}

/// The smallest and the largest drawable value, moved apart if they (nearly) coincide.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values.filter(|v| drawable(*v)).fold(None, |range: Option<(f64, f64)>, v| {
        Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v))))
    })?;
    let size = low.abs().max(high.abs());
    if high - low > (size * 1e-9).max(1.0 / LARGEST) {
        return Some((low, high));
    }
    let pad = if size > 1.0 / LARGEST { 0.1 * size } else { 1.0 };
    Some((low - pad, high + pad))
}

/// The smallest number of the form 1, 2 or 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|round| *round >= step * 0.999).unwrap_or(10.0 * power)
}

/// A power of ten, written out if it is short, otherwise as 10 with a raised exponent.
fn power_label(exponent: f64) -> String {
    let whole = exponent.round();
    if (-3.0..5.0).contains(&exponent) {
        let text = format!("{:.*}", (2.0 - exponent.floor()).clamp(0.0, 6.0) as usize, 10f64.powf(exponent));
        let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return short.to_owned();
    }
    if (exponent - whole).abs() > 1e-6 {
        return format!("{:.1e}", 10f64.powf(exponent));
    }
    let figures = format!("{whole:.0}");
    let raised = figures.chars().map(|c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32(0x2070 + c as u32 - '0' as u32).unwrap_or(c),
        other => other,
    });
    format!("10{}", raised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|t| axis.label(*t)).collect()
    }

    #[test]
    fn ticks_are_round_and_written_shortly() {
        assert_eq!(labels(&Axis::linear([0.0, 1.0].into_iter())), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&Axis::linear([-30.0, 70.0].into_iter())), ["-20", "0", "20", "40", "60"]);
        assert_eq!(labels(&Axis::counts(3, 0.1)), ["0", "1", "2", "3"]);
        assert_eq!(labels(&Axis::linear([0.0, 3e7].into_iter())), ["0", "1e7", "2e7", "3e7"]);
        assert_eq!(labels(&Axis::logarithmic([0.0, 6.0].into_iter()))[3..], ["1000", "10000", "10⁵", "10⁶"]);
        assert_eq!(labels(&Axis::logarithmic([0.0, 1.0].into_iter())), ["1", "2", "5", "10"]);
        assert_eq!(labels(&Axis::logarithmic([-6.0, 0.0].into_iter()))[0], "10⁻⁶");
    }

    #[test]
    fn every_range_gives_a_few_finite_ticks() {
        let ends = [
            0.0,
            -0.0,
            1e-320,
            1e-90,
            1e-3,
            1.0,
            1.0 + 1e-12,
            7e17,
            7e17 + 300.0,
            1e100,
            -1e100,
            f64::NAN,
            f64::INFINITY,
        ];
        for a in ends {
            for b in ends {
                for axis in [
                    Axis::linear([a, b].into_iter()),
                    Axis::logarithmic([a.clamp(-320.0, 308.0), b.clamp(-320.0, 308.0)].into_iter()),
                ] {
                    assert!(axis.low < axis.high && axis.low.is_finite() && axis.high.is_finite(), "{axis:?}");
                    assert!((1..=30).contains(&axis.ticks.len()), "{a} {b} {axis:?}");
                    assert!(axis.ticks.iter().all(|t| t.is_finite() && !axis.label(*t).is_empty()));
                }
            }
        }
    }
}
