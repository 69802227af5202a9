//! Picture data sets on the host: IDX files and folders of PNG or JPEG.

mod folder;
mod idx;

use crate::error::{Error, Result};
use std::path::Path;

/// Pictures as bytes, channel-major (CHW), one after another.
#[derive(Clone, Debug)]
pub struct Dataset {
    pixels: Vec<u8>,
    shape: [usize; 3],
    labels: Option<Vec<u8>>,
}

/// Where a data set lies, as typed in a config (`[data]`).
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// "idx" or "folder".
    pub kind: String,
    /// File or folder below `--data`.
    pub path: String,
    /// IDX file of classes below `--data`, one byte a picture.
    #[serde(default)]
    pub labels: Option<String>,
}

impl Dataset {
    /// Reads the data set that `config` names below `root`; pictures must have `shape`.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown kind, [`Error::Input`] for a damaged or misshapen file,
    /// [`Error::Io`] when it cannot be read.
    pub fn read(config: &DataConfig, root: &Path, shape: [usize; 3]) -> Result<Self> {
        let path = root.join(&config.path);
        let mut set = match config.kind.as_str() {
            "idx" => idx::read(&path)?,
            "folder" => folder::read(&path, shape)?,
            other => {
                return Err(Error::config("data.kind", format!("expected \"idx\" or \"folder\", found \"{other}\"")));
            }
        };
        if set.shape != shape {
            return Err(Error::input(
                path,
                format!("pictures of shape {:?}, but the card's sample.shape is {shape:?}", set.shape),
            ));
        }
        if set.count() == 0 {
            return Err(Error::input(path, "no pictures found"));
        }
        if let Some(labels) = &config.labels {
            let path = root.join(labels);
            let labels = idx::read_labels(&path)?;
            if labels.len() != set.count() {
                let message = format!("expected a label for each of {} pictures, found {}", set.count(), labels.len());
                return Err(Error::input(path, message));
            }
            set.labels = Some(labels);
        }
        Ok(set)
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.pixels.len() / self.shape.iter().product::<usize>().max(1)
    }

    /// SHA-256 of the pixels, and of the classes where there are any, in their order.
    pub fn sha256(&self) -> String {
        let pixels = crate::store::sha256_hex(&self.pixels);
        match &self.labels {
            None => pixels,
            Some(labels) => format!("{pixels} {}", crate::store::sha256_hex(labels)),
        }
    }

    /// The classes of some pictures, where the set has labels.
    pub fn classes(&self, picked: &[usize]) -> Option<Vec<usize>> {
        let labels = self.labels.as_ref()?;
        Some(picked.iter().map(|i| usize::from(labels[*i])).collect())
    }

    /// The values of picture `i`, with black at `range[0]` and white at `range[1]`.
    pub fn values(&self, i: usize, range: [f32; 2]) -> impl Iterator<Item = f32> {
        let width = self.shape.iter().product::<usize>();
        let scale = (range[1] - range[0]) / 255.0;
        self.pixels[i * width..(i + 1) * width].iter().map(move |b| range[0] + f32::from(*b) * scale)
    }
}
