//! Linear layers and convolutions: each place of the output gathers from some places of the input.

use super::product::{TangentProduct, Term, ValueProduct};
use super::{HostLayer, HostTangents, Trace};
use rayon::prelude::*;

/// One place of the input that a place of the output gathers from, through one of the weight matrices.
#[derive(Clone, Copy, Debug)]
pub struct Tap {
    /// Place of the input.
    pub place: usize,
    /// Which weight matrix.
    pub matrix: usize,
}

/// Lists one after another in one piece of memory.
struct Lists<T> {
    all: Vec<T>,
    ends: Vec<usize>,
}

impl<T> Lists<T> {
    fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.all.extend(list);
        self.ends.push(self.all.len());
    }

    fn get(&self, i: usize) -> &[T] {
        &self.all[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }
}

/// y[m, p] = bias[m] + Σ over taps of p, over channels c, of W[matrix, c, m] · x[c, place]: a convolution of
/// any kind, or with one place a linear layer.
pub struct Gather {
    channels: usize,
    area: usize,
    outputs: usize,
    width: usize,
    places: usize,
    taps: Lists<Tap>,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

/// Multiplications from which an operation is split over threads: below it, splitting costs more.
const SPLIT: usize = 1 << 21;

impl Gather {
    /// From `channels` planes of `area` places to `outputs` planes of `taps.len()` places. The weight of
    /// matrix i, channel c, output m is `weight(i, c, m)`.
    pub fn new(
        [channels, area, outputs]: [usize; 3],
        taps: Vec<Vec<Tap>>,
        matrices: usize,
        bias: Option<&[f32]>,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Self {
        let width = outputs.div_ceil(16) * 16;
        let mut weights = vec![0.0; matrices * channels * width];
        for (row, values) in weights.chunks_exact_mut(width).enumerate() {
            values[..outputs].iter_mut().enumerate().for_each(|(m, v)| *v = weight(row / channels, row % channels, m));
        }
        let mut all = vec![0.0; width];
        if let Some(bias) = bias {
            all[..outputs].copy_from_slice(bias);
        }
        let mut lists = Lists { all: Vec::new(), ends: Vec::new() };
        let places = taps.len();
        taps.into_iter().for_each(|t| lists.push(t));
        Self { channels, area, outputs, width, places, taps: lists, weights, bias: all }
    }

    /// For each output m and place p, the row that its tangents get, if any; and the outputs of each place.
    fn columns(&self, wanted: Option<&[bool]>) -> (Vec<Option<u32>>, Lists<u32>) {
        let mut index = vec![None; self.outputs * self.places];
        let mut columns = Lists { all: Vec::with_capacity(index.len()), ends: Vec::with_capacity(self.places) };
        for p in 0..self.places {
            let first = columns.all.len();
            columns.push((0..self.outputs as u32).filter(|m| wanted.is_none_or(|w| w[*m as usize * self.places + p])));
            for (i, m) in columns.get(p).iter().enumerate() {
                index[*m as usize * self.places + p] = Some((first + i) as u32);
            }
        }
        (index, columns)
    }

    /// Row of the weights for a channel through a matrix.
    fn weight_row(&self, tap: &Tap, channel: u32) -> u32 {
        (tap.matrix * self.channels) as u32 + channel
    }

    fn product(&self, job: Job, sources: &Lists<Term>, t: &HostTangents, terms: &mut Vec<Term>) {
        terms.clear();
        for tap in self.taps.get(job.place) {
            let base = self.weight_row(tap, 0);
            terms.extend(sources.get(tap.place).iter().map(|s| Term { row: s.row, weight: s.weight + base }));
        }
        TangentProduct {
            terms,
            rows: t.rows(),
            lanes: t.lanes(),
            weights: &self.weights,
            width: self.width,
            wanted: job.columns,
            out: job.out,
        }
        .run();
    }
}

/// The tangents of the wanted outputs at one place.
struct Job<'a> {
    place: usize,
    columns: &'a [u32],
    out: &'a mut [f32],
}

impl HostLayer for Gather {
    fn value(&self, x: &[f32]) -> (Vec<f32>, Trace) {
        let mut sources = Lists { all: Vec::with_capacity(x.len()), ends: Vec::with_capacity(self.area) };
        for q in 0..self.area {
            let all = (0..self.channels).map(|c| (x[c * self.area + q], c as u32));
            sources.push(all.filter(|(x, _)| *x != 0.0));
        }
        let mut y = vec![0.0; self.outputs * self.places];
        let mut terms = Vec::new();
        let mut out = vec![0.0; self.width];
        for p in 0..self.places {
            terms.clear();
            for tap in self.taps.get(p) {
                let base = self.weight_row(tap, 0);
                terms.extend(sources.get(tap.place).iter().map(|(x, c)| (*x, c + base)));
            }
            out.copy_from_slice(&self.bias);
            ValueProduct { terms: &terms, weights: &self.weights, width: self.width, out: &mut out }.run();
            (0..self.outputs).for_each(|m| y[m * self.places + p] = out[m]);
        }
        (y, Trace::default())
    }

    fn tangent(&self, _: &Trace, t: HostTangents, wanted: Option<&[bool]>) -> HostTangents {
        let mut sources = Lists { all: Vec::with_capacity(t.features()), ends: Vec::with_capacity(self.area) };
        for q in 0..self.area {
            let all = (0..self.channels).map(|c| (t.place(c * self.area + q), c as u32));
            sources.push(all.filter_map(|(row, weight)| row.map(|row| Term { row, weight })));
        }
        let (index, columns) = self.columns(wanted);
        let mut data = vec![0.0; columns.all.len() * t.lanes()];
        let mut jobs = Vec::with_capacity(self.places);
        let mut rest = data.as_mut_slice();
        for place in 0..self.places {
            let columns = columns.get(place);
            let (out, after) = rest.split_at_mut(columns.len() * t.lanes());
            rest = after;
            jobs.push(Job { place, columns, out });
        }
        let terms: usize = self.taps.all.iter().map(|tap| sources.get(tap.place).len()).sum();
        if terms * (columns.all.len() / self.places.max(1)) * t.lanes() < SPLIT {
            let mut terms = Vec::new();
            jobs.into_iter().for_each(|job| self.product(job, &sources, &t, &mut terms));
        } else {
            jobs.into_par_iter().for_each_init(Vec::new, |terms, job| self.product(job, &sources, &t, terms));
        }
        HostTangents::from_rows(t.lanes(), index, data)
    }

    fn is_linear(&self) -> bool {
        true
    }

    fn fold(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if scale.len() != self.outputs {
            return false;
        }
        for values in self.weights.chunks_exact_mut(self.width) {
            values.iter_mut().zip(scale).for_each(|(v, s)| *v *= s);
        }
        self.bias.iter_mut().zip(scale.iter().zip(shift)).for_each(|(b, (s, t))| *b = *b * s + t);
        true
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + self.outputs * self.places
    }

    fn features(&self, _: usize) -> usize {
        self.outputs * self.places
    }
}
