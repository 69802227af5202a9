//! Points in f64 and their nearest neighbours, by brute force.

use rayon::prelude::*;

/// Points `[n, width]`, row-major.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The values.
    pub values: Vec<f64>,
    /// Values per point.
    pub width: usize,
}

/// A neighbour: squared distance and index.
pub type Neighbour = (f64, usize);

impl Cloud {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Point `i`.
    pub fn point(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The `k` nearest points of this cloud to each point of `queries`, nearest first. A point at distance 0 is the
    /// query itself and is left out.
    pub fn nearest(&self, queries: &Self, k: usize) -> Vec<Vec<Neighbour>> {
        (0..queries.len())
            .into_par_iter()
            .map(|q| {
                let query = queries.point(q);
                let distance = |i: usize| self.point(i).iter().zip(query).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                let mut all: Vec<Neighbour> = (0..self.len()).map(|i| (distance(i), i)).filter(|d| d.0 > 0.0).collect();
                let k = k.min(all.len());
                if k < all.len() {
                    all.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0));
                    all.truncate(k);
                }
                all.sort_by(|a, b| a.0.total_cmp(&b.0));
                all
            })
            .collect()
    }
}

/// Mean share of the `k` nearest neighbours that lie in the query's own part: where it is low, the scaling of the
/// coordinates has mixed the parts, and methods of neighbours measure the mixture.
pub fn purity(cloud: &Cloud, parts: &[usize], queries: &Cloud, query_parts: &[usize], k: usize) -> f64 {
    let found = cloud.nearest(queries, k);
    let share = |(near, own): (&Vec<Neighbour>, &usize)| {
        near.iter().filter(|(_, i)| parts[*i] == *own).count() as f64 / near.len().max(1) as f64
    };
    found.iter().zip(query_parts).map(share).sum::<f64>() / query_parts.len().max(1) as f64
}
