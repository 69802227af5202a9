//! Frames: orthonormal directions v_1 … v_P, drawn once and shared by all samples of a run, so that two samples never
//! differ because of their directions.
//!
//! A frame is the Q of a QR factorisation of keyed Gaussian columns, so it is uniformly distributed. Frames are nested:
//! up to rounding, the first P vectors of a larger frame are the frame of P vectors.

use crate::linalg::orthonormal_columns;
use crate::noise::{self, Stream};
use std::sync::{Arc, Mutex, PoisonError};

/// What a frame is used for. Frames for different uses are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Use {
    /// Directions of an estimator in latent space, of width d.
    Input = 0,
    /// Directions of an estimator in sample space, of width D.
    Output = 1,
    /// Directions of local complexity, in latent space.
    Complexity = 2,
}

/// A uniformly random frame of `count` orthonormal vectors, `[count, width]` row-major; `width` must be at least
/// `count`. Vector p depends on the seed, the purpose and the draws up to p, so a smaller frame is the beginning of a
/// larger one.
pub fn frame(seed: u64, purpose: Use, count: usize, width: usize) -> Vec<f32> {
    let mut columns = vec![0.0f64; width * count];
    for p in 0..count {
        let drawn = noise::normals(seed, p as u64, Stream::Frame, purpose as u32, width);
        drawn.iter().enumerate().for_each(|(i, v)| columns[i * count + p] = f64::from(*v));
    }
    let q = orthonormal_columns(&columns, width, count);
    (0..count).flat_map(|p| (0..width).map(move |i| (i, p))).map(|(i, p)| q[i * count + p] as f32).collect()
}

/// The frame made last. It is kept because all calls of a run ask for the same one.
#[derive(Default)]
pub struct FrameCache {
    last: Mutex<Option<(FrameKey, Arc<Vec<f32>>)>>,
}

/// Seed, purpose, count, width.
type FrameKey = (u64, Use, usize, usize);

impl FrameCache {
    /// The same as [`frame`], `[count, width]`, but recomputed only if the arguments differ from those of the last
    /// call.
    pub fn get(&self, seed: u64, purpose: Use, count: usize, width: usize) -> Arc<Vec<f32>> {
        let key = (seed, purpose, count, width);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kept)) = last.as_ref().filter(|(of, _)| *of == key) {
            return Arc::clone(kept);
        }
        let made = Arc::new(frame(seed, purpose, count, width));
        *last = Some((key, Arc::clone(&made)));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_orthonormal_and_nested() {
        let long = frame(3, Use::Input, 6, 9);
        for (i, a) in long.chunks(9).enumerate() {
            for (j, b) in long.chunks(9).enumerate() {
                let dot: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-6);
            }
        }
        let short = frame(3, Use::Input, 4, 9);
        assert!(long[..36].iter().zip(&short).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_ne!(long, frame(4, Use::Input, 6, 9));
        assert_ne!(long, frame(3, Use::Complexity, 6, 9));
    }
}
