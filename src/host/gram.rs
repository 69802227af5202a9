//! Gram matrices of Jacobians in host memory, within a budget of bytes.
//!
//! M = (JB)ᵀ(JB) is summed over the features at the end of the network. If all k tangents fit into the budget, one pass
//! computes them and several latents run at once. If not, the directions are divided into chunks and M is built block
//! by block from pairs of chunks: some chunks are kept, and the later ones are pushed through again for each group of
//! chunks that is kept.

use super::{HostGraph, HostRows, Linearisation, Start};
use crate::linalg::GramSum;
use rayon::prelude::*;
use std::ops::Range;

/// The directions b_j that are pushed through the network.
#[derive(Clone, Copy)]
pub enum Directions<'a> {
    /// All d unit vectors, so that J·B is the Jacobian itself.
    Units,
    /// The rows of a matrix `[k, d]`, row-major.
    Rows(&'a [f32]),
}

/// How the k directions are divided so that their tangents stay within the budget.
struct Partition {
    /// Ranges of directions that are pushed through together.
    chunks: Vec<Range<usize>>,
    /// Number of chunks whose tangents at the end of the network are kept at once.
    held: usize,
    /// Number of latents that are worked on at once.
    together: usize,
}

/// A chunk has at least this many directions: one vector register at its widest.
const LEAST: usize = 16;

/// A chunk has at most this many directions: with more, the rows that a convolution reads do not stay in the caches.
const MOST: usize = 128;

impl Partition {
    /// The partition of `k` directions into the fewest chunks that `memory` bytes allow.
    fn new(graph: &HostGraph, k: usize, memory: usize) -> Self {
        let bytes = |rows: usize, k: usize| 4 * rows * HostRows::lanes_for(k);
        let (peak, last, threads) = (graph.peak_rows(), graph.features(), rayon::current_num_threads());
        let whole = bytes(peak, k);
        if whole <= memory && k <= MOST {
            let together = (memory / whole.max(1)).clamp(1, threads);
            return Self { chunks: std::iter::once(0..k).collect(), held: 1, together };
        }
        // One half is for passes through the network, one on each thread, the other for the tangents that are kept at its end.
        let size = (memory / 2 / threads / bytes(peak, 1) * LEAST).clamp(LEAST, MOST.min(k.max(LEAST)));
        let chunks: Vec<_> = (0..k).step_by(size).map(|first| first..(first + size).min(k)).collect();
        Self { held: (memory / 2 / bytes(last, size)).clamp(1, chunks.len()), chunks, together: 1 }
    }
}

/// Computes M = (JB)ᵀ(JB), `[k, k]` in f64, at each of `latents` (`[n, d]` row-major), where J is the Jacobian of
/// `graph` and B has the directions as columns. Returns what `then` makes of the index of each latent and its M, or of
/// `None` if a value is not finite. `then` runs in parallel, and M is dropped afterwards, so only one matrix per thread
/// is alive.
///
/// The tangents take at most `memory` bytes, or as many as 16 directions need if that is more. A small budget costs
/// time, because directions are pushed through more than once, but the result is the same bit for bit.
pub fn grams<T: Send>(
    graph: &HostGraph,
    latents: &[f32],
    directions: Directions,
    memory: usize,
    then: impl Fn(usize, Option<Vec<f64>>) -> T + Sync,
) -> Vec<T> {
    let d = graph.width();
    let k = match directions {
        Directions::Units => d,
        Directions::Rows(rows) => rows.len() / d,
    };
    let plan = Partition::new(graph, k, memory);
    let push =
        Pushforward { graph, directions, first: (plan.chunks.len() == 1).then(|| start(graph, directions, 0..k)) };
    let one = |(i, z): (usize, &[f32])| {
        let (_, point) = graph.value(z);
        let gram = push.gram(&point, &plan, k);
        let finite = z.iter().all(|v| v.is_finite()) && gram.iter().all(|v| v.is_finite());
        then(i, finite.then_some(gram))
    };
    let each: Vec<(usize, &[f32])> = latents.chunks_exact(d).enumerate().collect();
    each.chunks(plan.together)
        .flat_map(|group| group.par_iter().map(|(i, z)| one((*i, z))).collect::<Vec<_>>())
        .collect()
}

/// The tangents of one chunk of directions after the leading linear nodes.
fn start(graph: &HostGraph, directions: Directions, chunk: Range<usize>) -> Start {
    let d = graph.width();
    graph.start(match directions {
        Directions::Units => HostRows::units(d, chunk.start, chunk.len()),
        Directions::Rows(rows) => HostRows::directions(&rows[chunk.start * d..chunk.end * d], chunk.len()),
    })
}

/// Pushes directions through one graph.
struct Pushforward<'a> {
    graph: &'a HostGraph,
    directions: Directions<'a>,
    /// The tangents after the leading linear nodes, shared by all latents; `None` if there are several chunks.
    first: Option<Start>,
}

impl Pushforward<'_> {
    /// J·b for the directions b of one chunk.
    fn tangents(&self, point: &Linearisation, chunk: Range<usize>) -> HostRows {
        match &self.first {
            Some(start) => self.graph.tangent(point, start, None),
            None => self.graph.tangent(point, &start(self.graph, self.directions, chunk), None),
        }
    }

    /// M at one latent, `[k, k]` row-major, built block by block.
    fn gram(&self, point: &Linearisation, plan: &Partition, k: usize) -> Vec<f64> {
        let mut gram = vec![0.0; k * k];
        for (g, group) in plan.chunks.chunks(plan.held).enumerate() {
            let held: Vec<HostRows> = group.par_iter().map(|c| self.tangents(point, c.clone())).collect();
            let pairs: Vec<(usize, usize)> =
                (0..held.len()).flat_map(|i| (i..held.len()).map(move |j| (i, j))).collect();
            let blocks = pairs.par_iter().map(|(i, j)| product(&held[*i], &held[*j], i == j)).collect::<Vec<_>>();
            for ((i, j), block) in pairs.iter().zip(&blocks) {
                put(&mut gram, k, &group[*i], &group[*j], block);
            }
            for later in &plan.chunks[((g + 1) * plan.held).min(plan.chunks.len())..] {
                let b = self.tangents(point, later.clone());
                for (chunk, a) in group.iter().zip(&held) {
                    put(&mut gram, k, chunk, later, &product(a, &b, false));
                }
            }
        }
        gram
    }
}

/// Σ over the features of aᵀb, `[lanes of a, lanes of b]`, and the number of its columns. `same` says that a is b.
fn product(a: &HostRows, b: &HostRows, same: bool) -> (Vec<f64>, usize) {
    let mut sum = GramSum::new([a.lanes(), b.lanes()], same);
    for f in 0..a.features() {
        if let (Some(a), Some(b)) = (a.row(f), b.row(f)) {
            sum.push(a, b);
        }
    }
    (sum.finish(), b.lanes())
}

/// Copies a block of M, without its padding, to its rows and columns, and its transpose to the mirrored place.
fn put(gram: &mut [f64], k: usize, rows: &Range<usize>, columns: &Range<usize>, (block, lanes): &(Vec<f64>, usize)) {
    for (i, row) in rows.clone().zip(block.chunks_exact(*lanes)) {
        for (j, v) in columns.clone().zip(row) {
            gram[i * k + j] = *v;
            gram[j * k + i] = *v;
        }
    }
}
