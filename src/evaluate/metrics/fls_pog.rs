//! `fls_pog`: the percentage of generated samples whose kernels fit the taught samples better than held-out ones.
//!
//! The kernels are those of [`fls`](super::fls). For each, the likelihood that it gives to real samples that the
//! generator was taught with is compared with that of as many held-out ones; the percentage for which it is higher,
//! less 50, is the result. A generator that copies is far above 0.

use crate::error::Result;
use crate::evaluate::likelihood::{Samples, by_kernel, fitted, log_total};
use crate::evaluate::resampling::{group_count, half_width, jackknife_error, part, within};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "fls_pog",
    about: "percentage of generated samples that make the taught samples likelier than held-out ones, less 50",
    reference: "Jiralerspong et al. 2023, arXiv 2302.04440",
    range: "-50 to 50; 50 is a copy",
    better: Better::Near(0.0),
    interval: "jackknife of 10 groups of all sets, as fitted",
    biased_below,
    needs: Some(Need::Test),
    measure,
};

/// Taught and held-out rows are equally many, so that the expectation without copies is near 0 at any number: 4.6 in
/// 4 dimensions and −0.6 in 40 for 200 kernels, where single values scattered by 7. Few samples widen the interval.
fn biased_below(_: usize) -> usize {
    0
}

/// The percentage, less 50, from ln-likelihoods of taught and held-out rows, each by group of rows and then by kernel.
/// `without` leaves out one group of rows and of kernels.
fn excess(taught: &[Vec<f64>], held_out: &[Vec<f64>], without: Option<usize>) -> f64 {
    let groups = taught.len();
    let kernels = taught.first().map_or(0, Vec::len);
    let left_out = without.map_or(0..0, |g| part(kernels, groups, g));
    let of = |sums: &[Vec<f64>], j: usize| {
        log_total(sums.iter().enumerate().filter(|(g, _)| Some(*g) != without).map(|(_, of_group)| of_group[j]))
    };
    let kept: Vec<usize> = (0..kernels).filter(|j| !left_out.contains(j)).collect();
    let higher = kept.iter().filter(|j| of(taught, **j) > of(held_out, **j)).count();
    100.0 * higher as f64 / kept.len() as f64 - 50.0
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let samples = Samples::of(sets, settings.seed)?;
    let groups = group_count(&[samples.rows()]);
    let log_variances = fitted(&samples.train, &samples.generated);
    let [taught, held_out] =
        [&samples.train, &samples.test].map(|rows| by_kernel(rows, &samples.generated, &log_variances, groups));
    let value = excess(&taught, &held_out, None);
    let without: Vec<f64> = (0..groups).map(|g| excess(&taught, &held_out, Some(g))).collect();
    let half = half_width(jackknife_error(&without), groups);
    Ok(Measured { value, interval: within(value, half, [-50.0, 50.0]) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::fixture::{drawn, golden, measured, message, on_threads};

    /// `moments/fls.py`, in numpy, on halves of the golden sets.
    #[test]
    fn equals_numpy() {
        let golden = golden();
        let half: Vec<usize> = (0..200).collect();
        let other: Vec<usize> = (200..400).collect();
        let of = |generated: &Features, rows: &[usize]| {
            let parts: [(&Features, &[usize]); 4] =
                [(&golden.real, &half), (&golden.real, &other), (&golden.test, &half), (generated, rows)];
            let samples = Samples::scaled(parts).unwrap();
            let s = fitted(&samples.train, &samples.generated);
            let [a, b] = [&samples.train, &samples.test].map(|rows| by_kernel(rows, &samples.generated, &s, 10));
            excess(&a, &b, None)
        };
        assert!((of(&golden.generated, &half) - -3.0).abs() < 1e-9);
        assert!((of(&golden.test, &other) - 4.5).abs() < 1e-9);
        assert!((of(&golden.memorised, &half) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn copies_stand_out() {
        let (real, test) = (drawn(400, 4, 1), drawn(200, 4, 2));
        let fresh = drawn(400, 4, 3);
        let honest = measured(&ROW, &real, &fresh, Some(&test)).unwrap();
        assert!(honest.value.abs() < 15.0 && honest.interval[0] < 5.0, "{honest:?}");
        // Copies of all real samples: those of the half that the variances are fitted to are seen, the others are as
        // new to the fit as fresh ones.
        let copies = measured(&ROW, &real, &real, Some(&test)).unwrap();
        assert!(copies.value > 15.0 && copies.interval[0] > 10.0, "{copies:?}");
        assert!(message(measured(&ROW, &real, &fresh, None)).starts_with("test: expected real samples"));
        let sets = Sets { test: Some(&test), ..Sets::new(&real, &fresh) };
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
    }
}
