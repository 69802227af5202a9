//! The dictionary of columns: every table that the program writes, and what each of its columns says. `isoline list
//! columns`, `docs/columns.md` and the key `isoline.columns` in the metadata of each Parquet file are made from it.
//!
//! A column has one line here. Descriptors and measures of pictures describe their own columns, in their own files.

mod arrays;
mod evaluation;
mod knowing;

use super::study;
use super::study::relations::{LOOKS, PICTURE_MEASURES, PictureMeasure};
use crate::geometry::{DESCRIPTORS, Descriptor, ShownIn, shown_in};
use crate::table::{Column, Note, Table};
use arrays::{LABELS, SPECTRA};
use evaluation::{EVALUATION, SHOWERS, classes};
use knowing::{DENSITY, GUARD, MEMORISATION, OOD};
use std::borrow::Cow;

/// A table that the program writes.
pub struct TableRow {
    /// Name of its file, without `.parquet`, `.csv` or `.npz`.
    pub name: &'static str,
    /// What it holds and which command writes it, in one line.
    pub about: &'static str,
    /// The entries of its columns, in the order of the table.
    pub notes: fn() -> Vec<Note>,
}

/// Every table.
pub static TABLES: &[TableRow] = &[
    TableRow {
        name: "samples",
        about: "one row per picture, by isoline generate and isoline merge; by isoline steer-report one per method, seed and level. \
                Where the reward has learnt a quantity of pictures, \
                its value is in measured, and psi_k, psi, nu, rank and log_likelihood are empty",
        notes: samples,
    },
    TableRow {
        name: "descriptors",
        about: "one row per latent, by isoline describe and isoline merge",
        notes: descriptors,
    },
    TableRow { name: study::relations::ROW.name, about: "one row per seed, by isoline study relate", notes: relate },
    TableRow {
        name: study::map::ROW.name,
        about: "one row per point of a plane of latents, by isoline study map",
        notes: map,
    },
    TableRow {
        name: study::latent_path::ROW.name,
        about: "one row per latent along a path, by isoline study trajectory; one per seed and noise level, by isoline trajectory",
        notes: trajectory,
    },
    TableRow {
        name: study::convergence::ROW.name,
        about: "one row per estimator and setting, by isoline study convergence",
        notes: || CONVERGENCE.to_vec(),
    },
    TableRow {
        name: "curve",
        about: "one row per picture and noise level, by isoline lid curve",
        notes: || CURVE.to_vec(),
    },
    TableRow {
        name: "memorisation",
        about: "one row per sample, by isoline memorisation audit",
        notes: || MEMORISATION.to_vec(),
    },
    TableRow { name: "ood", about: "one row per picture, by isoline ood score", notes: || OOD.to_vec() },
    TableRow { name: "density", about: "one row per noise level, by isoline diagnose", notes: || DENSITY.to_vec() },
    TableRow {
        name: "spectra",
        about: "arrays, one row per latent, NaN where a value is missing, by isoline describe, in its tiles and in the file that the key npz asks for",
        notes: || SPECTRA.to_vec(),
    },
    TableRow {
        name: "evaluation",
        about: "one row per generated set and metric, by isoline evaluate, and by isoline steer-report where it evaluates",
        notes: || EVALUATION.to_vec(),
    },
    TableRow {
        name: "classes",
        about: "one row per generated set and class, by isoline evaluate with features of a classifier",
        notes: classes,
    },
    TableRow {
        name: "showers",
        about: "one row per figure of a set of showers, by isoline evaluate with the domain calo",
        notes: || SHOWERS.to_vec(),
    },
    TableRow {
        name: "labels",
        about: "arrays, one row per labelled latent, one of the two, by isoline train-reward in its safetensors files",
        notes: || LABELS.to_vec(),
    },
];

const fn note(
    name: &'static str,
    unit: &'static str,
    range: &'static str,
    meaning: &'static str,
    empty: &'static str,
) -> Note {
    Note::new(name, unit, range, meaning, empty)
}

const NEVER: &str = "never";
const NOT_FINITE: &str = "a value was not finite";
const UNMEASURED: &str = "the reward's quantity could not be measured, see missed";
const POINTS: &str = "points of percentile";
const PERCENTILE: &str = "0 to 100";
const SEEDS: &str = "whole, 0 to 2^64 − 1";
const SEED: Note = note("seed", "1", SEEDS, "the sample's seed; of a variation, its number", NEVER);

/// Columns of `samples` before its descriptors. "Calibration" is the sorted table of ψ_k (or of what the reward learnt
/// instead) of the model's own unguided samples.
const SAMPLES: &[Note] = &[
    note("job", "text", "", "name of the job, and of its folder where there are several", NEVER),
    SEED,
    note("novelty_asked", POINTS, PERCENTILE, "the percentile that was asked for", "nothing was asked (mode balanced)"),
    note(
        "novelty_predicted",
        POINTS,
        PERCENTILE,
        "the percentile that the reward network predicts at the end",
        "the reward predicts nothing there, or a value was not finite",
    ),
    note(
        "novelty_reached",
        POINTS,
        PERCENTILE,
        "the measured percentile; 0 or 100 beyond the calibration, see beyond",
        UNMEASURED,
    ),
    note(
        "novelty_remeasured",
        POINTS,
        PERCENTILE,
        "the percentile measured again by directions that steering never used",
        "it could not be measured; the column is missing where nothing was measured again",
    ),
    note(
        "beyond",
        "standard deviations of the calibration",
        "any real number; 0 inside",
        "how far the measured value lies below (negative) or above the calibration's ends",
        UNMEASURED,
    ),
    note(
        "psi_predicted",
        "nats",
        "any real number",
        "psi_k as the reward network predicts it",
        "the reward learnt a quantity of pictures, or predicts nothing there",
    ),
];

/// Columns of `samples` after ψ_k.
const MEASURED: &[Note] = &[note(
    "measured",
    "that of the quantity: nats for ψ_k and −ln p, dimensions for LID",
    "any real number",
    "the measured value of the reward's quantity, where that is no ψ_k of the map latent → picture",
    "the reward's quantity is that ψ_k, which has a column of its own, or could not be measured",
)];

/// Columns of `samples` after its descriptors.
const OUTCOME: &[Note] = &[
    note(
        "distance",
        "standard deviations of the prior",
        "from 0",
        "‖z − z₀‖, from the latent where it started, the seed's own or the one that the guard drew, to the one used",
        NEVER,
    ),
    note("angle", "degrees", "0 to 180", "angle between z₀, where it started, and the one used", NEVER),
    note("steps", "1", "whole, from 0", "steering steps taken, or calls of the denoiser where that was guided", NEVER),
    note("attempts", "1", "whole, from 1", "how often the sample was measured on its way", NEVER),
    note(
        "effective_size",
        "1",
        "1 to the number of particles",
        "the least effective number of particles, 1/Σ w², over all weighings",
        "the method has no particles",
    ),
    note(
        "status",
        "text",
        "ok, unreached, unmeasured, flagged, off_manifold, non_finite",
        "how the sample ended: as asked; further from what was asked than the tolerance; with nothing that could measure it; \
         unusual, as the guard says; outside the range that the reward was taught on; or without a picture, as a value was not finite",
        NEVER,
    ),
    note(
        "missed",
        "text",
        "steps, corrections, drift, stay, guard, range, no_noise, no_reward",
        "why it did not reach what was asked: no corrections were asked for; all were used up; the limit on the way from the \
         seed; it was told to stay near its seed; the guard kept it from unusual places; nothing was found beyond the level. Or why it is unmeasured: a guided picture is \
         not made from a known noise; the model has no reward",
        "nothing was missed",
    ),
    note(
        "file",
        "text",
        "",
        "path of the picture below the job's folder, or the run's where there is one job",
        "status is non_finite",
    ),
    note("sha256", "text", "64 hex digits", "SHA-256 of the picture's file", "status is non_finite"),
    note(
        "z_{i}",
        "standard deviations of the prior",
        "any real number",
        "value i of the latent that the picture was made from",
        "latents were not kept (save_latents), or status is non_finite",
    ),
    note(
        "picture_correlation",
        "1",
        "−1 to 1",
        "Pearson correlation of the pixels with those of the unguided picture of the same start",
        "a picture is constant; the columns of the comparison are missing where identity was not asked for",
    ),
    note(
        "picture_angle",
        "degrees",
        "0 to 90",
        "angle between the two pictures as vectors above black",
        "one is black",
    ),
    note(
        "latent_angle",
        "degrees",
        "0 to 180",
        "angle between the latents of the two",
        "the picture was guided, so that no latent stands for it",
    ),
    note("class", "1", "whole, from 0", "class of the picture, by the classifier", "no classifier was named"),
    note("class_unguided", "1", "whole, from 0", "class of the unguided picture", "no classifier was named"),
    note("likeness_note", "text", "", "why a number of the comparison is missing", "none is missing"),
];

/// Columns that `samples` has besides in the folder of a comparison of methods.
const COMPARED: &[Note] = &[
    note("method", "text", "", "method and loop, in place of job (steer-report)", NEVER),
    note("miss", POINTS, PERCENTILE, "|asked − reached| (steer-report)", "novelty_reached is empty"),
    note("miss_remeasured", POINTS, PERCENTILE, "|asked − remeasured| (steer-report)", "novelty_remeasured is empty"),
    note("off_manifold", "1", "true, false", "whether status is off_manifold or non_finite (steer-report)", NEVER),
    note(
        "evaluations",
        "network evaluations",
        "whole, from 1",
        "what steering and measuring cost: one for each pass through a network and for each tangent (steer-report)",
        NEVER,
    ),
    note(
        "ms",
        "milliseconds",
        "above 0",
        "time of steering and measuring, shared out over a tile (steer-report)",
        NEVER,
    ),
    note("strength", "1", "any real number", "strength of the guide (steer-report)", "the method is no guide"),
];

/// Columns of `descriptors` before and after the descriptors.
const NUMBERED: &[Note] = &[
    SEED,
    note(
        "row",
        "1",
        "whole, from 0",
        "row in the file of latents, or place among the sorted pictures; instead of seed",
        NEVER,
    ),
    note(
        "file",
        "text",
        "",
        "name of the picture that the latent was found for",
        "latents were not found from pictures",
    ),
    note(
        "residual",
        "sample values",
        "from 0",
        "root mean square of G(z) − x over the values of the picture x",
        "latents were not found from pictures",
    ),
    note("status", "text", "ok, not finite", "whether the spectrum is finite", NEVER),
    note("undefined", "text", "", "which values are missing in this row, and why", "none is missing"),
];
const CALIBRATED: &[Note] = &[
    note(
        "psi_exact",
        "nats",
        "any real number",
        "psi by the exact estimator",
        "the sample is not among those compared",
    ),
    note(
        "psi_calibrated",
        "nats",
        "any real number",
        "the exact psi as predicted from the estimate by the line through the compared samples",
        "psi is empty",
    ),
    note(
        "psi_calibrated_stderr",
        "nats",
        "from 0",
        "standard error of psi_calibrated, from the scatter about that line",
        "psi is empty",
    ),
    note(
        "novelty",
        POINTS,
        PERCENTILE,
        "place of psi_k in the calibration of the model's reward; 0 or 100 beyond it",
        "psi_k is empty",
    ),
    note(
        "beyond",
        "standard deviations of the calibration",
        "any real number; 0 inside",
        "how far psi_k lies below (negative) or above the calibration's ends",
        "psi_k is empty",
    ),
    note("n_directions", "directions", "whole, 1 to d", "directions that the spectrum was found from", NOT_FINITE),
    note("estimator", "text", "see isoline list estimators", "how the spectrum was found", NOT_FINITE),
    note(
        "h",
        "standard deviations of the prior",
        "above 0",
        "step of the finite differences",
        "the estimator takes derivatives, not differences",
    ),
];

const RECONSTRUCTION: &[Note] = &[note(
    "reconstruction_error",
    "sample values",
    "from 0",
    "root mean square of the picture minus its reconstruction through the model's encoder",
    "the picture is not finite; the column is missing where the model has no encoder",
)];

const PLANE: &[Note] = &[
    note("u", "1", "−0.25 to 1.25", "place along the edge from the first seed (0) to the second (1)", NEVER),
    note("v", "1", "−0.25 to 1.25", "place along the edge from the first seed (0) to the third (1)", NEVER),
];

const PATH: &[Note] = &[
    note(
        "position",
        "seeds",
        "0 to the number of seeds − 1",
        "place on the path; whole numbers are the seeds (study trajectory)",
        NEVER,
    ),
    note("seed", "1", SEEDS, "the sample's seed (isoline trajectory)", NEVER),
    note("sigma", "sample values", "above 0", "noise level of the state (isoline trajectory)", NEVER),
    note("k", "directions", "whole, from 1", "the k of psi_k at this noise level (isoline trajectory)", NEVER),
];

const CONVERGENCE: &[Note] = &[
    note(
        "output",
        "text",
        "image, preactivation",
        "where the measured map ends: the picture, or what enters its last activation",
        NEVER,
    ),
    note("estimator", "text", "see isoline list estimators", "how the spectrum was found", NEVER),
    note("statistic", "text", "psi_k, sigma_1, ln_frobenius", "what is compared with the exact psi_k", NEVER),
    note("directions", "directions", "whole, from 2", "P, the number of directions", NEVER),
    note("radius", "‖z‖/√d", "above 0", "c, the radius of the stencil", "the estimator has no radius"),
    note(
        "spearman",
        "1",
        "−1 to 1",
        "rank correlation with the exact psi_k over the latents",
        "fewer than two values, or all equal",
    ),
    note(
        "bias",
        "nats",
        "any real number",
        "mean of estimate − exact",
        "statistic is not psi_k, or no value is defined",
    ),
    note("sd", "nats", "from 0", "standard deviation of estimate − exact", "bias is empty"),
    note("stderr", "nats", "from 0", "mean of the standard errors that the estimator itself gives", "it gives none"),
    note("seconds", "seconds per latent", "above 0", "time of the estimate, after one call as a warm-up", NEVER),
    note("undefined", "latents", "whole, from 0", "latents without a value", NEVER),
];

const CURVE: &[Note] = &[
    note("seed", "1", "whole, from 0", "the sample's seed, or the picture's index in the data set", NEVER),
    note("sigma", "sample values", "above 0", "noise level", NEVER),
    note(
        "dimension",
        "dimensions",
        "any real number",
        "local intrinsic dimension by FLIPD at this noise level: trace + residual (theory, 29)",
        "not finite",
    ),
    note(
        "stderr",
        "dimensions",
        "from 0",
        "standard error of dimension, from the random probes of the trace",
        "one probe, or not finite",
    ),
    note("trace", "dimensions", "any real number", "trace of the denoiser's Jacobian", "not finite"),
    note("residual", "dimensions", "from 0", "‖D(x) − x‖²/σ², with D the denoiser", "not finite"),
    note("note", "text", "", "why these numbers are no dimension", "they may be one"),
];

const CLASS: Note =
    note("class", "1", "whole, from 0", "class of the picture, by the classifier", "no classifier was named");

/// The entries of the descriptors `of`, each with those of its parts.
fn described(of: impl Iterator<Item = &'static Descriptor>) -> Vec<Note> {
    of.flat_map(|d| std::iter::once(d.note()).chain(d.parts.notes.iter().cloned())).collect()
}

fn samples() -> Vec<Note> {
    let (ranked, others): (Vec<Note>, Vec<Note>) =
        shown_in(ShownIn::Sample).map(Descriptor::note).partition(|n| n.name == "psi_k");
    let looks = PICTURE_MEASURES.iter().filter(|m| LOOKS.contains(&m.name)).map(picture_measure).collect::<Vec<_>>();
    [SAMPLES, &ranked, MEASURED, &others, OUTCOME, GUARD, COMPARED, &looks].concat()
}

fn descriptors() -> Vec<Note> {
    let stderr = |of: &Note| Note {
        name: Cow::Owned(format!("{}_stderr", of.name)),
        unit: of.unit,
        range: "from 0",
        meaning: Cow::Owned(format!("standard error of {}", of.name)),
        empty: "it is not known; the column is missing where nothing was estimated",
    };
    let each = described(DESCRIPTORS.iter()).into_iter().flat_map(|n| [n.clone(), stderr(&n)]);
    NUMBERED.iter().cloned().chain(each).chain(CALIBRATED.iter().cloned()).collect()
}

fn picture_measure(m: &PictureMeasure) -> Note {
    Note::new(m.name, m.unit, m.range, m.about, "the picture is not finite")
}

fn relate() -> Vec<Note> {
    let measures: Vec<Note> = PICTURE_MEASURES.iter().map(picture_measure).collect();
    [&[SEED][..], &described(DESCRIPTORS.iter()), &measures, &[CLASS], RECONSTRUCTION].concat()
}

fn map() -> Vec<Note> {
    [PLANE, &described(DESCRIPTORS.iter())].concat()
}

fn trajectory() -> Vec<Note> {
    [PATH, &described(DESCRIPTORS.iter())].concat()
}

/// The entry of a column of the table called `table`.
pub fn find(table: &str, column: &str) -> Option<Note> {
    let notes = (TABLES.iter().find(|t| t.name == table)?.notes)();
    // An entry with the very name goes before a pattern.
    let exact = notes.iter().find(|n| n.name == column);
    exact.or_else(|| notes.iter().find(|n| n.is_of(column))).cloned()
}

/// The pair of key and value that a Parquet file of `table` carries in its metadata: what each column says, as JSON. (The
/// format has no place for words at the column itself.)
pub fn metadata(name: &str, table: &Table) -> (String, String) {
    let entry = |column: &Column| {
        let note = find(name, &column.name)?;
        let value = serde_json::json!({
            "unit": note.unit, "range": note.range, "meaning": note.meaning, "empty": note.empty,
        });
        Some((column.name.clone(), value))
    };
    let entries: serde_json::Map<String, serde_json::Value> = table.columns().iter().filter_map(entry).collect();
    ("isoline.columns".to_owned(), serde_json::Value::Object(entries).to_string())
}
