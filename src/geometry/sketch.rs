//! From the products of a Jacobian A (`[D, d]`) with P directions to a spectrum and its uncertainty.
//!
//! ```text
//! inputs:   A·B, B = (b_1 … b_P) of d rows     →  σ of A restricted to the span of B (theory, 8 and 9)
//! outputs:  W·A, W = (w_1; …; w_P) of D columns  →  σ of A seen through W, scaled to remove the bias (theory, 7)
//! ```
//!
//! Either way the singular values are the roots of the eigenvalues of a Gram matrix in f64. The same matrix without one
//! set of directions after another gives the replicates of a jackknife (theory, 6b). All of them are solved in one
//! call.

use super::spectrum::{Replicate, Spectrum};
use super::uncertainty::{
    ENTRY_ERROR, frobenius, jackknife, jackknife_sets, projected_log_det, projected_shift, rounding,
};
use crate::linalg::{Tridiagonal, eigenvalues_along, gram_of_columns, gram_of_rows};
use std::ops::Range;

/// The products of one Jacobian with P directions, and what else is needed to turn them into a spectrum.
pub struct Sketch<'a> {
    /// Name of the estimator.
    pub estimator: &'static str,
    /// Row p is A·b_p (`[P, D]`) or w_p·A (`[P, d]`), row-major. Empty if only [`problems`](Self::problems) and
    /// [`of_solved`](Self::of_solved) are used.
    pub products: &'a [f32],
    /// P, the number of directions.
    pub directions: usize,
    /// The latent z, `[d]`.
    pub latent: &'a [f32],
    /// D, the number of values in a sample.
    pub sample_width: usize,
    /// Radius h of a stencil; `None` for other estimators.
    pub h: Option<f64>,
    /// Frobenius norm of the numerical error of the products, over and above that of any pass in f32: the cancellation
    /// in a stencil.
    pub error: f64,
    /// Upper bound on the number of sets of directions that the jackknife leaves out in turn; below 2 for no jackknife.
    pub replicates: usize,
}

impl Sketch<'_> {
    /// The spectrum of A·B from `products` `[P, D]`; `frame` holds the b_p as rows, `[P, d]`. Its singular values are
    /// those of A restricted to the subspace; they are not scaled up to those of A. `None` if a product is not finite.
    pub fn of_inputs(&self, frame: &[f32]) -> Option<Spectrum> {
        let problems = || self.problems(&gram_of_rows(self.products, self.directions), frame);
        self.is_finite().then(|| self.of_solved(eigenvalues_along(&problems())))
    }

    /// The eigenvalue problems from which the spectrum of A·B is made. They need only M = (A·B)ᵀ(A·B), given as `gram`
    /// (`[P, P]`), and not `products`, so the problems of many latents can be solved together. The first is M itself;
    /// each of the others is M without one set of directions, for the jackknife. `frame` holds the b_p as rows, `[P,
    /// d]`.
    pub fn problems(&self, gram: &[f64], frame: &[f32]) -> Vec<Tridiagonal> {
        let d = self.latent.len();
        let inside: Vec<f64> = frame.chunks_exact(d).map(|b| dot(b, self.latent)).collect();
        let sets = if self.directions < d { self.sets() } else { Vec::new() };
        std::iter::once(&(0..0)).chain(&sets).map(|out| without(gram, &inside, out)).collect()
    }

    /// The spectrum of A·B from the solutions of [`problems`](Self::problems), in the same order.
    pub fn of_solved(&self, solved: Vec<(Vec<f64>, Vec<f64>)>) -> Spectrum {
        let spectrum = |(values, rotated_latent)| Replicate { singular_values: roots(values), rotated_latent };
        self.spectrum(solved.into_iter().map(spectrum).collect(), self.latent.len())
    }

    /// The spectrum of W·A from `products` `[P, d]`, scaled to remove its bias: a random projection shifts the mean of
    /// ln det by an amount that does not depend on A ([`projected_log_det`]). With P ≥ d, ψ at the rank r estimates the
    /// ψ of A. With fewer, and for a map of full rank, it estimates the mean of ψ over random P-dimensional subspaces,
    /// as [`of_inputs`](Self::of_inputs) does. `None` if a product is not finite.
    pub fn of_outputs(&self) -> Option<Spectrum> {
        if !self.is_finite() {
            return None;
        }
        let (p, d) = (self.directions, self.latent.len());
        let wide = p <= d;
        let sets = if p < self.sample_width { self.sets() } else { Vec::new() };
        let all = std::iter::once(&(0..0)).chain(&sets);
        let problems: Vec<Tridiagonal> = if wide {
            let gram = gram_of_rows(self.products, p);
            let images: Vec<f64> = self.products.chunks_exact(d).map(|row| dot(row, self.latent)).collect();
            all.map(|out| without(&gram, &images, out)).collect()
        } else {
            let gram = gram_of_columns(self.products, d);
            let z: Vec<f64> = self.latent.iter().map(|v| f64::from(*v)).collect();
            let rows = |out: &Range<usize>| gram_of_columns(&self.products[out.start * d..out.end * d], d);
            let less = |out| gram.iter().zip(rows(out)).map(|(all, out)| all - out).collect();
            all.map(|out| Tridiagonal::of(less(out), z.clone())).collect()
        };
        let spectrum = |(i, (values, along)): (usize, (Vec<f64>, Vec<f64>))| {
            let directions = p - i.checked_sub(1).map_or(0, |i| sets[i].len());
            let values = roots(values);
            let along = if wide { over(along, &values) } else { along };
            let (singular_values, rotated_latent) = sorted(self.unbiased(directions, values), along);
            Replicate { singular_values, rotated_latent }
        };
        let found = eigenvalues_along(&problems).into_iter().enumerate().map(spectrum).collect();
        let mut found = self.spectrum(found, self.sample_width);
        let rank = found.rank();
        if p >= d && rank > 0 {
            // At k = r the standard error is known in closed form and replaces that of the jackknife.
            let (_, variance) = projected_log_det(p, rank, self.sample_width);
            let numeric = rounding(&found.singular_values, self.noise(&found.singular_values))[rank - 1];
            found.psi_stderr[rank - 1] = variance.sqrt().hypot(numeric);
        }
        Some(found)
    }

    /// Singular values of W·A from `directions` rows, scaled up. With P ≥ d each gets the factor of its own
    /// [`projected_shift`], so that ψ over all of them has no bias at any rank. With fewer, all get the same factor:
    /// the one for the mean over subspaces of a map of full rank. The factors depend only on P, d and D, so they cannot
    /// change the order of latents.
    fn unbiased(&self, directions: usize, values: Vec<f64>) -> Vec<f64> {
        let (d, width) = (self.latent.len(), self.sample_width);
        if self.directions < d {
            let (shift, _) = projected_log_det(directions, d, width);
            let factor = (-shift / directions.max(1) as f64).exp();
            return values.into_iter().map(|s| s * factor).collect();
        }
        let factor = |i: usize| if i <= directions { (-projected_shift(directions, i, width)).exp() } else { 1.0 };
        values.into_iter().enumerate().map(|(i, s)| s * factor(i + 1)).collect()
    }

    /// The sets of directions that the jackknife leaves out.
    fn sets(&self) -> Vec<Range<usize>> {
        jackknife_sets(self.directions, self.replicates)
    }

    fn is_finite(&self) -> bool {
        self.products.iter().chain(self.latent).all(|v| v.is_finite()) && self.h.is_none_or(|h| h > 0.0)
    }

    /// Frobenius norm of the numerical error of the products: that of the pass in f32 together with `error`.
    fn noise(&self, singular_values: &[f64]) -> f64 {
        self.error.hypot(ENTRY_ERROR * frobenius(singular_values))
    }

    /// The spectrum made from `found`, which holds the one from all directions, then those without one set each. `of`
    /// is the dimension of the space that the directions were drawn from.
    fn spectrum(&self, mut found: Vec<Replicate>, of: usize) -> Spectrum {
        let Replicate { singular_values, rotated_latent } = found.remove(0);
        let replicates = found;
        let numeric = rounding(&singular_values, self.noise(&singular_values));
        let running: Vec<Vec<Option<f64>>> = replicates.iter().map(|r| running_psi(&r.singular_values)).collect();
        let by_chance = |k: usize| {
            // If fewer than k directions are left in a replicate, its ψ_k is taken over all that are left.
            let values = running.iter().map(|r| r.get(k.min(r.len()).wrapping_sub(1)).copied().flatten());
            jackknife(&values.collect::<Vec<_>>(), self.directions, of)
        };
        let missing = if self.directions < of { f64::INFINITY } else { 0.0 };
        let psi_stderr =
            numeric.iter().enumerate().map(|(i, n)| n.hypot(by_chance(i + 1).unwrap_or(missing))).collect();
        Spectrum {
            singular_values,
            rotated_latent,
            psi_stderr,
            replicates,
            frame_of: of,
            n_directions: self.directions,
            estimator: self.estimator,
            sample_width: self.sample_width,
            h: self.h,
        }
    }
}

/// ψ_1, ψ_2, …, one per singular value; `None` from the first zero onwards.
fn running_psi(singular_values: &[f64]) -> Vec<Option<f64>> {
    let add = |sum: &mut Option<f64>, s: &f64| {
        *sum = sum.filter(|_| *s > 0.0).map(|sum| sum + s.ln());
        Some(*sum)
    };
    singular_values.iter().scan(Some(0.0), add).collect()
}

/// A Gram matrix over directions (`[P, P]`) and a vector over them (`[P]`), with the rows, columns and entries of `out`
/// removed.
fn without(gram: &[f64], along: &[f64], out: &Range<usize>) -> Tridiagonal {
    let p = along.len();
    let kept: Vec<usize> = (0..p).filter(|i| !out.contains(i)).collect();
    let part = kept.iter().flat_map(|i| kept.iter().map(move |j| gram[i * p + j])).collect();
    Tridiagonal::of(part, kept.iter().map(|i| along[*i]).collect())
}

/// Singular values √λ from the eigenvalues of a Gram matrix; eigenvalues that rounding made negative count as 0.
fn roots(eigenvalues: Vec<f64>) -> Vec<f64> {
    eigenvalues.into_iter().map(|v| v.max(0.0).sqrt()).collect()
}

/// Sorts the pairs (singular value, entry of Vᵀz) by descending singular value.
fn sorted(singular_values: Vec<f64>, rotated: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut pairs: Vec<(f64, f64)> = singular_values.into_iter().zip(rotated).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs.into_iter().unzip()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// values / by, entry by entry, and 0 where the divisor is 0.
fn over(values: Vec<f64>, by: &[f64]) -> Vec<f64> {
    values.into_iter().zip(by).map(|(v, s)| if *s > 0.0 { v / s } else { 0.0 }).collect()
}
