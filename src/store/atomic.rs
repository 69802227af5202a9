//! Writes that a reader sees whole or not at all.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `bytes` to `path`: temporary file in the same folder, fsync, rename, fsync of the folder.
/// A reader, or a process killed at any moment, leaves either the old file or the new one.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(folder)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".isoline-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(|e| Error::io(path, "create a file beside it", e))?;
    temporary.write_all(bytes).map_err(|e| Error::io(path, "write", e))?;
    set_readable(temporary.as_file()).map_err(|e| Error::io(path, "set the mode of", e))?;
    temporary.as_file().sync_all().map_err(|e| Error::io(path, "flush", e))?;
    temporary.persist(path).map_err(|e| Error::io(path, "put in place", e.error))?;
    sync_dir(folder)
}

#[cfg(unix)]
fn set_readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Creates a folder and its parents.
///
/// # Errors
/// [`Error::Io`] where a parent is a file or not writable.
pub fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| Error::io(path, "create the folder", e))
}

/// Replaces the files of `folder` by `files` (name, bytes) all together: they are written to a folder beside it, which
/// then takes its place by a rename. Other files that lie in `folder` are kept. A process killed between the two
/// renames leaves the old folder whole beside the place, under a name that begins with `.isoline-old-`.
///
/// # Errors
/// [`Error::Io`]; the old folder is then as it was.
pub fn replace_folder(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let beside = |prefix: &str| {
        tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(|e| Error::io(folder, "create a folder beside it", e))
    };
    let fresh = beside(".isoline-new-")?;
    for (name, bytes) in files {
        write_atomic(&fresh.path().join(name), bytes)?;
    }
    set_listable(fresh.path()).map_err(|e| Error::io(folder, "set the mode of", e))?;
    let put = |e| Error::io(folder, "put in place", e);
    if folder.exists() {
        // Kept, not removed on drop: until the second rename it is the only copy.
        let old = beside(".isoline-old-")?.keep();
        std::fs::rename(folder, &old).map_err(put)?;
        if let Err(e) = std::fs::rename(fresh.path(), folder) {
            std::fs::rename(&old, folder).map_err(put)?;
            return Err(put(e));
        }
        for entry in std::fs::read_dir(&old).map_err(put)?.flatten() {
            if !files.iter().any(|(name, _)| entry.file_name() == *name) {
                std::fs::rename(entry.path(), folder.join(entry.file_name())).map_err(put)?;
            }
        }
        std::fs::remove_dir_all(&old).map_err(put)?;
    } else {
        std::fs::rename(fresh.path(), folder).map_err(put)?;
    }
    let _ = fresh.keep();
    sync_dir(parent)
}

#[cfg(unix)]
fn set_listable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn set_listable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn sync_dir(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, "flush the folder", e))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_no_temporaries() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| Error::io(".", "make a temporary folder", e))?;
        let path = dir.path().join("deep/er/file.bin");
        write_atomic(&path, b"one")?;
        write_atomic(&path, b"two")?;
        assert_eq!(std::fs::read(&path).ok().as_deref(), Some(&b"two"[..]));
        let names = std::fs::read_dir(dir.path().join("deep/er")).map(Iterator::count).unwrap_or(0);
        assert_eq!(names, 1);
        Ok(())
    }

    #[test]
    fn folders_are_replaced_together_and_keep_other_files() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| Error::io(".", "make a temporary folder", e))?;
        let folder = dir.path().join("reward");
        replace_folder(&folder, &[("a", b"1"), ("b", b"2")])?;
        write_atomic(&folder.join("notes"), b"mine")?;
        replace_folder(&folder, &[("a", b"3"), ("b", b"4")])?;
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        assert_eq!((read("a"), read("b"), read("notes")), (b"3".to_vec(), b"4".to_vec(), b"mine".to_vec()));
        assert_eq!(std::fs::read_dir(dir.path()).map(Iterator::count).unwrap_or(0), 1);
        Ok(())
    }

    #[test]
    fn a_file_in_place_of_a_folder_is_an_io_error() -> Result<()> {
        let dir = tempfile::tempdir().map_err(|e| Error::io(".", "make a temporary folder", e))?;
        write_atomic(&dir.path().join("f"), b"x")?;
        let error = write_atomic(&dir.path().join("f/g"), b"y");
        assert_eq!(error.map_err(|e| e.exit_code()), Err(4));
        Ok(())
    }
}
