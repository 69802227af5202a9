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
