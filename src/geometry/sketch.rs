//! From the products of a Jacobian with P directions to a spectrum with its uncertainty.

use super::spectrum::{Replicate, Spectrum};
use super::uncertainty::{
    ENTRY_ERROR, frobenius, jackknife, left_out, projected_log_det, projected_shift, rounding, without,
};
use crate::linalg::{eigenvalues_along, right_singular, symmetric_singular};
use nalgebra::{DMatrix, DVector};

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
        if !self.is_finite() {
            return None;
        }
        let d = self.latent.len();
        let p = self.directions;
        let inside: Vec<f64> = frame.chunks_exact(d).map(|b| dot(b, self.latent)).collect();
        let found = right_singular(self.products, p, self.products.len() / p);
        let rotated = rotate(&found.vectors, &inside, &(0..p).collect::<Vec<_>>());
        let replicates = if p < d {
            let gram = gram(self.products, p);
            self.sets()
                .iter()
                .map(|out| {
                    let (singular_values, vectors, kept) = without(&gram, out);
                    Replicate { rotated_latent: rotate(&vectors, &inside, &kept), singular_values }
                })
                .collect()
        } else {
            Vec::new()
        };
        Some(self.spectrum(found.singular_values, rotated, found.by_qr, replicates, d))
    }

    /// As [`of_inputs`](Self::of_inputs) from M = (A·B)ᵀ(A·B) alone, `[P, P]` in f64, with no `products`.
    pub fn of_gram(&self, gram: &[f64], frame: &[f32]) -> Spectrum {
        let (p, d) = (self.directions, self.latent.len());
        let inside: Vec<f64> = frame.chunks_exact(d).map(|b| dot(b, self.latent)).collect();
        let spectrum_of = |kept: &[usize]| {
            let part: Vec<f64> = kept.iter().flat_map(|i| kept.iter().map(move |j| gram[i * p + j])).collect();
            let (values, rotated_latent) =
                eigenvalues_along(&part, &kept.iter().map(|i| inside[*i]).collect::<Vec<_>>());
            Replicate { singular_values: values.iter().map(|v| v.max(0.0).sqrt()).collect(), rotated_latent }
        };
        let without = |out: &std::ops::Range<usize>| (0..p).filter(|i| !out.contains(i)).collect::<Vec<_>>();
        let sets = if p < d { self.sets() } else { Vec::new() };
        let replicates = sets.iter().map(|out| spectrum_of(&without(out))).collect();
        let whole = spectrum_of(&(0..p).collect::<Vec<_>>());
        self.spectrum(whole.singular_values, whole.rotated_latent, false, replicates, d)
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
        let z: Vec<f64> = self.latent.iter().map(|v| f64::from(*v)).collect();
        let wide = p <= d;
        let (singular_values, rotated, by_qr) = if wide {
            let found = right_singular(self.products, p, d);
            let images: Vec<f64> = self.products.chunks_exact(d).map(|row| dot(row, self.latent)).collect();
            let rotated = rotate(&found.vectors, &images, &(0..p).collect::<Vec<_>>());
            (found.singular_values.clone(), over(rotated, &found.singular_values), found.by_qr)
        } else {
            let columns: Vec<f32> =
                (0..d).flat_map(|j| (0..p).map(move |i| (i, j))).map(|(i, j)| self.products[i * d + j]).collect();
            let found = right_singular(&columns, d, p);
            let rotated = rotate(&found.vectors, &z, &(0..d).collect::<Vec<_>>());
            (found.singular_values, rotated, found.by_qr)
        };
        let scale = |directions: usize, values: Vec<f64>| self.unbiased(directions, values);
        let replicates = if p < self.sample_width { self.output_replicates(&z, &scale) } else { Vec::new() };
        let (singular_values, rotated) = sorted(scale(p, singular_values), rotated);
        let mut found = self.spectrum(singular_values, rotated, by_qr, replicates, self.sample_width);
        let rank = found.rank();
        if p >= d && rank > 0 {
            // The closed form in place of the jackknife, at the one k where it holds.
            let (_, variance) = projected_log_det(p, rank, self.sample_width);
            let numeric = rounding(&found.singular_values, self.noise(&found.singular_values))[rank - 1];
            found.psi_stderr[rank - 1] = variance.sqrt().hypot(numeric);
        }
        Some(found)
    }

    fn output_replicates(&self, z: &[f64], scale: &dyn Fn(usize, Vec<f64>) -> Vec<f64>) -> Vec<Replicate> {
        let (p, d) = (self.directions, self.latent.len());
        let sets = self.sets();
        let left = |out: &std::ops::Range<usize>| p - out.len();
        if p <= d {
            let gram = gram(self.products, p);
            let images: Vec<f64> = self.products.chunks_exact(d).map(|row| dot(row, self.latent)).collect();
            return sets
                .iter()
                .map(|out| {
                    let (singular_values, vectors, kept) = without(&gram, out);
                    let rotated = over(rotate(&vectors, &images, &kept), &singular_values);
                    let (singular_values, rotated_latent) = sorted(scale(left(out), singular_values), rotated);
                    Replicate { rotated_latent, singular_values }
                })
                .collect();
        }
        let w = DMatrix::from_row_iterator(p, d, self.products.iter().map(|v| f64::from(*v)));
        let whole = w.tr_mul(&w);
        sets.iter()
            .map(|out| {
                let part = w.rows(out.start, out.len());
                let (singular_values, vectors) = symmetric_singular(&whole - part.tr_mul(&part));
                let rotated = rotate(&vectors, z, &(0..d).collect::<Vec<_>>());
                let (singular_values, rotated_latent) = sorted(scale(left(out), singular_values), rotated);
                Replicate { rotated_latent, singular_values }
            })
            .collect()
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

    fn spectrum(
        &self,
        singular_values: Vec<f64>,
        rotated_latent: Vec<f64>,
        by_qr: bool,
        replicates: Vec<Replicate>,
        of: usize,
    ) -> Spectrum {
        let numeric = rounding(&singular_values, self.noise(&singular_values));
        let by_chance = |k: usize| {
            // ψ over all directions is left with one set fewer: what is left of it.
            let values = replicates.iter().map(|r| super::psi_k(&r.singular_values, k.min(r.singular_values.len())));
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
            by_qr,
        }
    }
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

/// Vᵀx over the kept entries of x.
fn rotate(vectors: &DMatrix<f64>, x: &[f64], kept: &[usize]) -> Vec<f64> {
    let x = DVector::from_iterator(kept.len(), kept.iter().map(|i| x[*i]));
    vectors.tr_mul(&x).as_slice().to_vec()
}

/// Entry by entry; 0 where the divisor is 0.
fn over(values: Vec<f64>, by: &[f64]) -> Vec<f64> {
    values.into_iter().zip(by).map(|(v, s)| if *s > 0.0 { v / s } else { 0.0 }).collect()
}

fn gram(products: &[f32], directions: usize) -> DMatrix<f64> {
    let width = products.len() / directions;
    let rows = DMatrix::from_row_iterator(directions, width, products.iter().map(|v| f64::from(*v)));
    &rows * rows.transpose()
}
