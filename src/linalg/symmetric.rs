//! Eigenvalues λ of symmetric matrices M = VΛVᵀ, and one vector in the basis of the eigenvectors, Vᵀz.
//!
//! The geometry needs nothing else: singular values are √λ of a Gram matrix, and Vᵀz is the rotated latent (theory,
//! 9b). V itself is never formed. The computation has two halves:
//!
//!   M ──Householder──→ T = QᵀMQ tridiagonal, Qᵀz ──implicit QL──→ Λ, Vᵀz
//!
//! The first half costs (4/3)n³ operations and fills vector registers by itself. The second costs n² and is a chain of
//! dependent square roots and divisions, so eight matrices are iterated side by side, one in each lane of a register.
//! No lane reads another, so the bits of a result do not depend on which matrices it was computed with.

// In blocks of registers, indices show what iterators would hide.
#![allow(clippy::needless_range_loop)]

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};
use rayon::prelude::*;

/// A symmetric matrix in tridiagonal form QᵀMQ, and a vector Qᵀz in the same basis.
pub struct Tridiagonal {
    diagonal: Vec<f64>,
    /// The subdiagonal: entry i couples rows i and i + 1, and the last is 0.
    beside: Vec<f64>,
    /// Qᵀz.
    along: Vec<f64>,
}

impl Tridiagonal {
    /// Reduces the symmetric matrix `a` (`[n, n]`, where n is the length of `z`) by Householder reflections (Golub &
    /// Van Loan, 8.3). They are applied to `a` and to `z` as they arise; Q is never formed. Takes (4/3)n³ operations.
    pub fn of(a: Vec<f64>, mut z: Vec<f64>) -> Self {
        let (diagonal, beside) = AutoArch::new().dispatch(Reduction { a, z: &mut z });
        Self { diagonal, beside, along: z }
    }
}

/// For each matrix its eigenvalues λ, descending, and Vᵀz in the same order, where V holds the eigenvectors. The sign
/// of each entry of Vᵀz is arbitrary, as is the sign of an eigenvector. The absolute error of an eigenvalue is a small
/// multiple of n·eps(f64)·λ₁: small eigenvalues have no relative accuracy and may come out slightly negative.
///
/// The method is implicit QL with Wilkinson's shift (Golub & Van Loan, 8.3), on eight matrices side by side. Matrices
/// may differ in size; each result has the same bits as for the matrix alone.
pub fn eigenvalues_along(problems: &[Tridiagonal]) -> Vec<(Vec<f64>, Vec<f64>)> {
    problems.par_chunks(LANES).flat_map_iter(|part| Batch::of(part).solved(part)).collect()
}

/// [`tridiagonal`], run with the widest vector instructions of the processor.
struct Reduction<'a> {
    a: Vec<f64>,
    z: &'a mut [f64],
}

impl WithSimd for Reduction<'_> {
    type Output = (Vec<f64>, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> Self::Output {
        tridiagonal(self.a, self.z)
    }
}

/// Σ aᵢbᵢ in sixteen partial sums: enough to fill vector registers, and the same bits for every width of register.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0f64; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for i in 0..16 {
            sums[i] = a[i].mul_add(b[i], sums[i]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Diagonal and subdiagonal (its last entry 0) of QᵀaQ; z becomes Qᵀz. The rank-two update of the matrix by one
/// reflection, −xyᵀ − yxᵀ, is applied in the same pass over memory as the matrix-vector product of the next one.
#[inline(always)]
fn tridiagonal(mut a: Vec<f64>, z: &mut [f64]) -> (Vec<f64>, Vec<f64>) {
    let n = z.len();
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
        let tail = dot(&v[first + 1..], &v[first + 1..]);
        let norm = (v[first] * v[first] + tail).sqrt();
        let mirrored = if v[first] > 0.0 { -norm } else { norm };
        // If there are only zeros below the subdiagonal, there is nothing to reflect.
        let tau = if tail == 0.0 { 0.0 } else { 2.0 / ((v[first] - mirrored).powi(2) + tail) };
        beside[k] = if tail == 0.0 { v[first] } else { mirrored };
        v[first] -= mirrored;
        w[first..].fill(0.0);
        for i in first..n {
            let (xi, yi, factor) = (-x[i], -y[i], tau * v[i]);
            let len = n - first;
            let (row, w) = (&mut a[i * n + first..][..len], &mut w[first..][..len]);
            let (x, y) = (&x[first..][..len], &y[first..][..len]);
            for j in 0..len {
                let changed = xi.mul_add(y[j], yi.mul_add(x[j], row[j]));
                row[j] = changed;
                w[j] = factor.mul_add(changed, w[j]);
            }
        }
        let half = 0.5 * tau * dot(&v[first..], &w[first..]);
        w[first..].iter_mut().zip(&v[first..]).for_each(|(w, v)| *w -= half * v);
        let seen = tau * dot(&v[first..], &z[first..]);
        z[first..].iter_mut().zip(&v[first..]).for_each(|(z, v)| *z -= seen * v);
        std::mem::swap(&mut x, &mut v);
        std::mem::swap(&mut y, &mut w);
    }
    (diagonal, beside)
}

/// How many matrices are iterated side by side: as many as the widest register holds f64 values.
const LANES: usize = 8;

/// Up to [`LANES`] tridiagonal matrices, interleaved: entry i of lane j stands at `i·LANES + j`. Shorter ones are
/// padded with zeros.
struct Batch {
    d: Vec<f64>,
    e: Vec<f64>,
    z: Vec<f64>,
}

/// One QL sweep. Lane j works on its rows `first[j]..=last[j]`, or rests if the two are equal.
struct Sweep<'a> {
    first: [usize; LANES],
    last: [usize; LANES],
    /// In: the shifted diagonal entry with which each lane starts. Out: the last g of its recurrence.
    g: &'a mut [f64; LANES],
    /// Out: the last p of each lane's recurrence.
    p: &'a mut [f64; LANES],
    side: &'a mut Batch,
}

impl Batch {
    fn of(problems: &[Tridiagonal]) -> Self {
        let rows = problems.iter().map(|p| p.diagonal.len()).max().unwrap_or(0);
        let spread = |of: fn(&Tridiagonal) -> &[f64]| {
            let mut all = vec![0.0; rows * LANES];
            for (lane, problem) in problems.iter().enumerate() {
                of(problem).iter().enumerate().for_each(|(i, v)| all[i * LANES + lane] = *v);
            }
            all
        };
        Self { d: spread(|p| &p.diagonal), e: spread(|p| &p.beside), z: spread(|p| &p.along) }
    }

    /// The first row from `l` on whose subdiagonal entry is negligible next to the diagonal; the matrix splits there.
    fn split(&self, lane: usize, l: usize, n: usize) -> usize {
        let d = |i: usize| self.d[i * LANES + lane].abs();
        let small = |m: &usize| self.e[m * LANES + lane].abs() <= f64::EPSILON * (d(*m) + d(m + 1));
        (l..n - 1).find(small).unwrap_or(n - 1)
    }

    /// Iterates until every matrix is diagonal, then sorts each result by descending eigenvalue.
    fn solved(mut self, problems: &[Tridiagonal]) -> Vec<(Vec<f64>, Vec<f64>)> {
        let mut l = [0; LANES];
        loop {
            let (mut g, mut p) = ([0.0; LANES], [0.0; LANES]);
            let (mut first, mut last) = ([0; LANES], [0; LANES]);
            for (lane, problem) in problems.iter().enumerate() {
                let n = problem.diagonal.len();
                while l[lane] < n {
                    let (at, m) = (l[lane], self.split(lane, l[lane], n));
                    if m > at {
                        (first[lane], last[lane]) = (at, m);
                        let [d, after, e] =
                            [self.d[at * LANES + lane], self.d[(at + 1) * LANES + lane], self.e[at * LANES + lane]];
                        let half = (after - d) / (2.0 * e);
                        g[lane] = self.d[m * LANES + lane] - d + e / (half + half.hypot(1.0).copysign(half));
                        break;
                    }
                    l[lane] += 1;
                }
            }
            if first == last {
                break;
            }
            AutoArch::new().dispatch(Sweep { first, last, g: &mut g, p: &mut p, side: &mut self });
            for lane in (0..LANES).filter(|i| first[*i] < last[*i]) {
                self.d[first[lane] * LANES + lane] -= p[lane];
                self.e[first[lane] * LANES + lane] = g[lane];
                self.e[last[lane] * LANES + lane] = 0.0;
            }
        }
        let sorted = |(lane, problem): (usize, &Tridiagonal)| {
            let of = |all: &[f64], i: usize| all[i * LANES + lane];
            let mut order: Vec<usize> = (0..problem.diagonal.len()).collect();
            order.sort_by(|i, j| of(&self.d, *j).total_cmp(&of(&self.d, *i)));
            (order.iter().map(|i| of(&self.d, *i)).collect(), order.iter().map(|i| of(&self.z, *i)).collect())
        };
        problems.iter().enumerate().map(sorted).collect()
    }
}

#[inline(always)]
fn load<S: Simd>(values: &[f64]) -> Vector<S, f64> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(values))
}

#[inline(always)]
fn store<S: Simd>(into: &mut [f64], values: Vector<S, f64>) {
    into.copy_from_slice(bytemuck::cast_slice(bytemuck::bytes_of(&values)));
}

/// One QL sweep of every lane, in `N` registers of lanes. Rows outside a lane's own block keep their values.
#[inline(always)]
fn sweep<S: Simd, const N: usize>(job: Sweep) {
    let w = f64::lanes::<S>();
    let (zero, one, two) = (0f64.splat::<S>(), 1f64.splat::<S>(), 2f64.splat::<S>());
    let Batch { d, e, z } = job.side;
    let bounds = |of: [usize; LANES]| of.map(|v| v as f64);
    let (l, m) = (bounds(job.first), bounds(job.last));
    let mut state = [(zero, one, one, zero, zero, zero); N];
    for k in 0..N {
        let part = k * w..(k + 1) * w;
        state[k] = (load::<S>(&job.g[part.clone()]), one, one, zero, load::<S>(&l[part.clone()]), load::<S>(&m[part]));
    }
    let from = job.first.iter().zip(&job.last).filter(|(l, m)| l < m).map(|(l, _)| *l).min().unwrap_or(0);
    let to = job.last.iter().copied().max().unwrap_or(0);
    for i in (from..to).rev() {
        let row = (i as f64).splat::<S>();
        for k in 0..N {
            let (g, s, c, p, l, m) = state[k];
            let (here, next) = (i * LANES + k * w, (i + 1) * LANES + k * w);
            // Masks cannot be copied, so each use makes its own.
            let active = || row.lt(m).select(row, zero - one).ge(l);
            let (e0, e1) = (load::<S>(&e[here..][..w]), load::<S>(&e[next..][..w]));
            let (d0, d1) = (load::<S>(&d[here..][..w]), load::<S>(&d[next..][..w]));
            let (z0, z1) = (load::<S>(&z[here..][..w]), load::<S>(&z[next..][..w]));
            let (f, b) = (s * e0, c * e0);
            let r = (f * f + g * g).sqrt();
            // If f and g are both zero there is nothing to rotate: s = 0, c = 1.
            let none = || r.eq(zero);
            let inverse = one / none().select(one, r);
            let (s_new, c_new) = (f * inverse, none().select(one, g * inverse));
            let shifted = d1 - p;
            let q = (d0 - shifted) * s_new + two * c_new * b;
            let p_new = s_new * q;
            store(&mut e[next..][..w], active().select(r, e1));
            store(&mut d[next..][..w], active().select(shifted + p_new, d1));
            store(&mut z[next..][..w], active().select(s_new * z0 + c_new * z1, z1));
            store(&mut z[here..][..w], active().select(c_new * z0 - s_new * z1, z0));
            let g = active().select(c_new * q - b, g);
            state[k] = (g, active().select(s_new, s), active().select(c_new, c), active().select(p_new, p), l, m);
        }
    }
    for k in 0..N {
        let (g, _, _, p, ..) = state[k];
        store(&mut job.g[k * w..(k + 1) * w], g);
        store(&mut job.p[k * w..(k + 1) * w], p);
    }
}

impl WithSimd for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        match f64::lanes::<S>() {
            8 => sweep::<S, 1>(self),
            4 => sweep::<S, 2>(self),
            2 => sweep::<S, 4>(self),
            _ => sweep::<S, LANES>(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};

    fn solve(a: &[f64], z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        eigenvalues_along(&[Tridiagonal::of(a.to_vec(), z.to_vec())]).remove(0)
    }

    /// Covers every size up to 40, so that lanes finish at different times, and two matrices that split.
    #[test]
    fn no_matrix_sees_its_neighbours() {
        let entry = |n: usize, i: usize, j: usize| ((i.min(j) * 7 + i.max(j) * 13 + n) as f64 * 0.7).sin();
        let mut all: Vec<Tridiagonal> = (0..=40)
            .map(|n| {
                let a = (0..n * n).map(|x| entry(n, x / n, x % n)).collect();
                Tridiagonal::of(a, (0..n).map(|i| (i as f64).cos()).collect())
            })
            .collect();
        all.push(Tridiagonal { diagonal: vec![1.0; 5], beside: vec![1e-3, 0.0, 2.0, 1e-30, 0.0], along: vec![1.0; 5] });
        all.push(Tridiagonal { diagonal: vec![0.0; 4], beside: vec![1.0, 1.0, 1.0, 0.0], along: vec![1.0; 4] });
        let together = eigenvalues_along(&all);
        assert_eq!(together.len(), 43);
        for (problem, found) in all.iter().zip(&together) {
            let own = &eigenvalues_along(std::slice::from_ref(problem))[0];
            assert_eq!(own, found, "{} rows", problem.diagonal.len());
            // Rotations preserve the length of the vector and the trace.
            let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
            assert!((square(&found.1) - square(&problem.along)).abs() <= 1e-12 * square(&problem.along));
            let size: f64 = found.0.iter().map(|v| v.abs()).sum();
            assert!((found.0.iter().sum::<f64>() - problem.diagonal.iter().sum::<f64>()).abs() <= 1e-12 * (size + 1.0));
        }
    }

    /// Against nalgebra's eigenvectors. Both errors are a small multiple of n·eps·λ₁. Where eigenvalues are separated
    /// by a gap, a component of Vᵀz is off by the error of the matrix divided by the gap.
    #[test]
    fn equals_nalgebra() {
        for n in [1usize, 2, 3, 10, 33, 100] {
            let j = DMatrix::from_fn(2 * n, n, |r, c| ((r * r * 7 + c * 13 + r * c) as f64 * 0.7).sin());
            let gram = j.transpose() * &j;
            let z: Vec<f64> = (0..n).map(|i| (i as f64 * 1.3).cos()).collect();
            let (values, along) = solve(gram.as_slice(), &z);
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
        assert_eq!(solve(&[], &[]), (vec![], vec![]));
        assert_eq!(solve(&[0.0; 9], &[1.0, 2.0, 3.0]), (vec![0.0; 3], vec![1.0, 2.0, 3.0]));
        let (values, along) = solve(&[2.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 2.0], &[1.0, 2.0, 3.0]);
        assert_eq!(values, [5.0, 2.0, 2.0]);
        assert_eq!(along[0].abs(), 2.0);
        // All ones: λ = n once, 0 otherwise.
        let (values, along) = solve(&[1.0; 36], &[1.0; 6]);
        assert!((values[0] - 6.0).abs() < 1e-13 && values[1..].iter().all(|v| v.abs() < 1e-13), "{values:?}");
        assert!((along[0].abs() - 6f64.sqrt()).abs() < 1e-13);
    }
}
