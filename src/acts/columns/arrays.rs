//! Entries of the files that hold arrays instead of columns.

use super::{NEVER, NOT_FINITE, Note, note};

/// The arrays of `spectra.npz`.
pub const SPECTRA: &[Note] = &[
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

/// The arrays of a file of labels.
pub const LABELS: &[Note] = &[
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
