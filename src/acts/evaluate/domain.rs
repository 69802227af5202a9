//! The worlds that samples come from. A [`Domain`] says what one sample is, by which features and metrics two sets are compared,
//! and what must hold of each sample; reports of every domain show these in the same way.

use super::source::Samples;
use crate::error::Result;
use crate::evaluate::calorimeter::{Band, Checked, Geometry, HighLevel, Showers, check, classifier_names};
use crate::evaluate::{MetricRow, NEIGHBOURHOODS, wilson};
use crate::render::page::row;
use serde::Serialize;
use std::collections::HashSet;

/// A name and what it stands for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Described {
    /// As it is typed or printed.
    pub name: String,
    /// One line.
    pub about: String,
}

/// Something that should hold of every sample, or of none, and of how many it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Constraint {
    /// What is counted.
    pub name: String,
    /// How many samples it holds of.
    pub count: usize,
    /// Their share.
    pub share: f64,
    /// Half of the 95 % interval of the share (Wilson's).
    pub error: f64,
    /// What one must know of it.
    pub note: String,
}

impl Constraint {
    fn new(name: &str, count: usize, of: usize, note: String) -> Self {
        let share = count as f64 / of.max(1) as f64;
        let [low, high] = wilson(share, of.max(1));
        Self { name: name.to_owned(), count, share, error: (high - low) / 2.0, note }
    }
}

/// A world of samples.
pub trait Domain {
    /// A set of its samples.
    type Set;
    /// As typed: `images`, `calo`.
    const NAME: &'static str;
    /// One line.
    const ABOUT: &'static str;

    /// What one sample is, in words: its values, how they lie, their unit and range.
    fn layout(&self) -> String;
    /// The numbers that two sets are compared by.
    fn features(&self) -> Vec<Described>;
    /// The metrics.
    fn metrics(&self) -> Vec<Described>;
    /// What must hold of every generated sample, counted.
    ///
    /// # Errors
    /// Where the samples do not fit the layout.
    fn constraints(&self, real: &Self::Set, generated: &Self::Set) -> Result<Vec<Constraint>>;

    /// All but the constraints, as reports keep it.
    fn described(&self) -> World {
        World {
            domain: Self::NAME,
            about: Self::ABOUT,
            layout: self.layout(),
            features: self.features(),
            metrics: self.metrics(),
        }
    }
}

/// A [`Domain`] in words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct World {
    /// Its name.
    pub domain: &'static str,
    /// One line.
    pub about: &'static str,
    /// What one sample is.
    pub layout: String,
    /// The numbers that sets are compared by.
    pub features: Vec<Described>,
    /// The metrics.
    pub metrics: Vec<Described>,
}

impl World {
    /// As a table, header first.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![row(["", "name", "what it is"]), row(["sample", "", &self.layout])];
        for (what, list) in [("features", &self.features), ("metric", &self.metrics)] {
            rows.extend(list.iter().map(|d| row([what, &d.name, &d.about])));
        }
        rows
    }
}

/// Pictures, or rows of numbers in their place.
pub struct Images<'a> {
    /// What they are.
    pub samples: &'a Samples,
    /// What they are compared by, and how many values that has.
    pub features: (String, usize),
    /// The metrics that were chosen.
    pub metrics: &'a [&'static MetricRow],
}

impl Domain for Images<'_> {
    type Set = Samples;
    const NAME: &'static str = "images";
    const ABOUT: &'static str = "Pictures, or rows of numbers";

    fn layout(&self) -> String {
        match self.samples {
            Samples::Pictures(pictures) => pictures.first().map_or_else(String::new, |p| {
                let colours = if p.channels == 1 { "grey values" } else { "colours" };
                format!("a picture of {}×{} pixels, {colours} from 0 to 255", p.width, p.height)
            }),
            Samples::Rows(rows) => format!("a row of {} numbers", rows.width),
        }
    }

    fn features(&self) -> Vec<Described> {
        vec![Described { name: self.features.0.clone(), about: format!("{} values", self.features.1) }]
    }

    fn metrics(&self) -> Vec<Described> {
        self.metrics.iter().map(|m| described(m)).collect()
    }

    fn constraints(&self, real: &Samples, generated: &Samples) -> Result<Vec<Constraint>> {
        let of = generated.count();
        let known: HashSet<Vec<u8>> = (0..real.count()).map(|i| real.bytes(i)).collect();
        let mut seen = HashSet::with_capacity(of);
        let (mut flat, mut again, mut copies) = (0, 0, 0);
        for i in 0..of {
            let bytes = generated.bytes(i);
            flat += usize::from(generated.is_flat(i));
            copies += usize::from(known.contains(&bytes));
            again += usize::from(!seen.insert(bytes));
        }
        let list = [
            ("flat", flat, "every value of a channel is the same: nothing is shown"),
            ("repeated", again, "the same as an earlier generated sample, to the last bit"),
            ("copied", copies, "the same as a real sample, to the last bit; nearer copies: auth_pct, c_t"),
        ];
        Ok(list.map(|(name, count, note)| Constraint::new(name, count, of, note.to_owned())).into())
    }
}

fn described(m: &MetricRow) -> Described {
    Described { name: m.name.to_owned(), about: format!("{} ({})", m.about, m.range) }
}

/// Showers in a calorimeter.
pub struct Calorimeter<'a> {
    /// The detector.
    pub geometry: &'a Geometry,
    /// The band that the energy has to be in.
    pub band: Band,
    /// Whether a classifier tells the sets apart.
    pub classified: bool,
}

impl Calorimeter<'_> {
    /// The showers that break a rule, by incident energy too.
    ///
    /// # Errors
    /// Where the voxels do not fit the detector.
    pub fn check(&self, showers: &Showers) -> Result<Checked> {
        check(showers, self.geometry, &self.band)
    }

    /// [`Domain::constraints`] of showers that were checked.
    pub fn counted(&self, found: &Checked) -> Vec<Constraint> {
        let of = found.showers;
        let [low, high] = self.band.at(65_536.0);
        let cut = self.geometry.voxel_cut;
        let energy = format!(
            "E_tot/E_inc outside {low:.2} to {high:.2} at 65.5 GeV, wider below; a band of the simulator's resolution"
        );
        vec![
            Constraint::new("sound", found.sound, of, format!("{} of {of} showers", found.sound)),
            Constraint::new("energy not conserved", found.outside, of, energy),
            Constraint::new("negative voxels", found.negative[0], of, format!("{} voxels", found.negative[1])),
            Constraint::new(
                "below the cut",
                found.below_cut[0],
                of,
                format!("{} voxels between 0 and {cut} MeV", found.below_cut[1]),
            ),
        ]
    }
}

impl Domain for Calorimeter<'_> {
    type Set = Showers;
    const NAME: &'static str = "calo";
    const ABOUT: &'static str = "Showers of particles in a calorimeter, as HDF5 files of the CaloChallenge";

    fn layout(&self) -> String {
        let layers = self.geometry.layers.iter().map(|l| format!("{}: {}×{}", l.id, l.sectors, l.rings()));
        format!(
            "the energy in MeV of each of {} voxels, 0 or at least {}, by layer (angles × radii): {}; and the incident energy",
            self.geometry.voxels(),
            self.geometry.voxel_cut,
            layers.collect::<Vec<_>>().join(", ")
        )
    }

    fn features(&self) -> Vec<Described> {
        let d = |name: &str, about: String| Described { name: name.to_owned(), about };
        let names = classifier_names(&HighLevel::none(self.geometry));
        let [first, last] = [names.first(), names.last()].map(|n| n.map_or("", String::as_str));
        vec![
            d("high", format!("{} values, the challenge's input of a classifier: {first}, …, {last}", names.len())),
            d("low", format!("the {} voxels", self.geometry.voxels())),
        ]
    }

    fn metrics(&self) -> Vec<Described> {
        let d = |name: &str, about: &str| Described { name: name.to_owned(), about: about.to_owned() };
        let mut all = vec![
            d("FPD · 10³", "Fréchet distance of the features high, extrapolated to infinitely many showers (0 and up)"),
            d("KPD · 10³", "kernel distance (cubic polynomial) of the features high (around 0 and up)"),
        ];
        if self.classified {
            all.push(d(
                "AUC",
                "area under the curve of a classifier between the two sets (½, where it cannot tell, to 1)",
            ));
            all.push(d("JSD", "Jensen-Shannon divergence by the same, calibrated (0 to 1)"));
        }
        all.extend(NEIGHBOURHOODS.iter().map(|m| described(m)));
        all.push(d("separation power", "of the histograms of each high-level feature (0 to 1)"));
        all
    }

    fn constraints(&self, _: &Showers, generated: &Showers) -> Result<Vec<Constraint>> {
        Ok(self.counted(&self.check(generated)?))
    }
}

/// Name and line of a domain.
const fn line<D: Domain>() -> (&'static str, &'static str) {
    (D::NAME, D::ABOUT)
}

/// The domains in the order in which they are offered: name, and what they are.
pub static DOMAINS: [(&str, &str); 2] = [line::<Images<'static>>(), line::<Calorimeter<'static>>()];
