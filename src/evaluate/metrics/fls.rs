//! `fls`: how likely held-out real samples are under a density made of the generated ones.
//!
//! Normal kernels around the generated samples, with variances fitted to one half of the real samples (see
//! [`likelihood`]), give the held-out ones a mean negative log-likelihood; kernels around the other half of the real
//! samples give the one to compare with. The score is 100·exp(−2(nll − nll of the real kernels)/d): 100 where the
//! generated samples do as well as real ones. Copies of the samples it was taught with get narrow kernels, under which
//! held-out samples are unlikely.

use crate::error::Result;
use crate::evaluate::likelihood::{Samples, by_row, fitted, log_total};
use crate::evaluate::resampling::{group_count, half_width, jackknife_error, part};
use crate::evaluate::{Better, Measured, MetricRow, Need, Sets, Settings};

/// The row of the table.
pub const ROW: MetricRow = MetricRow {
    name: "fls",
    about: "likelihood of held-out real samples under kernels around generated ones, next to real kernels",
    reference: "Jiralerspong et al. 2023, arXiv 2302.04440",
    range: "0 and up; 100 is as good as real samples",
    better: Better::Higher,
    interval: "jackknife of 10 groups of held-out samples and of kernels, as fitted",
    biased_below,
    needs: Some(Need::Test),
    measure,
};

/// Both densities have equally many kernels and are fitted to the same rows, so that a generator as good as the data is
/// expected at 100 whatever their number.
fn biased_below(_: usize) -> usize {
    0
}

/// Mean negative log-likelihood over the held-out rows from the sums over groups of kernels; for each row by group, of
/// `count` kernels in all. `without` leaves out one group of rows and of kernels.
fn negative_likelihood(by_row: &[Vec<f64>], count: usize, without: Option<usize>) -> f64 {
    let groups = by_row.first().map_or(0, Vec::len);
    let kept = |n: usize| n - without.map_or(0, |g| part(n, groups, g).len());
    let rows = by_row.len();
    let left_out = without.map_or(0..0, |g| part(rows, groups, g));
    let of = |row: &Vec<f64>| log_total(row.iter().enumerate().filter(|(g, _)| Some(*g) != without).map(|(_, v)| *v));
    let sum: f64 = by_row.iter().enumerate().filter(|(i, _)| !left_out.contains(i)).map(|(_, row)| of(row)).sum();
    libm::log(kept(count) as f64) - sum / kept(rows) as f64
}

/// Negative log-likelihood of the held-out rows, less that under real kernels: of all, and without each group.
fn differences(samples: &Samples) -> (f64, Vec<f64>) {
    let groups = group_count(&[samples.rows()]);
    let found = [&samples.generated, &samples.baseline].map(|kernels| {
        let log_variances = fitted(&samples.train, kernels);
        by_row(&samples.test, kernels, &log_variances, groups)
    });
    let difference = |without| {
        let [generated, baseline] = found.each_ref().map(|f| negative_likelihood(f, samples.rows(), without));
        generated - baseline
    };
    (difference(None), (0..groups).map(|g| difference(Some(g))).collect())
}

fn measure(sets: &Sets, settings: &Settings) -> Result<Measured> {
    let samples = Samples::of(sets, settings.seed)?;
    let (value, without) = differences(&samples);
    let score = |difference: f64| 100.0 * libm::exp(-2.0 * difference / samples.test.width as f64);
    let half = half_width(jackknife_error(&without), without.len());
    Ok(Measured { value: score(value), interval: [score(value + half), score(value - half)] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Features;
    use crate::evaluate::fixture::{drawn, golden, hashed, measured, message, moved, on_threads, rows};

    /// `moments/fls.py`, in numpy, on halves of the golden sets. The kernels' variances came through a hundred steps
    /// that both took in f64; what differs is the last bit of a sine in the fixture.
    #[test]
    fn equals_numpy() {
        let golden = golden();
        let half: Vec<usize> = (0..200).collect();
        let other: Vec<usize> = (200..400).collect();
        let of = |generated: &Features, rows: &[usize]| {
            let parts: [(&Features, &[usize]); 4] =
                [(&golden.real, &half), (&golden.real, &other), (&golden.test, &half), (generated, rows)];
            Samples::scaled(parts).unwrap()
        };
        let samples = of(&golden.generated, &half);
        let s = fitted(&samples.train, &samples.generated);
        for (found, expected) in s.iter().zip([-0.49155089, -0.4179964, -0.99177935]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        let score = |samples: &Samples| 100.0 * (-2.0 * differences(samples).0 / 8.0).exp();
        assert!((score(&samples) - 85.822_935_817_950_6).abs() < 1e-6, "{}", score(&samples));
        let found = score(&of(&golden.test, &other));
        assert!((found - 97.189_577_458_958_75).abs() < 1e-6, "{found}");
        // Half of the kernels sit on what they were fitted to and shrink to nothing.
        assert_eq!(score(&of(&golden.memorised, &half)), 0.0);
    }

    #[test]
    fn worse_samples_score_less() {
        let (real, test) = (drawn(400, 4, 1), drawn(200, 4, 2));
        let generated = drawn(200, 4, 3);
        let found = [0.0, 0.1, 0.3, 1.0].map(|by| measured(&ROW, &real, &moved(&generated, by), Some(&test)).unwrap());
        assert!(found.windows(2).all(|w| w[0].value > w[1].value), "{found:?}");
        assert!(found[0].interval[0] < 100.0 && 100.0 < found[0].interval[1], "{found:?}");
        assert!(found[3].interval[1] < 100.0, "{found:?}");
        let sets = Sets { test: Some(&test), ..Sets::new(&real, &generated) };
        let [one, three] = on_threads(&ROW, &sets);
        assert_eq!(one, three);
        assert_eq!(one, found[0]);
    }

    #[test]
    fn odd_sets() {
        let (real, test, generated) = (drawn(60, 3, 1), drawn(30, 3, 2), drawn(30, 3, 3));
        assert!(message(measured(&ROW, &real, &generated, None)).starts_with("test: expected real samples"));
        let two = rows(&generated, 0, 2);
        assert!(
            message(measured(&ROW, &real, &two, Some(&test))).starts_with("generated: 2 samples, expected at least 3")
        );
        assert!(
            message(measured(&ROW, &two, &generated, Some(&test))).starts_with("real: 2 samples, expected at least 6")
        );
        let constant = Features { values: vec![3.0; 90], width: 3 };
        let found = message(measured(&ROW, &constant, &constant, Some(&constant)));
        assert!(found.starts_with("generated: no feature varies"), "{found}");
        // A feature that does not vary changes nothing.
        let with = |set: &Features| {
            let values = set.values.chunks_exact(3).flat_map(|r| [r[0], 5.0, r[1], r[2]]).collect();
            Features { values, width: 4 }
        };
        let plain = measured(&ROW, &real, &generated, Some(&test)).unwrap();
        assert_eq!(plain, measured(&ROW, &with(&real), &with(&generated), Some(&with(&test))).unwrap());
        // Fewer samples than features.
        let wide = |offset| hashed(24, 40, offset, 1.0, 0.0);
        let found = measured(&ROW, &wide(0), &wide(100), Some(&wide(200))).unwrap();
        assert!(found.value > 50.0 && found.value < 200.0, "{found:?}");
    }
}
