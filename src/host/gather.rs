//! Linear layers and convolutions of any kind. Each place of the output gathers from some places of the input, through
//! one weight matrix for each place it reads:
//!
//! ```text
//! y[m, p] = bias[m] + Σ over taps (place q, matrix i) of p, over channels c, of W_i[c, m] · x[c, q].
//! ```
//!
//! Two kinds of sharing turn this into a few large products. Output places that read the same input places form a
//! *group*: one product computes all of them, with their weights side by side. Groups with equal weights, such as all
//! those in the interior of a picture, share a *pattern*: their weights are stored once, and are read from memory once
//! for several groups.

use super::buffer::Buffer;
use super::product::{PANEL, TangentPart, TangentProduct, Term, ValuePart, ValueProduct};
use super::rows::CLOSED;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::PlainGather;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A list for each of some places. The lists of [`PLACES`] neighbouring places lie in one block of memory, one after another.
struct Lists<T> {
    blocks: Vec<Vec<T>>,
    /// Where each list ends in its block.
    ends: Vec<u32>,
}

/// Places whose lists one task makes.
const PLACES: usize = 64;

impl<T: Copy + Default + Send> Lists<T> {
    /// One list for each of `area` places. It holds what `entry(feature c·area + place, channel c)` gives for the
    /// channels c, in ascending order.
    fn by_place(channels: usize, area: usize, entry: impl Fn(usize, u32) -> Option<T> + Sync) -> Self {
        // Each list is counted first and then filled, so that features are read in memory order.
        let block = |first: usize| {
            let places = first..(first + PLACES).min(area);
            let mut next = vec![0u32; places.len()];
            for c in 0..channels {
                let open = |q: usize| u32::from(entry(c * area + q, c as u32).is_some());
                next.iter_mut().zip(places.clone()).for_each(|(n, q)| *n += open(q));
            }
            let mut total = 0;
            for n in &mut next {
                total += std::mem::replace(n, total);
            }
            let mut all = vec![T::default(); total as usize];
            for c in 0..channels {
                for (next, q) in next.iter_mut().zip(places.clone()) {
                    if let Some(found) = entry(c * area + q, c as u32) {
                        all[*next as usize] = found;
                        *next += 1;
                    }
                }
            }
            (all, next)
        };
        let starts: Vec<usize> = (0..area).step_by(PLACES).collect();
        let made: Vec<(Vec<T>, Vec<u32>)> = match channels * area >= SPLIT >> 6 {
            true => starts.into_par_iter().map(block).collect(),
            false => starts.into_iter().map(block).collect(),
        };
        let (blocks, ends): (_, Vec<Vec<u32>>) = made.into_iter().unzip();
        Self { blocks, ends: ends.concat() }
    }
}

impl<T> Lists<T> {
    /// List `i`.
    fn get(&self, i: usize) -> &[T] {
        let start = if i.is_multiple_of(PLACES) { 0 } else { self.ends[i - 1] };
        &self.blocks[i / PLACES][start as usize..self.ends[i] as usize]
    }
}

/// Which columns of its weights each group is asked for, and where their rows go.
struct Columns {
    /// For each output feature its row; [`CLOSED`] if it is not wanted.
    index: Vec<u32>,
    /// The wanted columns of all groups, one group after another.
    all: Vec<u32>,
    /// Where those of each group end.
    ends: Vec<usize>,
}

/// A convolution of any kind or, with a single place, a linear layer: see the head of this file.
pub struct Gather {
    channels: usize,
    area: usize,
    outputs: usize,
    places: usize,
    groups: Vec<Group>,
    patterns: Vec<Pattern>,
    /// The columns when everything is wanted.
    whole: OnceLock<Columns>,
}

/// Places of the output that read the same places of the input, such as the four of a 2×2 block in a transposed
/// convolution of stride 2.
struct Group {
    /// Places of the input.
    sources: Vec<usize>,
    /// Places of the output.
    members: Vec<usize>,
    /// Index of its weights among the patterns.
    pattern: usize,
}

/// The weights shared by groups that are alike, `[panel, sources·channels, PANEL]`. A column is one output channel of
/// one member; the channels of the first member come first.
struct Pattern {
    /// The number of rows of the weights: sources·channels.
    height: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// An operation with at least this many multiplications is split over threads; below it, splitting costs more than it
/// saves.
const SPLIT: usize = 1 << 21;

/// How many bytes of tangents the groups of one call may read, counted separately for each group. Groups overlap, so
/// about half of that is really read; together with a panel of weights it stays in a cache of 2 MiB.
const TOGETHER: usize = 2 << 20;

/// An operation that is split over threads has at least this many batches for each.
const EACH: usize = 4;

impl Gather {
    /// Builds the gather for a layer in plain terms: sorts its places into groups and its weights into patterns.
    pub fn new(plain: PlainGather) -> Self {
        let PlainGather { channels, area, outputs, taps, bias, weight, strides, .. } = plain;
        let bias = bias.as_deref();
        let weight = |i: usize, c: usize, m: usize| weight[i * strides[0] + c * strides[1] + m * strides[2]];
        let mut members: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (p, taps) in taps.iter().enumerate() {
            members.entry(taps.iter().map(|t| t.place).collect()).or_default().push(p);
        }
        let (mut groups, mut patterns, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (sources, members) in members {
            let matrices: Vec<Vec<usize>> =
                members.iter().map(|p| taps[*p].iter().map(|t| t.matrix).collect()).collect();
            let pattern = *known.entry(matrices).or_insert_with_key(|matrices| {
                patterns.push(Pattern::new(channels, outputs, matrices, bias, weight));
                patterns.len() - 1
            });
            groups.push(Group { sources, members, pattern });
        }
        groups.sort_by_key(|g| g.pattern);
        Self { channels, area, outputs, places: taps.len(), groups, patterns, whole: OnceLock::new() }
    }

    /// The columns that the wanted output features need.
    fn columns(&self, wanted: Option<&[bool]>) -> Columns {
        let mut index = vec![CLOSED; self.outputs * self.places];
        let mut columns = Vec::with_capacity(index.len());
        let mut ends = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            for (member, p) in group.members.iter().enumerate() {
                for m in 0..self.outputs {
                    let feature = m * self.places + p;
                    if wanted.is_none_or(|w| w[feature]) {
                        index[feature] = columns.len() as u32;
                        columns.push((member * self.outputs + m) as u32);
                    }
                }
            }
            ends.push(columns.len());
        }
        Columns { index, all: columns, ends }
    }

    /// Batches of consecutive jobs that use the same weights and whose tangents stay within [`TOGETHER`], so that
    /// weights are read from memory once for several groups.
    fn together<'a>(&self, jobs: Vec<Job<'a>>, sources: &Lists<Term>, lanes: usize) -> Vec<Vec<Job<'a>>> {
        let bytes = |job: &Job| 4 * lanes * job.group.sources.iter().map(|p| sources.get(*p).len()).sum::<usize>();
        let share = jobs.iter().map(bytes).sum::<usize>() / (EACH * rayon::current_num_threads());
        let most = TOGETHER.min(share);
        let mut all: Vec<Vec<Job>> = Vec::new();
        let mut taken = 0;
        for job in jobs {
            taken += bytes(&job);
            match all.last_mut() {
                Some(last) if last[0].group.pattern == job.group.pattern && taken <= most => last.push(job),
                _ => {
                    taken = bytes(&job);
                    all.push(vec![job]);
                }
            }
        }
        all
    }

    /// Appends the entries of all sources of a group to `into`. `with(entry, row)` adds the first weight row of the
    /// source to the entry's own row.
    fn terms<T: Copy>(&self, group: &Group, sources: &Lists<T>, with: impl Fn(T, u32) -> T, into: &mut Vec<T>) {
        for (i, place) in group.sources.iter().enumerate() {
            let base = (i * self.channels) as u32;
            into.extend(sources.get(*place).iter().map(|t| with(*t, base)));
        }
    }

    /// Computes a batch of jobs, all of one pattern.
    fn product(&self, jobs: Vec<Job>, sources: &Lists<Term>, t: &HostRows, terms: &mut Vec<Term>) {
        let Some(pattern) = jobs.first().map(|job| &self.patterns[job.group.pattern]) else { return };
        terms.clear();
        let mut ends = Vec::with_capacity(jobs.len());
        for job in &jobs {
            self.terms(job.group, sources, |s, base| Term { row: s.row, weight: s.weight + base }, terms);
            ends.push(terms.len());
        }
        let mut parts = Vec::with_capacity(jobs.len());
        let mut begin = 0;
        for (job, end) in jobs.into_iter().zip(ends) {
            let start = |column: &u32| if job.biased { pattern.bias[*column as usize] } else { 0.0 };
            let rows = job.out.chunks_exact_mut(t.lanes());
            rows.zip(job.columns).for_each(|(row, column)| row.fill(start(column)));
            parts.push(TangentPart { terms: &terms[begin..end], wanted: job.columns, out: job.out });
            begin = end;
        }
        TangentProduct {
            parts: &mut parts,
            rows: t.rows(),
            lanes: t.lanes(),
            count: t.count(),
            weights: &pattern.weights,
            height: pattern.height,
        }
        .run();
    }

    /// The rows of the wanted output features, from the rows of the input: tangents, or values with the bias.
    fn rows(&self, t: HostRows, wanted: Option<&[bool]>, biased: bool) -> HostRows {
        let sources = Lists::by_place(self.channels, self.area, |f, weight| t.place(f).map(|row| Term { row, weight }));
        let some = wanted.map(|w| self.columns(Some(w)));
        let columns = some.as_ref().unwrap_or_else(|| self.whole.get_or_init(|| self.columns(None)));
        let mut data = Buffer::any(columns.all.len() * t.lanes());
        let mut jobs = Vec::with_capacity(self.groups.len());
        let (mut rest, mut start) = (&mut *data, 0);
        for (group, end) in self.groups.iter().zip(&columns.ends) {
            let columns = &columns.all[start..*end];
            let (out, after) = rest.split_at_mut(columns.len() * t.lanes());
            (rest, start) = (after, *end);
            jobs.push(Job { group, columns, out, biased });
        }
        let terms: usize = self.groups.iter().flat_map(|g| &g.sources).map(|place| sources.get(*place).len()).sum();
        let batches = self.together(jobs, &sources, t.lanes());
        if terms * (columns.all.len() / self.groups.len().max(1)) * t.lanes() < SPLIT {
            let mut terms = Vec::new();
            batches.into_iter().for_each(|jobs| self.product(jobs, &sources, &t, &mut terms));
        } else {
            batches.into_par_iter().for_each_init(Vec::new, |terms, jobs| self.product(jobs, &sources, &t, terms));
        }
        t.with_rows(columns.index.clone(), data)
    }
}

impl Pattern {
    /// The pattern of a group in which member i reads source j through the weight matrix `matrices[i][j]`.
    fn new(
        channels: usize,
        outputs: usize,
        matrices: &[Vec<usize>],
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let columns = outputs * matrices.len();
        let height = matrices.first().map_or(0, Vec::len) * channels;
        let mut weights = vec![0.0; columns.div_ceil(PANEL) * height * PANEL];
        weights.par_chunks_mut((height * PANEL).max(1)).enumerate().for_each(|(panel, values)| {
            let own = panel * PANEL..columns.min((panel + 1) * PANEL);
            let own: Vec<(&[usize], usize)> = own.map(|c| (matrices[c / outputs].as_slice(), c % outputs)).collect();
            for (row, values) in values.chunks_exact_mut(PANEL).enumerate() {
                let (source, channel) = (row / channels, row % channels);
                values.iter_mut().zip(&own).for_each(|(v, (member, m))| *v = weight(member[source], channel, *m));
            }
        });
        let mut all = vec![0.0; columns.div_ceil(PANEL) * PANEL];
        if let Some(bias) = bias {
            all[..columns].iter_mut().zip(bias.iter().cycle()).for_each(|(all, b)| *all = *b);
        }
        Self { height, weights, bias: all }
    }
}

/// The rows to compute for one group: those of its wanted columns, written to `out` (`[columns, lanes]`), with the bias if they
/// are values.
struct Job<'a> {
    group: &'a Group,
    columns: &'a [u32],
    out: &'a mut [f32],
    biased: bool,
}

impl HostLayer for Gather {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let sources = Lists::by_place(self.channels, self.area, |f, c| Some((x[f], c)).filter(|(x, _)| *x != 0.0));
        let mut y = vec![0.0; self.outputs * self.places];
        let (mut terms, mut ends, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for groups in self.groups.chunk_by(|a, b| a.pattern == b.pattern) {
            let pattern = &self.patterns[groups[0].pattern];
            terms.clear();
            ends.clear();
            sums.clear();
            for group in groups {
                self.terms(group, &sources, |(x, c), base| (x, c + base), &mut terms);
                ends.push(terms.len());
                sums.extend_from_slice(&pattern.bias);
            }
            let mut begin = 0;
            let mut parts = Vec::with_capacity(groups.len());
            for (end, out) in ends.iter().zip(sums.chunks_exact_mut(pattern.bias.len().max(1))) {
                parts.push(ValuePart { terms: &terms[begin..*end], out });
                begin = *end;
            }
            ValueProduct { parts: &mut parts, weights: &pattern.weights, height: pattern.height }.run();
            for (group, sums) in groups.iter().zip(sums.chunks_exact(pattern.bias.len().max(1))) {
                for (p, sums) in group.members.iter().zip(sums.chunks_exact(self.outputs)) {
                    sums.iter().enumerate().for_each(|(m, v)| y[m * self.places + p] = *v);
                }
            }
        }
        (y, Linearisation::default())
    }

    fn tangent(&self, _: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        self.rows(t, wanted, false)
    }

    fn values(&self, x: HostRows) -> HostRows {
        self.rows(x, None, true)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if scale.len() != self.outputs {
            return false;
        }
        for pattern in &mut self.patterns {
            let size = (pattern.height * PANEL).max(1);
            pattern.weights.par_chunks_mut(size).enumerate().for_each(|(panel, values)| {
                let own: Vec<f32> = (0..PANEL).map(|i| scale[(panel * PANEL + i) % scale.len()]).collect();
                for row in values.chunks_exact_mut(PANEL) {
                    row.iter_mut().zip(&own).for_each(|(v, s)| *v *= s);
                }
            });
            let affine = scale.iter().zip(shift).cycle();
            pattern.bias.iter_mut().zip(affine).for_each(|(b, (s, t))| *b = *b * s + t);
        }
        true
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.outputs * self.places
    }

    fn features(&self, _: usize) -> usize {
        self.outputs * self.places
    }
}
