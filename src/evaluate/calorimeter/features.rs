//! High-level features of showers, as the challenge defines them, and the table that its classifier, FPD and KPD see.
//!
//! For a shower with energy e_v in voxel v, per layer l:
//!
//! ```text
//! E_l = Σ e_v          sparsity = 1 − share of voxels with e_v > 0
//! ⟨c⟩ = Σ c_v e_v / (E_l + ε)          width = √max(⟨c²⟩ − ⟨c⟩², 0)          ε = 10⁻¹⁶
//! ```
//!
//! with c = r, the middle of the ring, and in layers of more than one sector also η = r cos α and φ = r sin α, α the
//! middle of the sector. ⟨c⟩ is called the centre of energy. Everything is summed in f64 over the voxels in order.

use super::{Geometry, Showers};
use crate::error::{Error, Result};
use rayon::prelude::*;

/// What keeps a layer without energy from dividing by 0.
const EPSILON: f64 = 1e-16;
/// What keeps the logarithm of no energy finite, in MeV.
const FLOOR: f64 = 1e-8;
/// Showers of one block of work.
const BLOCK: usize = 256;

/// Rows of features in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureRows {
    /// The values, `[rows, width]` row-major, all finite.
    pub values: Vec<f64>,
    /// Features of one row, at least 1.
    pub width: usize,
}

impl FeatureRows {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Row i.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// The largest absolute value of each feature, and 1 for a feature that is always 0: what FPD and KPD divide by.
    pub fn largest(&self) -> Vec<f64> {
        let mut largest = vec![0.0f64; self.width];
        for row in self.values.chunks_exact(self.width) {
            largest.iter_mut().zip(row).for_each(|(l, v)| *l = l.max(v.abs()));
        }
        largest.iter().map(|l| if *l == 0.0 { 1.0 } else { *l }).collect()
    }

    /// The same rows, each feature divided by its entry of `scale`.
    #[must_use]
    pub fn divided(&self, scale: &[f64]) -> Self {
        let values = self.values.chunks_exact(self.width).flat_map(|row| row.iter().zip(scale).map(|(v, s)| v / s));
        Self { values: values.collect(), width: self.width }
    }
}

/// Features of one layer, one value for each shower.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerFeatures {
    /// Number of the layer in the detector.
    pub id: u32,
    /// Energy in MeV.
    pub energy: Vec<f64>,
    /// Share of voxels without energy, 0 to 1.
    pub sparsity: Vec<f64>,
    /// Centre of energy along r, and the width around it, in mm.
    pub r: [Vec<f64>; 2],
    /// The same along η; `None` in a layer of one sector.
    pub eta: Option<[Vec<f64>; 2]>,
    /// The same along φ; `None` in a layer of one sector.
    pub phi: Option<[Vec<f64>; 2]>,
}

/// The high-level features of a set of showers.
#[derive(Clone, Debug, PartialEq)]
pub struct HighLevel {
    /// Energy of each incident particle in MeV.
    pub incident: Vec<f64>,
    /// Energy in all voxels in MeV.
    pub total: Vec<f64>,
    /// Layer by layer, in the order of the geometry.
    pub layers: Vec<LayerFeatures>,
}

/// What is summed over the voxels of one layer of one shower.
struct Moments {
    energy: f64,
    sparsity: f64,
    /// ⟨c⟩ and the width along r, η, φ.
    along: [[f64; 2]; 3],
}

/// Coordinates r, η, φ of the voxels of one layer.
fn coordinates(layer: &super::Layer) -> Vec<[f64; 3]> {
    let ring = |a: f64| layer.radii().map(move |r| [r, r * a.cos(), r * a.sin()]).collect::<Vec<_>>();
    layer.angles().flat_map(ring).collect()
}

fn moments(voxels: &[f32], places: &[[f64; 3]]) -> Moments {
    let (mut energy, mut hit) = (0.0, 0usize);
    let (mut first, mut second) = ([0.0; 3], [0.0; 3]);
    for (e, place) in voxels.iter().zip(places).filter(|(e, _)| **e != 0.0) {
        let e = f64::from(*e);
        energy += e;
        hit += usize::from(e > 0.0);
        for c in 0..3 {
            first[c] += place[c] * e;
            second[c] += place[c] * place[c] * e;
        }
    }
    let width = |c: usize| {
        let mean = first[c] / (energy + EPSILON);
        [mean, (second[c] / (energy + EPSILON) - mean * mean).max(0.0).sqrt()]
    };
    Moments { energy, sparsity: 1.0 - hit as f64 / voxels.len() as f64, along: [width(0), width(1), width(2)] }
}

impl HighLevel {
    /// The features of `showers` in the detector `geometry`.
    ///
    /// # Errors
    /// [`Error::Key`] if the voxels do not fit the geometry.
    pub fn of(showers: &Showers, geometry: &Geometry) -> Result<Self> {
        let mut found = Self::none(geometry);
        found.extend(showers, geometry)?;
        Ok(found)
    }

    /// The features of no showers, to be filled by [`extend`](Self::extend).
    pub fn none(geometry: &Geometry) -> Self {
        let layer = |layer: &super::Layer| {
            let plane = || (layer.sectors > 1).then(<[Vec<f64>; 2]>::default);
            LayerFeatures { id: layer.id, eta: plane(), phi: plane(), ..LayerFeatures::default() }
        };
        Self { incident: Vec::new(), total: Vec::new(), layers: geometry.layers.iter().map(layer).collect() }
    }

    /// Adds the features of more showers, so that a file can be read in blocks.
    ///
    /// # Errors
    /// [`Error::Key`] if the voxels do not fit the geometry.
    pub fn extend(&mut self, showers: &Showers, geometry: &Geometry) -> Result<()> {
        if let Some(message) = geometry.misfit(showers.width) {
            return Err(Error::key("geometry", message));
        }
        let places: Vec<_> = geometry.layers.iter().map(coordinates).collect();
        let spans = geometry.spans();
        let one = |row: &[f32]| -> Vec<Moments> {
            spans.iter().zip(&places).map(|(span, places)| moments(&row[span.clone()], places)).collect()
        };
        let blocks: Vec<Vec<Vec<Moments>>> = showers
            .voxels
            .par_chunks(BLOCK * showers.width)
            .map(|block| block.chunks_exact(showers.width).map(one).collect())
            .collect();
        self.incident.extend(&showers.energies);
        for shower in blocks.iter().flatten() {
            self.total.push(shower.iter().map(|m| m.energy).sum());
            for (layer, found) in self.layers.iter_mut().zip(shower) {
                layer.energy.push(found.energy);
                layer.sparsity.push(found.sparsity);
                for (into, values) in
                    [Some(&mut layer.r), layer.eta.as_mut(), layer.phi.as_mut()].into_iter().zip(found.along)
                {
                    into.into_iter().flatten().zip(values).for_each(|(into, value)| into.push(value));
                }
            }
        }
        Ok(())
    }

    /// How many showers there are.
    pub fn len(&self) -> usize {
        self.total.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    /// E_tot / E_inc of each shower.
    pub fn response(&self) -> Vec<f64> {
        self.total.iter().zip(&self.incident).map(|(t, e)| t / e).collect()
    }
}

/// One group of columns of the classifier's table: its name, the layers that have it, and the value at a shower.
type Column<'a> = (String, Box<dyn Fn(usize) -> f64 + 'a>);

/// The columns of the classifier's table, in the challenge's order.
fn columns(of: &HighLevel) -> Vec<Column<'_>> {
    let mut all: Vec<Column> = vec![("log10 E_inc".into(), Box::new(|i| of.incident[i].log10()))];
    for l in &of.layers {
        all.push((format!("log10 E_{}", l.id), Box::new(|i| (l.energy[i] + FLOOR).log10())));
    }
    for which in [0, 1] {
        for (name, of_layer) in
            [("eta", (|l| l.eta.as_ref()) as fn(&LayerFeatures) -> Option<&[Vec<f64>; 2]>), ("phi", |l| l.phi.as_ref())]
        {
            for l in &of.layers {
                if let Some(values) = of_layer(l) {
                    let what = ["EC", "width"][which];
                    all.push((format!("{what}_{name}_{}/100", l.id), Box::new(move |i| values[which][i] / 100.0)));
                }
            }
        }
    }
    all.push(("log10 E_tot".into(), Box::new(|i| (of.total[i] + FLOOR).log10())));
    for l in &of.layers {
        all.push((format!("sparsity_{}", l.id), Box::new(|i| l.sparsity[i])));
    }
    for which in [0, 1] {
        for l in &of.layers {
            all.push((format!("{}_r_{}/100", ["EC", "width"][which], l.id), Box::new(move |i| l.r[which][i] / 100.0)));
        }
    }
    all
}

/// The names of the columns of [`classifier_input`].
pub fn classifier_names(of: &HighLevel) -> Vec<String> {
    columns(of).into_iter().map(|(name, _)| name).collect()
}

/// The table that the challenge's high-level classifier, FPD and KPD see, one row for each shower:
///
/// ```text
/// log₁₀ E_inc, log₁₀(E_l + 10⁻⁸), EC_η/100, EC_φ/100, width_η/100, width_φ/100, log₁₀(E_tot + 10⁻⁸),
/// sparsity, EC_r/100, width_r/100
/// ```
///
/// each for all layers that have it: 30 columns for photons, 46 for pions, 362 for electrons.
///
/// # Errors
/// [`Error::Key`] where a layer's energy is below 0, which has no logarithm.
pub fn classifier_input(of: &HighLevel) -> Result<FeatureRows> {
    let columns = columns(of);
    let width = columns.len();
    let mut values = vec![0.0; width * of.len()];
    for (c, (_, value)) in columns.iter().enumerate() {
        (0..of.len()).for_each(|i| values[i * width + c] = value(i));
    }
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        let (row, name) = (i / width, &columns[i % width].0);
        let message = format!(
            "{name} of shower {row} is not finite; the energy of a layer is below 0 there, so cut negative voxels first"
        );
        return Err(Error::key("showers", message));
    }
    Ok(FeatureRows { values, width })
}

#[cfg(test)]
pub mod fixture {
    //! The golden showers of the design: u(i, j) = frac(43758.5453 sin(12.9898 i + 78.233 j)) in f64, and
    //! x = (u > 0.6)(u − 0.6) 2500 e^(−j/120) in voxel j of event i.

    use super::super::Showers;

    /// u(i, j) of the design.
    pub fn u(i: usize, j: usize) -> f64 {
        let t = 43758.5453 * (12.9898 * i as f64 + 78.233 * j as f64).sin();
        t - t.floor()
    }

    /// `count` events from `start` on, times `factor`, all of 65,536 MeV.
    pub fn showers(start: usize, count: usize, factor: f64) -> Showers {
        let one = |i: usize| {
            (0..368).map(move |j| {
                let over = (u(i, j) - 0.6).max(0.0);
                (factor * over * 2500.0 * (-(j as f64) / 120.0).exp()) as f32
            })
        };
        let voxels = (start..start + count).flat_map(one).collect();
        Showers { energies: vec![65536.0; count], voxels, width: 368 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GEOMETRIES, geometry};
    use super::*;

    fn near(found: f64, expected: f64, what: &str) {
        // The voxels are rounded to f32, an error of at most 2⁻²⁴ in each; the constants have six decimals.
        assert!((found - expected).abs() <= 1e-6 * expected.abs() + 5e-7, "{what}: {found} and not {expected}");
    }

    /// Oracle: the challenge's own class; the rest from calorimeter/golden.py.
    #[test]
    fn event_0_of_the_golden_fixture() {
        let f = HighLevel::of(&fixture::showers(0, 3, 1.0), &geometry("photons").unwrap()).unwrap();
        assert_eq!((f.len(), f.layers.len()), (3, 5));
        near(f.total[0], 19_729.049475, "E_tot");
        near(f.response()[0], 19_729.049475 / 65_536.0, "response");
        //             energy      sparsity  EC_r         width_r
        let layers = [
            (891.651415, 0.875, 300.0, 0.0),
            (14_520.341167, 0.625, 48.982394, 51.36331),
            (4_155.790677, 0.631_578_947_368_421, 95.76675, 117.219_612_609),
            (110.847743, 0.4, 272.097_737_052, 181.212_250_224),
            (50.418473, 0.6, 1_031.197507, 585.480328),
        ];
        for (l, (energy, sparsity, centre, width)) in f.layers.iter().zip(layers) {
            near(l.energy[0], energy, "energy");
            near(l.sparsity[0], sparsity, "sparsity");
            near(l.r[0][0], centre, "centre along r");
            near(l.r[1][0], width, "width along r");
        }
        let planes = [
            None,
            Some([[-3.717392, 48.785765], [-7.689525, 50.837643]]),
            Some([[-15.664732, 89.901_226_116], [-29.048014, 117.219_053_993]]),
            None,
            None,
        ];
        for (l, plane) in f.layers.iter().zip(planes) {
            let found =
                l.eta.as_ref().zip(l.phi.as_ref()).map(|(eta, phi)| [[eta[0][0], eta[1][0]], [phi[0][0], phi[1][0]]]);
            assert_eq!(found.is_some(), plane.is_some(), "layer {}", l.id);
            for (a, b) in found.iter().flatten().flatten().zip(plane.iter().flatten().flatten()) {
                near(*a, *b, "centre or width in the plane");
            }
        }
    }

    #[test]
    fn a_single_voxel_has_its_own_place_and_no_width() {
        for row in GEOMETRIES {
            let g = (row.make)();
            let layer = g.layers.iter().position(|l| l.sectors > 1).unwrap();
            let mut voxels = vec![0.0; g.voxels()];
            voxels[g.index(layer, 3, 2).unwrap()] = 5.0;
            let showers = Showers { energies: vec![10.0], voxels, width: g.voxels() };
            let f = HighLevel::of(&showers, &g).unwrap();
            let (l, of) = (&g.layers[layer], &f.layers[layer]);
            let (r, a) = (l.radii().nth(2).unwrap(), l.angles().nth(3).unwrap());
            let (eta, phi) = (of.eta.as_ref().unwrap(), of.phi.as_ref().unwrap());
            for (found, expected) in
                [(of.r[0][0], r), (eta[0][0], r * a.cos()), (phi[0][0], r * a.sin()), (f.total[0], 5.0)]
            {
                assert!((found - expected).abs() <= 1e-13 * r, "{}", row.name);
            }
            // The difference of two squares of r rounds to at most a few eps·r².
            for width in [of.r[1][0], eta[1][0], phi[1][0]] {
                assert!(width <= r * (4.0 * f64::EPSILON).sqrt(), "{}: {width}", row.name);
            }
            assert_eq!(of.sparsity[0], 1.0 - 1.0 / l.voxels() as f64);
            let other = usize::from(layer == 0);
            assert_eq!(
                (f.layers[other].energy[0], f.layers[other].r[0][0], f.layers[other].sparsity[0]),
                (0.0, 0.0, 1.0)
            );
        }
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        let g = geometry("photons").unwrap();
        let all = fixture::showers(0, 600, 1.0);
        let whole = HighLevel::of(&all, &g).unwrap();
        let mut parts = HighLevel::none(&g);
        for range in [0..77, 77..500, 500..600] {
            let (from, to) = (range.start * 368, range.end * 368);
            let part =
                Showers { energies: all.energies[range].to_vec(), voxels: all.voxels[from..to].to_vec(), width: 368 };
            parts.extend(&part, &g).unwrap();
        }
        assert_eq!(parts, whole);
        let other = HighLevel::of(&all, &geometry("pions").unwrap()).unwrap_err().to_string();
        assert!(other.starts_with("geometry: expected 533 voxels"), "{other}");
    }

    #[test]
    fn the_table_of_the_classifier() {
        let g = geometry("photons").unwrap();
        let f = HighLevel::of(&fixture::showers(0, 2, 1.0), &g).unwrap();
        let (table, names) = (classifier_input(&f).unwrap(), classifier_names(&f));
        assert_eq!((table.width, table.rows(), names.len()), (30, 2, 30));
        let at = |name: &str| table.row(0)[names.iter().position(|n| n == name).unwrap()];
        near(at("log10 E_inc"), 65_536f64.log10(), "E_inc");
        near(at("log10 E_12"), 50.418473f64.log10(), "E_12");
        near(at("EC_phi_2/100"), -0.29048014, "EC_phi");
        near(at("width_eta_1/100"), 0.48785765, "width_eta");
        near(at("width_r_12/100"), 5.85480328, "width_r");
        assert_eq!(
            (names[6].as_str(), names[13].as_str(), names[14].as_str()),
            ("EC_eta_1/100", "width_phi_2/100", "log10 E_tot")
        );
        for (row, width) in GEOMETRIES.iter().zip([30, 1 + 7 + 4 * 4 + 1 + 3 * 7, 362, 362]) {
            let g = (row.make)();
            let none = HighLevel::none(&g);
            assert_eq!(classifier_names(&none).len(), width, "{}", row.name);
        }
    }

    #[test]
    fn energies_below_zero_have_no_logarithm() {
        let g = geometry("photons").unwrap();
        let mut showers = fixture::showers(0, 3, 1.0);
        showers.voxels[368 + 2] = -1e6;
        let f = HighLevel::of(&showers, &g).unwrap();
        let message = classifier_input(&f).unwrap_err().to_string();
        assert!(message.starts_with("showers: log10 E_0 of shower 1 is not finite"), "{message}");
        assert_eq!(showers.cut(1e-30).negative, 1);
        assert!(classifier_input(&HighLevel::of(&showers, &g).unwrap()).is_ok());
    }

    #[test]
    fn features_are_scaled_by_the_largest() {
        let rows = FeatureRows { values: vec![1.0, 0.0, -4.0, 0.0], width: 2 };
        assert_eq!(rows.largest(), [4.0, 1.0]);
        assert_eq!(rows.divided(&rows.largest()).values, [0.25, 0.0, -1.0, 0.0]);
    }
}
