//! Samples as arrays: the format of a tile's file and of `spectra.npz`.

use crate::error::{Error, Result};
use crate::geometry::{Complexity, Spectrum};
use crate::store::Arrays;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of the format of these files.
pub const FORMAT: u32 = 2;

/// One measured sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its seed or row number.
    pub number: u64,
    /// z, `[latent width]`.
    pub latent: Vec<f32>,
    /// Root mean square of G(z) − x, if z was found for a picture x.
    pub residual: Option<f64>,
    /// Its spectrum, without the jackknife's replicates; `None` if something was not finite.
    pub spectrum: Option<Spectrum>,
    /// Its sign changes, if they were counted.
    pub complexity: Option<Complexity>,
    /// Standard errors found from the replicates, by column.
    pub stderr: BTreeMap<String, f64>,
}

/// What a file says about its arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Version of this format; 2.
    pub format: u32,
    /// SHA-256 of the arrays and of this text with an empty hash. If the numbers were changed later, the hash no longer
    /// fits and the file counts as damaged.
    pub sha256: String,
    /// The run it belongs to.
    pub run_id: String,
    /// The tile; absent in a file of a whole run.
    pub tile: Option<u64>,
    /// Model id.
    pub model: String,
    /// SHA-256 of the model.
    pub model_sha256: String,
    /// What numbers the samples: `seed` or `row`.
    pub column: String,
    /// Estimator of the spectra.
    pub estimator: String,
    /// P, the number of directions.
    pub n_directions: usize,
    /// Dimension of the space that the directions were drawn from.
    pub frame_of: usize,
    /// D, the number of values of a picture.
    pub sample_width: usize,
    /// Names of the columns of the array `stderr`.
    pub stderr: Vec<String>,
}

/// Up to here every whole number is one of f64, in which arrays are stored.
const EXACT: u64 = 1 << 53;

/// The part of a number that f64 holds exactly: all of it up to [`EXACT`], its leading 53 bits beyond.
fn high(number: u64) -> u64 {
    if number > EXACT { number & !0x7ff } else { number }
}

/// Packs samples into a file; the hash is filled in. Numbers beyond 2^53 are the sum of the arrays `samples` and
/// `samples_low`; where there are none, the second is left out.
///
/// # Errors
/// [`Error::Bug`].
pub fn pack(about: &About, samples: &[Sample]) -> Result<Vec<u8>> {
    let n = samples.len();
    let d = samples.first().map_or(0, |s| s.latent.len());
    let spectra = || samples.iter().map(|s| s.spectrum.as_ref());
    let width = spectra().flatten().map(|s| s.singular_values.len()).max().unwrap_or(0);
    let layers = samples.iter().filter_map(|s| s.complexity.as_ref()).map(|c| c.layers.len()).max().unwrap_or(0);
    let padded = |of: fn(&Spectrum) -> &[f64]| {
        spectra().flat_map(move |s| {
            let values = s.map_or(&[][..], of);
            (0..width).map(|i| values.get(i).copied().unwrap_or(f64::NAN)).collect::<Vec<_>>()
        })
    };
    let mut arrays = Arrays::default();
    arrays.insert("samples", &[n], samples.iter().map(|s| high(s.number) as f64).collect());
    if samples.iter().any(|s| s.number > EXACT) {
        let low = samples.iter().map(|s| (s.number - high(s.number)) as f64);
        arrays.insert("samples_low", &[n], low.collect());
    }
    arrays.insert("latents", &[n, d], samples.iter().flat_map(|s| &s.latent).map(|v| f64::from(*v)).collect());
    arrays.insert("residuals", &[n], samples.iter().map(|s| s.residual.unwrap_or(f64::NAN)).collect());
    arrays.insert("h", &[n], spectra().map(|s| s.and_then(|s| s.h).unwrap_or(f64::NAN)).collect());
    arrays.insert("singular_values", &[n, width], padded(|s| &s.singular_values).collect());
    arrays.insert("rotated_latents", &[n, width], padded(|s| &s.rotated_latent).collect());
    arrays.insert("psi_stderr", &[n, width], padded(|s| &s.psi_stderr).collect());
    let counts = samples.iter().flat_map(|s| {
        let found = s.complexity.as_ref().map(|c| &c.layers);
        (0..layers).map(move |i| found.and_then(|l| l.get(i)).map_or(f64::NAN, |n| *n as f64))
    });
    arrays.insert("complexity", &[n, layers], counts.collect());
    let counted = samples.iter().map(|s| f64::from(u8::from(s.complexity.is_some())));
    arrays.insert("complexity_counted", &[n], counted.collect());
    let errors = samples.iter().flat_map(|s| about.stderr.iter().map(|c| s.stderr.get(c).copied().unwrap_or(f64::NAN)));
    arrays.insert("stderr", &[n, about.stderr.len()], errors.collect());
    let text = |about: &About| serde_json::to_string(about).map_err(|e| Error::Bug(e.to_string()));
    arrays.about = text(&About { sha256: String::new(), ..about.clone() })?;
    arrays.about = text(&About { sha256: arrays.sha256(), ..about.clone() })?;
    arrays.to_npz()
}

/// The part of a file's header that every version of the format has.
#[derive(Deserialize)]
pub struct Head {
    /// Version of the format.
    pub format: u32,
    /// The run it belongs to.
    pub run_id: String,
}

/// Reads the arrays of such a file and which run they belong to. Nothing else is checked yet.
///
/// # Errors
/// [`Error::Input`] if it is not a whole file of this kind.
pub fn open(path: &Path) -> Result<(Head, Arrays)> {
    let arrays = Arrays::read_npz(path)?;
    let head = serde_json::from_str(&arrays.about).map_err(|e| bad(path, &format!("isoline.json: {e}")))?;
    Ok((head, arrays))
}

fn bad(path: &Path, message: &str) -> Error {
    Error::input(path, format!("expected spectra that isoline describe has written: {message}"))
}

/// Reads the samples of such a file.
///
/// # Errors
/// [`Error::Input`] if it is damaged or written by another program.
pub fn unpack(path: &Path) -> Result<(About, Vec<Sample>)> {
    let (head, arrays) = open(path)?;
    if head.format != FORMAT {
        return Err(bad(path, &format!("format {}, expected {FORMAT}; describe the samples again", head.format)));
    }
    samples(path, arrays)
}

/// The samples in the arrays of an opened file, which must be of this version.
///
/// # Errors
/// Those of [`unpack`].
pub fn samples(path: &Path, mut arrays: Arrays) -> Result<(About, Vec<Sample>)> {
    let bad = |m: &str| bad(path, m);
    let about: About = serde_json::from_str(&arrays.about).map_err(|e| bad(&format!("isoline.json: {e}")))?;
    let blank = About { sha256: String::new(), ..about.clone() };
    arrays.about = serde_json::to_string(&blank).map_err(|e| Error::Bug(e.to_string()))?;
    if arrays.sha256() != about.sha256 {
        return Err(bad("its numbers do not fit the hash in it"));
    }
    let estimator = crate::geometry::estimator_row(&about.estimator).map_err(|_| bad("unknown estimator"))?.0.name;
    let get = |name: &str, rank: usize| {
        let found = arrays.arrays.get(name).filter(|a| a.shape.len() == rank);
        found.ok_or_else(|| bad(&format!("array \"{name}\" is missing or of another rank")))
    };
    let numbers = get("samples", 1)?;
    let n = numbers.values.len();
    let low = arrays.arrays.get("samples_low");
    if low.is_some_and(|l| l.values.len() != n) {
        return Err(bad("array \"samples_low\" is of another length"));
    }
    let rows = |name: &str| -> Result<Vec<&[f64]>> {
        let array = get(name, 2)?;
        if array.shape[0] != n {
            return Err(bad(&format!("array \"{name}\" has {} rows, expected {n}", array.shape[0])));
        }
        let width = array.shape[1];
        Ok((0..n).map(|i| &array.values[i * width..(i + 1) * width]).collect())
    };
    let lists = ["residuals", "h", "complexity_counted"].map(|name| get(name, 1));
    let [residuals, h, counted] = lists;
    let (residuals, h, counted) = (&residuals?.values, &h?.values, &counted?.values);
    if [residuals, h, counted].iter().any(|l| l.len() != n) {
        return Err(bad("lists of different lengths"));
    }
    let (latents, values, rotated) = (rows("latents")?, rows("singular_values")?, rows("rotated_latents")?);
    let (errors, layers, stderr) = (rows("psi_stderr")?, rows("complexity")?, rows("stderr")?);
    if stderr.first().is_some_and(|s| s.len() != about.stderr.len()) {
        return Err(bad("array \"stderr\" does not fit its columns"));
    }
    let present = |v: &[f64]| v.iter().copied().take_while(|v| !v.is_nan()).collect::<Vec<f64>>();
    let some = |v: f64| (!v.is_nan()).then_some(v);
    let spectrum = |i: usize| Spectrum {
        singular_values: present(values[i]),
        rotated_latent: present(rotated[i]),
        psi_stderr: present(errors[i]),
        replicates: Vec::new(),
        frame_of: about.frame_of,
        n_directions: about.n_directions,
        estimator,
        sample_width: about.sample_width,
        h: some(h[i]),
    };
    let sample = |i: usize| Sample {
        number: (numbers.values[i] as u64).saturating_add(low.map_or(0, |l| l.values[i] as u64)),
        latent: latents[i].iter().map(|v| *v as f32).collect(),
        residual: some(residuals[i]),
        spectrum: Some(spectrum(i)).filter(|s| !s.singular_values.is_empty()),
        complexity: (counted[i] > 0.5)
            .then(|| Complexity { layers: present(layers[i]).into_iter().map(|n| n as u64).collect() }),
        stderr: about.stderr.iter().cloned().zip(stderr[i].iter().copied()).filter(|(_, v)| !v.is_nan()).collect(),
    };
    let samples = (0..n).map(sample).collect();
    Ok((about, samples))
}
