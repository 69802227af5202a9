//! Plain measures of a picture, to which the descriptors are related.

use crate::error::Result;
use crate::render::Picture;
use crate::render::png;

/// A measure of a picture.
pub struct PictureMeasure {
    /// Column name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The values it can have.
    pub range: &'static str,
    /// The measurement.
    pub measure: fn(&Picture) -> Result<f64>,
}

/// Every measure.
pub static PICTURE_MEASURES: &[PictureMeasure] = &[
    PictureMeasure {
        name: "ink",
        about: "mean of the luma: brightness",
        unit: "luma, black 0 and white 1",
        range: "0 to 1",
        measure: |p| Ok(ink(p)),
    },
    PictureMeasure {
        name: "contrast",
        about: "standard deviation of the luma",
        unit: "luma, black 0 and white 1",
        range: "0 to 0.5",
        measure: |p| Ok(contrast(p)),
    },
    PictureMeasure {
        name: "edges",
        about: "mean length of the gradient of the luma",
        unit: "luma per pixel",
        range: "0 to 1.42",
        measure: |p| Ok(edges(p)),
    },
    PictureMeasure {
        name: "png_bytes",
        about: "size of the picture as a PNG file, a measure of complexity",
        unit: "bytes",
        range: "whole, above 0",
        measure: png_bytes,
    },
    PictureMeasure {
        name: "total_variation",
        about: "mean |difference| of neighbouring pixels of the luma",
        unit: "luma, black 0 and white 1",
        range: "0 to 1",
        measure: |p| Ok(total_variation(p)),
    },
    PictureMeasure {
        name: "sharpness",
        about: "variance of the Laplacian of the luma",
        unit: "squared luma",
        range: "from 0",
        measure: |p| Ok(sharpness(p)),
    },
];

/// The measures that may pass for novelty, as a picture can have more or less of each without being any rarer.
pub const LOOKS: [&str; 4] = ["ink", "contrast", "edges", "png_bytes"];

/// The [`LOOKS`] of a picture, in their order.
///
/// # Errors
/// [`crate::error::Error::Bug`] if the picture cannot be written as PNG.
pub fn looks(picture: &Picture) -> Result<[f64; LOOKS.len()]> {
    Ok([ink(picture), contrast(picture), edges(picture), png_bytes(picture)?])
}

fn png_bytes(picture: &Picture) -> Result<f64> {
    Ok(png::smallest(picture)?.len() as f64)
}

/// Luma by BT.601, from 0 to 1, row by row.
fn luma(p: &Picture) -> Vec<f64> {
    let of = |pixel: &[u8]| match pixel {
        [r, g, b] => (0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b)) / 255.0,
        [grey, ..] => f64::from(*grey) / 255.0,
        [] => 0.0,
    };
    p.pixels.chunks_exact(p.channels).map(of).collect()
}

fn ink(p: &Picture) -> f64 {
    let y = luma(p);
    y.iter().sum::<f64>() / y.len().max(1) as f64
}

/// Differences to the right and downwards at every pixel that has both neighbours.
fn edges(p: &Picture) -> f64 {
    let (y, w) = (luma(p), p.width);
    let places = (0..p.height.saturating_sub(1)).flat_map(|r| (0..w.saturating_sub(1)).map(move |c| r * w + c));
    let lengths: Vec<f64> = places.map(|i| (y[i + 1] - y[i]).hypot(y[i + w] - y[i])).collect();
    lengths.iter().sum::<f64>() / lengths.len().max(1) as f64
}

fn total_variation(p: &Picture) -> f64 {
    let y = luma(p);
    let across = (0..p.height).flat_map(|r| (1..p.width).map(move |c| (r * p.width + c, 1)));
    let down = (1..p.height).flat_map(|r| (0..p.width).map(move |c| (r * p.width + c, p.width)));
    let (sum, n) =
        across.chain(down).fold((0.0, 0usize), |(sum, n), (at, back)| (sum + (y[at] - y[at - back]).abs(), n + 1));
    sum / n.max(1) as f64
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n
}

fn contrast(p: &Picture) -> f64 {
    variance(&luma(p)).sqrt()
}

fn sharpness(p: &Picture) -> f64 {
    let y = luma(p);
    let w = p.width;
    let inner = (1..p.height.saturating_sub(1)).flat_map(|r| (1..w.saturating_sub(1)).map(move |c| r * w + c));
    let laplacian: Vec<f64> = inner.map(|i| y[i - 1] + y[i + 1] + y[i - w] + y[i + w] - 4.0 * y[i]).collect();
    variance(&laplacian)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: [u8; 9]) -> Picture {
        Picture { channels: 1, height: 3, width: 3, pixels: pixels.to_vec() }
    }

    #[test]
    fn by_hand() {
        let dot = picture([0, 0, 0, 0, 255, 0, 0, 0, 0]);
        // 4 of 12 neighbouring pairs differ by 1; one of nine pixels is 1.
        assert!((total_variation(&dot) - 4.0 / 12.0).abs() < 1e-12);
        assert!((contrast(&dot) - (8.0f64 / 81.0).sqrt()).abs() < 1e-12);
        assert_eq!(sharpness(&dot), 0.0, "one inner pixel has no variance");
        assert!((ink(&dot) - 1.0 / 9.0).abs() < 1e-12);
        // Of four gradients, those left of and above the dot have length 1, that at the dot √2, that at the corner 0.
        assert!((edges(&dot) - (2.0 + 2.0f64.sqrt()) / 4.0).abs() < 1e-12);
        let measured = LOOKS.map(|name| PICTURE_MEASURES.iter().find(|m| m.name == name).unwrap().measure);
        assert_eq!(looks(&dot).unwrap(), measured.map(|measure| measure(&dot).unwrap()));
        let flat = picture([7; 9]);
        assert!(total_variation(&flat) == 0.0 && contrast(&flat) < 1e-15);
        let mut wide = Picture::blank(4, 5, [0; 3]);
        wide.pixels[(5 + 1) * 3..(5 + 2) * 3].fill(255);
        // Inner Laplacians: −4, 1, 0, 1, 0, 0.
        assert!((sharpness(&wide) - (18.0 / 6.0 - (2.0f64 / 6.0).powi(2))).abs() < 1e-12);
    }

    #[test]
    fn noise_takes_more_bytes_than_a_flat_picture() -> Result<()> {
        let drawn = crate::noise::uniforms(1, 0, crate::noise::Stream::Init, 0, 4096);
        let noise: Vec<u8> = drawn.iter().map(|v| (v * 255.0) as u8).collect();
        let noise = Picture { channels: 1, height: 64, width: 64, pixels: noise };
        let flat = Picture { channels: 1, height: 64, width: 64, pixels: vec![9; 4096] };
        assert!(png_bytes(&noise)? > 10.0 * png_bytes(&flat)?);
        Ok(())
    }
}
