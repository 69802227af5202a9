//! Columns of what `isoline evaluate` writes.

use super::{NEVER, PERCENTILE, POINTS, note};
use crate::evaluate::class_metrics;
use crate::table::Note;
use std::borrow::Cow;

/// Of pictures and rows of numbers.
pub const EVALUATION: &[Note] = &[
    note(
        "set",
        "text",
        "",
        "where the generated samples lie; of steer-report, method and loop, or unguided for the seeds without steering",
        NEVER,
    ),
    note(
        "novelty_asked",
        POINTS,
        PERCENTILE,
        "the percentile that was asked for (steer-report)",
        "the set is unguided",
    ),
    note("against", "text", "", "what the set is compared with, unguided or real (steer-report)", NEVER),
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

const COUNT: &str = "whole, from 0";
const SHARE: &str = "0 to 1";

/// Of each class, before its metrics.
const CLASS: &[Note] = &[
    note("set", "text", "", "where the generated samples lie", NEVER),
    note("class", "1", COUNT, "the class that the classifier of the features gives a sample", NEVER),
    note("real", "1", COUNT, "number of real samples of it", NEVER),
    note("generated", "1", COUNT, "number of generated samples of it", NEVER),
    note("real_share", "1", SHARE, "their share of all real samples", NEVER),
    note("generated_share", "1", SHARE, "their share of all generated samples", NEVER),
];

/// Of each class.
pub fn classes() -> Vec<Note> {
    let each = class_metrics().flat_map(|metric| {
        [("", "of this class"), ("_low", "lower end of its 95 % interval"), ("_high", "upper end of its 95 % interval")]
            .map(|(ending, meaning)| Note {
                name: Cow::Owned(format!("{}{ending}", metric.name)),
                unit: "1",
                range: metric.range,
                meaning: Cow::Owned(match ending {
                    "" => format!("{} {meaning}: {}", metric.name, metric.about),
                    _ => meaning.to_owned(),
                }),
                empty: "not measured, see note",
            })
    });
    let last =
        note("note", "text", "", "too few samples for a metric, or few enough for a bias", "there is nothing to say");
    CLASS.iter().cloned().chain(each).chain([last]).collect()
}

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
