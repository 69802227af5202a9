//! From the products of a Jacobian with P directions to a spectrum with its uncertainty.

use super::spectrum::{Replicate, Spectrum};
use super::uncertainty::{ENTRY_ERROR, frobenius, jackknife, left_out, projected_log_det, projected_shift, rounding};
use crate::linalg::{Tridiagonal, eigenvalues_along, gram_of_columns, gram_of_rows};
use std::ops::Range;

/// P products of one Jacobian, and what is needed to read them.
pub struct Sketch<'a> {
    /// Name of the estimator.
    pub estimator: &'static str,
    /// `[P, width]`: A·b_p (width D) or w_p·A (width d).
    pub products: &'a [f32],
    /// P.
    pub directions: usize,
    /// The latent z, `[d]`.
    pub latent: &'a [f32],
    /// D.
    pub sample_width: usize,
    /// Radius of a stencil.
    pub h: Option<f64>,
    /// Norm of the error of the products beside that of the directions' choice.
    pub error: f64,
    /// Sets that the jackknife leaves out; under 2 for none.
    pub replicates: usize,
}

impl Sketch<'_> {
    /// Spectrum of A·B from its columns; `frame` holds the rows b_p, `[P, d]`. The singular values are
    /// those of A restricted to the subspace, not scaled up. `None` where a product is not finite.
    pub fn of_inputs(&self, frame: &[f32]) -> Option<Spectrum> {
        let problems = || self.problems(&gram_of_rows(self.products, self.directions), frame);
        self.is_finite().then(|| self.of_solved(eigenvalues_along(&problems())))
    }

    /// What is to be solved for the spectrum of A·B, from M = (A·B)ᵀ(A·B) alone, `[P, P]` in f64, with no `products`: M
    /// and, for the jackknife, M without each of the sets.
    pub fn problems(&self, gram: &[f64], frame: &[f32]) -> Vec<Tridiagonal> {
        let d = self.latent.len();
        let inside: Vec<f64> = frame.chunks_exact(d).map(|b| dot(b, self.latent)).collect();
        let sets = if self.directions < d { self.sets() } else { Vec::new() };
        std::iter::once(&(0..0)).chain(&sets).map(|out| without(gram, &inside, out)).collect()
    }

    /// The spectrum from what [`problems`](Self::problems) had as solutions.
    pub fn of_solved(&self, solved: Vec<(Vec<f64>, Vec<f64>)>) -> Spectrum {
        let spectrum = |(values, rotated_latent)| Replicate { singular_values: roots(values), rotated_latent };
        self.spectrum(solved.into_iter().map(spectrum).collect(), self.latent.len())
    }

    /// Spectrum of W·A from its rows w_p·A, scaled so that ψ has no bias of its own: by
    /// [`projected_log_det`] the mean of ln det is shifted by a known amount that does not depend on A.
    /// With P ≥ d directions ψ at the rank r estimates the ψ of A; with fewer, the mean of ψ over random
    /// P-dimensional subspaces, as [`of_inputs`](Self::of_inputs) does, for a map of full rank. `None` where a product is
    /// not finite.
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
            // The closed form in place of the jackknife, at the one k where it holds.
            let (_, variance) = projected_log_det(p, rank, self.sample_width);
            let numeric = rounding(&found.singular_values, self.noise(&found.singular_values))[rank - 1];
            found.psi_stderr[rank - 1] = variance.sqrt().hypot(numeric);
        }
        Some(found)
    }

    /// Singular values of W·A from P = `directions` rows, scaled up. With P ≥ d each by its own
    /// [`projected_shift`], so that ψ over all of them has no bias at any rank; with fewer all by the same
    /// factor, for the mean over subspaces of a map of full rank. The factors depend on nothing but P, d
    /// and D, so they do not change the order of latents.
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

    fn sets(&self) -> Vec<std::ops::Range<usize>> {
        left_out(self.directions, self.replicates)
    }

    fn is_finite(&self) -> bool {
        self.products.iter().chain(self.latent).all(|v| v.is_finite()) && self.h.is_none_or(|h| h > 0.0)
    }

    fn noise(&self, singular_values: &[f64]) -> f64 {
        self.error.hypot(ENTRY_ERROR * frobenius(singular_values))
    }

    /// From the spectrum of all directions and those without some, in this order.
    fn spectrum(&self, mut found: Vec<Replicate>, of: usize) -> Spectrum {
        let Replicate { singular_values, rotated_latent } = found.remove(0);
        let replicates = found;
        let numeric = rounding(&singular_values, self.noise(&singular_values));
        let running: Vec<Vec<Option<f64>>> = replicates.iter().map(|r| running_psi(&r.singular_values)).collect();
        let by_chance = |k: usize| {
            // ψ over all directions is left with one set fewer: what is left of it.
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

/// ψ_1, ψ_2, …; `None` from the first singular value on that is zero.
fn running_psi(singular_values: &[f64]) -> Vec<Option<f64>> {
    let add = |sum: &mut Option<f64>, s: &f64| {
        *sum = sum.filter(|_| *s > 0.0).map(|sum| sum + s.ln());
        Some(*sum)
    };
    singular_values.iter().scan(Some(0.0), add).collect()
}

/// A Gram matrix of directions and a vector over them, without the directions of `out`.
fn without(gram: &[f64], along: &[f64], out: &Range<usize>) -> Tridiagonal {
    let p = along.len();
    let kept: Vec<usize> = (0..p).filter(|i| !out.contains(i)).collect();
    let part = kept.iter().flat_map(|i| kept.iter().map(move |j| gram[i * p + j])).collect();
    Tridiagonal::of(part, kept.iter().map(|i| along[*i]).collect())
}

/// Singular values from the eigenvalues of a Gram matrix; those that rounding made negative are 0.
fn roots(eigenvalues: Vec<f64>) -> Vec<f64> {
    eigenvalues.into_iter().map(|v| v.max(0.0).sqrt()).collect()
}

/// Singular values and what goes with them, in descending order again.
fn sorted(singular_values: Vec<f64>, rotated: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut pairs: Vec<(f64, f64)> = singular_values.into_iter().zip(rotated).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs.into_iter().unzip()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Entry by entry; 0 where the divisor is 0.
fn over(values: Vec<f64>, by: &[f64]) -> Vec<f64> {
    values.into_iter().zip(by).map(|(v, s)| if *s > 0.0 { v / s } else { 0.0 }).collect()
}
