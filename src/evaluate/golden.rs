//! The golden fixture of tests: 400 rows of 8 values from a hash, the same everywhere to about 1e-11.

use super::{Features, Settings};

const ROWS: usize = 400;
const WIDTH: usize = 8;

/// The four sets of the fixture.
pub struct Golden {
    /// Standard normal.
    pub real: Features,
    /// Standard normal too.
    pub test: Features,
    /// Normal with mean 0.3 and deviation 1.2.
    pub generated: Features,
    /// The real rows, the first 200 moved by 1e-3 of a normal.
    pub memorised: Features,
}

/// What every test measures with unless it says otherwise.
pub const SETTINGS: Settings = Settings { seed: 0, nearest: 5, resamples: 200, block: 64 };

/// frac(43758.5453·sin(12.9898·i + 78.233·j)), from 0 to 1.
fn hash(i: usize, j: usize) -> f64 {
    let x = 43758.5453 * (12.9898 * i as f64 + 78.233 * j as f64).sin();
    x - x.floor()
}

/// Standard normals, `[rows, width]`: column j of row i by Box and Muller from the hash of i + offset at 2j and 2j + 1.
/// The hash of 0 and 0 is 0, whose logarithm is taken at 1e-12.
pub fn normals(rows: usize, width: usize, offset: usize) -> Vec<f64> {
    let normal = |i: usize, j: usize| {
        let (radius, turn) = (hash(i, 2 * j).max(1e-12), hash(i, 2 * j + 1));
        (-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * turn).cos()
    };
    (offset..offset + rows).flat_map(|i| (0..width).map(move |j| normal(i, j))).collect()
}

/// Features from values in f64.
pub fn features(values: impl IntoIterator<Item = f64>, width: usize) -> Features {
    Features { values: values.into_iter().map(|v| v as f32).collect(), width }
}

/// The fixture.
pub fn golden() -> Golden {
    let of = |offset: usize| normals(ROWS, WIDTH, offset);
    let moved = of(20_000).into_iter().take(200 * WIDTH).map(|v| 1e-3 * v).chain(std::iter::repeat(0.0));
    Golden {
        real: features(of(0), WIDTH),
        test: features(of(5_000), WIDTH),
        generated: features(of(10_000).into_iter().map(|v| 1.2 * v + 0.3), WIDTH),
        memorised: features(of(0).into_iter().zip(moved).map(|(v, m)| v + m), WIDTH),
    }
}

/// What `make` gives on one thread and on three, which must be the same.
pub fn on_any_threads<T: PartialEq + std::fmt::Debug + Send>(make: impl Fn() -> T + Sync) -> T {
    let on = |n: usize| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(&make);
    let (one, three) = (on(1), on(3));
    assert_eq!(one, three);
    one
}

/// LeNet features of digits in the folder of shared data: those that are called `names`, 1,000 rows of 84, and the
/// reference values. `None`, and a line that says so, where there is no such folder.
pub fn shared<const N: usize>(names: [&str; N]) -> Option<([Features; N], serde_json::Value)> {
    let folder = std::env::var("ISOLINE_SHARED").unwrap_or("../shared/data".into());
    let folder = std::path::Path::new(&folder).join("reference");
    let (Ok(values), Ok(text)) =
        (std::fs::read(folder.join("lenet84_features.safetensors")), std::fs::read(folder.join("metrics.json")))
    else {
        println!("skipped: no shared data");
        return None;
    };
    let tensors = safetensors::SafeTensors::deserialize(&values).unwrap();
    let set = |name: &str| {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.shape(), tensor.dtype()), (&[1000, 84][..], safetensors::Dtype::F32));
        let bytes = tensor.data().as_chunks::<4>().0;
        Features { values: bytes.iter().map(|b| f32::from_le_bytes(*b)).collect(), width: 84 }
    };
    Some((names.map(set), serde_json::from_slice(&text).unwrap()))
}
