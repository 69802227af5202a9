//! Picture files as they lie in a folder or in a .zip file: their list, their bytes, and their decoding in parallel with
//! few of them in memory at once.

use super::picture_files::{ENDINGS, PictureFiles, Skipped};
use crate::error::{Error, Result};
use crate::limits;
use crate::render::Picture;
use crate::render::png::{parse_picture, parse_picture_of};
use crate::store;
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// Pictures that are decoded together.
const TOGETHER: usize = 256;
/// Packed bytes after which no further picture joins those that are decoded together.
const TOGETHER_BYTES: usize = 32 << 20;

/// The picture files of a folder or a .zip file.
pub struct Packed {
    path: PathBuf,
    /// Each name with `/` between its parts, and where the file lies.
    files: Vec<(String, PathBuf)>,
    archive: Option<ZipArchive<BufReader<File>>>,
    skipped: Skipped,
}

impl Packed {
    /// Lists the pictures of the folder or .zip file at `path`. A picture is what ends in `.png`, `.jpg` or `.jpeg` and has
    /// no part of its name that starts with a dot; of a folder those one level below it count too. Those of a folder come in
    /// the order of [`PictureFiles`], those of a .zip file in the order of their names' bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Input`] if it is something else, is damaged, or has no pictures or too
    /// many.
    pub fn open(path: &Path) -> Result<Self> {
        let packed = if path.is_dir() { Self::folder(path)? } else { Self::zip(path)? };
        let count = packed.count();
        if count > limits::DATASET_ITEMS {
            return Err(Error::input(path, format!("{count} pictures, at most {} are read", limits::DATASET_ITEMS)));
        }
        Ok(packed)
    }

    fn folder(path: &Path) -> Result<Self> {
        let listed = PictureFiles::list(path, true)?;
        listed.check(path)?;
        let name = |file: &Path| {
            let inner = file.strip_prefix(path).unwrap_or(file);
            inner.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
        };
        let files = listed.files.into_iter().map(|file| (name(&file), file)).collect();
        Ok(Self { path: path.to_owned(), files, archive: None, skipped: listed.skipped })
    }

    fn zip(path: &Path) -> Result<Self> {
        let file = store::open_file(path)?;
        if !path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zip")) {
            let found = store::told(&store::read_head(path)?);
            let found = found.map_or(String::new(), |found| format!(", found {found}"));
            return Err(Error::input(path, format!("expected a folder or a .zip file of pictures{found}")));
        }
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| damaged(path, &e))?;
        let mut files = Vec::new();
        for name in archive.file_names() {
            let name = name.map_err(|e| damaged(path, &e))?;
            let hidden = name.split('/').any(|part| part.starts_with('.'));
            let ending = Path::new(&*name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
            if !hidden && ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) {
                files.push((name.clone().into_owned(), path.join(&*name)));
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Error::input(path, "expected PNG or JPEG pictures, found none"));
        }
        Ok(Self { path: path.to_owned(), files, archive: Some(archive), skipped: Skipped::default() })
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Their names below the folder or in the .zip file, with `/` between the parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|f| f.0.as_str())
    }

    /// What lies in the folder and is no picture; nothing for a .zip file.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// Keeps the first `count` pictures.
    pub fn truncate(&mut self, count: usize) {
        self.files.truncate(count);
    }

    /// Brings the pictures into the order of their names' bytes, which is the same for a folder and a .zip file.
    pub fn sort(&mut self) {
        self.files.sort();
    }

    /// The bytes of another file that lies beside the pictures, at most `most` of them; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Input`] for a file that is larger or damaged.
    pub fn beside(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let place = self.path.join(name);
        match &mut self.archive {
            None if !place.exists() => Ok(None),
            None => store::read_bounded(&place, most).map(Some),
            Some(archive) => unpacked(archive, name, &place, most),
        }
    }

    /// Decodes every picture and hands it to `take`, in order. With a `size` `[height, width]` a picture of another size is
    /// refused before its pixels are decoded. At most 256 pictures are in memory at once.
    ///
    /// # Errors
    /// [`Error::Input`] naming the first picture that cannot be read, [`Error::Io`], and those of `take`.
    pub fn decode(&mut self, size: Option<[usize; 2]>, mut take: impl FnMut(Picture) -> Result<()>) -> Result<()> {
        let mut at = 0;
        while at < self.files.len() {
            let (mut together, mut bytes) = (Vec::new(), 0);
            while together.len() < TOGETHER && bytes < TOGETHER_BYTES && at < self.files.len() {
                let (name, place) = &self.files[at];
                let packed = match &mut self.archive {
                    None => store::read_bounded(place, limits::PICTURE_BYTES)?,
                    Some(archive) => unpacked(archive, name, place, limits::PICTURE_BYTES)?
                        .ok_or_else(|| Error::Bug(format!("no \"{name}\" in the archive that listed it")))?,
                };
                bytes += packed.len();
                together.push((place, packed));
                at += 1;
            }
            let one = |(place, bytes): &(&PathBuf, Vec<u8>)| match size {
                Some(size) => parse_picture_of(bytes, place, size),
                None => parse_picture(bytes, place),
            };
            // All results first, so that of several bad pictures the same one is named every time.
            let decoded: Vec<Result<Picture>> = together.par_iter().map(one).collect();
            decoded.into_iter().try_for_each(|picture| take(picture?))?;
        }
        Ok(())
    }
}

fn damaged(path: &Path, error: &ZipError) -> Error {
    Error::input(path, format!("expected a whole .zip file: {error}"))
}

/// A member of an archive, at most `most` bytes of it however many it unpacks to; `None` if there is no such member.
fn unpacked(archive: &mut ZipArchive<BufReader<File>>, name: &str, place: &Path, most: u64) -> Result<Option<Vec<u8>>> {
    let member = match archive.by_name(name) {
        Ok(member) => member,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(damaged(place, &error)),
    };
    let mut bytes = Vec::new();
    member
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::input(place, format!("this part of the .zip file is damaged: {e}")))?;
    if bytes.len() as u64 > most {
        return Err(Error::input(place, format!("larger than the {most} bytes that a file of this kind may have")));
    }
    Ok(Some(bytes))
}
