//! Samples beside the pictures that a model was trained on: the nearest ones, and the dimension that these have there.

use crate::data::Dataset;
use crate::diffusion::lid::{DataDimension, Local, data_dimension};
use crate::error::Result;
use crate::render::Picture;
use rayon::prelude::*;
use std::collections::HashMap;

/// Training pictures that are read together.
const CHUNK: usize = 256;

/// What lies beside one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// Number of the nearest training picture.
    pub nearest: usize,
    /// The distance to it in pixel values from 0 to 1.
    pub distance: f64,
    /// That over the distance from the nearest one to its own nearest neighbour at another place; `None` where all training pictures
    /// are equal. Below [`CALIBRATED`] the sample is a copy.
    pub calibrated: Option<f64>,
    /// How often the nearest picture is in the set.
    pub copies: usize,
    /// The dimension of the data at it.
    pub dimension: Local<DataDimension>,
}

/// The calibrated distance below which a sample is labelled a copy (Yoon et al. 2023).
pub const CALIBRATED: f64 = 0.8;

/// The training pictures of a model, as places: a picture that is repeated is one place.
pub struct Training {
    set: Dataset,
    range: [f32; 2],
    /// For each place its first picture, and how many pictures lie there.
    places: Vec<(usize, usize)>,
    neighbours: usize,
}

impl Training {
    /// The pictures of `set` with values in `range`. Their dimension is measured on `neighbours` places, or all if there are fewer.
    pub fn new(set: Dataset, range: [f32; 2], neighbours: usize) -> Self {
        let mut known: HashMap<&[u8], usize> = HashMap::new();
        let mut places: Vec<(usize, usize)> = Vec::new();
        for i in 0..set.count() {
            let at = *known.entry(set.bytes(i)).or_insert(places.len());
            match places.get_mut(at) {
                Some((_, copies)) => *copies += 1,
                None => places.push((i, 1)),
            }
        }
        drop(known);
        let neighbours = neighbours.min(places.len().saturating_sub(1));
        Self { set, range, places, neighbours }
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.set.count()
    }

    /// Places by which the data's dimension is measured.
    pub fn neighbours(&self) -> usize {
        self.neighbours
    }

    /// Picture `i`.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`].
    pub fn picture(&self, i: usize) -> Result<Picture> {
        self.set.picture(i)
    }

    fn values(&self, place: usize) -> Vec<f32> {
        self.set.values(self.places[place].0, self.range).collect()
    }

    /// Distances from each of `queries` to every place in the model's range, `[queries][places]`.
    fn distances(&self, queries: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let mut all: Vec<Vec<f32>> = vec![Vec::with_capacity(self.places.len()); queries.len()];
        for first in (0..self.places.len()).step_by(CHUNK) {
            let part = first..(first + CHUNK).min(self.places.len());
            let part: Vec<Vec<f32>> = part.into_par_iter().map(|i| self.values(i)).collect();
            all.par_iter_mut().zip(queries).for_each(|(all, q)| all.extend(part.iter().map(|p| square(p, q).sqrt())));
        }
        all
    }

    /// The dimension of the data at each of some places, and the distance to the nearest other place.
    fn around(&self, places: &[usize]) -> Vec<(Local<DataDimension>, Option<f32>)> {
        let values: Vec<Vec<f32>> = places.iter().map(|i| self.values(*i)).collect();
        let at = |(mut others, own): (Vec<f32>, &usize)| {
            others.swap_remove(*own);
            let nearest = others.iter().copied().min_by(f32::total_cmp);
            (data_dimension(&mut others, self.places[*own].1, self.neighbours), nearest)
        };
        self.distances(&values).into_iter().zip(places).map(at).collect()
    }

    /// What lies beside each of `samples`, given by their pixels in the model's range.
    pub fn beside(&self, samples: &[Vec<f32>]) -> Vec<Beside> {
        let least =
            |of: Vec<f32>| of.into_iter().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f32::NAN));
        let found: Vec<(usize, f32)> = self.distances(samples).into_iter().map(least).collect();
        let places: Vec<usize> = found.iter().map(|f| f.0).collect();
        let scale = f64::from(self.range[1] - self.range[0]);
        let one = |((place, distance), (dimension, other)): ((usize, f32), (Local<DataDimension>, Option<f32>))| {
            let (nearest, copies) = self.places[place];
            let distance = f64::from(distance);
            let calibrated = other.map(|other| distance / f64::from(other));
            Beside { nearest, distance: distance / scale, calibrated, copies, dimension }
        };
        found.into_iter().zip(self.around(&places)).map(one).collect()
    }

    /// The median of the data's dimension over about `count` places that are spread over the set, of those that have one; `None` if
    /// none has. Copies do not count here.
    pub fn usual(&self, count: usize) -> Option<f64> {
        let step = self.places.len().div_ceil(count.max(1)).max(1);
        let places: Vec<usize> = (0..self.places.len()).step_by(step).collect();
        let values: Vec<Vec<f32>> = places.iter().map(|i| self.values(*i)).collect();
        let at = |(mut others, own): (Vec<f32>, &usize)| {
            others.swap_remove(*own);
            data_dimension(&mut others, 1, self.neighbours).ok().map(|d| d.value)
        };
        let mut found: Vec<f64> = self.distances(&values).into_iter().zip(&places).filter_map(at).collect();
        found.sort_by(f64::total_cmp);
        found.get(found.len() / 2).copied()
    }
}

/// The squared distance.
fn square(a: &[f32], b: &[f32]) -> f32 {
    // Sums of 16 keep the loop in registers, and the rounding small.
    let mut sums = [0.0f32; 16];
    let (a16, b16) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a16.remainder().iter().zip(b16.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a16.zip(b16) {
        for i in 0..16 {
            sums[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    sums.iter().sum::<f32>() + rest
}
