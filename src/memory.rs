//! How much memory is free, asked before much of it is needed: an allocation that the system refuses ends the process.

use crate::error::{Error, Result};
use crate::limits;

/// Bytes that this process may still take: the least of what the machine, the control group and the address-space limit
/// leave. `None` where the system does not tell.
pub fn free() -> Option<u64> {
    [machine(), group(), address_space()].into_iter().flatten().min()
}

/// Goes on where `needed` bytes are at most [`limits::MEMORY_SHARE`] of what is free, or where that is unknown.
///
/// # Errors
/// [`Error::Memory`] with both numbers and `remedy`.
pub fn require(what: &str, needed: u64, remedy: &str) -> Result<()> {
    match free() {
        Some(free) if needed as f64 > limits::MEMORY_SHARE * free as f64 => {
            Err(Error::Memory { what: what.into(), needed, free, remedy: remedy.into() })
        }
        _ => Ok(()),
    }
}

fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Control groups, version 2, from the process's own up to the root.
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
