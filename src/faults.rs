//! Failures on demand, for tests. The places are marked with `failpoint!`; what happens there is decided by the program
//! that the tests run (`tests/failing`), which installs it here. The program that users run installs nothing, so nothing
//! happens.

use std::sync::OnceLock;

/// What happens at a marked place.
pub struct Faults {
    /// Fails, ends or holds the program at the place of this name, or lets it pass.
    pub hit: fn(&str) -> std::io::Result<()>,
    /// The number that replaces a result of this sample at the place of this name, if any.
    pub number: fn(&str, u64) -> Option<f32>,
}

static FAULTS: OnceLock<Faults> = OnceLock::new();

/// Installs `faults` for the life of the process; what is installed already stays.
pub fn install(faults: Faults) {
    let _ = FAULTS.set(faults);
}

/// Passes the place `name`.
///
/// # Errors
/// The I/O error that a test asked for.
pub fn hit(name: &str) -> std::io::Result<()> {
    FAULTS.get().map_or(Ok(()), |faults| (faults.hit)(name))
}

/// The number that is to replace a result of `sample` at the place `name`, if a test asked for one.
pub fn number(name: &str, sample: u64) -> Option<f32> {
    FAULTS.get().and_then(|faults| (faults.number)(name, sample))
}
