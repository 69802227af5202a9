//! What of a picture a taste can be about: where it lies in the model's distribution, six numbers that can be said in words, and
//! how it differs from the model's other pictures at 16×16.

use crate::acts::generate::SampleRow;
use crate::error::Result;
use crate::evaluate::Features;
use crate::evaluate::principal::Axes;
use crate::render::png::{self, PngText};
use crate::render::{Picture, resize};
use std::path::Path;

/// The numbers that have a name, in their order.
pub const NAMED: [&str; 8] = ["level", "local_rank", "light", "contrast", "colour", "edges", "symmetry", "detail"];
/// Side of the small picture whose principal components are taken.
const SIDE: usize = 16;
/// Principal components, where there are pictures enough.
const AXES: usize = 48;
/// Pictures for each component.
const PER_AXIS: usize = 8;
/// The weights of red, green and blue in the luma of BT.601.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// One picture, measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    /// The numbers of [`NAMED`]; not a number where one is not known.
    pub named: [f64; NAMED.len()],
    /// The picture at 16×16, plane by plane.
    pub small: Vec<u8>,
}

impl Traits {
    /// Measures the picture in the file `png`, whose record says `row`.
    ///
    /// # Errors
    /// Those of reading a picture.
    pub fn of(png: &[u8], row: &SampleRow) -> Result<Self> {
        let picture = png::parse_picture(png, Path::new("a picture"))?;
        let (height, width) = (picture.height, picture.width);
        let planes = planes(&picture);
        let light: Vec<f64> = (0..height * width).map(|i| luma(&planes, i)).collect();
        let mean = average(light.iter().copied());
        let at = |y: usize, x: usize| light[y * width + x];
        let across = (0..height).flat_map(|y| (1..width).map(move |x| (y, x))).map(|(y, x)| at(y, x) - at(y, x - 1));
        let down = (1..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| at(y, x) - at(y - 1, x));
        let mirrored =
            (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| at(y, x) - at(y, width - 1 - x));
        let detail = png::encode(&picture, &PngText::default())?.len();
        let named = [
            row.novelty_reached.unwrap_or(f64::NAN),
            row.descriptors.get("nu").unwrap_or(f64::NAN),
            mean,
            average(light.iter().map(|v| (v - mean).powi(2))).sqrt(),
            colourfulness(&planes),
            average(across.chain(down).map(f64::abs)),
            1.0 - average(mirrored.map(f64::abs)),
            (detail as f64).ln(),
        ];
        let small = planes.iter().flat_map(|plane| shrunk(plane, [height, width])).collect();
        Ok(Self { named, small })
    }
}

/// The planes of a picture, from 0 to 1.
fn planes(picture: &Picture) -> Vec<Vec<f32>> {
    let plane = |c: usize| picture.pixels.chunks_exact(picture.channels).map(|p| f32::from(p[c]) / 255.0).collect();
    (0..picture.channels).map(plane).collect()
}

fn luma(planes: &[Vec<f32>], at: usize) -> f64 {
    match planes {
        [grey] => f64::from(grey[at]),
        colours => colours.iter().zip(LUMA).map(|(plane, part)| part * f64::from(plane[at])).sum(),
    }
}

fn average(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

/// How colourful a picture is, after Hasler and Süsstrunk (2003): with rg = R − G and yb = (R + G)/2 − B, the root of
/// var rg + var yb, and 0.3 of the length of their mean. 0 for a grey one.
fn colourfulness(planes: &[Vec<f32>]) -> f64 {
    let [red, green, blue] = planes else { return 0.0 };
    let of = |opposed: &dyn Fn(usize) -> f64| {
        let mean = average((0..red.len()).map(opposed));
        (mean, average((0..red.len()).map(|i| (opposed(i) - mean).powi(2))))
    };
    let [r, g, b] = [red, green, blue].map(|plane| |i: usize| f64::from(plane[i]));
    let (rg, rg_spread) = of(&|i| r(i) - g(i));
    let (yb, yb_spread) = of(&|i| 0.5 * (r(i) + g(i)) - b(i));
    (rg_spread + yb_spread).sqrt() + 0.3 * rg.hypot(yb)
}

/// A plane at 16×16: each value is the mean of what it covers.
fn shrunk(plane: &[f32], size: [usize; 2]) -> Vec<u8> {
    resize::AREA.resize(plane, size, [SIDE, SIDE]).into_iter().map(|v| (255.0 * v).round() as u8).collect()
}

/// Bytes of a picture's file, but for what is said in it, as its detail tells.
pub fn bytes(measured: &Traits) -> usize {
    measured.named[NAMED.len() - 1].exp() as usize
}

/// What pictures of one model are compared with: the mean and the spread of each number among the model's own pictures, and
/// the directions in which those differ most at 16×16.
pub struct Basis {
    mean: [f64; NAMED.len()],
    spread: [f64; NAMED.len()],
    axes: Axes,
    /// Standard deviation along the first axis.
    first: f64,
}

impl Basis {
    /// The basis of these pictures, at least two of one size.
    pub fn of(pool: &[&Traits]) -> Self {
        let column = |j: usize| pool.iter().map(move |m| m.named[j]).filter(|v| v.is_finite());
        let mean: [f64; NAMED.len()] = std::array::from_fn(|j| average(column(j)));
        let spread = std::array::from_fn(|j| average(column(j).map(|v| (v - mean[j]).powi(2))).sqrt());
        let small = rows(pool);
        let axes = Axes::of(&small, AXES.min(pool.len() / PER_AXIS).max(1), 0);
        let along = axes.project(&small);
        let first = average((0..along.rows()).map(|i| f64::from(along.row(i)[0]).powi(2))).sqrt();
        Self { mean, spread, axes, first }
    }

    /// Values of a picture: the named ones in standard deviations, 0 where one is not known or the same for all; then the
    /// coordinates along the axes, all in standard deviations along the first, so that what varies little counts little.
    pub fn values(&self, picture: &Traits) -> Vec<f64> {
        let named = (0..NAMED.len()).map(|j| (picture.named[j] - self.mean[j]) / self.spread[j]);
        let along = self.axes.project(&rows(&[picture]));
        let along = along.values.into_iter().map(|v| f64::from(v) / self.first);
        named.chain(along).map(|v| if v.is_finite() { v } else { 0.0 }).collect()
    }
}

fn rows(pictures: &[&Traits]) -> Features {
    let width = pictures.first().map_or(1, |p| p.small.len());
    Features { values: pictures.iter().flat_map(|p| &p.small).map(|v| f32::from(*v) / 255.0).collect(), width }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(reached: Option<f64>) -> SampleRow {
        serde_json::from_value(serde_json::json!({
            "seed": 1, "file": null, "sha256": "ab", "novelty_asked": null, "novelty_predicted": null,
            "psi_predicted": null, "novelty_reached": reached, "beyond": 0.0, "psi_k": 1.0, "distance": 0.0, "angle": 0.0,
            "steps": 0, "status": "ok",
        }))
        .unwrap_or_else(|e| unreachable!("{e}"))
    }

    fn measured(pixels: Vec<u8>, shape: [usize; 3]) -> Result<Traits> {
        let picture = Picture::from_pixels(pixels, shape)?;
        Traits::of(&png::encode(&picture, &PngText::default())?, &row(Some(40.0)))
    }

    /// Numbers that were worked out by hand.
    #[test]
    fn the_named_numbers_are_what_they_say() -> Result<()> {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
        // Two columns: black and white. Across, one step of 1 in each of two rows; down, none.
        let grey = measured(vec![0, 255, 0, 255], [1, 2, 2])?;
        let [level, rank, light, contrast, colour, edges, symmetry, _] = grey.named;
        assert!(level == 40.0 && rank.is_nan() && colour == 0.0);
        assert!(close(light, 0.5) && close(contrast, 0.5) && close(edges, 0.5) && close(symmetry, 0.0));
        // All red: no spread, rg = 1 and yb = 1/2.
        let red = measured([255, 0, 0].repeat(4), [3, 2, 2])?;
        let [_, _, light, contrast, colour, edges, symmetry, _] = red.named;
        assert!(close(light, 0.299) && close(contrast, 0.0) && close(edges, 0.0) && close(symmetry, 1.0));
        assert!(close(colour, 0.3 * 1.25f64.sqrt()), "{colour}");
        // A chequered picture has more detail than an even one.
        let chequered =
            measured((0..1024u32).map(|i| if (i ^ (i / 32)) % 2 == 0 { 0 } else { 255 }).collect(), [1, 32, 32])?;
        let even = measured(vec![9; 1024], [1, 32, 32])?;
        assert!(chequered.named[7] > even.named[7]);
        assert_eq!((even.small.len(), red.small.len()), (256, 768));
        Ok(())
    }

    #[test]
    fn values_are_standard_and_missing_ones_are_nothing() -> Result<()> {
        let shade = |i: usize| vec![(3 * i) as u8; 256];
        let pool: Vec<Traits> = (0..64).map(|i| measured(shade(i), [1, 16, 16])).collect::<Result<_>>()?;
        let basis = Basis::of(&pool.iter().collect::<Vec<_>>());
        let values: Vec<Vec<f64>> = pool.iter().map(|m| basis.values(m)).collect();
        assert_eq!(values[0].len(), NAMED.len() + 8);
        // Light has mean 0 and variance 1; the rank is not known and the level is the same for all.
        let light = |f: fn(f64) -> f64| average(values.iter().map(|v| f(v[2])));
        assert!(light(|v| v).abs() < 1e-12 && (light(|v| v * v) - 1.0).abs() < 1e-12);
        assert!(values.iter().all(|v| v[0] == 0.0 && v[1] == 0.0));
        // These pictures differ in one direction only.
        let along = |j: usize| average(values.iter().map(|v| v[NAMED.len() + j].powi(2)));
        assert!((along(0) - 1.0).abs() < 1e-3 && along(1) < 1e-6, "{} {}", along(0), along(1));
        Ok(())
    }
}
