//! Clouds of points in f64, and nearest neighbours by brute force: exact, and fast enough for the thousands of points
//! of a benchmark.

use rayon::prelude::*;

/// A cloud of n points, stored row-major as `[n, width]`.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// The coordinates of all points, `[n, width]` row-major.
    pub values: Vec<f64>,
    /// The number of coordinates of a point.
    pub width: usize,
}

/// What is found at one point, or why there is nothing to be found, in words for a message.
pub type Local<T> = Result<T, String>;

/// A neighbour of a query: (squared distance, index in the cloud).
pub type Neighbour = (f64, usize);

impl Cloud {
    /// n, the number of points.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Point `i`, as `width` values. Panics if `i` is n or more, as indexing does.
    pub fn point(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The same, where all of the `k` neighbours are there; else the reason why a query has no neighbourhood, in words
    /// for a message. What is estimated of fewer neighbours, or of some that all lie at one place, is a number without
    /// a meaning.
    pub fn neighbourhoods(&self, queries: &Self, k: usize) -> Vec<Local<Vec<Neighbour>>> {
        let whole = |near: Vec<Neighbour>| -> Local<Vec<Neighbour>> {
            if near.len() < k.max(2) {
                let (found, all, k) = (near.len(), self.len(), k.max(2));
                return Err(format!(
                    "only {found} of {all} points lie at another place than it, expected {k} neighbours"
                ));
            }
            let first = self.point(near[0].1);
            match near.iter().all(|(_, i)| self.point(*i) == first) {
                true => Err(format!("its {k} neighbours all lie at one place")),
                false => Ok(near),
            }
        };
        self.nearest(queries, k).into_iter().map(whole).collect()
    }

    /// For each point of `queries`, its `k` nearest points of this cloud, nearest first; fewer if the cloud has fewer.
    /// A point at distance 0 is taken to be the query itself and is left out.
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

/// The mean share, from 0 to 1, of a query's `k` nearest neighbours that lie in its own part of the manifold. `parts`
/// and `query_parts` have one entry per point. Where it is low, the scaling of the coordinates has brought parts
/// together, and methods based on neighbours measure a mixture of them. Queries without neighbours do not count; NaN if
/// none has any.
pub fn purity(cloud: &Cloud, parts: &[usize], queries: &Cloud, query_parts: &[usize], k: usize) -> f64 {
    let found = cloud.nearest(queries, k);
    let share = |(near, own): (&Vec<Neighbour>, &usize)| {
        near.iter().filter(|(_, i)| parts[*i] == *own).count() as f64 / near.len() as f64
    };
    let shares: Vec<f64> = found.iter().zip(query_parts).filter(|(near, _)| !near.is_empty()).map(share).collect();
    shares.iter().sum::<f64>() / shares.len() as f64
}
