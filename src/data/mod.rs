//! Picture data sets in host memory, from IDX files, from folders or .zip files of PNG and JPEG files, and from data sets
//! with classes as EDM's tools write them. Networks are trained on them and
//! dimensions are estimated at them; apart from that, no sample the program makes depends on them.

mod attributes;
mod edm;
mod folder;
mod idx;
mod packed;
mod picture_files;
mod showers;

pub use attributes::Attributes;
pub use idx::{parse_idx, parse_idx_labels};
pub use packed::Packed;
pub use picture_files::{PictureFiles, Skipped};
pub use showers::ShowerSet;

use crate::error::{Error, Result};
use crate::render::Picture;
use std::path::Path;

/// A data set of pictures of one shape, `[n, channels, height, width]` in bytes, with or without a class for each.
#[derive(Clone, Debug)]
pub struct Dataset {
    pixels: Vec<u8>,
    shape: [usize; 3],
    labels: Option<Vec<u32>>,
    class_names: Option<Vec<String>>,
}

/// Where to find a data set: the `[data]` table of a config.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The format: "idx"; "folder" for a folder or .zip file of pictures; "edm" for one with a `dataset.json`.
    pub kind: String,
    /// The file or folder, relative to `--data`.
    pub path: String,
    /// An IDX file with the class of each picture, relative to `--data`; none for data without classes, and for "edm",
    /// which has them in its `dataset.json`.
    #[serde(default)]
    pub labels: Option<String>,
    /// A table of what the pictures show: a line of JSON for each, with its `name` and its attributes. It lies among the
    /// pictures of a "folder" or "edm", or else below `--data`.
    #[serde(default)]
    pub attributes: Option<String>,
}

impl DataConfig {
    /// Whether the set is of a kind that has classes, or names a file with them.
    pub fn has_classes(&self) -> bool {
        self.labels.is_some() || self.kind == "edm"
    }

    /// The pictures of a "folder" or "edm" below `root`, in the order in which they are read.
    fn listed(&self, root: &Path) -> Result<Packed> {
        let mut packed = Packed::open(&root.join(&self.path))?;
        if self.kind == "edm" {
            packed.sort();
        }
        Ok(packed)
    }

    /// What lies in the folder of pictures below `root` and is not read; `None` if there is nothing, or it is no folder.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    pub fn skipped(&self, root: &Path) -> Result<Option<Skipped>> {
        let path = root.join(&self.path);
        if self.kind != "folder" || !path.is_dir() {
            return Ok(None);
        }
        Ok(Some(PictureFiles::list(&path, true)?.skipped).filter(|s| !s.is_empty()))
    }
}

impl Dataset {
    /// Reads the data set that `config` names below `root`. Its pictures must have the `[channels, height, width]` of
    /// `shape`, and there must be at least one.
    ///
    /// # Errors
    /// [`Error::Key`] for an unknown kind, [`Error::Input`] for a damaged or misshapen file,
    /// [`Error::Io`] if it cannot be read.
    pub fn read(config: &DataConfig, root: &Path, shape: [usize; 3]) -> Result<Self> {
        let path = root.join(&config.path);
        let mut set = match config.kind.as_str() {
            "idx" => idx::read(&path)?,
            "folder" => folder::read(config.listed(root)?, &path, shape)?,
            "edm" if config.labels.is_some() => {
                let message = "expected none; a set of the kind \"edm\" has its classes in its dataset.json";
                return Err(Error::key("labels", message));
            }
            "edm" => edm::read(config.listed(root)?, &path, shape)?,
            other => {
                let message = format!("expected \"idx\", \"folder\" or \"edm\", found \"{}\"", other.escape_debug());
                return Err(Error::key("kind", message));
            }
        };
        if set.shape != shape {
            return Err(Error::input(
                path,
                format!("pictures of shape {:?}, but the card asks for {shape:?}", set.shape),
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
            set.labels = Some(labels.into_iter().map(u32::from).collect());
        }
        Ok(set)
    }

    /// n, the number of pictures.
    pub fn count(&self) -> usize {
        self.pixels.len() / self.shape.iter().product::<usize>().max(1)
    }

    /// A fingerprint of the data set: the SHA-256 of its pixels and, where there are classes, a blank and the SHA-256
    /// of those, each in one byte where they are all below 256 and in four otherwise. The order of the pictures matters.
    pub fn sha256(&self) -> String {
        let pixels = crate::store::sha256_hex(&self.pixels);
        match &self.labels {
            None => pixels,
            Some(labels) => {
                let small: Option<Vec<u8>> = labels.iter().map(|l| u8::try_from(*l).ok()).collect();
                let bytes = small.unwrap_or_else(|| labels.iter().flat_map(|l| l.to_le_bytes()).collect());
                format!("{pixels} {}", crate::store::sha256_hex(&bytes))
            }
        }
    }

    /// The classes of the pictures with indices `picked`, in that order; `None` where the set has no labels.
    pub fn classes(&self, picked: &[usize]) -> Option<Vec<usize>> {
        let labels = self.labels.as_ref()?;
        Some(picked.iter().map(|i| labels[*i] as usize).collect())
    }

    /// The number of classes: that of their names, else one more than the greatest class; `None` where the set has no
    /// labels.
    pub fn class_count(&self) -> Option<usize> {
        let greatest = self.labels.as_ref()?.iter().max().map_or(0, |l| *l as usize + 1);
        Some(self.class_names.as_ref().map_or(greatest, Vec::len))
    }

    /// The names of the classes, where the set tells them.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Picture `i`.
    ///
    /// # Errors
    /// [`Error::Bug`] for a shape that no picture has.
    pub fn picture(&self, i: usize) -> Result<Picture> {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        let own = &self.pixels[i * channels * plane..(i + 1) * channels * plane];
        let pixels = (0..plane).flat_map(|at| (0..channels).map(move |c| own[c * plane + at])).collect();
        Picture::from_pixels(pixels, self.shape)
    }

    /// The bytes of picture `i`, `[channels, height, width]` row-major.
    pub fn bytes(&self, i: usize) -> &[u8] {
        let width = self.shape.iter().product::<usize>();
        &self.pixels[i * width..(i + 1) * width]
    }

    /// The values of picture `i`, `[channels, height, width]` row-major, with byte 0 at `range[0]` and 255 at
    /// `range[1]`.
    pub fn values(&self, i: usize, range: [f32; 2]) -> impl Iterator<Item = f32> {
        let scale = (range[1] - range[0]) / 255.0;
        self.bytes(i).iter().map(move |b| range[0] + f32::from(*b) * scale)
    }
}
