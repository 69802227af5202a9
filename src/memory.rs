//! How much memory is free, asked before a large amount is needed. An allocation that the system refuses ends the
//! process, so a run that will not fit has to be refused beforehand.

use crate::error::{Error, Result};
use crate::limits;

/// Bytes that this process may still allocate: the smallest of what the machine, the control group and the
/// address-space limit leave. `None` where the system does not say (anywhere but Linux).
pub fn free() -> Option<u64> {
    [machine(), group(), address_space()].into_iter().flatten().min()
}

/// Passes if `needed` bytes are at most [`limits::MEMORY_SHARE`] of what is free, or if that is not known. `what` and
/// `remedy` are for the message: what the memory is for, and how to need less.
///
/// # Errors
/// [`Error::Memory`] with both amounts and the remedy.
pub fn require(what: &str, needed: u64, remedy: &str) -> Result<()> {
    match free() {
        Some(free) if needed as f64 > limits::MEMORY_SHARE * free as f64 => {
            Err(Error::Memory { what: what.into(), needed, free, remedy: remedy.into() })
        }
        _ => Ok(()),
    }
}

/// What the machine has available, from `/proc/meminfo`.
fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// The least that any control group (version 2) leaves, from the process's own group up to the root.
fn group() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|l| l.strip_prefix("0::/"))?;
    let number = |path: &std::path::Path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let root = std::path::Path::new("/sys/fs/cgroup");
    let left = |folder: &std::path::Path| {
        Some(number(&folder.join("memory.max"))?.saturating_sub(number(&folder.join("memory.current"))?))
    };
    root.join(own).ancestors().take_while(|f| f.starts_with(root)).filter_map(left).min()
}

/// What the limit on address space (`ulimit -v`) leaves beside the address space in use.
fn address_space() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|l| l.strip_prefix("Max address space"))?;
    let most = line.split_whitespace().next()?.parse::<u64>().ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let size = status.lines().find_map(|l| l.strip_prefix("VmSize:"))?;
    let size = size.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10;
    Some(most.saturating_sub(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_beyond_the_machine_is_refused_with_both_numbers() {
        let Some(free) = free() else { return };
        assert!(require("a little", 1 << 10, "").is_ok());
        let error = require("a tile", free * 3, "choose a smaller tile").map_err(|e| (e.exit_code(), e.to_string()));
        let (code, text) = error.expect_err("three times what is free");
        assert_eq!(code, 5);
        assert!(text.contains("a tile") && text.contains("MiB") && text.contains("smaller tile"), "{text}");
    }
}
