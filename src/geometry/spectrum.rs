//! The spectrum of a local Jacobian: singular values in f64, and the numbers that come straight from them.

use super::uncertainty::{ENTRY_ERROR, frobenius, rounding};

/// What an estimator found at one latent. Singular values are never NaN. Those that an estimator found from part of the
/// directions are not the leading ones of A; they only take their place.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// σ₁ ≥ σ₂ ≥ … ≥ 0, one per direction or dimension, zeros included.
    pub singular_values: Vec<f64>,
    /// The rotated latent z' = Vᵀz, in the order of the singular values (theory, 9b). The sign of each entry is
    /// arbitrary.
    pub rotated_latent: Vec<f64>,
    /// Standard errors of ψ_1, ψ_2, …, one per positive singular value. They cover rounding (as a bound) and, for an
    /// estimate, also the chance in the choice of directions. Infinite if the latter was not estimated.
    pub psi_stderr: Vec<f64>,
    /// Jackknife replicates: one spectrum for each set of directions left out. Empty if there was no jackknife.
    pub replicates: Vec<Replicate>,
    /// Dimension of the space that the directions were drawn from: d for directions in latent space, D in sample space.
    pub frame_of: usize,
    /// Number of directions used.
    pub n_directions: usize,
    /// Name of the estimator.
    pub estimator: &'static str,
    /// D, the number of values in a sample.
    pub sample_width: usize,
    /// Radius h of a stencil; `None` for other estimators.
    pub h: Option<f64>,
}

/// A spectrum with one set of directions left out.
#[derive(Clone, Debug)]
pub struct Replicate {
    /// Singular values, descending.
    pub singular_values: Vec<f64>,
    /// Vᵀz in the order of the singular values.
    pub rotated_latent: Vec<f64>,
}

/// The tolerance of the numerical rank, relative to σ₁ (theory, 1): 128 · eps(f32) · √(8 · max(D, d)). A forward pass
/// in f32 leaves a relative error of a few eps in each entry of the Jacobian. A random matrix of such errors has a norm
/// of about √max(D, d) times the size of an entry, and singular values below that cannot be told from 0.
pub fn tolerance(sample_width: usize, latent_width: usize) -> f64 {
    128.0 * f64::from(f32::EPSILON) * (8.0 * sample_width.max(latent_width) as f64).sqrt()
}

impl Spectrum {
    /// The spectrum of a whole Jacobian with `sample_width` rows, from its d singular values, descending, and Vᵀz in
    /// the same order. Its standard errors are the bound on rounding.
    pub fn whole(
        singular_values: Vec<f64>,
        rotated_latent: Vec<f64>,
        sample_width: usize,
        estimator: &'static str,
    ) -> Self {
        let d = singular_values.len();
        Self {
            rotated_latent,
            psi_stderr: rounding(&singular_values, ENTRY_ERROR * frobenius(&singular_values)),
            singular_values,
            replicates: Vec::new(),
            frame_of: d,
            n_directions: d,
            estimator,
            sample_width,
            h: None,
        }
    }

    /// Standard error of ψ_k; infinite if it is not known or ψ_k is not defined.
    pub fn psi_stderr(&self, k: usize) -> f64 {
        k.checked_sub(1).and_then(|i| self.psi_stderr.get(i)).copied().unwrap_or(f64::INFINITY)
    }

    /// The numerical rank r: the number of singular values above [`tolerance`]·σ₁. Not the local rank ν (theory, 3).
    pub fn rank(&self) -> usize {
        let Some(&first) = self.singular_values.first() else { return 0 };
        let cut = tolerance(self.sample_width, self.n_directions) * first;
        self.singular_values.iter().filter(|s| **s > cut && **s > 0.0).count()
    }
}

/// ψ_k = Σ_{i ≤ k} ln σ_i in nats (theory, 1b), from descending singular values. `None` if one of the k is 0, if there
/// are fewer than k, or for k = 0.
pub fn psi_k(singular_values: &[f64], k: usize) -> Option<f64> {
    let leading = singular_values.get(..k).filter(|s| !s.is_empty() && s.iter().all(|v| *v > 0.0))?;
    Some(leading.iter().map(|s| s.ln()).sum())
}

/// LID_s (theory, 9b): the intrinsic dimension at s = `scale` (above 0) of the generator, taken as its local linear
/// map,
///
/// Σ_i [σ_i²/(σ_i² + s²) + s²σ_i²z'_i²/(σ_i² + s²)²]  with z' = Vᵀz.
///
/// It equals FLIPD (29) of that map's exact score. The two slices have one entry per singular value, in the same order.
pub fn spectral_dimension(singular_values: &[f64], rotated_latent: &[f64], scale: f64) -> f64 {
    let term = |(sigma, z): (&f64, &f64)| {
        // Computed from σ/s, so that squares of small numbers do not underflow.
        let square = (sigma / scale).powi(2);
        if square.is_infinite() { 1.0 } else { square / (square + 1.0) + square * z.powi(2) / (square + 1.0).powi(2) }
    };
    singular_values.iter().zip(rotated_latent).map(term).sum()
}

/// The model rank: the largest k with σ_k/σ₁ > 1e-2 in at least 99 % of `spectra`, each a list of descending singular
/// values (theory, 1b). Empty lists are skipped; 0 if there are no others.
pub fn model_rank(spectra: &[Vec<f64>]) -> usize {
    let strong = |s: &Vec<f64>| s.iter().filter(|v| **v > 1e-2 * s[0]).count();
    let mut counts: Vec<usize> = spectra.iter().filter(|s| !s.is_empty()).map(strong).collect();
    counts.sort_unstable();
    // At least 99 % of the sorted counts are no smaller than the one at the 1 % position.
    counts.get(counts.len() / 100).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_rank_is_the_one_percent_quantile() {
        let strong = vec![1.0, 0.5, 0.02];
        let weak = vec![1.0, 0.5, 0.005];
        let mut spectra = vec![strong; 199];
        spectra.push(weak.clone());
        assert_eq!(model_rank(&spectra), 3);
        spectra.extend([weak.clone(), weak]);
        assert_eq!(model_rank(&spectra), 2);
    }

    #[test]
    fn zero_values_are_no_number() {
        assert_eq!(psi_k(&[2.0, 0.0], 2), None);
        assert_eq!(psi_k(&[2.0], 2), None);
        assert_eq!(psi_k(&[], 0), None);
        assert_eq!(psi_k(&[1.0, 1.0], 2), Some(0.0));
    }
}
