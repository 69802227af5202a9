//! What a file is by its first bytes, for the message about one that is not what its name says.

use crate::error::{Error, Result};
use std::io::Read;
use std::path::Path;

/// How many bytes from a file's start [`told`] looks at.
const HEAD: usize = 512;

/// The first bytes of the file at `path`, for [`told`].
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Input`](crate::error::Error::Input) if it is not a regular file.
pub fn read_head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = super::open_file(path)?;
    file.take(HEAD as u64).read_to_end(&mut head).map_err(|e| Error::io(path, "read", e))?;
    Ok(head)
}

/// Kinds that begin with fixed bytes: (where these stand, the bytes, what the file is, what to do).
static KINDS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"version https://git-lfs", "a Git LFS pointer, which only stands for the file", "run git lfs pull"),
    (0, b"PK\x03\x04", "a ZIP archive", ARCHIVE),
    (0, b"PK\x05\x06", "an empty ZIP archive", "fetch the file again"),
    (257, b"ustar", "a tar archive", "unpack it and name the file that is in it"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first"),
    (0, b"\xfd7zXZ\0", "an xz file", "unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "save the tensors as safetensors"),
    (0, b"GGUF", "a GGUF file of quantised weights", "take the f16 safetensors of the same model"),
    (0, b"\x93NUMPY", "a single NumPy array (.npy)", "save it under a name with numpy.savez"),
    (0, b"PAR1", "a Parquet table", "name it .parquet where a table can be read"),
    (0, b"\x89PNG", "a PNG picture", "check the path"),
    (0, b"\xff\xd8\xff", "a JPEG picture", "check the path"),
    (0, b"GIF8", "a GIF picture", PICTURE),
    (0, b"BM", "a BMP picture", PICTURE),
    (0, b"II*\0", "a TIFF picture", PICTURE),
    (0, b"MM\0*", "a TIFF picture", PICTURE),
    (8, b"WEBP", "a WebP picture", PICTURE),
    (4, b"ftyp", "a HEIC, AVIF or MP4 file", PICTURE),
];

const ARCHIVE: &str = "torch.save writes such: if it holds weights, name it .pth and give it to isoline import";
const PICTURE: &str = "convert it to PNG or JPEG";

/// What the file that starts with `head` is, and what to do about it, as in "a Git LFS
/// pointer …; run git lfs pull". `None` where the bytes say nothing.
pub fn told(head: &[u8]) -> Option<String> {
    let head = &head[..head.len().min(HEAD)];
    if head.is_empty() {
        return Some("an empty file; it was not copied or downloaded to its end".into());
    }
    let starts = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // The two letters of a BMP begin many a text; what follows them is the size of the file and four zeros.
    let fits = |at, magic: &[u8]| starts(at, magic) && (magic != b"BM" || starts(6, &[0; 4]));
    if let Some((.., what, advice)) = KINDS.iter().find(|(at, magic, ..)| fits(*at, magic)) {
        return Some(format!("{what}; {advice}"));
    }
    if like_safetensors(head) {
        return Some("a safetensors file; give it the ending .safetensors".into());
    }
    if matches!(head, [0x80, 2..=5, ..]) {
        return Some(
            "a Python pickle; if PyTorch wrote it, name it .pth and give it to isoline import, which runs no code in it"
                .into(),
        );
    }
    let text = text(head)?;
    let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    if ["<!doctype", "<html", "<head", "<?xml"].iter().any(|tag| lower.starts_with(tag)) {
        return Some("a web page; log in where that is asked for, and download the file itself".into());
    }
    let what = if lower.starts_with(['{', '[']) { "a JSON text" } else { "a text" };
    let beginning: String = text.trim().chars().take(40).collect();
    let beginning = beginning.escape_debug();
    Some(format!("{what} that starts with \"{beginning}\"; it may say why a download was refused"))
}

/// Whether these are the first bytes of a safetensors file: the length of a header that may be, then a JSON object.
pub fn like_safetensors(head: &[u8]) -> bool {
    let length = head.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
    length.is_some_and(|n| n <= crate::limits::HEADER_BYTES) && head.get(8) == Some(&b'{')
}

/// `head` as text, if it is UTF-8 (but for a character cut at its end) without control characters.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    (!text.trim().is_empty() && text.chars().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_name_the_kind_and_what_to_do() {
        let at = |n: usize, magic: &[u8]| [vec![0; n], magic.to_vec()].concat();
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".to_vec();
        for (head, words) in [
            (Vec::new(), "an empty file"),
            (pointer, "git lfs pull"),
            (b"\n  <!DOCTYPE html>".to_vec(), "a web page"),
            (b"{\"error\":\"Repository not found\"}".to_vec(), "a JSON text that starts with"),
            (b"Entry not found".to_vec(), "a text that starts with \"Entry not found\""),
            (b"PK\x03\x04\x14\0".to_vec(), "a ZIP archive"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "a Python pickle"),
            (at(257, b"ustar"), "a tar archive"),
            (b"\x1f\x8b\x08".to_vec(), "a gzip file"),
            (b"RIFF\0\0\0\0WEBPVP8 ".to_vec(), "convert it to PNG or JPEG"),
            (b"GGUF\x03".to_vec(), "quantised"),
            (b"\x02\0\0\0\0\0\0\0{}".to_vec(), "a safetensors file"),
            (b"BM\x46\0\0\0\0\0\0\0\x36".to_vec(), "a BMP picture"),
            (b"BMW is a text".to_vec(), "a text"),
        ] {
            let found = told(&head).unwrap_or_default();
            assert!(found.contains(words), "{words}: {found}");
        }
        assert_eq!(told(&[0x9b, 0xff, 1, 2, 3]), None);
        assert_eq!(told(&[0; 40]), None);
    }
}
