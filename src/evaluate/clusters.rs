//! k-means: cells around centres, by Lloyd's iteration from starts chosen as in k-means++ (Arthur & Vassilvitskii
//! 2007).

use super::{Features, steps};
use crate::noise::{self, Stream};
use rand::RngExt;
use rayon::prelude::*;

/// Starts, of which the best result is kept.
const STARTS: u64 = 10;
/// Lloyd's iteration ends when no row changes its cell, or after this many rounds.
const ROUNDS: usize = 300;

/// Centres of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// `[cells, width]` row-major.
    centres: Vec<f64>,
    width: usize,
    /// Σ of squared distances from rows to their centres.
    inertia: f64,
}

impl Cells {
    /// Divides the rows into `count` cells, or fewer where fewer rows differ. Each cell has a row.
    pub fn of(features: &Features, count: usize, seed: u64) -> Self {
        let results: Vec<Self> =
            (0..STARTS).into_par_iter().map(|start| Self::from(features, count, seed, start)).collect();
        let mut best = 0;
        for i in 1..results.len() {
            if results[i].inertia < results[best].inertia {
                best = i;
            }
        }
        results[best].clone()
    }

    /// How many cells there are.
    pub fn count(&self) -> usize {
        self.centres.len() / self.width
    }

    /// The cell of each row: that of the nearest centre, of equally near ones the first.
    pub fn assign(&self, features: &Features) -> Vec<usize> {
        self.nearest(features).into_iter().map(|(_, cell)| cell).collect()
    }

    /// Squared distance and number of the nearest centre of each row.
    fn nearest(&self, features: &Features) -> Vec<(f64, usize)> {
        let of = |row: &[f32]| {
            let mut best = (f64::INFINITY, 0);
            for (cell, centre) in self.centres.chunks_exact(self.width).enumerate() {
                let d = squared(row, centre);
                if d < best.0 {
                    best = (d, cell);
                }
            }
            best
        };
        features.values.chunks_exact(features.width).map(of).collect()
    }

    /// The result of one start.
    fn from(features: &Features, count: usize, seed: u64, start: u64) -> Self {
        let mut cells = Self::start(features, count, seed, start);
        let mut before: Vec<usize> = Vec::new();
        for _ in 0..ROUNDS {
            let mut nearest = cells.nearest(features);
            cells.fill(&mut nearest);
            cells.inertia = nearest.iter().map(|(d, _)| d).sum();
            let now: Vec<usize> = nearest.into_iter().map(|(_, cell)| cell).collect();
            if now == before {
                break;
            }
            cells.move_to_means(features, &now);
            before = now;
        }
        cells
    }

    /// Centres among the rows: the first at random, each further one with a probability in proportion to the squared
    /// distance to the nearest so far.
    fn start(features: &Features, count: usize, seed: u64, start: u64) -> Self {
        let mut rng = noise::generator(seed, start, Stream::Bootstrap, steps::CENTRES);
        let mut row = rng.random_range(0..features.rows());
        let mut cells = Self { centres: Vec::new(), width: features.width, inertia: 0.0 };
        let mut away = vec![f64::INFINITY; features.rows()];
        for _ in 0..count {
            let centre: Vec<f64> = features.row(row).iter().map(|v| f64::from(*v)).collect();
            for (away, row) in away.iter_mut().zip(features.values.chunks_exact(features.width)) {
                *away = away.min(squared(row, &centre));
            }
            cells.centres.extend(centre);
            let total: f64 = away.iter().sum();
            if total == 0.0 {
                break;
            }
            // The sums of all up to each row grow to `total`, which is above the target; rounding aside, the row is
            // where they pass it, and never one that is a centre already.
            let target = rng.random::<f64>() * total;
            let mut sum = 0.0;
            for (i, a) in away.iter().enumerate().filter(|(_, a)| **a > 0.0) {
                row = i;
                sum += a;
                if sum > target {
                    break;
                }
            }
        }
        cells
    }

    /// Gives each cell without a row the one that lies farthest from its centre, out of a cell with several.
    fn fill(&self, nearest: &mut [(f64, usize)]) {
        let mut sizes = vec![0; self.count()];
        nearest.iter().for_each(|(_, cell)| sizes[*cell] += 1);
        for empty in 0..self.count() {
            if sizes[empty] > 0 {
                continue;
            }
            let several = nearest.iter().enumerate().filter(|(_, (_, cell))| sizes[*cell] > 1);
            if let Some((i, (_, from))) = several.max_by(|a, b| a.1.0.total_cmp(&b.1.0)) {
                sizes[*from] -= 1;
                sizes[empty] = 1;
                nearest[i] = (0.0, empty);
            }
        }
    }

    /// Moves each centre to the mean of its rows.
    fn move_to_means(&mut self, features: &Features, cells: &[usize]) {
        let mut sums = vec![0.0; self.centres.len()];
        let mut sizes = vec![0usize; self.count()];
        for (row, cell) in features.values.chunks_exact(features.width).zip(cells) {
            sizes[*cell] += 1;
            let sum = &mut sums[cell * self.width..(cell + 1) * self.width];
            sum.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        let means = sums.chunks_exact(self.width).zip(&sizes);
        for (centre, (sum, size)) in self.centres.chunks_exact_mut(self.width).zip(means) {
            if *size > 0 {
                centre.iter_mut().zip(sum).for_each(|(c, s)| *c = s / *size as f64);
            }
        }
    }
}

/// |x − c|² in f64.
fn squared(x: &[f32], centre: &[f64]) -> f64 {
    x.iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{features, golden, on_any_threads};

    /// On the golden real rows, which have no clusters, every start ends elsewhere. scikit-learn's KMeans(3, n_init=10)
    /// ends between 2598.84 and 2608.81 over 40 seeds (neighbours/cells.py), and with one cell at 3146.934567079471
    /// (neighbours/meehan.py).
    #[test]
    fn as_good_as_scikit_learn() {
        let real = golden().real;
        let one = Cells::of(&real, 1, 0);
        assert!((one.inertia / 3146.934567079471 - 1.0).abs() < 1e-12, "{}", one.inertia);
        let mut all: Vec<f64> = (0..15).map(|seed| on_any_threads(|| Cells::of(&real, 3, seed)).inertia).collect();
        all.sort_by(f64::total_cmp);
        assert!(all[0] > 2598.0 && all[14] < 2609.0 && all[7] < 2602.5, "{all:?}");
    }

    /// Where Lloyd's iteration ends, each row has the nearest centre and each centre is the mean of its rows.
    #[test]
    fn it_ends_at_a_fixed_point() {
        let real = golden().real;
        let cells = Cells::of(&real, 3, 1);
        let mut moved = cells.clone();
        moved.move_to_means(&real, &cells.assign(&real));
        assert_eq!(moved.centres, cells.centres);
        let sum: f64 = cells.nearest(&real).iter().map(|(d, _)| d).sum();
        assert_eq!(sum, cells.inertia);
    }

    #[test]
    fn fewer_cells_than_asked_for_where_rows_repeat() {
        let two = features([1.0, 1.0, 5.0, 1.0, 5.0], 1);
        let cells = Cells::of(&two, 3, 0);
        assert_eq!((cells.count(), cells.inertia), (2, 0.0));
        let found = cells.assign(&two);
        assert_eq!([found[0], found[2]], [found[1], found[4]]);
        assert_ne!(found[0], found[2]);
        assert_eq!(Cells::of(&features([2.0; 4], 1), 3, 0).count(), 1);
    }

    /// Centres at 0, 0.2 and 100 of rows around 0 and 10: nothing is nearest to 100, so the farthest row moves there.
    #[test]
    fn an_empty_cell_takes_the_farthest_row() {
        let rows = features([0.0, 0.05, 0.2, 10.0, 10.1], 1);
        let cells = Cells { centres: vec![0.0, 0.2, 100.0], width: 1, inertia: 0.0 };
        let mut nearest = cells.nearest(&rows);
        assert_eq!(nearest.iter().map(|n| n.1).collect::<Vec<_>>(), [0, 0, 1, 1, 1]);
        cells.fill(&mut nearest);
        assert_eq!(nearest.iter().map(|n| n.1).collect::<Vec<_>>(), [0, 0, 1, 1, 2]);
    }
}
