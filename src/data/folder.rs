//! A folder or .zip file of PNG and JPEG files as a data set. One level of subfolders is read too, as data sets with a
//! folder per class have. Folder names are not read as labels.

use super::{Dataset, Packed};
use crate::error::{Error, Result};
use crate::limits;
use crate::render::Picture;
use std::path::Path;

/// Reads the pictures that were listed at `path` as `shape` = `[channels, height, width]`. Nothing is resized: height and
/// width must match. Channels may differ: a grey picture is repeated over the channels of a colour model, and a grey model
/// gets the luma of a colour picture.
pub fn read(mut packed: Packed, path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let [channels, height, width] = shape;
    let count = packed.count();
    let bytes = shape.iter().try_fold(count, |all, n| all.checked_mul(*n));
    let Some(bytes) = bytes.filter(|bytes| *bytes as u64 <= limits::DATASET_BYTES) else {
        let most = limits::DATASET_BYTES;
        return Err(Error::input(path, format!("{count} pictures of shape {shape:?}, at most {most} bytes are read")));
    };
    let mut pixels = Vec::with_capacity(bytes);
    packed.decode(Some([height, width]), |picture: Picture| {
        for c in 0..channels {
            pixels.extend(picture.pixels.chunks_exact(picture.channels).map(|p| channel(p, c, channels)));
        }
        Ok(())
    })?;
    Ok(Dataset { pixels, shape, labels: None, class_names: None })
}

/// Channel `c` of a pixel for a model of `wanted` channels; luma by the weights of Rec. 601.
fn channel(pixel: &[u8], c: usize, wanted: usize) -> u8 {
    match (pixel, wanted) {
        ([grey], _) => *grey,
        ([r, g, b], 1) => ((299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b) + 500) / 1000) as u8,
        (colour, _) => colour[c],
    }
}
