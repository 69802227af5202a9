//! The panic boundary. A panic is always a fault of this program; here it becomes an [`Error::Bug`] of one line.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// The first panic since [`caught`] last took one. Later panics are usually consequences of it in other threads, so
/// they are not kept.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Installs a hook that keeps a panic's message and source location for [`caught`] instead of printing them. With
/// `RUST_BACKTRACE` set to anything but 0 the usual report is printed as well.
pub fn install() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            usual(info);
        }
        FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| describe(info));
    }));
}

/// Message and source location.
fn describe(info: &PanicHookInfo) -> String {
    let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    format!("{}{place}", info.payload_as_str().unwrap_or("panicked"))
}

/// Runs `work`. A panic in it becomes an [`Error::Bug`] with its message and, if [`install`] was called, its source
/// location. After a panic, nothing that `work` was changing may be used.
///
/// # Errors
/// Those of `work`, and [`Error::Bug`] for a panic.
pub fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let kept = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned());
        Err(Error::Bug(kept.or(said).unwrap_or_else(|| "panicked".into())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_exit_code_70() {
        let error = caught::<()>(|| panic!("tile {} is not there", 7)).unwrap_err();
        assert!(error.to_string().contains("tile 7 is not there"), "{error}");
        assert_eq!(error.exit_code(), 70);
        assert_eq!(caught(|| Ok(3)).unwrap(), 3);
    }
}
