//! Checks every row of the table of descriptors against the theory.

use crate::geometry::{close, one_shot, random, row_major};
use isoline::geometry::{
    Complexity, DESCRIPTORS, EstimatorSettings, LocalGeometry, Measured, Spectrum, Undefined, Use, frame,
    local_complexity, measure_all,
};
use nalgebra::DMatrix;

/// What a descriptor does when the map is multiplied by c.
enum Scaling {
    /// Grows by this many times ln c, given r and k.
    Shift(fn(f64, f64) -> f64),
    /// Is multiplied by c to this power, given k.
    Power(fn(f64) -> f64),
    /// Stays the same.
    Stays,
    /// Stays the same if its scale is multiplied too.
    WithScale,
}

/// One line per row of the table. The suite fails if a row has none.
fn scaling(name: &str) -> Scaling {
    match name {
        "psi" => Scaling::Shift(|r, _| r),
        "psi_k" => Scaling::Shift(|_, k| k),
        "log_likelihood" => Scaling::Shift(|_, k| -k),
        "ln_frobenius" => Scaling::Shift(|_, _| 1.0),
        "volume" => Scaling::Power(|k| k),
        "sigma_1" => Scaling::Power(|_| 1.0),
        "nu" | "nu_2" | "rank" | "delta" | "z_norm" => Scaling::Stays,
        "lid" => Scaling::WithScale,
        other => panic!("descriptor \"{other}\" has no line in the conformance suite"),
    }
}

/// A spectrum with these singular values; the latent is given in the coordinates of the singular vectors.
fn spectrum(singular_values: &[f64], latent: &[f32]) -> Spectrum {
    Spectrum::whole(singular_values.to_vec(), latent.iter().map(|v| f64::from(*v)).collect(), 12, "exact")
}

fn all(s: &[f64], z: &[f32], scale: f64) -> Vec<Measured> {
    let spectrum = spectrum(s, z);
    let complexity = Complexity { layers: vec![3, 4] };
    let scales = [scale];
    let g = LocalGeometry { complexity: Some(&complexity), scales: &scales, ..LocalGeometry::new(&spectrum, z, 2) };
    DESCRIPTORS.iter().map(|d| (d.measure)(&g)).collect()
}

const Z: [f32; 3] = [0.5, -1.0, 2.0];

#[test]
fn multiplying_the_map_does_what_theory_says() {
    let s = [3.0, 1.5, 0.2];
    let before = all(&s, &Z, 0.1);
    for c in [1e-6, 0.5, 7.0, 1e9] {
        let after = all(&s.map(|v| c * v), &Z, 0.1);
        let rescaled = all(&s.map(|v| c * v), &Z, 0.1 * c);
        for (i, descriptor) in DESCRIPTORS.iter().enumerate() {
            let (a, b, r) = (before[i].value().unwrap(), after[i].value().unwrap(), rescaled[i].value().unwrap());
            match scaling(descriptor.name) {
                Scaling::Shift(of) => close(b - a, of(3.0, 2.0) * c.ln(), 1e-12 * 100.0),
                Scaling::Power(of) => close(b / a / c.powf(of(2.0)), 1.0, 1e-12),
                Scaling::Stays => close(b, a, 1e-12 * a.abs()),
                Scaling::WithScale => close(r, a, 1e-12 * a.abs()),
            }
        }
    }
}

/// x → U A V x at Vᵀz, with U and V orthogonal, has the singular values of A and the same Vᵀz.
#[test]
fn isometries_change_nothing() {
    let spectrum = |w: &DMatrix<f64>, z: &DMatrix<f64>| {
        let rows: Vec<f32> = w.as_slice().iter().map(|v| *v as f32).collect();
        let z: Vec<f32> = z.as_slice().iter().map(|v| *v as f32).collect();
        let (values, vectors) = crate::shared::right_singular(&rows, 4);
        let turned = vectors.tr_mul(&DMatrix::from_column_slice(4, 1, &z).map(f64::from));
        (Spectrum::whole(values, turned.as_slice().to_vec(), 9, "exact"), z)
    };
    let (a, z) = (random(1, 9, 4).map(f64::from), random(2, 4, 1).map(f64::from));
    let (u, v) = (random(3, 9, 9).map(f64::from).qr().q(), random(4, 4, 4).map(f64::from).qr().q());
    let (plain, z0) = spectrum(&a, &z);
    let (turned, z1) = spectrum(&(u * &a * &v), &(v.transpose() * &z));
    let complexity = Complexity { layers: vec![1] };
    for descriptor in DESCRIPTORS {
        let of = |s, z| {
            let g = LocalGeometry { complexity: Some(&complexity), ..LocalGeometry::new(s, z, 3) };
            (descriptor.measure)(&g).value().unwrap()
        };
        // The entries are rounded to f32; the singular values here are within a factor of 10 of each other.
        let (x, y) = (of(&plain, &z0), of(&turned, &z1));
        close(x, y, 1e-5 * (1.0 + x.abs()));
    }
}

#[test]
fn no_row_gives_a_number_that_is_none() {
    let cases: [[f64; 3]; 7] = [
        [0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [2.0, 2.0, 2.0],
        [1e150, 1.0, 1e-150],
        [1e300, 1e299, 1e298],
        [1e-300, 1e-301, 1e-302],
        [1e-320, 0.0, 0.0],
    ];
    for s in cases {
        for (descriptor, found) in DESCRIPTORS.iter().zip(all(&s, &Z, 0.1)) {
            if let Measured::Value { value, stderr } = found {
                assert!(value.is_finite() && !stderr.is_nan(), "{} of {s:?}: {value} ± {stderr}", descriptor.name);
            }
        }
    }
    let by_name = |s: &[f64], name: &str| {
        DESCRIPTORS.iter().zip(all(s, &Z, 0.1)).find(|(d, _)| d.name == name).map(|(_, m)| m).unwrap()
    };
    for name in ["psi", "nu", "nu_2", "ln_frobenius"] {
        assert_eq!(by_name(&[0.0; 3], name), Measured::Undefined(Undefined::ZeroRank), "{name}");
    }
    for name in ["psi_k", "log_likelihood", "volume"] {
        assert_eq!(by_name(&[0.0; 3], name), Measured::Undefined(Undefined::BelowModelRank), "{name}");
    }
    assert_eq!(by_name(&[1e300, 1e299, 1e298], "volume"), Measured::Undefined(Undefined::OutOfRange));
    assert_eq!(by_name(&[0.0; 3], "lid").value(), Some(0.0));
    assert_eq!(by_name(&[0.0; 3], "rank").value(), Some(0.0));
    assert!((by_name(&[2.0; 3], "nu").value().unwrap() - 3.0).abs() < 1e-12);
    assert!((by_name(&[2.0; 3], "nu_2").value().unwrap() - 3.0).abs() < 1e-12);

    let s = spectrum(&[1.0, 1.0, 1.0], &Z);
    let hidden = DESCRIPTORS.iter().find(|d| d.name == "delta").unwrap();
    assert_eq!((hidden.measure)(&LocalGeometry::new(&s, &Z, 2)), Measured::Undefined(Undefined::NotMeasured));
    let nan = [f32::NAN, 1.0, 1.0];
    for name in ["z_norm", "log_likelihood", "lid"] {
        let d = DESCRIPTORS.iter().find(|d| d.name == name).unwrap();
        let found = (d.measure)(&LocalGeometry::new(&spectrum(&[1.0; 3], &nan), &nan, 2));
        assert!(matches!(found, Measured::Undefined(_)), "{name}: {found:?}");
    }
}

#[test]
fn closed_forms() {
    let z = [1.0f32, -2.0];
    let value = |s: &[f64], name: &str| {
        let spectrum = spectrum(s, &z);
        let found = measure_all(
            &LocalGeometry { scales: &[0.5, 2.0], ..LocalGeometry::new(&spectrum, &z, 2) },
            &DESCRIPTORS.iter().collect::<Vec<_>>(),
        );
        found.iter().find(|f| f.0 == name).unwrap().1.value().unwrap()
    };
    close(value(&[1.0, 1.0], "log_likelihood"), -0.5 * 5.0 - (2.0 * std::f64::consts::PI).ln(), 1e-12);
    close(value(&[3.0, 2.0], "volume"), 6.0, 1e-12);
    close(value(&[3.0, 4.0f64.min(3.0)], "ln_frobenius"), 0.5 * 18.0f64.ln(), 1e-12);
    close(value(&[3.0, 1.0], "nu"), 4.0 / 3.0f64.powf(0.75), 1e-12);
    close(value(&[3.0, 1.0], "nu_2"), 10.0 / 9.0f64.powf(0.9), 1e-12);
    close(value(&[3.0, 1.0], "z_norm"), 5.0f64.sqrt(), 1e-12);
    // s = 0.5: 9/9.25 + 0.25·9·1/9.25² + 1/1.25 + 0.25·1·4/1.25².
    close(value(&[3.0, 1.0], "lid_0.5"), 9.0 / 9.25 + 2.25 / 9.25f64.powi(2) + 0.8 + 1.0 / 1.25f64.powi(2), 1e-12);
    close(value(&[3.0, 1.0], "lid"), value(&[3.0, 1.0], "lid_0.5"), 0.0);
    assert!(value(&[3.0, 1.0], "lid_2") < value(&[3.0, 1.0], "lid_0.5") + 1.0);
}

/// The mean of LID_s over the prior is Σ 1 − (s²/(σ² + s²))² for a linear map (theory, 9b).
#[test]
fn intrinsic_dimension_of_a_linear_map_has_its_mean() {
    let (s, n) = ([2.0, 0.5, 0.1], 20_000u64);
    let lid = DESCRIPTORS.iter().find(|d| d.name == "lid").unwrap();
    let scale = [0.4];
    let mut sum = 0.0;
    for i in 0..n {
        let z = isoline::noise::normals(3, i, isoline::noise::Stream::Latent, 0, 3);
        let spectrum = spectrum(&s, &z);
        sum +=
            (lid.measure)(&LocalGeometry { scales: &scale, ..LocalGeometry::new(&spectrum, &z, 3) }).value().unwrap();
    }
    let expected: f64 = s.iter().map(|v| 1.0 - (0.16f64 / (v * v + 0.16)).powi(2)).sum();
    // Each term's variance is 2·(s²σ²/(σ²+s²)²)² ≤ 2/16; the bound is five standard errors of the mean of three terms.
    close(sum / n as f64, expected, 5.0 * (3.0 * 2.0 / 16.0 / n as f64).sqrt());
}

// ---- local complexity --------------------------------------------------------------------------------------------

fn settings(directions: usize, radius: f64) -> EstimatorSettings {
    EstimatorSettings { directions: Some(directions), radius, ..EstimatorSettings::default() }
}

#[test]
fn complexity_of_one_layer_as_counted_by_hand() {
    let (d, units) = (5, 40);
    let (w, b) = (random(41, units, d), random(42, units, 1));
    let layers = format!("{{ kind = \"linear\", key = \"w\", out = {units} }}, {{ kind = \"relu\" }}");
    let g = one_shot(d, units, &layers, &[("w.weight", &row_major(&w)), ("w.bias", b.as_slice())]);
    let z = [0.4f32, -1.0, 0.3, 0.9, -0.2];
    let mut last = 0;
    for radius in [0.02, 0.1, 0.4, 1.5, 6.0] {
        let found = local_complexity(&g, &z, &settings(3, radius)).unwrap().remove(0).unwrap();
        let norm = z.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let h = radius * norm / (d as f64).sqrt();
        let v = frame(0, Use::Complexity, 3, d);
        let wf = w.map(f64::from);
        let expected = (0..units).filter(|u| {
            let at = |x: &[f64]| (0..d).map(|i| wf[(*u, i)] * x[i]).sum::<f64>();
            let here = at(&z.map(f64::from)) + f64::from(b[*u]);
            let reach = v
                .chunks(d)
                .map(|v| at(&v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()).abs() * h)
                .fold(0.0, f64::max);
            here.abs() < reach
        });
        let expected = expected.count() as u64;
        assert_eq!(found.layers, [expected], "radius {radius}");
        assert!(expected >= last, "a larger polytope is crossed by no fewer folds");
        last = expected;
    }
    assert!(last > 20, "{last}");
}

#[test]
fn linear_maps_have_no_folds_and_bad_rows_stay_alone() {
    let g = crate::geometry::linear(&random(43, 6, 3));
    let found = local_complexity(&g, &[1.0, 2.0, 3.0], &settings(3, 0.5)).unwrap();
    assert_eq!(found[0].as_ref().unwrap().layers, [] as [u64; 0]);

    let layers = "{ kind = \"linear\", key = \"w\", out = 30 }, { kind = \"relu\" }, { kind = \"sigmoid\" }";
    let g = one_shot(4, 30, layers, &[("w.weight", &row_major(&random(44, 30, 4))), ("w.bias", &[0.2; 30])]);
    let z = isoline::noise::normals(1, 0, isoline::noise::Stream::Latent, 0, 12);
    let alone: Vec<_> = z.chunks(4).map(|z| local_complexity(&g, z, &settings(4, 0.3)).unwrap().remove(0)).collect();
    let mut together = z.clone();
    assert_eq!(local_complexity(&g, &together, &settings(4, 0.3)).unwrap(), alone);
    let tight = EstimatorSettings { memory: 1 << 20, ..settings(4, 0.3) };
    assert_eq!(local_complexity(&g, &together, &tight).unwrap(), alone);
    together[0] = f32::INFINITY;
    together[4..8].fill(0.0);
    let found = local_complexity(&g, &together, &settings(4, 0.3)).unwrap();
    assert!(found[0].is_none() && found[1].is_none() && found[2] == alone[2]);
    // After a relu nothing is negative, so the sigmoid's input crosses zero where the relu's does.
    let layers = &alone[2].as_ref().unwrap().layers;
    assert!(layers.len() == 2 && layers[0] == layers[1] && layers[0] > 0, "{layers:?}");
    assert!(local_complexity(&g, &z, &settings(5, 0.3)).unwrap_err().to_string().contains("expected 1 to 4"));
}
