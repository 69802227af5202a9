//! Stopping in an orderly way: signals set a flag, loops ask for it where what they have made is complete.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether somebody wants the work to stop. Clones share one state.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Number of the last signal; 0 = go on.
    signal: Arc<AtomicUsize>,
}

impl Cancel {
    /// One that no signal reaches; only [`stop`](Self::stop) does.
    pub fn never() -> Self {
        Self { signal: Arc::new(AtomicUsize::new(0)) }
    }

    /// One that SIGINT, SIGTERM, SIGHUP and SIGUSR1 set; to be called once in a process. A second
    /// signal of the same kind ends the process at once with 128 + its number (130 for SIGINT, 143 for
    /// SIGTERM). A signal that was ignored when the process started stays ignored, as `nohup` wants it.
    ///
    /// # Errors
    /// [`Error::Bug`] when the system refuses a handler.
    pub fn install() -> Result<Self> {
        let cancel = Self::never();
        for signal in SIGNALS.iter().copied().filter(|s| !ignored(*s)) {
            cancel.listen(signal).map_err(|e| Error::Bug(format!("signal {signal}: no handler: {e}")))?;
        }
        Ok(cancel)
    }

    /// Actions run in the order of their registration, so the first signal finds `seen` unset.
    fn listen(&self, signal: i32) -> std::io::Result<()> {
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))?;
        signal_hook::flag::register(signal, seen)?;
        signal_hook::flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
        Ok(())
    }

    /// Asks for a stop from inside the process, as SIGTERM does from outside.
    pub fn stop(&self) {
        self.signal.store(SIGTERM as usize, Ordering::SeqCst);
    }

    /// Whether a stop was asked for.
    pub fn requested(&self) -> bool {
        self.signal.load(Ordering::SeqCst) != 0
    }

    /// Goes on, or says what is complete: `what_is_complete` is called only on a stop and reads like
    /// "12 of 64 samples are complete in out/".
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

/// Whether this process was started with `signal` ignored, as far as the system tells.
pub fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
