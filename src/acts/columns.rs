//! The dictionary of columns: every table that the program writes, and what each of its columns says. `isoline list
//! columns`, `docs/columns.md` and the key `isoline.columns` in the metadata of each Parquet file are made from it.
//!
//! A column has one line here. Descriptors and measures of pictures describe their own columns, in their own files.

use super::study;
use super::study::relations::{PICTURE_MEASURES, PictureMeasure};
use crate::geometry::{DESCRIPTORS, Descriptor, ShownIn, shown_in};
use crate::table::{Column, Note, Table};
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
        about: "one row per picture, by isoline generate and isoline merge. Where the reward has learnt a quantity of pictures, \
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
        name: "spectra",
        about: "arrays, one row per latent, NaN where a value is missing, by isoline describe, in its tiles and in the file that the key npz asks for",
        notes: || SPECTRA.to_vec(),
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
const UNMEASURED: &str = "the reward's quantity could not be measured";
const POINTS: &str = "points of percentile";
const PERCENTILE: &str = "0 to 100";
const SEEDS: &str = "whole, 0 to 2^63 − 1 in a table";
const NO_SEED: &str = "the seed is 2^63 or above";
const SEED: Note = note("seed", "1", SEEDS, "the sample's seed", NO_SEED);

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
        "‖z − z₀‖, from the seed's own latent to the one used",
        NEVER,
    ),
    note("angle", "degrees", "0 to 180", "angle between the seed's own latent z₀ and the one used", NEVER),
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
        "ok, unreached, off_manifold, non_finite",
        "how the sample ended: as asked; further from what was asked than the tolerance; outside the range that the reward was \
         taught on; or without a picture, as a value was not finite",
        NEVER,
    ),
    note(
        "missed",
        "text",
        "steps, corrections, drift, range",
        "why it did not reach what was asked: no corrections were asked for; all were used up; the limit on the way from the \
         seed; nothing was found beyond the level",
        "status is not unreached",
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
    note("seed", "1", SEEDS, "the sample's seed (isoline trajectory)", NO_SEED),
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
    note("seed", "1", "whole, from 0", "the sample's seed, or the picture's index in the data set", NO_SEED),
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
];

const SPECTRA: &[Note] = &[
    note("samples", "1", "whole, from 0", "[n], seed or row of each latent", NEVER),
    note("latents", "standard deviations of the prior", "any real number", "[n, d], the latents", NEVER),
    note("residuals", "sample values", "from 0", "[n], as the column residual", "latents were not found from pictures"),
    note("h", "standard deviations of the prior", "above 0", "[n], as the column h", "the estimator takes derivatives"),
    note("singular_values", "sample values per unit of latent", "from 0", "[n, P], descending", NOT_FINITE),
    note(
        "rotated_latents",
        "standard deviations of the prior",
        "any real number",
        "[n, P], Vᵀz in the order of the singular values",
        NOT_FINITE,
    ),
    note(
        "psi_stderr",
        "nats",
        "from 0, or infinite where unknown",
        "[n, P], standard error of psi_k at k = 1, 2, …",
        NOT_FINITE,
    ),
    note("complexity", "units", "whole, from 0", "[n, layers], sign changes by activation", "not counted"),
    note("complexity_counted", "1", "0, 1", "[n], whether sign changes were counted", NEVER),
    note(
        "stderr",
        "as the column",
        "from 0",
        "[n, columns], jackknife standard errors; isoline.json names the columns",
        "none was found",
    ),
    note("isoline.json", "text", "", "format, model, estimator, run id and the hash of the arrays", NEVER),
];

const LABELS: &[Note] = &[
    note(
        "singular_values",
        "sample values per unit of latent",
        "from 0; −1 in a row without a reading and behind a shorter spectrum",
        "[n, P], descending, for a quantity that is read off a spectrum",
        NEVER,
    ),
    note(
        "values",
        "that of the quantity",
        "any real number behind a 1; −1 without a reading",
        "[n, 2], a 1 and then the value, for any other quantity",
        NEVER,
    ),
];

/// The entries of the descriptors `of`, each with those of its parts.
fn described(of: impl Iterator<Item = &'static Descriptor>) -> Vec<Note> {
    of.flat_map(|d| std::iter::once(d.note()).chain(d.parts.notes.iter().cloned())).collect()
}

fn samples() -> Vec<Note> {
    let (ranked, others): (Vec<Note>, Vec<Note>) =
        shown_in(ShownIn::Sample).map(Descriptor::note).partition(|n| n.name == "psi_k");
    [SAMPLES, &ranked, MEASURED, &others, OUTCOME].concat()
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

fn relate() -> Vec<Note> {
    let measure = |m: &PictureMeasure| Note::new(m.name, m.unit, m.range, m.about, "the picture is not finite");
    let measures: Vec<Note> = PICTURE_MEASURES.iter().map(measure).collect();
    [&[SEED][..], &described(DESCRIPTORS.iter()), &measures, RECONSTRUCTION].concat()
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
