//! Metrics of generated samples, one file each. To add one, write its file and put its row into [`METRICS`].

mod auth_pct;
mod c_t;
mod coverage;
mod ct_modified;
mod ct_test;
mod density;
pub(super) mod fd;
mod fd_infinity;
mod fls;
mod fls_pog;
mod inception_score;
pub(super) mod kd;
mod precision;
mod realism;
mod recall;
mod sfid;
mod sliced_wasserstein;
mod vendi;

pub use kd::kd_full;
pub use realism::realism_scores;
pub use vendi::{vendi, vendi_per_class};

use super::MetricRow;

/// The four that compare neighbourhoods and are reported together.
pub static NEIGHBOURHOODS: [&MetricRow; 4] = [&precision::ROW, &recall::ROW, &density::ROW, &coverage::ROW];

/// Those that are also measured class by class: first those that compare real and generated samples, then those of generated
/// ones alone.
pub static PER_CLASS: [&MetricRow; 3] = [&fd::ROW, &precision::ROW, &recall::ROW];
/// See [`PER_CLASS`].
pub static PER_CLASS_ALONE: [&MetricRow; 1] = [&vendi::ROW];

/// Every metric, in the order in which they are shown.
pub static METRICS: &[MetricRow] = &[
    fd::ROW,
    fd_infinity::ROW,
    kd::ROW,
    precision::ROW,
    recall::ROW,
    density::ROW,
    coverage::ROW,
    realism::ROW,
    vendi::ROW,
    auth_pct::ROW,
    c_t::ROW,
    ct_test::ROW,
    ct_modified::ROW,
    fls::ROW,
    fls_pog::ROW,
    sliced_wasserstein::ROW,
    inception_score::ROW,
    sfid::ROW,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::golden::{SETTINGS, golden, shared};
    use crate::evaluate::{Better, Features, Need, Sets};

    #[test]
    fn rows_are_complete() {
        for (i, row) in METRICS.iter().enumerate() {
            assert!(METRICS[..i].iter().all(|other| other.name != row.name), "{}", row.name);
            for text in [row.about, row.reference, row.range, row.interval] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}: {text}", row.name);
            }
            assert!(row.reference.contains("arXiv"), "{}", row.name);
        }
    }

    /// Held-out samples moved by 0, 1, 2 and 4 deviations in every direction: what is better the higher falls and
    /// the rest rises at each step. (AuthPct too: what is far away is no copy.) Left out are two that compare two nearnesses,
    /// both of which are lost far away, and those that are given something else.
    #[test]
    fn a_shift_is_seen() {
        let golden = golden();
        let shifted: Vec<Features> = [0.0, 1.0, 2.0, 4.0]
            .map(|shift| Features { values: golden.test.values.iter().map(|v| v + shift).collect(), width: 8 })
            .into();
        let sees = |row: &&MetricRow| {
            !matches!(row.needs, Some(Need::Probabilities | Need::Spatial))
                && !matches!(row.name, "ct_modified" | "fls_pog")
        };
        for row in METRICS.iter().filter(sees) {
            let sets = shifted.iter().map(|set| Sets { test: Some(&golden.test), ..Sets::new(&golden.real, set) });
            let found: Vec<f64> = sets.map(|sets| (row.measure)(&sets, &SETTINGS).unwrap().value).collect();
            let falls = matches!(row.better, Better::Higher) && row.name != "auth_pct";
            let order = |pair: &[f64]| if falls { pair[0] > pair[1] || pair == [0.0, 0.0] } else { pair[0] < pair[1] };
            assert!(found.windows(2).all(order), "{}: {found:?}", row.name);
        }
    }

    /// LeNet features of real and generated digits. Precision, recall, density and coverage are in metrics.json, by the
    /// prdc package; AuthPct and realism are of neighbours/shared.py. All but realism are counts.
    #[test]
    #[ignore = "needs the shared data"]
    fn shared_reference_values() {
        let names = ["real_b", "vae", "gan_mlp"];
        let Some(([real, sets @ ..], expected)) = shared(["real_a", names[0], names[1], names[2]]) else { return };
        let here = [[57.6, 1.0621570948689714], [79.2, 0.6739181993031267], [58.3, 1.1739284864520512]];
        let mut compared = 0;
        for ((name, generated), [auth_pct, realism]) in names.into_iter().zip(&sets).zip(here) {
            let sets = Sets::new(&real, generated);
            for row in METRICS {
                let given = expected[name][row.name].as_f64();
                let own =
                    [("auth_pct", auth_pct), ("realism", realism)].into_iter().find(|(name, _)| *name == row.name);
                let Some(expected) = given.or(own.map(|(_, value)| value)) else { continue };
                let found = (row.measure)(&sets, &SETTINGS).unwrap();
                println!("{name} {}: {found:?} {expected}", row.name);
                // Quotients of distances at width 84 are off by less than 84·2·eps/1e-3 (see neighbours).
                assert!((found.value - expected).abs() < 4e-11 * expected, "{name} {}: {found:?}", row.name);
                compared += 1;
            }
        }
        assert_eq!(compared, 18);
    }
}
