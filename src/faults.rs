//! Failures on demand, for tests: `ISOLINE_FAILPOINTS="name[#sample][@occurrence]=action;…"`.
//!
//! Only in builds with the feature `failpoints`. Without an occurrence a point acts each time it is reached; occurrences
//! count from 1. Actions: `kill`, `panic`, `hang`, `eio`, `enospc`, `signal:NUMBER`, `pause:FILE` (creates FILE and waits
//! until it is gone), and for numbers `nan`, `inf`, `-inf`.

use signal_hook::consts::SIGKILL;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The variable that holds the points.
pub const VARIABLE: &str = "ISOLINE_FAILPOINTS";

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

/// A point that cannot be read is a fault of the test, which must not pass for lack of it.
#[allow(clippy::panic)]
fn parse(text: &str) -> Point {
    let malformed = || -> ! { panic!("{VARIABLE}: \"{text}\" is not name[#sample][@occurrence]=action") };
    let Some((place, action)) = text.trim().split_once('=') else { malformed() };
    let number = |t: &str| t.parse::<u64>().unwrap_or_else(|_| malformed());
    let (place, occurrence) = place.split_once('@').map_or((place, None), |(p, n)| (p, Some(number(n))));
    let (name, sample) = place.split_once('#').map_or((place, None), |(p, n)| (p, Some(number(n))));
    Point { name: name.to_owned(), sample, occurrence, action: action.to_owned() }
}

/// The action for this visit to `name`, each (point, sample) counted by itself.
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

/// Acts as the test asks for at `name`.
///
/// # Errors
/// The one that was asked for.
#[allow(clippy::panic)]
pub fn hit(name: &str) -> Result<()> {
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

/// Tells the test that the place is reached, and waits for it.
#[allow(clippy::disallowed_methods)] // an empty marker file of a test
fn pause(file: &str) -> Result<()> {
    std::fs::write(file, "")?;
    while std::path::Path::new(file).exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The number that the test wants in the place of a result of `sample`.
pub fn number(name: &str, sample: u64) -> Option<f32> {
    match action(name, Some(sample))? {
        "nan" => Some(f32::NAN),
        "inf" => Some(f32::INFINITY),
        "-inf" => Some(f32::NEG_INFINITY),
        _ => None,
    }
}
