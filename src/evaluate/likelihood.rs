//! The density that the feature likelihood score looks at: a normal kernel around each sample, each with its own
//! variance, and those variances fitted to other samples.
//!
//! With D features, kernels c₁ … c_M and log-variances s₁ … s_M the density at x is, up to a factor (2π)^(−D/2),
//!
//!   p(x) = 1/M Σⱼ exp(−½ |x − cⱼ|² e^(−sⱼ) − ½ D sⱼ).
//!
//! The loss of the fit is the mean of −ln p over the rows it is fitted to. Its derivative by sⱼ is the mean over rows
//! of −wⱼ(½ |x − cⱼ|² e^(−sⱼ) − ½ D), where wⱼ is kernel j's share of p(x). (Jiralerspong et al. 2023, section 3.)

use super::neighbours::squared_distances;
use super::resampling::{Draw, order, part};
use super::{Features, Sets};
use crate::error::{Error, Result};
use macerator::{AutoArch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// The most rows of each set. Every step of the fit reads all distances, so these are kept: 200 MB of them.
pub const MOST: usize = 5000;

/// The fewest rows of each set.
pub const FEWEST: usize = 3;

/// Rows whose gradients are summed before they are added to the others.
const ROWS: usize = 64;

/// Steps of the fit, and where the rate falls to a tenth.
const STEPS: [usize; 2] = [100, 50];

/// Rate of Adam.
const RATE: f64 = 0.5;

/// Bounds of the log-variances, which a kernel on a row it is fitted to would leave.
const BOUNDS: [f64; 2] = [-100.0, 20.0];

/// Equally many rows of four sets in a random order, with every feature at mean 0 and variance 1 over all of them.
/// Features that do not vary are left out: there is no density along them.
pub struct Samples {
    /// What the kernels are fitted to: half of the real rows.
    pub train: Features,
    /// Kernels to compare with: other real rows.
    pub baseline: Features,
    /// Real rows that the generator was not taught with.
    pub test: Features,
    /// Generated rows.
    pub generated: Features,
}

impl Samples {
    /// As many rows as half the real ones, the held-out and the generated ones allow, and at most [`MOST`].
    ///
    /// # Errors
    /// [`Error::Key`] where there is no held-out set, where one has too few rows, and where no feature varies.
    pub fn of(sets: &Sets, seed: u64) -> Result<Self> {
        let Some(test) = sets.test else {
            let message = "expected real samples that the generator was not taught with, found none; hold some out";
            return Err(Error::key("test", message));
        };
        let mut rows = MOST;
        for (set, name, times) in [(sets.real, "real", 2), (test, "test", 1), (sets.generated, "generated", 1)] {
            if set.rows() < times * FEWEST {
                let message = format!("{} samples, expected at least {}; add samples", set.rows(), times * FEWEST);
                return Err(Error::key(name, message));
            }
            rows = rows.min(set.rows() / times);
        }
        let of_real = order(seed, Draw::Real, sets.real.rows());
        let of_test = order(seed, Draw::Test, test.rows());
        let of_generated = order(seed, Draw::Generated, sets.generated.rows());
        let parts: [(&Features, &[usize]); 4] = [
            (sets.real, &of_real[..rows]),
            (sets.real, &of_real[rows..2 * rows]),
            (test, &of_test[..rows]),
            (sets.generated, &of_generated[..rows]),
        ];
        Self::scaled(parts)
    }

    /// These rows of four sets, equally many of each, scaled.
    ///
    /// # Errors
    /// [`Error::Key`] where no feature varies.
    pub fn scaled(parts: [(&Features, &[usize]); 4]) -> Result<Self> {
        let scales = scales(&parts);
        let width = scales.iter().flatten().count();
        if width == 0 {
            let message = "no feature varies, expected one at least; choose other features";
            return Err(Error::key("generated", message));
        }
        let scaled = |(set, rows): &(&Features, &[usize])| {
            let value =
                |(v, s): (&f32, &Option<[f64; 2]>)| s.map(|[mean, spread]| ((f64::from(*v) - mean) / spread) as f32);
            let values = rows.iter().flat_map(|i| set.row(*i).iter().zip(&scales).filter_map(value)).collect();
            Features { values, width }
        };
        let [train, baseline, test, generated] = parts.each_ref().map(scaled);
        Ok(Self { train, baseline, test, generated })
    }

    /// How many rows each set has.
    pub fn rows(&self) -> usize {
        self.train.rows()
    }
}

/// Mean and standard deviation of each feature over all parts; `None` where it does not vary.
fn scales(parts: &[(&Features, &[usize])]) -> Vec<Option<[f64; 2]>> {
    let rows = || parts.iter().flat_map(|(set, rows)| rows.iter().map(|i| set.row(*i)));
    let count = rows().count() as f64;
    let width = parts.first().map_or(0, |(set, _)| set.width);
    let (mut mean, mut square) = (vec![0.0f64; width], vec![0.0f64; width]);
    let mut varies = vec![false; width];
    let first: Vec<f32> = rows().next().map_or(Vec::new(), <[f32]>::to_vec);
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
        varies.iter_mut().zip(row.iter().zip(&first)).for_each(|(varies, (a, b))| *varies |= a != b);
    }
    mean.iter_mut().for_each(|m| *m /= count);
    for row in rows() {
        square.iter_mut().zip(row.iter().zip(&mean)).for_each(|(s, (v, m))| *s += (f64::from(*v) - m).powi(2));
    }
    let of = |k: usize| varies[k].then(|| [mean[k], (square[k] / (count - 1.0)).sqrt()]);
    (0..width).map(of).collect()
}

/// Log-variances of the kernels that make the rows of `train` likely: a hundred steps of Adam from 0.
pub fn fitted(train: &Features, kernels: &Features) -> Vec<f64> {
    fit(&squared_distances(train, kernels), kernels.rows(), kernels.width)
}

/// [`fitted`] from the squared distances of rows and kernels, `[rows, kernels]`.
pub fn fit(distances: &[f64], kernels: usize, width: usize) -> Vec<f64> {
    let [mut first, mut second] = [vec![0.0f64; kernels], vec![0.0f64; kernels]];
    let mut s = vec![0.0f64; kernels];
    let [mut decay, mut decay_of_squares] = [1.0, 1.0];
    for step in 0..STEPS[0] {
        let (_, gradient) = loss(distances, &s, width);
        let rate = if step < STEPS[1] { RATE } else { 0.1 * RATE };
        decay *= 0.9;
        decay_of_squares *= 0.999;
        for (((s, g), first), second) in s.iter_mut().zip(&gradient).zip(&mut first).zip(&mut second) {
            *first += 0.1 * (g - *first);
            *second = 0.999 * *second + 0.001 * g * g;
            let size = (*second / (1.0 - decay_of_squares)).sqrt() + 1e-8;
            *s = (*s - rate * (*first / (1.0 - decay)) / size).clamp(BOUNDS[0], BOUNDS[1]);
        }
    }
    s
}

/// Mean of −ln p over rows, and its gradient by the log-variances.
pub fn loss(distances: &[f64], log_variances: &[f64], width: usize) -> (f64, Vec<f64>) {
    let kernels = log_variances.len();
    let terms = Terms::of(log_variances, width);
    let of_rows = |distances: &[f64]| {
        let mut gradient = vec![0.0; kernels];
        let job = Likelihoods { distances, terms: &terms, gradient: &mut gradient };
        (AutoArch::new().dispatch(job), gradient)
    };
    let found: Vec<(f64, Vec<f64>)> = distances.par_chunks(ROWS * kernels).map(of_rows).collect();
    let rows = (distances.len() / kernels) as f64;
    let mut total = 0.0;
    let mut gradient = vec![0.0; kernels];
    for (sum, part) in found {
        total += sum;
        gradient.iter_mut().zip(part).for_each(|(g, p)| *g -= p / rows);
    }
    (libm::log(kernels as f64) - total / rows, gradient)
}

/// For each row, ln Σⱼ exp(…) of the density over the kernels of each of `groups` groups (see [`part`]): without the
/// factor 1/M, so that groups can be left out.
pub fn by_row(rows: &Features, kernels: &Features, log_variances: &[f64], groups: usize) -> Vec<Vec<f64>> {
    let count = kernels.rows();
    let terms = Terms::of(log_variances, kernels.width);
    let parts: Vec<Range<usize>> = (0..groups).map(|g| part(count, groups, g)).collect();
    let table = squared_distances(rows, kernels);
    let of = |distances: &[f64]| AutoArch::new().dispatch(RowGroups { distances, terms: &terms, groups: &parts });
    table.par_chunks_exact(count).map(of).collect()
}

/// For each of `groups` groups of rows and each kernel j, ln Σ exp(−½ |x − cⱼ|² e^(−sⱼ)) over the rows x of the group:
/// how likely kernel j makes them, up to a factor of its own.
pub fn by_kernel(rows: &Features, kernels: &Features, log_variances: &[f64], groups: usize) -> Vec<Vec<f64>> {
    let count = kernels.rows();
    let terms = Terms::of(log_variances, kernels.width);
    let table = squared_distances(rows, kernels);
    let of = |g: usize| {
        let rows = part(rows.rows(), groups, g);
        let distances = &table[rows.start * count..rows.end * count];
        AutoArch::new().dispatch(KernelGroup { distances, terms: &terms })
    };
    (0..groups).into_par_iter().map(of).collect()
}

/// ln Σ exp of a few numbers.
pub fn log_total(parts: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = parts.clone().fold(f64::NEG_INFINITY, f64::max);
    most + libm::log(parts.map(|v| libm::exp(v - most)).sum::<f64>())
}

/// What is the same for all rows: ½e^(−sⱼ) and ½Dsⱼ of each kernel, and ½D.
struct Terms {
    halves: Vec<f64>,
    offsets: Vec<f64>,
    of_width: f64,
}

impl Terms {
    fn of(log_variances: &[f64], width: usize) -> Self {
        let of_width = width as f64 / 2.0;
        let halves = log_variances.iter().map(|s| 0.5 * libm::exp(-s)).collect();
        Self { halves, offsets: log_variances.iter().map(|s| of_width * s).collect(), of_width }
    }
}

/// Coefficients of eʳ from the highest power, r¹³/13!, down: beyond it |r| ≤ ln 2 / 2 leaves 4e-18.
const POWERS: [f64; 14] = {
    let (mut all, mut value, mut k) = ([0.0; 14], 1.0, 0);
    while k < 14 {
        all[13 - k] = value;
        k += 1;
        value /= k as f64;
    }
    all
};

/// eˣ for x ≤ 0, to 2 units in the last place; 0 below −700. Written out so that it fills vector registers and has the
/// same bits everywhere.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Adding 1.5·2⁵² rounds to a whole number, which then stands in the lowest bits.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    const LN2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    let bounded = if x < -700.0 { -700.0 } else { x };
    let shifted = bounded.mul_add(std::f64::consts::LOG2_E, WHOLE);
    let n = shifted - WHOLE;
    let r = n.mul_add(-LN2[1], n.mul_add(-LN2[0], bounded));
    let mut sum = POWERS[0];
    for power in &POWERS[1..] {
        sum = sum.mul_add(r, *power);
    }
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    if x < -700.0 { 0.0 } else { sum * scale }
}

/// The largest of some numbers.
#[inline(always)]
fn largest(values: &[f64]) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; 16];
    let chunks = values.chunks_exact(16);
    let rest = chunks.remainder().iter().fold(f64::NEG_INFINITY, |m, v| if *v > m { *v } else { m });
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    lanes.iter().fold(rest, |m, v| if *v > m { *v } else { m })
}

/// Their sum, in sixteen partial sums.
#[inline(always)]
fn total(values: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 16];
    let chunks = values.chunks_exact(16);
    let rest: f64 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for i in 0..16 {
            lanes[i] += chunk[i];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Writes the exponents of a row's terms into `out` and then, less the largest, the terms themselves. Returns the
/// largest and the sum.
#[inline(always)]
fn terms_of_row(distances: &[f64], halves: &[f64], offsets: &[f64], out: &mut [f64]) -> [f64; 2] {
    for (((out, d), h), b) in out.iter_mut().zip(distances).zip(halves).zip(offsets) {
        *out = -(h * d) - b;
    }
    let most = largest(out);
    out.iter_mut().for_each(|v| *v = exp(*v - most));
    [most, total(out)]
}

/// Σ ln Σⱼ exp(…) over rows, and the gradient of it by the log-variances.
struct Likelihoods<'a> {
    distances: &'a [f64],
    terms: &'a Terms,
    gradient: &'a mut [f64],
}

impl WithSimd for Likelihoods<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> f64 {
        let Terms { halves, offsets, of_width } = self.terms;
        let mut out = vec![0.0; halves.len()];
        let mut sum = 0.0;
        for row in self.distances.chunks_exact(halves.len()) {
            let [most, all] = terms_of_row(row, halves, offsets, &mut out);
            sum += most + libm::log(all);
            let share = 1.0 / all;
            for (((g, v), d), h) in self.gradient.iter_mut().zip(&out).zip(row).zip(halves) {
                *g += v * share * (h * d - of_width);
            }
        }
        sum
    }
}

/// ln Σ exp(…) of one row over each group of kernels.
struct RowGroups<'a> {
    distances: &'a [f64],
    terms: &'a Terms,
    groups: &'a [Range<usize>],
}

impl WithSimd for RowGroups<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> Vec<f64> {
        let Terms { halves, offsets, .. } = self.terms;
        let mut out = vec![0.0; halves.len()];
        let of = |g: &Range<usize>| {
            let [d, h, b] = [self.distances, halves, offsets].map(|v| &v[g.clone()]);
            let [most, all] = terms_of_row(d, h, b, &mut out[..g.len()]);
            most + libm::log(all)
        };
        self.groups.iter().map(of).collect()
    }
}

/// ln Σ exp(−½ |x − cⱼ|² e^(−sⱼ)) over some rows, for each kernel.
struct KernelGroup<'a> {
    distances: &'a [f64],
    terms: &'a Terms,
}

impl WithSimd for KernelGroup<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> Vec<f64> {
        let halves = &self.terms.halves;
        let mut most = vec![f64::NEG_INFINITY; halves.len()];
        for row in self.distances.chunks_exact(halves.len()) {
            for ((m, d), h) in most.iter_mut().zip(row).zip(halves) {
                let exponent = -(h * d);
                *m = if exponent > *m { exponent } else { *m };
            }
        }
        let mut sums = vec![0.0; halves.len()];
        for row in self.distances.chunks_exact(halves.len()) {
            for (((s, m), d), h) in sums.iter_mut().zip(&most).zip(row).zip(halves) {
                *s += exp(-(h * d) - m);
            }
        }
        sums.iter().zip(&most).map(|(s, m)| m + libm::log(*s)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::fixture::drawn;

    /// Against libm over the whole range; both are within 2 units in the last place.
    #[test]
    fn powers_of_e() {
        assert_eq!((exp(0.0), exp(-701.0), exp(f64::NEG_INFINITY)), (1.0, 0.0, 0.0));
        for i in 0..70_000 {
            let x = -0.01 * f64::from(i);
            assert!((exp(x) / libm::exp(x) - 1.0).abs() <= 3.0 * f64::EPSILON, "{x}");
        }
    }

    /// The loss is the plain formula; the gradient is that of central differences, whose error is h² ≈ 1e-8 of the
    /// third derivative.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (width, kernels) = (5, 21);
        let distances = squared_distances(&drawn(70, width, 1), &drawn(kernels, width, 2));
        let mut s: Vec<f64> = (0..kernels).map(|j| (j as f64 * 1.7).sin()).collect();
        let (found, gradient) = loss(&distances, &s, width);
        let plain = |row: &[f64]| {
            let terms = row.iter().zip(&s).map(|(d, s)| (-0.5 * d * (-s).exp() - 2.5 * s).exp());
            -(terms.sum::<f64>() / kernels as f64).ln()
        };
        let expected = distances.chunks_exact(kernels).map(plain).sum::<f64>() / 70.0;
        assert!((found - expected).abs() < 1e-13, "{found} {expected}");
        let h = 1e-4;
        for j in 0..kernels {
            let at = s[j];
            let [up, down] = [at + h, at - h].map(|v| {
                s[j] = v;
                loss(&distances, &s, width).0
            });
            s[j] = at;
            assert!(((up - down) / (2.0 * h) - gradient[j]).abs() < 1e-8, "{j}");
        }
    }

    /// Sums by group are those over all, split: both ways of splitting.
    #[test]
    fn groups_add_up() {
        let (rows, kernels) = (drawn(37, 4, 3), drawn(33, 4, 4));
        let s: Vec<f64> = (0..33).map(|j| 0.1 * f64::from(j) - 2.0).collect();
        let of_rows = by_row(&rows, &kernels, &s, 5);
        let mean = of_rows.iter().map(|r| log_total(r.iter().copied())).sum::<f64>() / 37.0;
        let (expected, _) = loss(&squared_distances(&rows, &kernels), &s, 4);
        assert!((33f64.ln() - mean - expected).abs() < 1e-13);
        let of_kernels = by_kernel(&rows, &kernels, &s, 5);
        let whole = by_kernel(&rows, &kernels, &s, 1);
        for j in 0..33 {
            let sum = log_total(of_kernels.iter().map(|g| g[j]));
            let plain: f64 = (0..37)
                .map(|i| rows.row(i).iter().zip(kernels.row(j)).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>())
                .map(|d| (-0.5 * d * (-s[j]).exp()).exp())
                .sum();
            assert!((sum - whole[0][j]).abs() < 1e-13 && (sum - plain.ln()).abs() < 1e-5, "{j}");
        }
    }
}
