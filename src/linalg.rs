//! Dense linear algebra in f64 on the host. Matrices are row-major slices; a shape `[r, c]` means r rows of c values.

mod gram;
mod symmetric;

pub use gram::{GramSum, gram_of_columns, gram_of_rows};
pub use symmetric::{Tridiagonal, eigenvalues_along};

use nalgebra::DMatrix;

/// An orthonormal basis of the span of a matrix's columns: the Q of its QR factorisation, `[rows, columns]` row-major
/// in and out. `columns` may not exceed `rows`. The basis of the first k columns is the first k columns of the result.
pub fn orthonormal_columns(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let q = DMatrix::from_row_slice(rows, columns, values).qr().q();
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| q[(i, j)]).collect()
}

/// ψ_k and the factor that is held constant in its gradient (theory, 9c), from A given as `p` rows, `[p, D]`. With the
/// k largest eigenvalues λ_i and eigenvectors u_i of AAᵀ these are ½ Σ_{i ≤ k} ln λ_i and (Σ_{i ≤ k} u_i u_iᵀ/λ_i)·A,
/// the latter `[p, D]` in f32. `None` where a value is not finite, where k is not in 1..=p, or where one of the k
/// eigenvalues is within the rounding of f32 (64·p·eps² of the largest).
pub fn leading_inverse(rows: &[f32], p: usize, k: usize) -> Option<(f64, Vec<f32>)> {
    let a = DMatrix::from_row_iterator(p, rows.len() / p, rows.iter().map(|v| f64::from(*v)));
    let gram = &a * a.transpose();
    if k == 0 || k > p || gram.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let eigen = gram.symmetric_eigen();
    let mut order: Vec<usize> = (0..p).collect();
    order.sort_by(|i, j| eigen.eigenvalues[*j].total_cmp(&eigen.eigenvalues[*i]));
    let floor = 64.0 * p as f64 * f64::from(f32::EPSILON).powi(2) * eigen.eigenvalues[order[0]];
    let mut inverse = DMatrix::zeros(p, p);
    let mut psi = 0.0;
    for i in &order[..k] {
        let (value, vector) = (eigen.eigenvalues[*i], eigen.eigenvectors.column(*i));
        if value.is_nan() || value <= floor {
            return None;
        }
        psi += 0.5 * value.ln();
        inverse += vector * vector.transpose() / value;
    }
    let held = inverse * a;
    Some((psi, held.transpose().iter().map(|v| *v as f32).collect()))
}
