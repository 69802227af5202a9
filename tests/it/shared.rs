//! Data and weights of others, which lie outside the repository, and their reference values.

use isoline::linalg::{Tridiagonal, eigenvalues_along, gram_of_rows};
use nalgebra::DMatrix;
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of shared data: `$ISOLINE_SHARED` or its `data`, or else `../shared/data` beside the package. Tests that
/// need it are marked `#[ignore = "needs the shared data"]`, so that a run without it counts them as ignored.
#[track_caller]
pub fn data() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let given = std::env::var_os("ISOLINE_SHARED").map_or_else(beside, PathBuf::from);
    let found = [given.join("data"), given.clone()].into_iter().find(|folder| folder.join("weights").is_dir());
    found.unwrap_or_else(|| panic!("no shared data in {}; set ISOLINE_SHARED", given.display()))
}

/// Reference values: the numeric tensors of a safetensors file, in f64.
pub struct Fixtures {
    tensors: BTreeMap<String, Vec<f64>>,
}

impl Fixtures {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let parsed = SafeTensors::deserialize(&bytes).unwrap();
        let values = |dtype, data: &[u8]| -> Option<Vec<f64>> {
            match dtype {
                Dtype::F64 => Some(data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
                Dtype::F32 => Some(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect()),
                Dtype::I64 => Some(data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect()),
                _ => None,
            }
        };
        let tensors = parsed.iter().filter_map(|(name, t)| Some((name.to_owned(), values(t.dtype(), t.data())?)));
        Self { tensors: tensors.collect() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The values under `name`, row-major.
    #[track_caller]
    pub fn get(&self, name: &str) -> &[f64] {
        self.tensors.get(name).unwrap_or_else(|| panic!("no \"{name}\" among the reference values"))
    }

    /// The values under `name`, row-major, in f32.
    #[track_caller]
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.get(name).iter().map(|v| *v as f32).collect()
    }
}

/// ‖found − expected‖ / ‖expected‖.
#[track_caller]
pub fn relative_l2(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |v: f64| v * v;
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - b)).sum();
    (difference / expected.iter().map(|v| square(*v)).sum::<f64>()).sqrt()
}

/// Singular values, descending, and right singular vectors (as columns) of a tall matrix, which is given as its
/// transpose: `d` rows. Computed by nalgebra's SVD, which shares nothing with the program's own method.
pub fn right_singular(rows: &[f32], d: usize) -> (Vec<f64>, DMatrix<f64>) {
    let jt = DMatrix::from_row_iterator(d, rows.len() / d, rows.iter().map(|v| f64::from(*v)));
    let svd = jt.transpose().svd(false, true);
    (svd.singular_values.as_slice().to_vec(), svd.v_t.unwrap().transpose())
}

/// The singular values of the same matrix by the program's own method.
pub fn singular_values(rows: &[f32], d: usize) -> Vec<f64> {
    let problem = Tridiagonal::of(gram_of_rows(rows, d), vec![0.0; d]);
    eigenvalues_along(&[problem]).remove(0).0.into_iter().map(|v| v.max(0.0).sqrt()).collect()
}
