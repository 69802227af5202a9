//! A folder of PNG and JPEG files as a data set. One level of subfolders is read too, as data sets with a folder per
//! class have; pictures come in the order of their names. Folder names are not read as labels.

use super::Dataset;
use crate::error::{Error, Result};
use crate::limits;
use crate::render::png::read_picture;
use std::path::{Path, PathBuf};

/// Reads every picture below `path` as `shape` = `[channels, height, width]`. Nothing is resized: height and width must
/// match. Channels may differ: a grey picture is repeated over the channels of a colour model, and a grey model gets
/// the luma of a colour picture.
pub fn read(path: &Path, shape: [usize; 3]) -> Result<Dataset> {
    let mut files = Vec::new();
    for entry in sorted(path)? {
        if entry.is_dir() && !entry.is_symlink() {
            files.extend(sorted(&entry)?);
        } else {
            files.push(entry);
        }
    }
    files.retain(|f| {
        f.extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| matches!(e.to_ascii_lowercase().as_str(), "png" | "jpg" | "jpeg"))
    });
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

/// The entries of a folder, sorted by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
    let mut paths = entries
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::io(folder, "list", e))?;
    paths.sort();
    Ok(paths)
}
