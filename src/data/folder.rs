//! A folder of PNG and JPEG files as a data set. One level of subfolders is read too, as data sets with a folder per
//! class have; pictures come in the order of their names. Folder names are not read as labels.

use super::{Dataset, PictureFiles};
use crate::error::{Error, Result};
use crate::limits;
use crate::render::png::read_picture;
use std::path::Path;

/// Reads every picture below `path` as `shape` = `[channels, height, width]`. Nothing is resized: height and width must
/// match. Channels may differ: a grey picture is repeated over the channels of a colour model, and a grey model gets
/// the luma of a colour picture.
pub fn read(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let listed = PictureFiles::list(path, true)?;
    listed.check(path)?;
    let files = listed.files;
    let [channels, height, width] = shape;
    if files.len() > limits::DATASET_ITEMS || (files.len() * channels * height * width) as u64 > limits::DATASET_BYTES {
        let message = format!(
            "{} pictures of shape {shape:?}, at most {} and {} bytes are read",
            files.len(),
            limits::DATASET_ITEMS,
            limits::DATASET_BYTES
        );
        return Err(Error::input(path, message));
    }
    let mut pixels = Vec::with_capacity(files.len() * channels * height * width);
    for file in files {
        let picture = read_picture(&file)?;
        if (picture.height, picture.width) != (height, width) {
            return Err(Error::input(
                file,
                format!(
                    "picture of {}×{}, expected {height}×{width}; resize the data first",
                    picture.height, picture.width
                ),
            ));
        }
        for c in 0..channels {
            pixels.extend(picture.pixels.chunks_exact(picture.channels).map(|p| channel(p, c, channels)));
        }
    }
    Ok(Dataset { pixels, shape, labels: None })
}

/// Channel `c` of a pixel for a model of `wanted` channels; luma by the weights of Rec. 601.
fn channel(pixel: &[u8], c: usize, wanted: usize) -> u8 {
    match (pixel, wanted) {
        ([grey], _) => *grey,
        ([r, g, b], 1) => ((299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b) + 500) / 1000) as u8,
        (colour, _) => colour[c],
    }
}
