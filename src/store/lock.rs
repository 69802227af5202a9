//! Kernel locks: a lock ends with its process, however the process ends.

use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A lock held on a file, released when dropped. The file stays; its text only says who holds the lock.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `path` for this process alone.
    ///
    /// # Errors
    /// [`Error::Busy`] at once if another process holds the lock, with what that process wrote about itself;
    /// [`Error::Io`].
    pub fn exclusive(path: &Path) -> Result<Self> {
        Self::take(path, File::try_lock)
    }

    /// Takes the lock of `path`, sharing it with all others that ask for a shared lock.
    ///
    /// # Errors
    /// Those of [`exclusive`](Self::exclusive).
    pub fn shared(path: &Path) -> Result<Self> {
        Self::take(path, File::try_lock_shared)
    }

    fn take(path: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Self> {
        let open = File::options().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = open.map_err(|e| Error::io(path, "open", e))?;
        let mut locked = lock(&file);
        // A process that only looks up the holder takes the lock for a moment, so try again.
        for _ in 0..2 {
            if matches!(locked, Err(TryLockError::WouldBlock)) {
                std::thread::sleep(std::time::Duration::from_millis(10));
                locked = lock(&file);
            }
        }
        match locked {
            Ok(()) => {
                let me = format!("process {} on {}", std::process::id(), host());
                let written = file.set_len(0).and_then(|()| file.write_all(me.as_bytes()));
                written.map_err(|e| Error::io(path, "write", e))?;
                Ok(Self { file })
            }
            Err(TryLockError::WouldBlock) => Err(Error::Busy { path: folder(path), holder: holder(&mut file, path) }),
            Err(TryLockError::Error(e)) => Err(Error::io(path, "lock", e)),
        }
    }

    /// Who holds the lock of `path`; `None` if nobody does.
    pub fn holder(path: &Path) -> Option<String> {
        let mut file = File::open(path).ok()?;
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)).then(|| holder(&mut file, path))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The text would mislead once the process is gone. The lock itself is released when the file is closed.
        let _ = self.file.set_len(0);
    }
}

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn holder(file: &mut File, path: &Path) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(256).read_to_string(&mut text));
    let since = std::fs::metadata(path).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
    match (read, since) {
        (Ok(n), Some(since)) if n > 0 => format!("{}, for {} s", text.trim(), since.as_secs()),
        _ => format!("it holds {}", crate::error::shown(path)),
    }
}

/// The name of this machine.
pub fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    named.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).unwrap_or_else(|| "unknown host".into())
}
