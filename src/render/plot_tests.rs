#![allow(clippy::disallowed_methods)] // fixtures, and pictures to look at, may be cut short by a crash

use super::*;

/// A fixed sequence with roughly normal values.
fn values(count: usize) -> Vec<f64> {
    let mut state = 9u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    (0..count).map(|_| (0..6).map(|_| next()).sum::<f64>() - 3.0).collect()
}

fn curve(scale: f64) -> Vec<(f64, f64)> {
    (0..10).map(|k| (f64::from(1 << k), scale * (1.0 - (-f64::from(k) / 3.0).exp()))).collect()
}

#[test]
fn examples_are_drawn_and_repeat() {
    let folder = std::env::var_os("ISOLINE_SHOW").map(std::path::PathBuf::from);
    let sample = values(600);
    let pairs: Vec<(f64, f64)> = sample
        .iter()
        .zip(values(1200).iter().rev())
        .map(|(a, b)| (50.0 + 20.0 * a, 50.0 + 20.0 * a + 4.0 * b))
        .collect();
    let marks = [(-0.6, "typical"), (0.0, "median"), (0.05, "mean"), (1.4, "novel, 95th percentile")];
    let series = [("exact", curve(3.0)), ("stencil, h = 1e-3", curve(2.6)), ("input subspace", curve(2.1))];
    let plots = || {
        [
            scatter("Asked and reached novelty", "asked (percentile)", "reached (percentile)", &pairs, true).unwrap(),
            scatter("Local rank & local scaling <psi>", "local scaling ψ (nats)", "local rank ν", &pairs[..90], false)
                .unwrap(),
            histogram("Local scaling of 600 samples", "local scaling ψ (nats)", &sample, 40, &marks).unwrap(),
            histogram("A constant", "value", &[3.0; 20], 40, &[(3.05, "here")]).unwrap(),
            histogram("Nothing finite", "value", &[f64::NAN; 3], 10, &[]).unwrap(),
            lines("Error of the estimate", "directions", "relative error (%)", &series, true).unwrap(),
        ]
    };
    let drawn = plots();
    assert_eq!(drawn, plots());
    for (index, svg) in drawn.iter().enumerate() {
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf,"));
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("plot{index}.svg")), svg).unwrap();
        }
    }
    assert!(drawn[1].contains("<title>Local rank &amp; local scaling &lt;psi&gt;</title>"));
    assert!(drawn[4].contains("n = 0; 3 left out: not finite") && drawn[4].contains("nothing to draw"));
}

#[test]
fn odd_inputs_do_not_panic() {
    let odd =
        [0.0, -0.0, 1.0, 1.0 + 1e-15, -5.0, 1e-310, 1e99, -1e99, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for a in odd {
        for b in odd {
            for line in [false, true] {
                scatter("t", "x", "y", &[(a, b), (b, a)], line).unwrap();
                lines("t\u{0}", "x", "y", &[("s", vec![(a, b), (b, a)]), ("", vec![])], line).unwrap();
            }
            histogram("t", "x", &[a, b], 7, &[(b, "m"), (1.0, "n")]).unwrap();
        }
    }
    assert!(scatter("t", "x", "y", &[], true).unwrap().contains("nothing to draw"));
    lines("t", "x", "y", &[], true).unwrap();
    histogram("t", "x", &[], 0, &[]).unwrap();
    let far = scatter("t", "x", "y", &[(f64::NAN, 0.0), (1.0, 2.0), (0.0, f64::INFINITY)], false).unwrap();
    assert!(far.contains("n = 1; 2 left out: not finite"));
    assert!(lines("t", "x", "y", &[("s", vec![(0.0, 1.0), (2.0, 1.0)])], true).unwrap().contains("1 left out"));
}

#[test]
fn large_scatters_are_thinned() {
    let many: Vec<(f64, f64)> = values(60_000).into_iter().map(|v| (v, v * v)).collect();
    let svg = scatter("t", "x", "y", &many, false).unwrap();
    assert!(svg.contains("1 in 3 drawn") && svg.len() < 4_000_000);
}
