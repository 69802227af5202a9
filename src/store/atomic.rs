//! Writes that a reader sees either complete or not at all.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a temporary file in the same folder: write, fsync, rename, fsync of the folder.
/// Whenever the process is killed, and whenever somebody reads, `path` holds either the old file or the new one.
///
/// # Errors
/// [`Error::Io`]; the temporary file is then removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(folder)?;
    let create = || {
        failpoint!("store.open.before")?;
        let made = tempfile::Builder::new().prefix(TEMPORARY.0).suffix(TEMPORARY.1).tempfile_in(folder)?;
        failpoint!("store.open.after")?;
        Ok(made)
    };
    let mut temporary = create().map_err(|e| Error::io(path, "create a file beside it", e))?;
    write(temporary.as_file_mut(), bytes).map_err(|e| Error::io(path, "write", e))?;
    set_readable(temporary.as_file()).map_err(|e| Error::io(path, "set the mode of", e))?;
    let sync = |file: &File| {
        failpoint!("store.sync.before")?;
        file.sync_all()?;
        failpoint!("store.sync.after")
    };
    sync(temporary.as_file()).map_err(|e| Error::io(path, "flush", e))?;
    failpoint!("store.rename.before").map_err(|e| Error::io(path, "put in place", e))?;
    temporary.persist(path).map_err(|e| Error::io(path, "put in place", e.error))?;
    failpoint!("store.rename.after").map_err(|e| Error::io(path, "put in place", e))?;
    sync_dir(folder)
}

/// How the names of unfinished files start and end.
const TEMPORARY: (&str, &str) = (".isoline-", ".tmp");

/// Writes in two halves, so that a test can stop between them.
fn write(file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    failpoint!("store.write.before")?;
    file.write_all(first)?;
    failpoint!("store.write.half")?;
    file.write_all(second)?;
    failpoint!("store.write.after")
}

/// Removes the unfinished files that killed processes left in `folder`, recognised by the names that [`write_atomic`]
/// gives. Call it only where no other process of this program is writing. Returns how many were removed.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_unfinished(folder: &Path) -> Result<usize> {
    let found = unfinished(folder)?;
    found.iter().try_for_each(|path| std::fs::remove_file(path).map_err(|e| Error::io(path, "remove", e)))?;
    Ok(found.len())
}

/// The unfinished files in `folder`, left by killed processes or still being written; none if the folder does not
/// exist.
///
/// # Errors
/// [`Error::Io`].
pub fn unfinished(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| Error::io(folder, "list", e))?,
    };
    let ours = |e: &std::fs::DirEntry| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        name.starts_with(TEMPORARY.0) && name.ends_with(TEMPORARY.1) && e.file_type().is_ok_and(|t| t.is_file())
    };
    Ok(entries.flatten().filter(ours).map(|e| e.path()).collect())
}

/// Opens a log for appending lines. If a crash has cut off the last line, the next one still starts on a line of its
/// own.
///
/// # Errors
/// [`Error::Io`].
pub fn open_log(path: &Path) -> Result<File> {
    let bad = |e| Error::io(path, "open", e);
    let mut file = File::options().create(true).read(true).append(true).open(path).map_err(bad)?;
    let mut last = [b'\n'];
    if file.metadata().map_err(bad)?.len() > 0 {
        file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(bad)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n").map_err(bad)?;
    }
    Ok(file)
}

/// Appends one line in a single write, so that the lines of several processes do not mix on a local disk.
///
/// # Errors
/// [`Error::Io`].
pub fn append_line(file: &mut File, path: &Path, line: &str) -> Result<()> {
    failpoint!("store.append")
        .and_then(|()| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|e| Error::io(path, "write", e))
}

#[cfg(unix)]
fn set_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Creates a folder and its parents. Each is flushed to disk in its parent folder, so that what is put into the new
/// folder can be found even after a power failure.
///
/// # Errors
/// [`Error::Io`] if a parent is a file or not writable.
pub fn create_dir(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    match std::fs::create_dir(path) {
        Ok(()) => sync_dir(parent),
        // Another process was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(e) => Err(Error::io(path, "create the folder", e)),
    }
}

/// Replaces the files of `folder` by `files`, given as (name, bytes), all at once: they are written to a new folder
/// beside it, which then takes its place by a rename. Other files in `folder` are kept. If the process is killed
/// between the two renames, the old folder is left intact beside its place, under a name that starts with
/// `.isoline-old-`.
///
/// # Errors
/// [`Error::Io`]; the old folder is then as it was.
pub fn replace_folder(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    // Of a link the folder behind it is replaced.
    let folder = &folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if folder.exists() && !folder.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
        return Err(Error::io(folder, "create the folder", source));
    }
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
        // Not removed when dropped: until the second rename this is the only copy.
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

/// Creates `folder` with `files`, given as (path below it, bytes), all at once. If another process was faster, its
/// folder stays.
///
/// # Errors
/// [`Error::Io`]; there is then no such folder.
pub fn create_folder(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let beside = tempfile::Builder::new().prefix(".isoline-new-").tempdir_in(parent);
    let fresh = beside.map_err(|e| Error::io(folder, "create a folder beside it", e))?;
    files.iter().try_for_each(|(name, bytes)| write_atomic(&fresh.path().join(name), bytes))?;
    set_listable(fresh.path()).map_err(|e| Error::io(folder, "set the mode of", e))?;
    match std::fs::rename(fresh.path(), folder) {
        Ok(()) => {
            let _ = fresh.keep();
            sync_dir(parent)
        }
        Err(_) if folder.is_dir() => Ok(()),
        Err(e) => Err(Error::io(folder, "put in place", e)),
    }
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
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, "flush the folder", e))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Moves a finished file to another folder of the same disk, over what is there. For a file that is written elsewhere because
/// its own folder may be tidied up meanwhile.
///
/// # Errors
/// [`Error::Io`].
pub fn move_file(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(folder)?;
    std::fs::rename(from, to).map_err(|e| Error::io(to, "put in place", e))?;
    sync_dir(folder)
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
