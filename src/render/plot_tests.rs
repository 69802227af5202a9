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

/// The values of one attribute in every element of a kind, in the order of the text.
fn attribute(svg: &str, element: &str, name: &str) -> Vec<f64> {
    let (open, key) = (format!("<{element} "), format!("{name}=\""));
    let elements = svg.split(&open).skip(1).filter_map(|rest| rest.split('>').next());
    elements.filter_map(|e| e.split(&key).nth(1)?.split('"').next()?.parse().ok()).collect()
}

/// Checks that the drawn positions follow the data up to scale, shift and rounding (half a pixel at the point and at
/// the ends). With `down`, larger values are drawn higher up.
#[track_caller]
fn in_proportion(drawn: &[f64], data: &[f64], down: bool) {
    assert_eq!(drawn.len(), data.len());
    let ends = |v: &[f64]| v.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let ((low, high), (least, most)) = (ends(drawn), ends(data));
    assert!(high - low > 200.0, "the data fill the plot: {low} to {high}");
    for (at, value) in drawn.iter().zip(data) {
        let share = (value - least) / (most - least);
        let expected = low + (high - low) * if down { 1.0 - share } else { share };
        assert!((at - expected).abs() < 1.0 + 1e-9, "{value} is drawn at {at}, expected {expected}");
    }
}

#[test]
fn points_of_a_scatter_lie_where_their_values_are() {
    let (xs, ys) = (values(600), values(1200)[600..].to_vec());
    let points: Vec<(f64, f64)> = xs.iter().copied().zip(ys.iter().copied()).collect();
    for identity in [false, true] {
        let svg = scatter("Local rank & local scaling <psi>", "psi", "nu", &points, identity).unwrap();
        assert_eq!(svg, scatter("Local rank & local scaling <psi>", "psi", "nu", &points, identity).unwrap());
        in_proportion(&attribute(&svg, "circle", "cx"), &xs, false);
        in_proportion(&attribute(&svg, "circle", "cy"), &ys, true);
        assert!(svg.contains("<title>Local rank &amp; local scaling &lt;psi&gt;</title>"));
    }
}

#[test]
fn bars_of_a_histogram_are_as_high_as_their_counts() {
    let sample = values(600);
    let (low, high) = sample.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let mut counts = [0.0; 20];
    sample.iter().for_each(|v| counts[((20.0 * (v - low) / (high - low)) as usize).min(19)] += 1.0);
    let svg = histogram("Local scaling", "psi", &sample, 20, &[(0.0, "median"), (1.4, "novel")]).unwrap();
    assert_eq!(svg, histogram("Local scaling", "psi", &sample, 20, &[(0.0, "median"), (1.4, "novel")]).unwrap());
    // The first rectangle is the page.
    let heights = &attribute(&svg, "rect", "height")[1..];
    let drawn: Vec<f64> = counts.into_iter().filter(|c| *c > 0.0).collect();
    assert_eq!(heights.len(), drawn.len());
    let most = |v: &[f64]| v.iter().copied().fold(0.0, f64::max);
    let scale = most(heights) / most(&drawn);
    for (height, count) in heights.iter().zip(&drawn) {
        assert!((height - scale * count).abs() <= 2.0, "{count} counts are {height} high, {scale} each");
    }
    assert!(svg.contains("n = 600") && svg.contains("median") && svg.contains("novel"));
}

#[test]
fn lines_on_a_logarithmic_axis_have_equal_steps_for_equal_factors() {
    let series = [("exact", curve(3.0)), ("stencil", curve(2.6)), ("input subspace", curve(2.1))];
    let svg = lines("Error of the estimate", "directions", "relative error (%)", &series, true).unwrap();
    assert_eq!(svg, lines("Error of the estimate", "directions", "relative error (%)", &series, true).unwrap());
    let points = || series.iter().flat_map(|s| s.1.iter());
    in_proportion(&attribute(&svg, "circle", "cx"), &points().map(|p| p.0.log2()).collect::<Vec<_>>(), false);
    in_proportion(&attribute(&svg, "circle", "cy"), &points().map(|p| p.1).collect::<Vec<_>>(), true);
    assert!(series.iter().all(|(name, _)| svg.contains(name)));
}

#[test]
fn nothing_to_draw_is_said() {
    let svg = histogram("Nothing finite", "value", &[f64::NAN; 3], 10, &[]).unwrap();
    assert!(svg.contains("n = 0; 3 left out: not finite") && svg.contains("nothing to draw"));
    assert!(histogram("A constant", "value", &[3.0; 20], 40, &[(3.05, "here")]).unwrap().contains("n = 20"));
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
