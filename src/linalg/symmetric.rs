//! Eigenvalues of a symmetric matrix together with one vector seen from its eigenvectors.

// Blocks of registers and parts of rows: indices say what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Simd, WithSimd};

/// Eigenvalues λ of the symmetric `a` (`[n, n]`, n = length of `z`), descending, and Vᵀz in the same order,
/// V the eigenvectors; the sign of each entry of Vᵀz is arbitrary, as that of an eigenvector is.
///
/// Householder reflections to tridiagonal form, then implicit QL (Golub & Van Loan, 8.3). V itself is never
/// formed: the reflections and rotations act on z alone, which leaves (4/3)n³ operations of the usual 9n³.
/// The absolute error of each eigenvalue is a small multiple of n·eps·λ₁.
pub fn eigenvalues_along(a: &[f64], z: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let n = z.len();
    let mut z = z.to_vec();
    let (mut diagonal, mut beside) = AutoArch::new().dispatch(Tridiagonal { a: a.to_vec(), n, z: &mut z });
    ql(&mut diagonal, &mut beside, &mut z);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| diagonal[*j].total_cmp(&diagonal[*i]));
    (order.iter().map(|i| diagonal[*i]).collect(), order.iter().map(|i| z[*i]).collect())
}

/// [`tridiagonal`] in the widest vector instructions of the processor.
struct Tridiagonal<'a> {
    a: Vec<f64>,
    n: usize,
    z: &'a mut [f64],
}

impl WithSimd for Tridiagonal<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> Self::Output {
        tridiagonal(self.a, self.n, self.z)
    }
}

/// Diagonal and subdiagonal (its last entry 0) of QᵀaQ; z becomes Qᵀz. The change of the matrix by one
/// reflection, −xyᵀ − yxᵀ, is made in the same pass over it as the product that the next one needs.
#[inline(always)]
fn tridiagonal(mut a: Vec<f64>, n: usize, z: &mut [f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut diagonal, mut beside) = (vec![0.0; n], vec![0.0; n]);
    let (mut x, mut y) = (vec![0.0; n], vec![0.0; n]);
    let (mut v, mut w) = (vec![0.0; n], vec![0.0; n]);
    for k in 0..n {
        for j in k..n {
            v[j] = a[k * n + j] - x[k] * y[j] - y[k] * x[j];
        }
        diagonal[k] = v[k];
        let first = k + 1;
        if first == n {
            break;
        }
        let tail: f64 = v[first + 1..].iter().map(|v| v * v).sum();
        let norm = (v[first] * v[first] + tail).sqrt();
        let mirrored = if v[first] > 0.0 { -norm } else { norm };
        // Where only zeros follow there is nothing to reflect.
        let tau = if tail == 0.0 { 0.0 } else { 2.0 / ((v[first] - mirrored).powi(2) + tail) };
        beside[k] = if tail == 0.0 { v[first] } else { mirrored };
        v[first] -= mirrored;
        w[first..].fill(0.0);
        for i in first..n {
            let (xi, yi, factor) = (x[i], y[i], tau * v[i]);
            let len = n - first;
            let (row, w) = (&mut a[i * n + first..][..len], &mut w[first..][..len]);
            let (x, y) = (&x[first..][..len], &y[first..][..len]);
            for j in 0..len {
                let changed = row[j] - xi * y[j] - yi * x[j];
                row[j] = changed;
                w[j] += factor * changed;
            }
        }
        let along: f64 = v[first..].iter().zip(&w[first..]).map(|(v, w)| v * w).sum();
        let half = 0.5 * tau * along;
        w[first..].iter_mut().zip(&v[first..]).for_each(|(w, v)| *w -= half * v);
        let seen = tau * v[first..].iter().zip(&z[first..]).map(|(v, z)| v * z).sum::<f64>();
        z[first..].iter_mut().zip(&v[first..]).for_each(|(z, v)| *z -= seen * v);
        std::mem::swap(&mut x, &mut v);
        std::mem::swap(&mut y, &mut w);
    }
    (diagonal, beside)
}

/// Implicit QL with Wilkinson's shift; z takes the rotations.
fn ql(d: &mut [f64], e: &mut [f64], z: &mut [f64]) {
    let n = d.len();
    for l in 0..n {
        loop {
            // The first subdiagonal entry from l on that is nothing beside its neighbours.
            let small = |m: &usize| e[*m].abs() <= f64::EPSILON * (d[*m].abs() + d[*m + 1].abs());
            let m = (l..n - 1).find(small).unwrap_or(n - 1);
            if m == l {
                break;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let mut r = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut split = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                r = (f * f + g * g).sqrt();
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    split = true;
                    break;
                }
                let inverse = 1.0 / r;
                (s, c) = (f * inverse, g * inverse);
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                let after = z[i + 1];
                z[i + 1] = s * z[i] + c * after;
                z[i] = c * z[i] - s * after;
            }
            if !split {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};

    /// Against nalgebra's eigenvectors. Both errors are a small multiple of n·eps·λ₁; where eigenvalues are
    /// apart by a gap, a component of Vᵀz is off by the error of the matrix over the gap.
    #[test]
    fn equals_nalgebra() {
        for n in [1usize, 2, 3, 10, 33, 100] {
            let j = DMatrix::from_fn(2 * n, n, |r, c| ((r * r * 7 + c * 13 + r * c) as f64 * 0.7).sin());
            let gram = j.transpose() * &j;
            let z: Vec<f64> = (0..n).map(|i| (i as f64 * 1.3).cos()).collect();
            let (values, along) = eigenvalues_along(gram.as_slice(), &z);
            let eigen = gram.clone().symmetric_eigen();
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
            let bound = 8.0 * n as f64 * f64::EPSILON * values[0];
            let size = z.iter().map(|v| v * v).sum::<f64>().sqrt();
            for (i, o) in order.iter().enumerate() {
                assert!((values[i] - eigen.eigenvalues[*o]).abs() <= bound, "n {n}: {i}");
                let expected = eigen.eigenvectors.column(*o).dot(&DVector::from_column_slice(&z));
                let near = |k: usize| values.get(k).map_or(f64::MAX, |v| (v - values[i]).abs());
                let gap = near(i + 1).min(if i == 0 { f64::MAX } else { near(i - 1) });
                let off = (along[i].abs() - expected.abs()).abs();
                assert!(off <= size * (2.0 * bound / gap + bound / values[0]), "n {n}: {i}: {off:e}, gap {gap:e}");
            }
        }
    }

    #[test]
    fn degenerate_matrices() {
        assert_eq!(eigenvalues_along(&[], &[]), (vec![], vec![]));
        assert_eq!(eigenvalues_along(&[0.0; 9], &[1.0, 2.0, 3.0]), (vec![0.0; 3], vec![1.0, 2.0, 3.0]));
        let (values, along) = eigenvalues_along(&[2.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 2.0], &[1.0, 2.0, 3.0]);
        assert_eq!(values, [5.0, 2.0, 2.0]);
        assert_eq!(along[0].abs(), 2.0);
        // All ones: λ = n once, 0 otherwise.
        let (values, along) = eigenvalues_along(&[1.0; 36], &[1.0; 6]);
        assert!((values[0] - 6.0).abs() < 1e-13 && values[1..].iter().all(|v| v.abs() < 1e-13), "{values:?}");
        assert!((along[0].abs() - 6f64.sqrt()).abs() < 1e-13);
    }
}
