//! A panic is a fault of this program: it becomes an error like any other, in one line.

use crate::error::{Error, Result};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// The first panic since the last one was turned into an error; those that follow are its echo in other threads.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps a panic's message and place for [`caught`] instead of printing it; with `RUST_BACKTRACE` set
/// the usual report is printed too.
pub fn install() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|v| v != "0") {
            usual(info);
        }
        FIRST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| describe(info));
    }));
}

fn describe(info: &PanicHookInfo) -> String {
    let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    format!("{}{place}", info.payload_as_str().unwrap_or("panicked"))
}

/// Runs `work`; a panic in it becomes [`Error::Bug`] with message and place. What `work` has changed
/// must not be used after a panic.
///
/// # Errors
/// Those of `work`, and [`Error::Bug`].
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
