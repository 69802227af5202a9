//! Gram matrices of Jacobians on host memory, within a budget of bytes.

use super::{HostChain, HostTangents, Trace};
use crate::linalg::GramSum;
use rayon::prelude::*;
use std::ops::Range;

/// The directions that are pushed through.
#[derive(Clone, Copy)]
pub enum Directions<'a> {
    /// All unit vectors of a latent: the columns of the Jacobian itself.
    Units,
    /// `[k, d]` row-major.
    Rows(&'a [f32]),
}

/// How the directions are divided so that the tangents stay within the budget.
struct Plan {
    chunks: Vec<Range<usize>>,
    /// Chunks whose last tangents are kept at once.
    held: usize,
    /// Latents that are worked on at once.
    together: usize,
}

/// Fewest directions in a chunk: one vector register at its widest.
const LEAST: usize = 16;

impl Plan {
    fn new(chain: &HostChain, k: usize, memory: usize) -> Self {
        let bytes = |rows: usize, k: usize| 4 * rows * HostTangents::lanes_for(k);
        let (peak, last) = (chain.peak_rows(), chain.features());
        let whole = bytes(peak, k);
        if whole <= memory {
            let together = (memory / whole.max(1)).clamp(1, rayon::current_num_threads());
            return Self { chunks: std::iter::once(0..k).collect(), held: 1, together };
        }
        // Half for a pass through the network, half for what is kept at its end.
        let size = (memory / 2 / bytes(peak, 1) * LEAST).clamp(LEAST, k.max(LEAST));
        let chunks: Vec<_> = (0..k).step_by(size).map(|first| first..(first + size).min(k)).collect();
        Self { held: (memory / 2 / bytes(last, size)).clamp(1, chunks.len()), chunks, together: 1 }
    }
}

/// For each of `latents` (`[n, d]` row-major), what `then` makes of its number and M = (JB)ᵀ(JB) in f64
/// (`[k, k]`), B the directions as columns; `None` in place of a matrix that is not finite.
///
/// The tangents take at most `memory` bytes, or what 16 directions take if that is more. Where the budget
/// does not hold all k at once, the later ones are pushed through again for each group that fits: slower,
/// and the same bits.
pub fn grams<T: Send>(
    chain: &HostChain,
    latents: &[f32],
    directions: Directions,
    memory: usize,
    then: impl Fn(usize, Option<Vec<f64>>) -> T + Sync,
) -> Vec<T> {
    let d = chain.width();
    let k = match directions {
        Directions::Units => d,
        Directions::Rows(rows) => rows.len() / d,
    };
    let plan = Plan::new(chain, k, memory);
    let push = Push { chain, directions, first: (plan.chunks.len() == 1).then(|| start(chain, directions, 0..k)) };
    let one = |(i, z): (usize, &[f32])| {
        let (_, trace) = chain.value(z);
        let gram = push.gram(&trace, &plan, k);
        let finite = z.iter().all(|v| v.is_finite()) && gram.iter().all(|v| v.is_finite());
        then(i, finite.then_some(gram))
    };
    let each: Vec<(usize, &[f32])> = latents.chunks_exact(d).enumerate().collect();
    each.chunks(plan.together)
        .flat_map(|group| group.par_iter().map(|(i, z)| one((*i, z))).collect::<Vec<_>>())
        .collect()
}

fn start(chain: &HostChain, directions: Directions, chunk: Range<usize>) -> (HostTangents, usize) {
    let d = chain.width();
    chain.start(match directions {
        Directions::Units => HostTangents::units(d, chunk.start, chunk.len()),
        Directions::Rows(rows) => HostTangents::directions(&rows[chunk.start * d..chunk.end * d], chunk.len()),
    })
}

struct Push<'a> {
    chain: &'a HostChain,
    directions: Directions<'a>,
    /// Behind the leading linear layers, shared by all latents.
    first: Option<(HostTangents, usize)>,
}

impl Push<'_> {
    fn tangents(&self, trace: &Trace, chunk: Range<usize>) -> HostTangents {
        let (t, skip) = self.first.clone().unwrap_or_else(|| start(self.chain, self.directions, chunk));
        self.chain.tangent(trace, t, None, skip)
    }

    fn gram(&self, trace: &Trace, plan: &Plan, k: usize) -> Vec<f64> {
        let mut gram = vec![0.0; k * k];
        for (g, group) in plan.chunks.chunks(plan.held).enumerate() {
            let held: Vec<HostTangents> = group.iter().map(|c| self.tangents(trace, c.clone())).collect();
            for (i, a) in held.iter().enumerate() {
                for (j, b) in held.iter().enumerate().skip(i) {
                    put(&mut gram, k, &group[i], &group[j], &product(a, b, i == j));
                }
            }
            for later in &plan.chunks[((g + 1) * plan.held).min(plan.chunks.len())..] {
                let b = self.tangents(trace, later.clone());
                for (chunk, a) in group.iter().zip(&held) {
                    put(&mut gram, k, chunk, later, &product(a, &b, false));
                }
            }
        }
        gram
    }
}

/// aᵀb over the features, `[a lanes, b lanes]`.
fn product(a: &HostTangents, b: &HostTangents, same: bool) -> (Vec<f64>, usize) {
    let mut sum = GramSum::new([a.lanes(), b.lanes()], same);
    for f in 0..a.features() {
        if let (Some(a), Some(b)) = (a.row(f), b.row(f)) {
            sum.push(a, b);
        }
    }
    (sum.finish(), b.lanes())
}

/// Puts a block and its mirror image in place.
fn put(gram: &mut [f64], k: usize, rows: &Range<usize>, columns: &Range<usize>, (block, lanes): &(Vec<f64>, usize)) {
    for (i, row) in rows.clone().zip(block.chunks_exact(*lanes)) {
        for (j, v) in columns.clone().zip(row) {
            gram[i * k + j] = *v;
            gram[j * k + i] = *v;
        }
    }
}
