//! Counter-based noise. Every random number is a pure function of an address,
//!
//!   (scheme version, seed, sample, stream, step) → a sequence of numbers,
//!
//! computed on the host by ChaCha8. So a sample's noise depends neither on the device, nor on the batch it is computed
//! in, nor on what was drawn before. Sequences are prefix-stable: a longer draw begins with the shorter one.
//!
//! What users call the *seed* of a picture is `sample` here; `seed` is a key for everything at once, and is 0 for
//! latents.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Version of the scheme, recorded in every recipe: if it changes, every picture does. Golden hashes in the tests guard
/// it.
pub const SCHEME: u32 = 1;

/// What the numbers are for. No two streams share numbers, whatever the rest of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// The unguided latent of a sample.
    Latent = 0,
    /// Noise of stochastic steering; candidates of a search, by step.
    Steering = 1,
    /// Latents labelled for the training of a reward.
    Label = 2,
    /// Initial weights of a network in training.
    Init = 3,
    /// Order of the training data, by epoch.
    Shuffle = 4,
    /// Noise and noise levels of a training step; points of synthetic manifolds.
    Training = 5,
    /// Directions shared by all samples of a run, see [`crate::geometry::frame()`].
    Frame = 6,
    /// Latents of preview sheets.
    Preview = 7,
    /// Draws of a bootstrap or a calibration.
    Bootstrap = 8,
    /// Starting points for the inversion of a picture, by step.
    Inversion = 9,
    /// Directions in which variations of a sample lie: the base's seed is the seed here, the variation's number the sample.
    Vary = 10,
    /// Noise of a stochastic sampler, by step.
    Sampling = 16,
    /// Probes of measurements: vectors for a trace estimate, noise added to a point to test a network there.
    Probe = 17,
}

/// The random number generator at one address, for draws that [`normals`] and [`uniforms`] do not cover.
pub fn generator(seed: u64, sample: u64, stream: Stream, step: u32) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..4].copy_from_slice(b"isol");
    key[4..8].copy_from_slice(&SCHEME.to_le_bytes());
    key[8..16].copy_from_slice(&seed.to_le_bytes());
    key[16..20].copy_from_slice(&(stream as u32).to_le_bytes());
    key[20..24].copy_from_slice(&step.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(sample);
    rng
}

/// The first `n` standard normals at an address, in f32.
pub fn normals(seed: u64, sample: u64, stream: Stream, step: u32, n: usize) -> Vec<f32> {
    generator(seed, sample, stream, step).sample_iter(StandardNormal).take(n).collect()
}

/// The first `n` uniforms in [0, 1) at an address, in f32.
pub fn uniforms(seed: u64, sample: u64, stream: Stream, step: u32, n: usize) -> Vec<f32> {
    let mut rng = generator(seed, sample, stream, step);
    (0..n).map(|_| rng.random::<f32>()).collect()
}

/// A uniformly random permutation of `0..n` (Fisher-Yates), at sample 0 of the address. Not prefix-stable in `n`.
pub fn permutation(seed: u64, stream: Stream, step: u32, n: usize) -> Vec<usize> {
    let mut rng = generator(seed, 0, stream, step);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_streams() {
        let long = normals(7, 17, Stream::Latent, 0, 64);
        assert_eq!(long[..16], normals(7, 17, Stream::Latent, 0, 16)[..]);
        for other in [
            normals(8, 17, Stream::Latent, 0, 64),
            normals(7, 18, Stream::Latent, 0, 64),
            normals(7, 17, Stream::Label, 0, 64),
            normals(7, 17, Stream::Latent, 1, 64),
        ] {
            assert!(other.iter().zip(&long).all(|(a, b)| a != b));
        }
    }

    #[test]
    fn moments_of_a_million() {
        let n = 1_000_000;
        let x = normals(1, 2, Stream::Latent, 3, n);
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
        let var = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n as f64;
        // 5 standard errors: 1/√n and √(2/n).
        assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "{mean}");
        assert!((var - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "{var}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(3, Stream::Shuffle, 1, 1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
