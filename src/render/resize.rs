//! A plane of values in another size, exactly as the programs do it whose networks read the result. Published figures of
//! one network differ by how pictures were resized before it, so each way has the name of the program it is from.
//!
//! All ways work along the width first and then along the height, as Pillow does up to version 12; version 13 takes the height
//! first where that is less work, which moves single bytes of tall pictures. In PyTorch a picture that is made smaller is either read at
//! single places (its plain modes) or averaged over what a new pixel covers (`antialias=True`); Pillow always does the
//! latter. The bicubic kernel has a = −0.75 in PyTorch's plain mode and a = −0.5 everywhere else.

/// A way to resize: one row of [`METHODS`].
pub struct Method {
    /// Its name in a card.
    pub name: &'static str,
    /// Which call of which program it is, in one line.
    pub about: &'static str,
    way: Way,
}

/// The places that a new place is made of: the first, and the weight of each from there on.
type Taps = Vec<(usize, Vec<f64>)>;

enum Way {
    /// Bilinear between single places, in f32.
    Bilinear,
    /// Sums along each axis in f64, each rounded to f32.
    Floats(fn(usize, usize) -> Taps),
    /// The same, held between 0 and 255.
    Held(fn(usize, usize) -> Taps),
    /// Sums of bytes with weights of 22 binary digits, each rounded to a byte.
    Bytes(fn(usize, usize) -> Taps),
}

/// The way that is taken where a card names none.
pub const DEFAULT: &Method = &METHODS[0];
/// The mean of what a new place covers.
pub const AREA: &Method = &METHODS[2];

/// Every way, the default first.
pub static METHODS: [Method; 8] = [
    Method {
        name: "torch-bilinear",
        about: "torch.nn.functional.interpolate(mode=\"bilinear\", align_corners=False)",
        way: Way::Bilinear,
    },
    Method {
        name: "torch-bicubic",
        about: "torch.nn.functional.interpolate(mode=\"bicubic\", align_corners=False), a = -0.75",
        way: Way::Floats(|from, to| places(from, to, -0.75)),
    },
    Method { name: "torch-area", about: "torch.nn.functional.interpolate(mode=\"area\")", way: Way::Floats(areas) },
    Method {
        name: "torch-bilinear-antialias",
        about: "torch.nn.functional.interpolate(mode=\"bilinear\", antialias=True), of floats",
        way: Way::Floats(|from, to| windows(from, to, 1.0, triangle)),
    },
    Method {
        name: "torch-bicubic-antialias",
        about: "torch.nn.functional.interpolate(mode=\"bicubic\", antialias=True), of floats, a = -0.5",
        way: Way::Floats(|from, to| windows(from, to, 2.0, cubic)),
    },
    Method {
        name: "pil-bilinear",
        about: "PIL.Image.resize(resample=BILINEAR) of bytes, as torchvision's transforms do for PIL pictures",
        way: Way::Bytes(|from, to| windows(from, to, 1.0, triangle)),
    },
    Method {
        name: "pil-bicubic",
        about: "PIL.Image.resize(resample=BICUBIC) of bytes, a = -0.5, as before CLIP and DINOv2",
        way: Way::Bytes(|from, to| windows(from, to, 2.0, cubic)),
    },
    Method {
        name: "clean-fid",
        about: "PIL.Image.resize(resample=BICUBIC) of floats, held between 0 and 255, as clean-fid does",
        way: Way::Held(|from, to| windows(from, to, 2.0, cubic)),
    },
];

/// The way called `name`.
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}

impl Method {
    /// Whether it works on bytes and must be given values from 0 to 255; others may be given any range.
    pub fn is_of_bytes(&self) -> bool {
        matches!(self.way, Way::Held(_) | Way::Bytes(_))
    }

    /// A plane of `[h, w]` values in the size `to`; all sides are at least 1. A plane of that size comes back as it is, or
    /// rounded to bytes where the way rounds.
    pub fn resize(&self, plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        match self.way {
            Way::Bilinear if from == to => plane.to_vec(),
            Way::Bilinear => bilinear(plane, from, to),
            Way::Floats(taps) => apply(plane, from, to, taps, |taps, at| sum(taps, at) as f32),
            Way::Held(taps) => {
                let whole = apply(plane, from, to, taps, |taps, at| sum(taps, at) as f32);
                whole.into_iter().map(|v| v.clamp(0.0, 255.0)).collect()
            }
            Way::Bytes(taps) => {
                let bytes: Vec<f32> = plane.iter().map(|v| v.round().clamp(0.0, 255.0)).collect();
                apply(&bytes, from, to, taps, byte)
            }
        }
    }
}

/// Each axis by itself, first the width. An axis that keeps its size is left alone.
fn apply(
    plane: &[f32],
    [height, width]: [usize; 2],
    [tall, wide]: [usize; 2],
    taps: fn(usize, usize) -> Taps,
    sum: fn(&[f64], &dyn Fn(usize) -> f32) -> f32,
) -> Vec<f32> {
    let mut rows = plane.to_vec();
    if wide != width {
        let columns = taps(width, wide);
        let row = |row: &[f32]| -> Vec<f32> {
            columns.iter().map(|(first, weights)| sum(weights, &|k| row[first + k])).collect()
        };
        rows = plane.chunks_exact(width).flat_map(row).collect();
    }
    if tall == height {
        return rows;
    }
    let at = |(first, weights): &(usize, Vec<f64>), j: usize| sum(weights, &|k| rows[(first + k) * wide + j]);
    taps(height, tall).iter().flat_map(|tap| (0..wide).map(move |j| (tap, j))).map(|(tap, j)| at(tap, j)).collect()
}

fn sum(weights: &[f64], at: &dyn Fn(usize) -> f32) -> f64 {
    weights.iter().enumerate().map(|(k, w)| w * f64::from(at(k))).sum()
}

/// Pillow's sum of bytes: weights as whole parts of 2⁻²², rounded half away from 0; half a byte is added before what lies
/// below a byte is dropped.
fn byte(weights: &[f64], at: &dyn Fn(usize) -> f32) -> f32 {
    const DIGITS: u32 = 22;
    let whole = |w: f64| (w * f64::from(1u32 << DIGITS)).round() as i64;
    let start = 1i64 << (DIGITS - 1);
    let all = weights.iter().enumerate().fold(start, |all, (k, w)| all + whole(*w) * at(k) as i64);
    (all >> DIGITS).clamp(0, 255) as f32
}

/// What each new place covers, weighted by a kernel that is as wide as `support` old places to each side, or new ones where
/// these are larger.
fn windows(from: usize, to: usize, support: f64, kernel: fn(f64) -> f64) -> Taps {
    let scale = from as f64 / to as f64;
    let wide = scale.max(1.0);
    let reach = support * wide;
    let one = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        // Casts of floats cut towards 0 and end at the limits of their type.
        let first = (centre - reach + 0.5) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let mut weights: Vec<f64> = (first..end).map(|x| kernel((x as f64 - centre + 0.5) * (1.0 / wide))).collect();
        let all: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= all);
        (first, weights)
    };
    (0..to).map(one).collect()
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

/// The bicubic kernel with a = −0.5.
fn cubic(x: f64) -> f64 {
    cubic_of(x.abs(), -0.5)
}

fn cubic_of(x: f64, a: f64) -> f64 {
    match x {
        x if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

/// The four places about each new one, weighted by the bicubic kernel of `a`; beyond the edge they are the edge.
fn places(from: usize, to: usize, a: f64) -> Taps {
    let last = from as i64 - 1;
    let one = |i: usize| {
        let x = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let base = x.floor();
        let [first, end] = [-1, 2].map(|k| (base as i64 + k).clamp(0, last));
        let mut weights = vec![0.0; (end - first) as usize + 1];
        for k in -1..=2 {
            let at = (base as i64 + k).clamp(0, last) - first;
            weights[at as usize] += cubic_of((x - base - k as f64).abs(), a);
        }
        (first as usize, weights)
    };
    (0..to).map(one).collect()
}

/// The mean of all places that a new one touches.
fn areas(from: usize, to: usize) -> Taps {
    let one = |i: usize| {
        let (first, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
        (first, vec![1.0 / (end - first) as f64; end - first])
    };
    (0..to).map(one).collect()
}

/// A plane of values resized bilinearly from `[h, w]` to another size: half-pixel centres, repeated edges, nothing
/// blurred before it is made smaller (PyTorch's `interpolate` with `align_corners=False`).
fn bilinear(plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let place = |i: usize, axis: usize| {
        let x = ((i as f32 + 0.5) * from[axis] as f32 / to[axis] as f32 - 0.5).max(0.0);
        let first = (x as usize).min(from[axis] - 1);
        (first, (first + 1).min(from[axis] - 1), x - first as f32)
    };
    let at = |i: usize, j: usize| {
        let ((a, b, u), (c, d, v)) = (place(i, 0), place(j, 1));
        let row = |r: usize| plane[r * from[1] + c] * (1.0 - v) + plane[r * from[1] + d] * v;
        row(a) * (1.0 - u) + row(b) * u
    };
    (0..to[0]).flat_map(|i| (0..to[1]).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_resized_as_pytorch_does() {
        // torch.nn.functional.interpolate(torch.tensor([[[[0., 1.], [2., 4.]]]]), size=(3, 3), mode="bilinear")
        let found = DEFAULT.resize(&[0.0, 1.0, 2.0, 4.0], [2, 2], [3, 3]);
        let expected = [0.0, 0.5, 1.0, 1.0, 1.75, 2.5, 2.0, 3.0, 4.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    /// Weights sum to 1 at every size, one place included, and stay inside the plane; a plane of one value keeps it.
    #[test]
    fn a_plain_plane_stays_plain() {
        for method in &METHODS {
            for (from, to) in [([1, 1], [4, 3]), ([7, 5], [1, 1]), ([3, 9], [9, 3]), ([5, 5], [5, 5])] {
                let found = method.resize(&vec![200.0; from[0] * from[1]], from, to);
                assert_eq!(found.len(), to[0] * to[1], "{}", method.name);
                assert!(found.iter().all(|v| (v - 200.0).abs() < 1e-4), "{} {from:?} {to:?}: {found:?}", method.name);
            }
        }
    }
}
