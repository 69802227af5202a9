//! Signals. Each test runs in a process of its own, because a handler stays with its process for good.

use isoline::cancel::Cancel;
use isoline::error::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// Tells a child process which signals to send itself, separated by commas.
const CHILD: &str = "ISOLINE_TEST_SIGNALS";

/// Exit code of this test binary, started again to raise `signals` in itself.
fn code_after(signals: &[i32]) -> Option<i32> {
    let test = "cancel::the_first_signal_stops_in_order_and_the_second_at_once";
    let signals = signals.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture"]).env(CHILD, signals).output().unwrap().status.code()
}

fn play(signals: &str) -> Result<()> {
    let cancel = Cancel::install()?;
    cancel.check(|| unreachable!())?;
    signals.split(',').for_each(|s| signal_hook::low_level::raise(s.parse().unwrap()).unwrap());
    cancel.check(|| "3 of 8 samples are complete".into())
}

#[test]
fn the_first_signal_stops_in_order_and_the_second_at_once() {
    if let Ok(signals) = std::env::var(CHILD) {
        let code = play(&signals).map_or_else(|e| e.exit_code(), |()| 0);
        signal_hook::low_level::exit(i32::from(code));
    }
    // Where tests run in the background, SIGINT and SIGHUP may be ignored, and they stay so.
    let or_ignored = |expected: i32| [Some(expected), Some(0)];
    assert!(or_ignored(130).contains(&code_after(&[SIGINT])));
    assert!(or_ignored(75).contains(&code_after(&[SIGHUP])));
    assert_eq!(code_after(&[SIGTERM]), Some(75));
    assert_eq!(code_after(&[SIGUSR1]), Some(75));
    assert_eq!(code_after(&[SIGTERM, SIGTERM]), Some(143));
    assert_eq!(code_after(&[SIGUSR1, SIGTERM]), Some(75));
}

#[test]
fn a_stop_from_inside_says_what_is_complete() {
    let cancel = Cancel::never();
    assert!(cancel.check(|| unreachable!()).is_ok() && !cancel.requested());
    cancel.clone().stop();
    let error = cancel.check(|| "3 of 8 samples are complete".into()).unwrap_err();
    assert_eq!(error.to_string(), "stopped: 3 of 8 samples are complete; the same command resumes");
}
