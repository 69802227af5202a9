//! Values that lie in a file beside the model. Only a plain file inside the model's folder is opened.

use super::proto::StringStringEntryProto;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The `bytes` bytes that `entries` say where to find.
///
/// # Errors
/// What is wrong, as text that follows the tensor's name in a message.
pub fn read(entries: &[StringStringEntryProto], folder: &Path, bytes: usize) -> Result<Vec<u8>, String> {
    let entry = |key: &str| entries.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let Some(location) = entry("location") else {
        return Err(" lies outside the file, which does not say where".into());
    };
    let shown = location.escape_debug().to_string();
    let number = |key: &str, missing: u64| match entry(key) {
        None | Some("") => Ok(missing),
        Some(text) => text.parse::<u64>().map_err(|_| format!(": {key} \"{}\" is no number", text.escape_debug())),
    };
    let (offset, length) = (number("offset", 0)?, number("length", bytes as u64)?);
    if length != bytes as u64 {
        return Err(format!(" has {length} bytes in \"{shown}\", expected {bytes}"));
    }
    let path = inside(folder, location, &shown)?;
    let failed = |e: std::io::Error| format!(" lies in \"{shown}\", which could not be read: {e}");
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        return Err(format!(
            " takes {length} bytes from byte {offset} of \"{shown}\", which has {size}; copy that file again"
        ));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut values = Vec::with_capacity(bytes);
    file.take(length).read_to_end(&mut values).map_err(failed)?;
    match values.len() == bytes {
        true => Ok(values),
        false => Err(format!(" lies in \"{shown}\", which became shorter while it was read")),
    }
}

/// The path of the plain file `location` in `folder`.
fn inside(folder: &Path, location: &str, shown: &str) -> Result<PathBuf, String> {
    let outside = || format!(" lies in \"{shown}\", outside the model's folder; refused");
    let relative = Path::new(location);
    let plain = |c: Component| matches!(c, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || location.contains('\0') || !relative.components().all(plain) {
        return Err(outside());
    }
    let missing = || {
        format!(
            " lies in \"{shown}\", which is not beside the model; copy that file too, or export with \
             external_data=False"
        )
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().map_err(|_| missing())?;
    let path = folder.join(relative).canonicalize().map_err(|_| missing())?;
    if !path.starts_with(&folder) {
        return Err(format!(
            " lies in \"{shown}\", a link to outside the model's folder; put a copy of the file itself there"
        ));
    }
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(" lies in \"{shown}\", which is no plain file")),
    }
}
