//! Types for the quantities that are easily mistaken for one another. A [`Percentile`] is what a user asks for, a
//! [`Level`] is the same place on a standard normal scale, where steering measures distances; `reward::Calibration`
//! converts between them and ψ (theory, 11 and 14).

use crate::noise::{self, Stream};
use serde::{Deserialize, Serialize};

/// A place among the model's own unguided samples, from 0 (the most typical) to 100 (the most novel): a sample at 10 is
/// more novel than one unguided sample in ten.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percentile(f64);

impl Percentile {
    /// As novel as the middle one of the model's own samples.
    pub const MEDIAN: Self = Self(50.0);

    /// As typical as the most typical sample.
    pub const LEAST: Self = Self(0.0);
    /// As novel as the most novel sample.
    pub const MOST: Self = Self(100.0);

    /// The percentile nearest to `value`; [`MEDIAN`](Self::MEDIAN) for NaN.
    pub fn clamped(value: f64) -> Self {
        if value.is_nan() { Self::MEDIAN } else { Self(value.clamp(0.0, 100.0)) }
    }

    /// A percentile from a number in 0..=100. Use [`clamped`](Self::clamped) where a number outside is no mistake.
    ///
    /// # Errors
    /// The text of an error message, with what was expected and found.
    pub fn new(value: f64) -> Result<Self, String> {
        match (0.0..=100.0).contains(&value) {
            true => Ok(Self(value)),
            false => Err(format!("expected a percentile from 0 (most typical) to 100 (most novel), found {value}")),
        }
    }

    /// The number itself, from 0 to 100.
    pub fn percent(self) -> f64 {
        self.0
    }

    /// The same as a share, from 0 to 1.
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl std::fmt::Display for Percentile {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<f64> for Percentile {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        Self::new(value)
    }
}

impl From<Percentile> for f64 {
    fn from(value: Percentile) -> Self {
        value.0
    }
}

/// A place among the model's own unguided samples as a standard normal quantile, y = Φ⁻¹(percentile / 100) (theory,
/// 11). The levels of unguided samples are N(0, 1) whatever the distribution of the quantity measured, so a difference
/// of levels is a distance in standard deviations. Rewards predict levels and steering measures distances in them.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Level(pub f64);

impl Level {
    /// |self − other|, in standard deviations of unguided samples.
    pub fn distance(self, other: Self) -> f64 {
        (self.0 - other.0).abs()
    }
}

impl std::ops::Sub for Level {
    type Output = f64;

    /// self − other, with its sign, in standard deviations of unguided samples.
    fn sub(self, other: Self) -> f64 {
        self.0 - other.0
    }
}

impl std::ops::Add<f64> for Level {
    type Output = Self;

    fn add(self, distance: f64) -> Self {
        Self(self.0 + distance)
    }
}

/// A list of n latents of one width d, stored row-major as `[n, d]` in f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    values: Vec<f32>,
    width: usize,
}

impl Latents {
    /// Latents from row-major values `[n, width]`. A `width` of 0 counts as 1, and an incomplete last row is dropped.
    pub fn new(mut values: Vec<f32>, width: usize) -> Self {
        let width = width.max(1);
        values.truncate(values.len() / width * width);
        Self { values, width }
    }

    /// The unguided latents of `seeds`, `[seeds.len(), width]`. Row i is drawn from N(0, I) at the address of
    /// `seeds[i]`; it is the same whatever the other seeds are.
    pub fn of_seeds(seeds: &[u64], width: usize) -> Self {
        let values = seeds.iter().flat_map(|s| noise::normals(0, *s, Stream::Latent, 0, width)).collect();
        Self::new(values, width)
    }

    /// d, the number of values in a latent.
    pub fn width(&self) -> usize {
        self.width
    }

    /// n, the number of latents.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are no latents.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Latent `i`, `[d]`. Panics where `i` is n or more, as indexing does.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The latents one after another, `[d]` each.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width)
    }

    /// The latents one after another, `[d]` each, to be changed in place.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        self.values.chunks_exact_mut(self.width)
    }

    /// All values, row-major `[n, d]`.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row-major `[n, d]`, without a copy.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_have_ends() {
        for good in [0.0, 50.0, 100.0] {
            assert_eq!(Percentile::new(good).map(Percentile::percent), Ok(good));
        }
        for bad in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert!(Percentile::new(bad).is_err());
        }
    }

    #[test]
    fn latents_of_seeds_are_their_noise_in_any_company() {
        let all = Latents::of_seeds(&[3, 17, 5], 4);
        assert_eq!((all.len(), all.width(), all.is_empty()), (3, 4, false));
        assert_eq!(all.row(1), Latents::of_seeds(&[17], 4).values());
        assert_eq!(all.row(1), noise::normals(0, 17, Stream::Latent, 0, 4));
        assert_eq!(all.rows().len(), 3);
        assert_eq!(Latents::new(vec![1.0; 7], 3).len(), 2);
    }
}
