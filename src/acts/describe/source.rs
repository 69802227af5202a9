//! Where the latents of a description come from: seeds, a file, or pictures.

use super::invert::Inverter;
use crate::data::PictureFiles;
use crate::error::{Error, Result, shown};
use crate::render::Picture;
use crate::render::png::read_picture;
use crate::store::{self, Arrays, Weights};
use crate::table::{Values, read_parquet};
use crate::units::Latents;
use std::path::{Path, PathBuf};

/// What the recipe calls seeds.
pub const SEEDS: &str = "seeds";

/// The samples to describe, in order. A sample's number is its seed, or its row in a file or list.
pub enum Source {
    /// Seeds; their latents are drawn from the prior.
    Seeds(Vec<u64>),
    /// Latents read from a file.
    File {
        /// `[n, d]`
        latents: Latents,
        /// SHA-256 of the latents, for the recipe.
        sha256: String,
    },
    /// Pictures to be inverted.
    Images {
        /// The files, in the order of their names.
        files: Vec<PathBuf>,
        /// SHA-256 of all their bytes, for the recipe.
        sha256: String,
        /// Finds the latent of a picture.
        inverter: Inverter,
    },
}

impl Source {
    /// Reads latents of width `d` from an `.npz`, `.safetensors` or `.parquet` file. `key` names the array or tensor,
    /// or the prefix of the columns `KEY_0`, `KEY_1`, …. Without a key the file's only array is taken, or the one
    /// called `z` or `latents`; in a `.parquet` file the prefix is then `z`.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is none of these, or its latents have another width.
    pub fn from_file(path: &Path, key: Option<&str>, d: usize) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        let (shape, values) = match extension.as_str() {
            "npz" => array(path, key)?,
            "safetensors" => tensor(path, key)?,
            "parquet" => columns(path, key)?,
            _ => return Err(Error::input(path, "expected latents in an .npz, .safetensors or .parquet file")),
        };
        let (rows, width) = (shape.first().copied().unwrap_or(0), shape.iter().skip(1).product::<usize>());
        if shape.len() < 2 || width != d {
            let message = format!("latents of shape {shape:?}, expected [n, {d}], the latent's width of this model");
            return Err(Error::input(path, message));
        }
        if rows == 0 || rows > crate::limits::SAMPLES {
            return Err(Error::input(path, format!("{rows} latents, expected 1 to {}", crate::limits::SAMPLES)));
        }
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::input(path, format!("latent {}, value {}: not finite", i / d, i % d)));
        }
        Ok(Self::of(Latents::new(values, d)))
    }

    /// These latents, as if they were read from a file.
    pub fn of(latents: Latents) -> Self {
        let bytes: Vec<u8> = latents.values().iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::File { sha256: store::sha256_hex(&bytes), latents }
    }

    /// The PNG and JPEG pictures of a folder, each of the size that the inverter's model makes.
    ///
    /// # Errors
    /// [`Error::Input`] naming a picture of another size, or if there is none at all.
    pub fn from_images(folder: &Path, inverter: Inverter) -> Result<Self> {
        let listed = PictureFiles::list(folder, false)?;
        listed.check(folder)?;
        let files = listed.files;
        let mut hashes = String::new();
        for file in &files {
            picture(file, inverter.spec().sample_shape)?;
            hashes.push_str(&store::sha256_file(file)?);
        }
        Ok(Self::Images { files, sha256: store::sha256_hex(hashes.as_bytes()), inverter })
    }

    /// The numbers of all samples.
    pub fn samples(&self) -> Vec<u64> {
        match self {
            Self::Seeds(seeds) => seeds.clone(),
            Self::File { latents, .. } => (0..latents.len() as u64).collect(),
            Self::Images { files, .. } => (0..files.len() as u64).collect(),
        }
    }

    /// What the recipe says about the source.
    pub fn about(&self) -> String {
        match self {
            Self::Seeds(_) => SEEDS.into(),
            Self::File { sha256, .. } => format!("latents {sha256}"),
            Self::Images { sha256, .. } => format!("images {sha256}"),
        }
    }

    /// What the recipe says about how pictures are inverted.
    pub fn inversion(&self) -> String {
        if let Self::Images { inverter, .. } = self { inverter.about() } else { "none".into() }
    }

    /// Whether there is a sample with this number: any seed, or an existing row.
    pub fn has(&self, sample: u64) -> bool {
        match self {
            Self::Seeds(_) => true,
            Self::File { latents, .. } => sample < latents.len() as u64,
            Self::Images { files, .. } => sample < files.len() as u64,
        }
    }

    /// The file name of a sample that is a picture.
    pub fn file(&self, sample: u64) -> Option<String> {
        let Self::Images { files, .. } = self else { return None };
        files.get(usize::try_from(sample).ok()?).and_then(|f| f.file_name()).map(|f| shown(Path::new(f)))
    }

    /// The latents of a tile, `[T, d]`, and for pictures the root mean square of each G(z) − x. Numbers beyond the last
    /// row get a placeholder (a latent of zeros, a black picture), so the tile keeps its shape.
    ///
    /// # Errors
    /// When a picture cannot be read or inverted.
    pub fn latents(&self, samples: &[u64], d: usize) -> Result<(Latents, Vec<Option<f64>>)> {
        let rows = match self {
            Self::Seeds(_) => Latents::of_seeds(samples, d),
            Self::File { latents, .. } => {
                let row = |s: &u64| latents.rows().nth(*s as usize).map_or_else(|| vec![0.0; d], <[f32]>::to_vec);
                Latents::new(samples.iter().flat_map(row).collect(), d)
            }
            Self::Images { files, inverter, .. } => {
                let spec = inverter.spec();
                let mut pictures = Vec::new();
                for s in samples {
                    match files.get(*s as usize) {
                        Some(file) => {
                            pictures.extend(picture(file, spec.sample_shape)?.to_values(spec.sample_shape, spec.range)?)
                        }
                        None => pictures.extend(std::iter::repeat_n(spec.range[0], spec.sample_shape.iter().product())),
                    }
                }
                let found = inverter.invert(&pictures, samples)?;
                let latents = found.iter().flat_map(|f| &f.latent).copied().collect();
                return Ok((Latents::new(latents, d), found.iter().map(|f| Some(f.residual)).collect()));
            }
        };
        Ok((rows, vec![None; samples.len()]))
    }
}

fn picture(file: &Path, [_, height, width]: [usize; 3]) -> Result<Picture> {
    let picture = read_picture(file)?;
    if (picture.height, picture.width) != (height, width) {
        let message =
            format!("picture of {}×{}, expected {height}×{width}; resize it first", picture.height, picture.width);
        return Err(Error::input(file, message));
    }
    Ok(picture)
}

type Numbers = (Vec<usize>, Vec<f32>);

fn array(path: &Path, key: Option<&str>) -> Result<Numbers> {
    let mut found = Arrays::read_npz(path)?.arrays;
    let name = choose(path, key, found.keys().map(String::as_str).collect())?;
    let array = found.remove(&name).unwrap_or_default();
    Ok((array.shape, array.values.into_iter().map(|v| v as f32).collect()))
}

fn tensor(path: &Path, key: Option<&str>) -> Result<Numbers> {
    let weights = Weights::read(path)?;
    let name = choose(path, key, weights.names().collect())?;
    let tensor = weights.require(&name)?;
    Ok((tensor.shape.clone(), tensor.values.clone()))
}

fn columns(path: &Path, key: Option<&str>) -> Result<Numbers> {
    let (table, _) = read_parquet(path)?;
    let prefix = key.unwrap_or("z");
    let mut columns = Vec::new();
    while let Some(column) = table.column(&format!("{prefix}_{}", columns.len())) {
        match &column.values {
            Values::F64(values) => {
                columns.push(values.iter().map(|v| v.map_or(f32::NAN, |v| v as f32)).collect::<Vec<_>>())
            }
            _ => return Err(Error::input(path, format!("column \"{}\": expected floats", column.name))),
        }
    }
    if columns.is_empty() {
        let message = format!("no column \"{prefix}_0\"; key names the prefix of the latents' columns");
        return Err(Error::input(path, message));
    }
    let values = (0..table.rows()).flat_map(|r| columns.iter().map(move |c| c[r])).collect();
    Ok((vec![table.rows(), columns.len()], values))
}

fn choose(path: &Path, key: Option<&str>, names: Vec<&str>) -> Result<String> {
    let found = match (key, &names[..]) {
        (Some(key), _) => names.iter().find(|n| **n == key),
        (None, [only]) => Some(only),
        (None, _) => names.iter().find(|n| matches!(**n, "z" | "latents")),
    };
    found.map(|n| (*n).to_owned()).ok_or_else(|| {
        let wanted = key.map_or("more than one array".to_owned(), |k| format!("no array \"{}\"", k.escape_debug()));
        let near = names.iter().take(8).map(|n| n.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
        Error::input(path, format!("{wanted}; choose as key one of: {near}"))
    })
}
