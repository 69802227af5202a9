//! From numbers to something to look at: pictures, PNG files that carry their recipe, contact sheets and plots.
//! Everything here is pure: the same input gives the same bytes.

pub mod animation;
mod axis;
mod canvas;
pub mod figure;
pub mod grid;
mod grid_layout;
pub mod page;
pub mod plot;
pub mod png;
pub mod resize;

use crate::error::{Error, Result};

/// An 8-bit picture, grey (1 channel) or RGB (3 channels), with rows from the top and interleaved channels.
///
/// Not a sample: a sample holds floats in the generator's own range, channels first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height · width · channels` bytes, HWC.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture from the values of a sample of `shape` `[channels, height, width]` (CHW). `range` is mapped linearly
    /// onto 0..=255, rounded to the nearest level and clamped.
    ///
    /// # Errors
    /// [`Error::Bug`] if the shape does not fit the values, the range is empty, or a value is not finite. Callers mark
    /// such samples instead of drawing them.
    pub fn from_values(values: &[f32], shape: [usize; 3], range: [f32; 2]) -> Result<Self> {
        let [channels, height, width] = shape;
        let size = checked_size(channels, height, width)?;
        if values.len() != size {
            return Err(Error::Bug(format!(
                "a picture of shape {shape:?} needs {size} values, found {}",
                values.len()
            )));
        }
        let (low, high) = (f64::from(range[0]), f64::from(range[1]));
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::Bug(format!("a picture needs a rising finite value range, found {range:?}")));
        }
        let scale = 255.0 / (high - low);
        let plane = height * width;
        let mut pixels = vec![0; size];
        for (at, &value) in values.iter().enumerate() {
            if !value.is_finite() {
                return Err(Error::Bug(format!("value {at} of a picture is {value}, expected a finite number")));
            }
            let level = ((f64::from(value) - low) * scale).round().clamp(0.0, 255.0);
            pixels[(at % plane) * channels + at / plane] = level as u8;
        }
        Ok(Self { channels, height, width, pixels })
    }

    /// A picture from interleaved 8-bit pixels (HWC); `shape` is `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Bug`] if the sizes do not fit together.
    pub fn from_pixels(pixels: Vec<u8>, shape: [usize; 3]) -> Result<Self> {
        let [channels, height, width] = shape;
        let size = checked_size(channels, height, width)?;
        if pixels.len() != size {
            return Err(Error::Bug(format!("a picture of shape {shape:?} needs {size} bytes, found {}", pixels.len())));
        }
        Ok(Self { channels, height, width, pixels })
    }

    /// The values, row-major, of a sample of `shape` `[channels, height, width]` (CHW) that looks like this picture,
    /// with 0..=255 mapped linearly onto `range`. For a colour model grey is repeated; for a grey model colours become
    /// their luma (BT.601).
    ///
    /// # Errors
    /// [`Error::Bug`] if height or width differ.
    pub fn to_values(&self, shape: [usize; 3], range: [f32; 2]) -> Result<Vec<f32>> {
        let [channels, height, width] = shape;
        if (self.height, self.width) != (height, width) {
            let found = format!("{}×{}", self.height, self.width);
            return Err(Error::Bug(format!("a picture of {found} for a sample of {height}×{width}")));
        }
        let level = |pixel: &[u8], c: usize| match (pixel, channels) {
            ([r, g, b], 1) => 0.299 * f32::from(*r) + 0.587 * f32::from(*g) + 0.114 * f32::from(*b),
            ([grey], _) => f32::from(*grey),
            (colours, _) => f32::from(colours[c]),
        };
        let scale = (range[1] - range[0]) / 255.0;
        let values = (0..channels)
            .flat_map(|c| self.pixels.chunks_exact(self.channels).map(move |p| range[0] + scale * level(p, c)));
        Ok(values.collect())
    }

    /// An RGB picture of one colour. Either side may be 0, which gives an empty picture.
    pub fn blank(height: usize, width: usize, colour: [u8; 3]) -> Self {
        Self { channels: 3, height, width, pixels: colour.repeat(height * width) }
    }

    /// The same picture with three channels; grey is repeated.
    pub fn to_rgb(&self) -> Self {
        if self.channels == 3 {
            return self.clone();
        }
        let pixels = self.pixels.iter().flat_map(|&v| [v; 3]).collect();
        Self { channels: 3, height: self.height, width: self.width, pixels }
    }

    /// Turns every pixel into a square of `factor` × `factor` equal pixels. This is nearest-neighbour enlargement, so
    /// nothing is invented between pixels. A factor of 0 counts as 1.
    pub fn enlarge(&self, factor: usize) -> Self {
        if factor <= 1 {
            return self.clone();
        }
        let (height, width) = (self.height * factor, self.width * factor);
        let mut pixels = Vec::with_capacity(height * width * self.channels);
        for row in self.pixels.chunks_exact((self.width * self.channels).max(1)) {
            let start = pixels.len();
            for pixel in row.chunks_exact(self.channels) {
                for _ in 0..factor {
                    pixels.extend_from_slice(pixel);
                }
            }
            let end = pixels.len();
            for _ in 1..factor {
                pixels.extend_from_within(start..end);
            }
        }
        Self { channels: self.channels, height, width, pixels }
    }

    /// Copies `other` into this picture with its top left corner at (`top`, `left`); whatever lies beyond the edge is
    /// cut off. A grey picture pasted into an RGB one is repeated over the channels; an RGB picture pasted into a grey
    /// one turns that one into RGB first.
    pub fn paste(&mut self, other: &Picture, top: usize, left: usize) {
        if self.channels != other.channels {
            if self.channels == 1 {
                *self = self.to_rgb();
            } else {
                return self.paste(&other.to_rgb(), top, left);
            }
        }
        let rows = other.height.min(self.height.saturating_sub(top));
        let columns = other.width.min(self.width.saturating_sub(left));
        let (bytes, ours, theirs) = (columns * self.channels, self.width * self.channels, other.width * self.channels);
        for row in 0..rows {
            let to = (top + row) * ours + left * self.channels;
            let from = row * theirs;
            self.pixels[to..to + bytes].copy_from_slice(&other.pixels[from..from + bytes]);
        }
    }
}

/// The number of values `channels · height · width`, if such a picture can exist.
fn checked_size(channels: usize, height: usize, width: usize) -> Result<usize> {
    let size = height.checked_mul(width).and_then(|plane| plane.checked_mul(channels));
    match size {
        Some(size) if size > 0 && (channels == 1 || channels == 3) => Ok(size),
        _ => Err(Error::Bug(format!(
            "a picture needs 1 or 3 channels and at least one pixel, found {channels} channels of {height}×{width}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_map_to_levels_and_channels_interleave() {
        let values = [-1.0, 1.0, 0.0, -9.0, 9.0, -1.0 + 2.0 / 255.0];
        let picture = Picture::from_values(&values, [3, 1, 2], [-1.0, 1.0]).unwrap();
        assert_eq!(picture.pixels, [0, 128, 255, 255, 0, 1]);
    }

    #[test]
    fn values_come_back_from_a_picture() {
        let values = [-1.0, 1.0, 0.2, 0.6, -0.4, 0.0];
        let picture = Picture::from_values(&values, [3, 1, 2], [-1.0, 1.0]).unwrap();
        let back = picture.to_values([3, 1, 2], [-1.0, 1.0]).unwrap();
        // Half a level of 255.
        assert!(back.iter().zip(&values).all(|(a, b)| (a - b).abs() <= 1.0 / 255.0 + 1e-6), "{back:?}");
        let grey = Picture::from_pixels(vec![0, 255], [1, 1, 2]).unwrap();
        assert_eq!(grey.to_values([3, 1, 2], [0.0, 1.0]).unwrap(), [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
        let red = Picture::from_pixels(vec![255, 0, 0], [3, 1, 1]).unwrap();
        assert!((red.to_values([1, 1, 1], [0.0, 1.0]).unwrap()[0] - 0.299).abs() < 1e-6);
        assert!(red.to_values([1, 2, 1], [0.0, 1.0]).is_err());
    }

    #[test]
    fn bad_values_and_shapes_are_typed_errors() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(matches!(Picture::from_values(&[bad], [1, 1, 1], [0.0, 1.0]), Err(Error::Bug(_))));
        }
        assert!(Picture::from_values(&[0.0], [2, 1, 1], [0.0, 1.0]).is_err());
        assert!(Picture::from_values(&[0.0, 0.0], [2, 1, 1], [0.0, 1.0]).is_err());
        assert!(Picture::from_values(&[], [1, 0, 3], [0.0, 1.0]).is_err());
        assert!(Picture::from_values(&[0.0], [1, 1, 1], [1.0, 1.0]).is_err());
        assert!(Picture::from_values(&[0.0], [3, usize::MAX, 2], [0.0, 1.0]).is_err());
        assert!(Picture::from_pixels(vec![0; 5], [3, 1, 2]).is_err());
    }

    #[test]
    fn enlarging_repeats_pixels() {
        let picture = Picture::from_pixels(vec![1, 2, 3, 4], [1, 2, 2]).unwrap();
        assert_eq!(picture.enlarge(2).pixels, [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]);
        assert_eq!(picture.enlarge(0), picture);
        assert_eq!(picture.enlarge(3).to_rgb(), picture.to_rgb().enlarge(3));
    }

    #[test]
    fn pasting_cuts_at_the_edge() {
        let mut base = Picture::blank(2, 2, [0; 3]);
        let dot = Picture::from_pixels(vec![9, 8, 7, 6], [1, 2, 2]).unwrap();
        base.paste(&dot, 1, 1);
        assert_eq!(&base.pixels[9..], [9, 9, 9]);
        base.paste(&dot, 5, 0);
        let mut grey = dot.clone();
        grey.paste(&Picture::blank(1, 1, [1, 2, 3]), 0, 0);
        assert_eq!((grey.channels, &grey.pixels[..6]), (3, [1, 2, 3, 8, 8, 8].as_slice()));
    }
}
