//! Orderly stops. A signal only sets a flag; long loops read it at points where everything made so far is complete,
//! and return an error that says what that is.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A request to stop, handed to every long loop. Clones share one flag, so any of them can be asked from any thread.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Number of the last signal received; 0 while there has been none.
    signal: Arc<AtomicUsize>,
}

impl Cancel {
    /// A flag that no signal sets; only [`stop`](Self::stop) does. For tests and for callers of the library.
    pub fn never() -> Self {
        Self { signal: Arc::new(AtomicUsize::new(0)) }
    }

    /// A flag that SIGINT and SIGTERM set, and on Unix SIGHUP and SIGUSR1 too. Call it once per process. A second
    /// signal of the same kind ends the process at once with status 128 + its number (130 for SIGINT, 143 for
    /// SIGTERM). A signal that was already ignored when the process started stays ignored, as `nohup` expects.
    ///
    /// # Errors
    /// [`Error::Bug`] where the system refuses to install a handler.
    pub fn install() -> Result<Self> {
        let cancel = Self::never();
        for signal in SIGNALS.iter().copied().filter(|s| !ignored(*s)) {
            cancel
                .listen(signal)
                .map_err(|e| Error::Bug(format!("signal {signal}: the handler could not be installed: {e}")))?;
        }
        Ok(cancel)
    }

    /// Handlers run in the order they were registered: the first signal finds `seen` still unset and does not end the
    /// process, the second one does.
    fn listen(&self, signal: i32) -> std::io::Result<()> {
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
        signal_hook::flag::register(signal, seen)?;
        signal_hook::flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
        Ok(())
    }

    /// Asks for a stop from inside the process, with the same effect as SIGTERM from outside.
    pub fn stop(&self) {
        self.signal.store(SIGTERM as usize, Ordering::SeqCst);
    }

    /// Whether a stop has been asked for.
    pub fn requested(&self) -> bool {
        self.signal.load(Ordering::SeqCst) != 0
    }

    /// `Ok` unless a stop has been asked for. `what_is_complete` is called only then and becomes part of the message;
    /// it should read like "12 of 64 samples are complete in out/".
    ///
    /// # Errors
    /// [`Error::Interrupted`] after SIGINT, [`Error::Stopped`] after any other signal.
    pub fn check(&self, what_is_complete: impl FnOnce() -> String) -> Result<()> {
        match self.signal.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal if signal == SIGINT as usize => Err(Error::Interrupted(what_is_complete())),
            _ => Err(Error::Stopped(what_is_complete())),
        }
    }
}

#[cfg(unix)]
const SIGNALS: [i32; 4] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGUSR1];
#[cfg(not(unix))]
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Whether this process was started with `signal` ignored, as `nohup` does with SIGHUP. Read from `/proc/self/status`;
/// `false` on systems that have no such file.
pub fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
