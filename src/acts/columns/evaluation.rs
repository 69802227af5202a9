//! Columns of what `isoline evaluate` writes.

use super::{NEVER, note};
use crate::table::Note;

/// Of pictures and rows of numbers.
pub const EVALUATION: &[Note] = &[
    note("set", "text", "", "where the generated samples lie", NEVER),
    note("metric", "text", "", "name of the metric, see isoline list metrics", NEVER),
    note("value", "that of the metric", "see isoline list metrics", "what the metric says", "not measured, see note"),
    note(
        "low",
        "that of the metric",
        "see isoline list metrics",
        "lower end of the 95 % interval",
        "not measured, see note",
    ),
    note(
        "high",
        "that of the metric",
        "see isoline list metrics",
        "upper end of the 95 % interval",
        "not measured, see note",
    ),
    note("samples", "1", "whole, from 2", "number of generated samples", NEVER),
    note(
        "biased_below",
        "1",
        "whole, from 0",
        "with fewer samples than this the metric is biased at this width of features",
        NEVER,
    ),
    note("note", "text", "", "a bias, or why there is no value", "there is nothing to say"),
];

/// Of showers.
pub const SHOWERS: &[Note] = &[
    note("part", "text", "", "metric, separation or physics", NEVER),
    note("name", "text", "", "what the figure is called", NEVER),
    note(
        "value",
        "that of the figure",
        "FPD and KPD times 1,000; shares and separations 0 to 1",
        "the figure",
        "not measured, see note",
    ),
    note("error", "that of the figure", "from 0", "its error, or half of its 95 % interval", "none is known"),
    note(
        "floor",
        "that of the figure",
        "any real number",
        "what two samples of one distribution would give",
        "not known",
    ),
    note("note", "text", "", "what one must know of it", "there is nothing to say"),
];
