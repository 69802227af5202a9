//! What a page of showers shows beside its tables: the mean shower of each layer, and histograms of the two sets.

use crate::error::Result;
use crate::evaluate::calorimeter::{Geometry, HighLevel, Showers, histogram};
use crate::render::Picture;
use crate::render::page::Page;
use crate::render::plot;

/// Side of the picture of a layer, in pixels.
const SIDE: usize = 144;
/// Decades of energy between the brightest voxel and black.
const DECADES: f64 = 4.0;
/// Bins of a histogram.
const BINS: usize = 60;

/// The plots and pictures of one comparison.
#[derive(Clone, Debug, Default)]
pub struct ShowerPlots {
    layers: Vec<(Picture, String)>,
    plots: Vec<String>,
}

impl ShowerPlots {
    /// Draws reference and generated showers.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`] if the plot library fails.
    pub fn of(sides: [(&Showers, &HighLevel); 2], geometry: &Geometry) -> Result<Self> {
        let names = ["reference", "generated"];
        let means = sides.map(|(showers, _)| mean(showers));
        let top = means.iter().flatten().fold(0.0f64, |a, v| a.max(*v));
        let mut layers = Vec::new();
        for (i, layer) in geometry.layers.iter().enumerate() {
            for (mean, name) in means.iter().zip(names) {
                layers.push((disc(mean, geometry, i, top), format!("layer {}, {name}", layer.id)));
            }
        }
        let response = sides.map(|(_, features)| features.response());
        let mut plots = vec![steps("E_tot/E_inc", "E_tot/E_inc", &response, [0.5, 1.5])?];
        for (i, layer) in geometry.layers.iter().enumerate() {
            // In decades: energies of a layer span six of them. Layers without energy are left out.
            let decades = sides.map(|(_, features)| {
                let own = &features.layers[i].energy;
                own.iter().filter(|e| **e > 0.0).map(|e| e.log10()).collect::<Vec<f64>>()
            });
            let all = || decades.iter().flatten().copied();
            let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
            if low < high {
                let title = format!("Energy of layer {}", layer.id);
                plots.push(steps(&title, "log10 of MeV", &decades, [low, high])?);
            }
        }
        Ok(Self { layers, plots })
    }

    /// Puts them onto a page.
    ///
    /// # Errors
    /// [`crate::error::Error::Bug`] if a picture cannot be written.
    pub fn onto(&self, page: &mut Page) -> Result<()> {
        page.section(
            "The mean shower",
            &format!(
                "Mean energy of each voxel, from the beam outwards, every ring as thick as the next. Brightness is logarithmic, \
                 {DECADES} decades of it, the same in all pictures."
            ),
        );
        page.pictures(&self.layers)?;
        page.section("Energies", "Shares of the showers, reference and generated.");
        page.plots(&self.plots);
        Ok(())
    }
}

/// The mean of each voxel.
fn mean(showers: &Showers) -> Vec<f64> {
    let mut sum = vec![0.0f64; showers.width];
    for i in 0..showers.len() {
        sum.iter_mut().zip(showers.row(i)).for_each(|(sum, v)| *sum += f64::from(*v));
    }
    let count = showers.len().max(1) as f64;
    sum.into_iter().map(|v| v / count).collect()
}

/// A layer as a disc of rings and sectors.
fn disc(mean: &[f64], geometry: &Geometry, layer: usize, top: f64) -> Picture {
    let own = &geometry.layers[layer];
    let half = SIDE as f64 / 2.0;
    let mut picture = Picture::blank(SIDE, SIDE, [255; 3]);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = ((column as f64 + 0.5 - half) / half, (half - row as f64 - 0.5) / half);
            let ring = ((x * x + y * y).sqrt() * own.rings() as f64) as usize;
            let turn = (y.atan2(x) + std::f64::consts::PI) / std::f64::consts::TAU;
            let sector = ((turn * own.sectors as f64) as usize).min(own.sectors - 1);
            if ring < own.rings()
                && let Some(voxel) = geometry.index(layer, sector, ring)
            {
                let at = 3 * (row * SIDE + column);
                picture.pixels[at..at + 3].copy_from_slice(&glow(mean[voxel], top));
            }
        }
    }
    picture
}

/// Black, blue, orange, pale yellow: evenly over [`DECADES`] below `top`.
fn glow(energy: f64, top: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 4] = [[8.0, 8.0, 24.0], [70.0, 40.0, 140.0], [235.0, 110.0, 50.0], [255.0, 245.0, 190.0]];
    let part = if energy > 0.0 && top > 0.0 { 1.0 + (energy / top).log10() / DECADES } else { 0.0 };
    let place = part.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let first = (place as usize).min(STOPS.len() - 2);
    let between = place - first as f64;
    [0, 1, 2].map(|c| (STOPS[first][c] + between * (STOPS[first + 1][c] - STOPS[first][c])).round() as u8)
}

/// Histograms of the two sets as outlines over the same bins.
fn steps(title: &str, label: &str, values: &[Vec<f64>; 2], [low, high]: [f64; 2]) -> Result<String> {
    let edges: Vec<f64> = (0..=BINS).map(|i| low + (high - low) * i as f64 / BINS as f64).collect();
    let outline = |values: &Vec<f64>| -> Vec<(f64, f64)> {
        let counts = histogram(values.iter().copied(), &edges);
        let share = |count: &u64| *count as f64 / values.len().max(1) as f64;
        let bins = counts.iter().zip(edges.windows(2));
        bins.flat_map(|(count, ends)| [(ends[0], share(count)), (ends[1], share(count))]).collect()
    };
    let series = [("reference", outline(&values[0])), ("generated", outline(&values[1]))];
    plot::lines(title, label, "share of showers", &series, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::calorimeter::geometry;

    #[test]
    fn a_voxel_glows_where_it_lies() {
        let photons = geometry("photons").unwrap();
        // Layer 1 has sectors. One voxel: the first sector, which begins at −π, outermost ring.
        let rings = photons.layers[1].rings();
        let mut mean = vec![0.0; photons.voxels()];
        mean[photons.index(1, 0, rings - 1).unwrap()] = 5.0;
        let shown = disc(&mean, &photons, 1, 5.0);
        let at = |row: usize, column: usize| -> [u8; 3] {
            let i = 3 * (row * SIDE + column);
            shown.pixels[i..i + 3].try_into().unwrap()
        };
        // Just below the middle at the left end: angle a little above −π.
        assert_eq!(at(SIDE / 2 + 4, 1), [255, 245, 190]);
        assert_eq!(at(SIDE / 2, SIDE / 2), [8, 8, 24]);
        assert_eq!(at(0, 0), [255; 3]);
        // A tenth of the energy is a quarter of the way down.
        assert_eq!(glow(1e-4, 1.0), [8, 8, 24]);
        assert_eq!(glow(1.0, 1.0), [255, 245, 190]);
    }
}
