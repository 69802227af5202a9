//! An enlargement and the convolution behind it as one: places of the convolution's input that show the same place of the
//! enlargement's input need not be read one by one, if the weights they are read through are added first. A 3×3 kernel on a
//! picture doubled by its nearest values so becomes four kernels of 2×2, one for each of the four places that a pixel becomes.

use crate::nn::{Grid, Plain, PlainGather, PlainGraph, Tap};
use std::collections::BTreeMap;

/// Puts every rearrangement into the convolution behind it, where that saves products and nothing else reads the
/// rearrangement. The results differ by the rounding of the added weights.
pub fn enlargements(graph: &mut PlainGraph) {
    let mut readers = vec![0usize; graph.nodes.len() + 1];
    graph.nodes.iter().flat_map(|n| &n.inputs).for_each(|v| readers[*v] += 1);
    readers[graph.output] += 1;
    for i in 0..graph.nodes.len() {
        let [input] = graph.nodes[i].inputs[..] else { continue };
        let (before, rest) = graph.nodes.split_at_mut(i);
        let Some(enlargement) = input.checked_sub(1).filter(|_| readers[input] == 1).map(|j| &mut before[j]) else {
            continue;
        };
        let ([Plain::Rearrange { from, fill }], Some(Plain::Gather(gather))) =
            (&enlargement.map[..], rest[0].map.first_mut())
        else {
            continue;
        };
        if let Some(joined) = through(gather, from, *fill) {
            *gather = joined;
            rest[0].inputs.clone_from(&enlargement.inputs);
            enlargement.map.clear();
        }
    }
}

/// `gather` behind the rearrangement `from`, if that does the same in every channel and the result has fewer taps.
fn through(gather: &PlainGather, from: &[u32], fill: f32) -> Option<PlainGather> {
    let (channels, area) = (gather.channels, gather.area);
    let outside = from.contains(&u32::MAX);
    if from.len() != channels * area || (outside && fill != 0.0) {
        return None;
    }
    let map = &from[..area];
    // Within a channel of the source only the places below its area are read, so the next channel tells how large it is.
    let seen = map.iter().position(|q| *q != u32::MAX)?;
    let before = match channels {
        1 => map.iter().filter(|q| **q != u32::MAX).max().map_or(0, |q| *q as usize + 1),
        _ => (from[area + seen]).checked_sub(map[seen])? as usize,
    };
    let same = |(f, q): (usize, &u32)| match (map[f % area], *q) {
        (u32::MAX, q) => q == u32::MAX,
        (m, q) => q != u32::MAX && q as usize == f / area * before + m as usize,
    };
    if !from.iter().enumerate().all(same) || map.iter().any(|q| *q != u32::MAX && *q as usize >= before) {
        return None;
    }
    let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let mut taps = Vec::with_capacity(gather.taps.len());
    for old in &gather.taps {
        let mut places: Vec<(usize, Vec<usize>)> = Vec::with_capacity(old.len());
        for tap in old.iter().filter(|tap| map[tap.place] != u32::MAX) {
            let place = map[tap.place] as usize;
            match places.iter_mut().find(|(p, _)| *p == place) {
                Some((_, matrices)) => matrices.push(tap.matrix),
                None => places.push((place, vec![tap.matrix])),
            }
        }
        let new = places.into_iter().map(|(place, matrices)| {
            let next = known.len();
            Tap { place, matrix: *known.entry(matrices).or_insert(next) }
        });
        taps.push(new.collect::<Vec<_>>());
    }
    let count = |taps: &[Vec<Tap>]| taps.iter().map(Vec::len).sum::<usize>();
    if count(&taps) >= count(&gather.taps) - gather.taps.iter().flatten().filter(|t| map[t.place] == u32::MAX).count() {
        return None;
    }
    let size = channels * gather.outputs;
    let mut weight = vec![0.0; known.len() * size];
    for (matrices, number) in &known {
        for (at, into) in weight[number * size..(number + 1) * size].iter_mut().enumerate() {
            let [step, c, m] = gather.strides;
            let place = at / gather.outputs * c + at % gather.outputs * m;
            *into = matrices.iter().map(|i| f64::from(gather.weight[i * step + place])).sum::<f64>() as f32;
        }
    }
    let (outputs, bias) = (gather.outputs, gather.bias.clone());
    // The sides of the picture before it was enlarged, if both by the same factor; `winograd::kernel` sees whether they are.
    let grid = gather.grid.and_then(|grid| {
        let input = (1..=grid.input[0]).map(|by| grid.input.map(|n| n / by)).find(|[h, w]| h * w == before)?;
        Some(Grid { input, ..grid })
    });
    Some(PlainGather { channels, area: before, outputs, taps, bias, weight, strides: [size, outputs, 1], grid })
}
