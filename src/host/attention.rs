//! Self-attention between the places of a picture, in host memory, one sample at a time.

use super::gather::Gather;
use super::panels::{panels, product, terms};
use super::product::Term;
use super::{HostLayer, HostRows, Linearisation};
use crate::nn::{PlainGather, Tap};

/// y = W_out·(V·softmax(QᵀK/√w)ᵀ) with (Q, K, V) = W_qkv·x, head by head, for heads of w channels. x, Q, K and V are
/// `[channels, places]`, channel-major; the softmax runs over the keys.
pub struct Attention {
    qkv: Gather,
    out: Gather,
    heads: usize,
    channels: usize,
    places: usize,
}

impl Attention {
    /// Attention over `channels` planes of `places` values, divided into `heads` heads. The weights are `[3·channels,
    /// channels]` for `qkv` and `[channels, channels]` for `out`, row-major, each followed by its bias.
    pub fn new(
        [channels, places, heads]: [usize; 3],
        [qkv, qkv_bias]: [Vec<f32>; 2],
        [out, out_bias]: [Vec<f32>; 2],
    ) -> Self {
        let mix = |outputs, weight, bias| {
            Gather::new(PlainGather {
                channels,
                area: places,
                outputs,
                taps: (0..places).map(|place| vec![Tap { place, matrix: 0 }]).collect(),
                bias: Some(bias),
                weight,
                strides: [0, 1, channels],
                grid: None,
            })
        };
        Self { qkv: mix(3 * channels, qkv, qkv_bias), out: mix(channels, out, out_bias), heads, channels, places }
    }

    /// The width w of a head, in channels.
    fn width(&self) -> usize {
        self.channels / self.heads
    }

    /// 1/√w, the factor of the logits.
    fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// Index of the first value of channel `c` of a head in Q (`part` 0), K (1) or V (2).
    fn at(&self, part: usize, head: usize, c: usize) -> usize {
        (part * self.channels + head * self.width() + c) * self.places
    }

    /// The attention weights of one head, `[query, key]`, computed from Q, K and V in `all`.
    fn weights(&self, all: &[f32], head: usize) -> Vec<f32> {
        let (s, scale) = (self.places, self.scale());
        let mut weights = vec![0.0; s * s];
        for (i, row) in weights.chunks_exact_mut(s).enumerate() {
            for c in 0..self.width() {
                let q = all[self.at(0, head, c) + i] * scale;
                let k = &all[self.at(1, head, c)..][..s];
                row.iter_mut().zip(k).for_each(|(l, k)| *l += q * k);
            }
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|l| *l = (*l - top).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|l| *l /= sum);
        }
        weights
    }

    /// Writes the tangents of one head's weighted sums to `into` (`[w, places, lanes]`).
    fn head(&self, all: &[f32], weights: &[f32], head: usize, t: &HostRows, into: &mut [f32]) {
        let (s, w, lanes, count) = (self.places, self.width(), t.lanes(), t.count());
        let places: Vec<u32> = (0..s as u32).collect();
        let channels: Vec<u32> = (0..w as u32).collect();
        let of = |part: usize| panels(w, s, |c, i| all[self.at(part, head, c) + i]);
        let along = |part: usize, place: usize| terms(t, (0..w).map(|c| self.at(part, head, c) + place));
        // Σ_c ∂q[c, i] k[c, j] at [i, j], and Σ_c q[c, i] ∂k[c, j] at [j, i].
        let (mut by_q, mut by_k) = (vec![0.0; s * s * lanes], vec![0.0; s * s * lanes]);
        let (queries, keys) = (of(0), of(1));
        for i in 0..s {
            let row = i * s * lanes..(i + 1) * s * lanes;
            product(t.rows(), count, &along(0, i), (&keys, w), &places, &mut by_q[row.clone()]);
            product(t.rows(), count, &along(1, i), (&queries, w), &places, &mut by_k[row]);
        }
        let scale = self.scale();
        let mut mean = vec![0.0; lanes];
        for i in 0..s {
            let row = &mut by_q[i * s * lanes..(i + 1) * s * lanes];
            mean.fill(0.0);
            for (j, moved) in row.chunks_exact_mut(lanes).enumerate() {
                let other = &by_k[(j * s + i) * lanes..][..lanes];
                let weight = weights[i * s + j];
                for ((m, o), mean) in moved.iter_mut().zip(other).zip(&mut mean) {
                    *m = (*m + o) * scale;
                    *mean += weight * *m;
                }
            }
            for (moved, weight) in row.chunks_exact_mut(lanes).zip(&weights[i * s..]) {
                moved.iter_mut().zip(&mean).for_each(|(m, mean)| *m = weight * (*m - mean));
            }
        }
        // A ∂v at [c, i], then ∂A v at [i, c].
        let transposed = panels(s, s, |j, i| weights[i * s + j]);
        for c in 0..w {
            let rows = terms(t, (0..s).map(|j| self.at(2, head, c) + j));
            product(t.rows(), count, &rows, (&transposed, s), &places, &mut into[c * s * lanes..(c + 1) * s * lanes]);
        }
        let values = panels(s, w, |j, c| all[self.at(2, head, c) + j]);
        let mut at_place = vec![0.0; w * lanes];
        for i in 0..s {
            at_place.fill(0.0);
            let rows: Vec<Term> = (0..s as u32).map(|j| Term { row: (i * s) as u32 + j, weight: j }).collect();
            product(&by_q, count, &rows, (&values, s), &channels, &mut at_place);
            for (c, moved) in at_place.chunks_exact(lanes).enumerate() {
                into[(c * s + i) * lanes..][..lanes].iter_mut().zip(moved).for_each(|(y, m)| *y += m);
            }
        }
    }
}

impl HostLayer for Attention {
    // The linearisation holds Q, K and V, followed by the attention weights of all heads.
    fn value(&self, x: &[f32]) -> (Vec<f32>, Linearisation) {
        let s = self.places;
        let (mut all, _) = self.qkv.value(x);
        let mut y = vec![0.0; self.channels * s];
        let mut kept = Vec::with_capacity(self.heads * s * s);
        for head in 0..self.heads {
            let weights = self.weights(&all, head);
            for c in 0..self.width() {
                let v = &all[self.at(2, head, c)..][..s];
                let into = &mut y[self.at(0, head, c)..][..s];
                for (i, y) in into.iter_mut().enumerate() {
                    *y = weights[i * s..(i + 1) * s].iter().zip(v).map(|(a, v)| a * v).sum();
                }
            }
            kept.extend(weights);
        }
        all.extend(kept);
        (self.out.value(&y).0, Linearisation { values: all, inner: Vec::new() })
    }

    // With L = QᵀK/√w and A = softmax(L):  ∂A = A ∘ (∂L − Σ_j A_j ∂L_j),  ∂y = ∂A V + A ∂V.
    fn tangent(&self, point: &Linearisation, t: HostRows, wanted: Option<&[bool]>) -> HostRows {
        let none = Linearisation::default();
        let (all, weights) = point.values.split_at(3 * self.channels * self.places);
        let t = self.qkv.tangent(&none, t, None);
        let size = self.width() * self.places * t.lanes();
        let mut data = vec![0.0; self.heads * size];
        for (head, into) in data.chunks_exact_mut(size).enumerate() {
            let square = self.places * self.places;
            self.head(all, &weights[head * square..(head + 1) * square], head, &t, into);
        }
        let index = (0..(self.channels * self.places) as u32).collect();
        self.out.tangent(&none, t.with_rows(index, data.into()), wanted)
    }

    fn peak_rows(&self, before: usize) -> usize {
        before + 5 * self.channels * self.places + 2 * self.places * self.places
    }

    fn features(&self, before: usize) -> usize {
        before
    }
}
