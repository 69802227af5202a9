//! The IDX format of MNIST, plain or gzipped (by the extension `.gz`). A file of pictures is a header of four
//! big-endian u32 (magic 0x0803, count, height, width) and then one byte a pixel; a file of labels has magic 0x0801 and
//! a count, and then one byte a label.

use super::Dataset;
use crate::error::{Error, Result};
use crate::limits;
use crate::store;
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Reads a file of pictures: grey, row-major, without labels.
pub fn read(path: &Path) -> Result<Dataset> {
    parse(open(path)?, path)
}

/// The same from bytes that are already read; `place` stands for the file, its ending included.
///
/// # Errors
/// Those of reading the file.
pub fn parse_idx(bytes: &[u8], place: &Path) -> Result<Dataset> {
    parse(unpacked(bytes, place)?, place)
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    unpacked(BufReader::new(store::open_file(path)?), path)
}

fn unpacked<'a>(mut file: impl BufRead + 'a, path: &Path) -> Result<Box<dyn Read + 'a>> {
    let zipped = path.extension().is_some_and(|e| e == "gz");
    let head = file.fill_buf().map_err(|e| Error::io(path, "read", e))?;
    if let Some(found) = store::told(head).filter(|_| !(zipped && head.starts_with(b"\x1f\x8b"))) {
        return Err(Error::input(path, format!("expected an IDX file, found {found}")));
    }
    Ok(if zipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Reads a file of labels, one class from 0 to 255 for each picture.
pub fn read_labels(path: &Path) -> Result<Vec<u8>> {
    labels(open(path)?, path)
}

/// Like [`parse_idx`], for labels.
///
/// # Errors
/// Those of reading the file.
pub fn parse_idx_labels(bytes: &[u8], place: &Path) -> Result<Vec<u8>> {
    labels(unpacked(bytes, place)?, place)
}

fn labels(mut source: impl Read, path: &Path) -> Result<Vec<u8>> {
    let bad = |m: String| Error::input(path, m);
    let mut header = [0u8; 8];
    source.read_exact(&mut header).map_err(|e| bad(format!("not an IDX file of labels: {e}")))?;
    let [magic, count] = [0, 4].map(|i| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]));
    if magic != 0x0801 || count as usize > limits::DATASET_ITEMS {
        return Err(bad(format!("expected an IDX file of labels (magic 0x00000801), found 0x{magic:08x} of {count}")));
    }
    let mut labels = Vec::new();
    source.take(u64::from(count) + 1).read_to_end(&mut labels).map_err(|e| bad(format!("the data is damaged: {e}")))?;
    if labels.len() != count as usize {
        return Err(bad(format!("header says {count} labels, found {}", labels.len())));
    }
    Ok(labels)
}

fn parse(mut source: impl Read, path: &Path) -> Result<Dataset> {
    let bad = |m: String| Error::input(path, m);
    let mut header = [0u8; 16];
    source
        .read_exact(&mut header)
        .map_err(|e| bad(format!("not an IDX file: header of 16 bytes could not be read ({e})")))?;
    let [magic, count, height, width] =
        [0, 4, 8, 12].map(|i| u32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]) as usize);
    if magic != 0x0803 {
        return Err(bad(format!("expected an IDX file of pictures (magic 0x00000803), found 0x{magic:08x}")));
    }
    let side = 1..=limits::IMAGE_SIDE_IN as usize;
    if !side.contains(&height) || !side.contains(&width) || count > limits::DATASET_ITEMS {
        return Err(bad(format!(
            "{count} pictures of {height}×{width}, at most {} with sides from {} to {} are read",
            limits::DATASET_ITEMS,
            side.start(),
            side.end()
        )));
    }
    let size = (count * height * width) as u64;
    if size > limits::DATASET_BYTES {
        return Err(bad(format!("{size} bytes of pictures, at most {} are read", limits::DATASET_BYTES)));
    }
    // One byte more than declared shows a file that is too long without unpacking all of it.
    let mut pixels = Vec::new();
    source.take(size + 1).read_to_end(&mut pixels).map_err(|e| bad(format!("the data is damaged: {e}")))?;
    if pixels.len() as u64 != size {
        let found = if pixels.len() as u64 > size { "more".to_owned() } else { pixels.len().to_string() };
        return Err(bad(format!("header says {count} pictures of {height}×{width} = {size} bytes, found {found}")));
    }
    Ok(Dataset { pixels, shape: [1, height, width], labels: None, class_names: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(magic: u32, count: u32, side: u32, bytes: usize) -> Vec<u8> {
        let mut all: Vec<u8> = [magic, count, side, side].iter().flat_map(|v| v.to_be_bytes()).collect();
        all.extend((0..bytes).map(|i| i as u8));
        all
    }

    #[test]
    fn reads_and_scales() -> Result<()> {
        let set = parse(&file(0x803, 2, 2, 8)[..], Path::new("x"))?;
        assert_eq!((set.count(), set.shape), (2, [1, 2, 2]));
        assert_eq!(set.values(1, [0.0, 255.0]).collect::<Vec<_>>(), vec![4.0, 5.0, 6.0, 7.0]);
        Ok(())
    }

    #[test]
    fn damaged_files_are_refused() {
        let cases = [
            file(0x801, 2, 2, 8),
            file(0x803, 2, 2, 7),
            file(0x803, 2, 2, 9),
            file(0x803, u32::MAX, 28, 10),
            file(0x803, 1, u32::MAX, 1),
            file(0x803, 1, 0, 0),
            vec![0; 7],
        ];
        let refused =
            cases.iter().filter(|c| matches!(parse(&c[..], Path::new("x")), Err(Error::Input { .. }))).count();
        assert_eq!(refused, cases.len());
    }
}
