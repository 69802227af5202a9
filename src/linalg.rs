//! Dense linear algebra in f64 on the host, on nalgebra.

mod gram;
mod symmetric;

pub use gram::GramSum;
pub use symmetric::eigenvalues_along;

use nalgebra::{DMatrix, DVector};

/// Singular values of a tall matrix with its right singular vectors.
#[derive(Clone, Debug)]
pub struct RightSingular {
    /// Descending.
    pub singular_values: Vec<f64>,
    /// Column i belongs to singular value i; `[d, d]`.
    pub vectors: DMatrix<f64>,
    /// Whether the QR route was taken.
    pub by_qr: bool,
}

/// Relative size of the smallest eigenvalue of a Gram matrix below which its square root is no longer
/// good to 1e-6: an eigenvalue of JᵀJ carries an absolute error of about d·eps·λ₁, so σ_i carries a
/// relative one of d·eps·(σ₁/σ_i)²/2; at d = 100 that is 1e-6 where σ_i/σ₁ = 1e-4.
pub const GRAM_SAFE_RATIO: f64 = 1e-4;

/// Singular values and right singular vectors of J, given as its transpose `rows` = d tangents of
/// `columns` values each, row-major (row j is ∂G/∂z_j).
///
/// Goes through the d×d Gram matrix and its symmetric eigenvalues; where σ_d/σ₁ falls under
/// [`GRAM_SAFE_RATIO`], through a QR decomposition of J and an SVD of R instead, which does not
/// square the condition number. Costs d²·columns multiplications either way.
pub fn right_singular(rows: &[f32], d: usize, columns: usize) -> RightSingular {
    let jt = DMatrix::from_row_iterator(d, columns, rows.iter().map(|v| f64::from(*v)));
    let (singular_values, vectors) = symmetric_singular(&jt * jt.transpose());
    let safe = singular_values
        .last()
        .zip(singular_values.first())
        .is_none_or(|(last, first)| *last > GRAM_SAFE_RATIO * *first);
    if !safe
        && columns >= d
        && let Some(by_qr) = through_qr(&jt)
    {
        return by_qr;
    }
    RightSingular { singular_values, vectors, by_qr: false }
}

/// Square roots of the eigenvalues of a Gram matrix, descending, negative ones taken as 0, and the
/// eigenvectors as columns in that order.
pub fn symmetric_singular(gram: DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let eigen = gram.symmetric_eigen();
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let values = order.iter().map(|i| eigen.eigenvalues[*i].max(0.0).sqrt()).collect();
    let columns: Vec<DVector<f64>> = order.iter().map(|i| eigen.eigenvectors.column(*i).into_owned()).collect();
    (values, DMatrix::from_columns(&columns))
}

fn through_qr(jt: &DMatrix<f64>) -> Option<RightSingular> {
    let r = jt.transpose().qr().r();
    let svd = r.try_svd(false, true, f64::EPSILON, 10_000)?;
    let vt = svd.v_t?;
    let mut order: Vec<usize> = (0..svd.singular_values.len()).collect();
    order.sort_by(|a, b| svd.singular_values[*b].total_cmp(&svd.singular_values[*a]));
    let vectors = DMatrix::from_columns(&order.iter().map(|i| vt.row(*i).transpose()).collect::<Vec<DVector<f64>>>());
    Some(RightSingular {
        singular_values: order.iter().map(|i| svd.singular_values[*i]).collect(),
        vectors,
        by_qr: true,
    })
}

/// An orthonormal basis of the columns of a matrix, row-major `[rows, columns]` in and out.
pub fn orthonormal_columns(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let q = DMatrix::from_row_slice(rows, columns, values).qr().q();
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| q[(i, j)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gram_and_qr_agree_with_a_diagonal() {
        for (small, by_qr) in [(0.5, false), (1e-6, true)] {
            // J = diag(3, 2, small), padded with a zero row of outputs.
            let rows = [3.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, small as f32, 0.0];
            let got = right_singular(&rows, 3, 4);
            assert_eq!(got.by_qr, by_qr);
            for (a, b) in got.singular_values.iter().zip([3.0, 2.0, small]) {
                // The entry itself is rounded to f32.
                assert!((a - b).abs() <= 1e-7 * b, "{a} {b}");
            }
        }
    }

    #[test]
    fn vectors_diagonalise() {
        let rows: Vec<f32> = (0..5 * 7).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
        let got = right_singular(&rows, 5, 7);
        let jt = DMatrix::from_row_iterator(5, 7, rows.iter().map(|v| f64::from(*v)));
        let d = got.vectors.transpose() * (&jt * jt.transpose()) * &got.vectors;
        for i in 0..5 {
            for j in 0..5 {
                let expected = if i == j { got.singular_values[i].powi(2) } else { 0.0 };
                assert!((d[(i, j)] - expected).abs() < 1e-12 * got.singular_values[0].powi(2));
            }
        }
    }
}
