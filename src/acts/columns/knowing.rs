//! Columns of what `isoline memorisation`, `isoline ood` and `isoline diagnose` write.

use super::{NEVER, note};
use crate::table::Note;

const SEED: Note =
    note("seed", "1", "whole, from 0", "the sample's seed, or the picture's index in the data set", NEVER);

/// Of audited samples.
pub const MEMORISATION: &[Note] = &[
    SEED,
    note(
        "verdict",
        "text",
        "free, overfitted, data-driven, unknown",
        "what the two dimensions say (theory, 31)",
        NEVER,
    ),
    note("dimension", "dimensions", "any real number", "the model's local dimension at the sample", "not finite"),
    note(
        "stderr",
        "dimensions",
        "from 0",
        "standard error of dimension, from the random probes; 0 if exact",
        "not finite",
    ),
    note(
        "data_dimension",
        "dimensions",
        "from 0",
        "the data's dimension at the nearest training picture",
        "not defined, see note",
    ),
    note("data_low", "dimensions", "from 0", "lower end of its 95 % interval", "not defined, see note"),
    note("data_high", "dimensions", "from 0", "upper end of its 95 % interval", "not defined, see note"),
    note("nearest", "1", "whole, from 0", "index of the nearest training picture", NEVER),
    note("copies", "pictures", "whole, from 1", "how often that picture is in the training set", NEVER),
    note("distance", "values from 0 to 1", "from 0", "Euclidean distance to it", NEVER),
    note(
        "calibrated",
        "1",
        "from 0",
        "distance over that from the nearest picture to its own nearest neighbour at another place; below 0.8 the sample is labelled a copy",
        "all training pictures are equal",
    ),
    note(
        "denoising",
        "sample values",
        "from 0",
        "root mean square error of denoising at σ = 1",
        "the model has no denoiser",
    ),
    note(
        "guidance",
        "sample values",
        "from 0",
        "the largest change of the picture denoised at σ = 1 by naming a class, root mean square",
        "the model has no denoiser, or no classes",
    ),
    note(
        "noise",
        "1",
        "from 0",
        "norm of the noise that the probability flow takes the sample to, over √D",
        "the model has no denoiser",
    ),
    note("png", "bytes", "whole, above 0", "size of the sample's smallest PNG", NEVER),
    note("note", "text", "", "why a dimension is not known", "both are"),
];

/// Of judged pictures.
pub const OOD: &[Note] = &[
    SEED,
    note(
        "verdict",
        "text",
        "in, off the manifold, dense but without mass, unknown",
        "what the two places say (theory, 32)",
        NEVER,
    ),
    note(
        "log_likelihood",
        "nats",
        "any real number",
        "ln p of the picture with noise σ, every term included",
        "not finite",
    ),
    note("dimension", "dimensions", "any real number", "local dimension by FLIPD at σ", "not finite"),
    note("likelihood_place", "1", "0 to 1", "share of the fit's pictures whose likelihood is not higher", "not finite"),
    note("dimension_place", "1", "0 to 1", "share of the fit's pictures whose dimension is not higher", "not finite"),
];

/// Of noise levels.
pub const DENSITY: &[Note] = &[
    note("sigma", "sample values", "above 0", "noise level", NEVER),
    note("log_density", "nats", "any real number", "mean of ln p of the pictures with this noise", "not finite"),
    note("dimension", "dimensions", "any real number", "mean of FLIPD at this noise level", "not finite"),
    note("score", "1/values²", "from 0", "mean of ‖score‖²/D at noised pictures", "not finite"),
];

/// Columns that `samples` has besides where there was a guard.
pub const GUARD: &[Note] = &[
    note(
        "guard",
        "text",
        "in, off the manifold, dense but without mass, unknown",
        "what the guard says of the picture (theory, 34)",
        "the columns of the guard are missing where there was none",
    ),
    note(
        "guard_log_likelihood",
        "nats",
        "any real number",
        "ln p of the picture with the noise of the guard's fit",
        "not finite",
    ),
    note(
        "guard_dimension",
        "dimensions",
        "any real number",
        "FLIPD of the picture at the noise level of the fit",
        "not finite",
    ),
    note("guard_caught", "1", "whole, from 0", "unusual places or pictures that were found on its way", NEVER),
    note("guard_resampled", "1", "whole, 0 to 12", "times it was made again from other noise", NEVER),
];
