//! The program as the tests of failures run it: `ISOLINE_FAILPOINTS="name[#sample][@occurrence]=action;…"` makes it fail
//! at the places that the library marks with `failpoint!`. `cargo build`, `run` and `install` do not build it.
//!
//! A point without an occurrence acts every time it is reached; occurrences count from 1. The actions are `kill`, `panic`,
//! `hang`, `eio`, `enospc`, `signal:NUMBER` and `pause:FILE` (creates FILE and waits until it is gone); for numbers they
//! are `nan`, `inf` and `-inf`.

use isoline::{cli, faults, panics};
use signal_hook::consts::SIGKILL;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The environment variable that lists the points.
const VARIABLE: &str = "ISOLINE_FAILPOINTS";

struct Point {
    name: String,
    sample: Option<u64>,
    occurrence: Option<u64>,
    action: String,
}

fn points() -> &'static [Point] {
    static POINTS: OnceLock<Vec<Point>> = OnceLock::new();
    POINTS.get_or_init(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        text.split(';').filter(|p| !p.trim().is_empty()).map(parse).collect()
    })
}

/// A point that cannot be parsed is a mistake in the test. It panics, so that the test does not pass because nothing
/// happened.
fn parse(text: &str) -> Point {
    let malformed = || -> ! { panic!("{VARIABLE}: \"{text}\" is not name[#sample][@occurrence]=action") };
    let Some((place, action)) = text.trim().split_once('=') else { malformed() };
    let number = |t: &str| t.parse::<u64>().unwrap_or_else(|_| malformed());
    let (place, occurrence) = place.split_once('@').map_or((place, None), |(p, n)| (p, Some(number(n))));
    let (name, sample) = place.split_once('#').map_or((place, None), |(p, n)| (p, Some(number(n))));
    Point { name: name.to_owned(), sample, occurrence, action: action.to_owned() }
}

/// The action for this visit to `name`, if any. Visits are counted separately for each (name, sample).
fn action(name: &str, sample: Option<u64>) -> Option<&'static str> {
    if points().iter().all(|p| p.name != name) {
        return None;
    }
    static VISITS: Mutex<BTreeMap<(String, Option<u64>), u64>> = Mutex::new(BTreeMap::new());
    let mut visits = VISITS.lock().unwrap_or_else(PoisonError::into_inner);
    let visit = visits.entry((name.to_owned(), sample)).or_insert(0);
    *visit += 1;
    let fits = |p: &&Point| {
        p.name == name && p.sample.is_none_or(|s| Some(s) == sample) && p.occurrence.is_none_or(|o| o == *visit)
    };
    points().iter().find(fits).map(|p| p.action.as_str())
}

/// Acts on the failure, if any, that the test asked for at the point `name`. Does not return from `kill`, `panic` and
/// `hang`.
///
/// # Errors
/// The I/O error that was asked for.
fn hit(name: &str) -> Result<()> {
    let Some(action) = action(name, None) else { return Ok(()) };
    match action.split_once(':').unwrap_or((action, "")) {
        ("kill", _) => signal_hook::low_level::raise(SIGKILL),
        ("panic", _) => panic!("failpoint {name}"),
        ("hang", _) => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        ("eio", _) => Err(Error::from_raw_os_error(5)),
        ("enospc", _) => Err(Error::from_raw_os_error(28)),
        ("signal", n) => signal_hook::low_level::raise(n.parse().map_err(|_| ErrorKind::InvalidInput)?),
        ("pause", file) => pause(file),
        (other, _) => panic!("{VARIABLE}: no such action \"{other}\" at {name}"),
    }
}

#[allow(clippy::disallowed_methods)] // An empty marker file of a test.
/// Tells the test that the point has been reached by creating `file`, and waits until the test removes it.
fn pause(file: &str) -> Result<()> {
    std::fs::write(file, "")?;
    while std::path::Path::new(file).exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The number that is to replace a result of `sample` at the point `name`, if the test asked for one.
fn number(name: &str, sample: u64) -> Option<f32> {
    match action(name, Some(sample))? {
        "nan" => Some(f32::NAN),
        "inf" => Some(f32::INFINITY),
        "-inf" => Some(f32::NEG_INFINITY),
        _ => None,
    }
}

fn main() -> ExitCode {
    faults::install(faults::Faults { hit, number });
    panics::install();
    match panics::caught(|| cli::main(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
