//! The voxels of a calorimeter: layers along the flight of the particle, rings around it, sectors of each ring.
//!
//! A shower is one row of voxels: the radial bin runs fastest, then the sector, then the layer. The challenge describes
//! a detector in XML:
//!
//! ```xml
//! <Bins><Bin pid="22" name="photon"><Layer id="0" r_edges="0,5,10" n_bin_alpha="1"/> … </Bin></Bins>
//! ```
//!
//! A layer with a single edge has no voxels and is left out. The four detectors of the challenge are in [`GEOMETRIES`],
//! rebuilt from their numbers.

use crate::error::{Error, Result, did_you_mean};
use crate::store;
use std::f64::consts::PI;
use std::ops::Range;
use std::path::Path;

/// Bytes of an XML file: the largest of the challenge has 8 KiB.
const XML_BYTES: u64 = 1 << 20;
/// Voxels of a geometry: ten times as many as in the largest data set of the challenge.
const VOXELS: usize = 405_000;

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its number in the detector; numbers may be left out.
    pub id: u32,
    /// Edges of the rings in mm, ascending; at least two.
    pub r_edges: Vec<f64>,
    /// Sectors of each ring, equal in angle, from −π; at least 1.
    pub sectors: usize,
}

impl Layer {
    /// How many rings it has.
    pub fn rings(&self) -> usize {
        self.r_edges.len() - 1
    }

    /// How many voxels it has.
    pub fn voxels(&self) -> usize {
        self.rings() * self.sectors
    }

    /// Middle of each ring in mm.
    pub fn radii(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.r_edges.windows(2).map(|e| e[0] + (e[1] - e[0]) / 2.0)
    }

    /// Middle of each sector in radians, between −π and π.
    pub fn angles(&self) -> impl ExactSizeIterator<Item = f64> + '_ {
        let step = 2.0 * PI / self.sectors as f64;
        (0..self.sectors).map(move |i| -PI + (i as f64 + 0.5) * step)
    }

    /// The outermost edge in mm.
    pub fn outer(&self) -> f64 {
        self.r_edges[self.rings()]
    }
}

/// A detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// What it is called: a name of [`GEOMETRIES`], or else the particle's.
    pub name: String,
    /// The particle that it was made for.
    pub particle: String,
    /// The layers that have voxels, in the order of the voxels.
    pub layers: Vec<Layer>,
    /// The smallest energy in MeV that the read-out of one voxel keeps; below it stands 0.
    pub voxel_cut: f64,
}

impl Geometry {
    /// How many voxels it has.
    pub fn voxels(&self) -> usize {
        self.layers.iter().map(Layer::voxels).sum()
    }

    /// Where the voxels of each layer stand in a row, in the order of the layers.
    pub fn spans(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let span = |layer: &Layer| {
            let start = end;
            end += layer.voxels();
            start..end
        };
        self.layers.iter().map(span).collect()
    }

    /// The layer called `id` and where its voxels stand in a row.
    pub fn layer(&self, id: u32) -> Option<(&Layer, Range<usize>)> {
        self.layers.iter().zip(self.spans()).find(|(layer, _)| layer.id == id)
    }

    /// Where a voxel stands in a row; `layer` counts those that have voxels, from 0. `None` outside the detector.
    pub fn index(&self, layer: usize, sector: usize, ring: usize) -> Option<usize> {
        let of = self.layers.get(layer).filter(|l| sector < l.sectors && ring < l.rings())?;
        let before: usize = self.layers[..layer].iter().map(Layer::voxels).sum();
        Some(before + sector * of.rings() + ring)
    }

    /// Why a row of `found` voxels does not fit; `None` where it does.
    pub fn misfit(&self, found: usize) -> Option<String> {
        if found == self.voxels() {
            return None;
        }
        let layers = self.layers.iter().map(|l| format!("{}: {}×{}", l.id, l.sectors, l.rings()));
        let layers = match self.layers.len() {
            0..=8 => layers.collect::<Vec<_>>().join(", "),
            _ => layers.take(1).chain(["…".to_owned()]).collect::<Vec<_>>().join(", "),
        };
        let advice = GEOMETRIES
            .iter()
            .find(|row| row.voxels == found)
            .map_or(String::new(), |row| format!("; the geometry {} has {found} voxels", row.name));
        let (name, count, all) = (&self.name, self.voxels(), self.layers.len());
        Some(format!("expected {count} voxels, as {name} has in {all} layers ({layers}), found {found}{advice}"))
    }

    /// Reads the challenge's XML file. `particle` picks one where the file holds several; `voxel_cut` may be left out
    /// if the layers are those of a detector in [`GEOMETRIES`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Input`] naming line and column for what does not fit; [`Error::Key`] for `particle` and
    /// `voxel_cut`.
    pub fn read(path: &Path, particle: Option<&str>, voxel_cut: Option<f64>) -> Result<Self> {
        let bytes = store::read_bounded(path, XML_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|_| Error::input(path, "expected a text in UTF-8"))?;
        Self::from_xml(&text, particle, voxel_cut).map_err(|e| match e {
            Wrong::File(message) => Error::input(path, message),
            Wrong::Setting(error) => error,
        })
    }

    /// [`read`](Self::read) from a text.
    fn from_xml(text: &str, particle: Option<&str>, voxel_cut: Option<f64>) -> std::result::Result<Self, Wrong> {
        let options = roxmltree::ParsingOptions { nodes_limit: 100_000, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(text, options)
            .map_err(|e| Wrong::File(format!("expected XML: {}", lowered(&e.to_string()))))?;
        let root = document.root_element();
        if root.tag_name().name() != "Bins" {
            let found = root.tag_name().name().escape_debug();
            return Err(Wrong::File(format!("expected the element Bins around everything, found {found}")));
        }
        let bins: Vec<_> = root.children().filter(roxmltree::Node::is_element).collect();
        let named = |node: &roxmltree::Node| node.attribute("name").or(node.attribute("pid")).unwrap_or("").to_owned();
        let names: Vec<String> = bins.iter().map(&named).collect();
        let chosen = match particle {
            Some(wanted) => bins.iter().position(|b| named(b) == wanted || b.attribute("pid") == Some(wanted)),
            None if bins.len() == 1 => Some(0),
            None => None,
        };
        let Some(chosen) = chosen else {
            let known = names.join(", ");
            return Err(match (particle, bins.len()) {
                (_, 0) => Wrong::File("expected a particle inside Bins, found none".into()),
                (Some(wanted), _) => Wrong::Setting(Error::key_found(
                    "particle",
                    wanted,
                    format!("the file has no such particle{}", did_you_mean(wanted, names.iter().map(String::as_str))),
                )),
                (None, n) => {
                    Wrong::Setting(Error::key("particle", format!("expected one of the file's {n} particles; {known}")))
                }
            });
        };
        let mut layers: Vec<Layer> = Vec::new();
        for node in bins[chosen].children().filter(roxmltree::Node::is_element) {
            let at = document.text_pos_at(node.range().start);
            let wrong = |message: String| Wrong::File(format!("line {}, column {}: {message}", at.row, at.col));
            if let Some(layer) = layer_of(&node).map_err(wrong)? {
                if layers.iter().any(|l| l.id == layer.id) {
                    return Err(wrong(format!("layer {} is there twice", layer.id)));
                }
                layers.push(layer);
            }
        }
        let count: usize = layers.iter().map(Layer::voxels).sum();
        if !(1..=VOXELS).contains(&count) {
            return Err(Wrong::File(format!("expected 1 to {VOXELS} voxels in all layers, found {count}")));
        }
        let known = GEOMETRIES.iter().map(|row| (row.make)()).find(|g| g.layers == layers);
        let cut = voxel_cut.or(known.as_ref().map(|g| g.voxel_cut)).filter(|c| c.is_finite() && *c > 0.0);
        let cut = cut.ok_or_else(|| {
            Wrong::Setting(Error::key(
                "voxel_cut",
                "expected the smallest energy in MeV, above 0, that a voxel of this detector keeps; 1 is usual for \
                 data set 1 of the challenge",
            ))
        })?;
        let name = known.map_or_else(|| names[chosen].clone(), |g| g.name);
        Ok(Self { name, particle: names[chosen].clone(), layers, voxel_cut: cut })
    }
}

/// What was wrong with an XML file: something in it, or a setting that does not go with it.
#[derive(Debug)]
enum Wrong {
    File(String),
    Setting(Error),
}

/// A message of another library as the second half of ours.
fn lowered(message: &str) -> String {
    message.replace('\n', " ")
}

/// One `<Layer id r_edges n_bin_alpha/>`; `None` for a layer without voxels.
fn layer_of(node: &roxmltree::Node) -> std::result::Result<Option<Layer>, String> {
    let name = node.tag_name().name();
    if name != "Layer" {
        return Err(format!("expected an element Layer, found {}", name.escape_debug()));
    }
    let attribute = |key: &str| node.attribute(key).ok_or_else(|| format!("layer without its attribute {key}"));
    let whole = |key: &str| -> std::result::Result<u32, String> {
        let text = attribute(key)?;
        text.trim().parse().map_err(|_| format!("{key}: expected a whole number, found \"{}\"", text.escape_debug()))
    };
    let (id, sectors) = (whole("id")?, whole("n_bin_alpha")? as usize);
    let edge = |text: &str| {
        let found =
            || format!("layer {id}: r_edges: expected numbers with commas between, found \"{}\"", text.escape_debug());
        text.trim().parse::<f64>().ok().filter(|r| r.is_finite()).ok_or_else(found)
    };
    let r_edges = attribute("r_edges")?.split(',').map(edge).collect::<std::result::Result<Vec<_>, _>>()?;
    if r_edges[0] < 0.0 || r_edges.windows(2).any(|e| e[0] >= e[1]) {
        return Err(format!("layer {id}: r_edges: expected radii that rise from 0 or more"));
    }
    if !(1..=VOXELS).contains(&sectors) {
        return Err(format!("layer {id}: n_bin_alpha: expected 1 to {VOXELS}, found {sectors}"));
    }
    Ok((r_edges.len() > 1).then_some(Layer { id, r_edges, sectors }))
}

/// One detector of the challenge.
pub struct GeometryRow {
    /// Its name.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// How many voxels it has.
    pub voxels: usize,
    /// Makes it.
    pub make: fn() -> Geometry,
}

/// The detectors of the challenge.
pub static GEOMETRIES: &[GeometryRow] = &[
    GeometryRow {
        name: "photons",
        about: "data set 1, photons in five layers of the ATLAS barrel, 256 MeV to 4 TeV",
        voxels: 368,
        make: photons,
    },
    GeometryRow {
        name: "pions",
        about: "data set 1, pions in seven layers of the ATLAS barrel, 256 MeV to 4 TeV",
        voxels: 533,
        make: pions,
    },
    GeometryRow {
        name: "electrons",
        about: "data set 2, electrons in 45 layers of silicon and tungsten, 16 sectors by 9 rings, 1 GeV to 1 TeV",
        voxels: 6_480,
        make: || silicon("electrons", 16, 9),
    },
    GeometryRow {
        name: "electrons-fine",
        about: "data set 3, the same with 50 sectors by 18 rings",
        voxels: 40_500,
        make: || silicon("electrons-fine", 50, 18),
    },
];

/// The detector of the challenge called `name`.
///
/// # Errors
/// [`Error::Key`] for an unknown name, with the nearest one.
pub fn geometry(name: &str) -> Result<Geometry> {
    let row = GEOMETRIES.iter().find(|row| row.name == name).ok_or_else(|| {
        let near = did_you_mean(name, GEOMETRIES.iter().map(|row| row.name));
        Error::key_found("geometry", name, format!("no such geometry{near}"))
    })?;
    Ok((row.make)())
}

/// A layer of whole-numbered edges.
fn layer(id: u32, sectors: usize, edges: &[u32]) -> Layer {
    Layer { id, r_edges: edges.iter().map(|e| f64::from(*e)).collect(), sectors }
}

const PRESAMPLER: &[u32] = &[0, 5, 10, 30, 50, 100, 200, 400, 600];
const BACK: &[u32] = &[0, 50, 100, 200, 400, 600];

fn photons() -> Geometry {
    let strips = [0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200];
    let middle = [0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400];
    let layers = vec![
        layer(0, 1, PRESAMPLER),
        layer(1, 10, &strips),
        layer(2, 10, &middle),
        layer(3, 1, BACK),
        layer(12, 1, &[0, 100, 200, 400, 1000, 2000]),
    ];
    Geometry { name: "photons".into(), particle: "photon".into(), layers, voxel_cut: 1.0 }
}

fn pions() -> Geometry {
    let tile = [0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 1000, 2000];
    let second = [0, 10, 20, 30, 50, 80, 100, 130, 160, 200, 250, 300, 350, 400, 600, 1000, 2000];
    let layers = vec![
        layer(0, 1, PRESAMPLER),
        layer(1, 10, &[0, 1, 4, 7, 10, 15, 30, 50, 90, 150, 200]),
        layer(2, 10, &[0, 5, 10, 20, 30, 50, 80, 130, 200, 300, 400]),
        layer(3, 1, BACK),
        layer(12, 10, &tile),
        layer(13, 10, &second),
        layer(14, 1, &[0, 50, 100, 150, 200, 250, 300, 400, 600, 1000, 2000]),
    ];
    Geometry { name: "pions".into(), particle: "pion".into(), layers, voxel_cut: 1.0 }
}

/// Data sets 2 and 3: rings of equal width out to 41.85 mm, which is 4.65 mm each if there are nine.
fn silicon(name: &str, sectors: usize, rings: usize) -> Geometry {
    // In units of 1 µm, so that the edges are the decimal numbers of the file to the last bit.
    let edges: Vec<f64> = (0..=rings).map(|i| (41_850 * i / rings) as f64 / 1000.0).collect();
    let layers = (0..45).map(|id| Layer { id, r_edges: edges.clone(), sectors }).collect();
    // 0.5 keV in silicon; 0.033 of a shower's energy is left there.
    Geometry { name: name.into(), particle: "electron".into(), layers, voxel_cut: 0.5e-3 / 0.033 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(layers: &str) -> String {
        format!("<Bins>\n <Bin pid=\"22\" etaMin=\"0\" etaMax=\"130\" name=\"photon\">\n{layers}\n </Bin>\n</Bins>\n")
    }

    fn message(text: &str, particle: Option<&str>, cut: Option<f64>) -> String {
        match Geometry::from_xml(text, particle, cut) {
            Err(Wrong::File(message)) => message,
            Err(Wrong::Setting(error)) => error.to_string(),
            Ok(g) => format!("{} voxels", g.voxels()),
        }
    }

    #[test]
    fn the_detectors_have_the_voxels_and_edges_of_the_challenge() {
        for row in GEOMETRIES {
            let g = geometry(row.name).unwrap();
            assert_eq!((g.voxels(), g.name.as_str()), (row.voxels, row.name));
            assert!(g.layers.iter().all(|l| l.r_edges.windows(2).all(|e| e[0] < e[1])));
            let spans = g.spans();
            assert!(spans.windows(2).all(|s| s[0].end == s[1].start) && spans[0].start == 0);
            assert_eq!(spans[spans.len() - 1].end, g.voxels());
        }
        let photons = photons();
        let starts: Vec<usize> = photons.spans().iter().map(|s| s.start).chain([368]).collect();
        assert_eq!(starts, [0, 8, 168, 358, 363, 368]);
        let sectors: Vec<(u32, usize)> = pions().layers.iter().map(|l| (l.id, l.sectors)).collect();
        assert_eq!(sectors, [(0, 1), (1, 10), (2, 10), (3, 1), (12, 10), (13, 10), (14, 1)]);
        // As they are written in the XML files of data sets 2 and 3.
        assert_eq!(silicon("", 16, 9).layers[44].r_edges[..4], [0.0, 4.65, 9.3, 13.95]);
        assert_eq!(silicon("", 50, 18).layers[0].r_edges[15..], [34.875, 37.2, 39.525, 41.85]);
        assert_eq!(
            geometry("photon").unwrap_err().to_string(),
            "geometry = \"photon\": no such geometry; did you mean \"photons\"?"
        );
    }

    #[test]
    fn rings_run_fastest_then_sectors_then_layers() {
        let g = photons();
        assert_eq!(g.index(0, 0, 7), Some(7));
        assert_eq!(g.index(1, 0, 1), Some(9));
        assert_eq!(g.index(1, 1, 0), Some(8 + 16));
        assert_eq!(g.index(2, 9, 18), Some(357));
        assert_eq!(g.index(4, 0, 4), Some(367));
        assert_eq!((g.index(4, 1, 0), g.index(1, 0, 16), g.index(5, 0, 0)), (None, None, None));
        let angles: Vec<f64> = g.layers[1].angles().collect();
        assert!((angles[0] + 0.9 * PI).abs() < 1e-15 && (angles[9] - 0.9 * PI).abs() < 1e-15);
        assert_eq!(g.layers[1].radii().take(3).collect::<Vec<_>>(), [1.0, 3.0, 5.0]);
    }

    #[test]
    fn the_challenges_xml_is_read_and_recognised() {
        let mut text = String::new();
        for l in &photons().layers {
            let edges: Vec<String> = l.r_edges.iter().map(f64::to_string).collect();
            text +=
                &format!("<Layer id=\"{}\" r_edges=\"{}\" n_bin_alpha=\"{}\" />\n", l.id, edges.join(","), l.sectors);
        }
        // Layers without voxels, as the files have them.
        text += "<Layer id=\"13\" r_edges=\"0\" n_bin_alpha=\"1\" /> <!-- none -->";
        let read = Geometry::from_xml(&file(&text), None, None).unwrap();
        assert_eq!(read, photons());
        let mut own = photons();
        own.layers.truncate(1);
        let first = file(text.lines().next().unwrap());
        let read = Geometry::from_xml(&first, Some("photon"), Some(0.5)).unwrap();
        assert_eq!((read.layers, read.name.as_str(), read.voxel_cut), (own.layers, "photon", 0.5));
        assert!(message(&first, Some("22"), None).starts_with("voxel_cut: expected the smallest energy"));
    }

    #[test]
    fn what_does_not_fit_is_one_line() {
        let layer = |attributes: &str| file(&format!("<Layer {attributes}/>"));
        for (text, words) in [
            ("no xml".to_owned(), "expected XML"),
            ("<Bins><Bin name=\"photon\">".to_owned(), "expected XML"),
            ("<Boxes/>".to_owned(), "expected the element Bins around everything, found Boxes"),
            ("<Bins/>".to_owned(), "expected a particle inside Bins, found none"),
            (file("<Ring/>"), "line 3, column 1: expected an element Layer, found Ring"),
            (layer("id=\"0\" n_bin_alpha=\"1\""), "layer without its attribute r_edges"),
            (layer("id=\"x\" n_bin_alpha=\"1\" r_edges=\"0,1\""), "id: expected a whole number, found \"x\""),
            (layer("id=\"0\" n_bin_alpha=\"1\" r_edges=\"0,5,5\""), "layer 0: r_edges: expected radii that rise"),
            (
                layer("id=\"0\" n_bin_alpha=\"1\" r_edges=\"0,nan\""),
                "expected numbers with commas between, found \"nan\"",
            ),
            (layer("id=\"0\" n_bin_alpha=\"0\" r_edges=\"0,1\""), "n_bin_alpha: expected 1 to"),
            (layer("id=\"0\" n_bin_alpha=\"4000000\" r_edges=\"0,1\""), "n_bin_alpha: expected 1 to"),
            (layer("id=\"0\" n_bin_alpha=\"1\" r_edges=\"0\""), "expected 1 to 405000 voxels in all layers, found 0"),
        ] {
            let found = message(&text, None, None);
            assert!(found.contains(words) && !found.contains('\n'), "{found}");
        }
        let twice =
            "<Layer id=\"1\" r_edges=\"0,1\" n_bin_alpha=\"1\"/><Layer id=\"1\" r_edges=\"0,1\" n_bin_alpha=\"1\"/>";
        assert!(message(&file(twice), None, None).ends_with("layer 1 is there twice"));
        let two = "<Bins><Bin name=\"photon\"/><Bin name=\"pion\"/></Bins>";
        assert_eq!(message(two, None, None), "particle: expected one of the file's 2 particles; photon, pion");
        assert!(message(two, Some("pions"), None).ends_with("no such particle; did you mean \"pion\"?"));
    }

    #[test]
    fn a_row_that_does_not_fit_names_the_detector_that_it_fits() {
        assert_eq!(photons().misfit(368), None);
        assert_eq!(
            photons().misfit(533).unwrap(),
            "expected 368 voxels, as photons has in 5 layers (0: 1×8, 1: 10×16, 2: 10×19, 3: 1×5, 12: 1×5), found 533; \
             the geometry pions has 533 voxels"
        );
        assert!(silicon("electrons", 16, 9).misfit(7).unwrap().ends_with("in 45 layers (0: 16×9, …), found 7"));
    }
}
