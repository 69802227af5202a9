//! `isoline devices`: what can compute here, and whether it computes right.

use super::selfcheck::{Check, check};
use super::{Context, output};
use crate::device::{self, Device, Listed};
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// Arguments of `isoline devices`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each usable device computes a product of matrices, a transposed convolution and a gradient, which are \
compared with the same in f64 on the host. A difference is relative to the sum of the magnitudes of the terms. With \
--device NAME only that device is checked."
)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A device and what its check gave.
struct Checked {
    name: String,
    checks: Vec<Check>,
}

/// Prints the devices and their checks.
///
/// # Errors
/// [`Error::Device`] when a check fails, or when the device named by `--device` does not open.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let listed = device::list();
    let opened = match context.device.as_str() {
        "auto" => listed.iter().filter(|l| l.usable).map(|l| Ok((l.name.clone(), device::open(&l.name)?.1))).collect(),
        name => device::open(name).map(|(name, device)| vec![(name.to_string(), device)]),
    };
    // A name that means nothing is wrong usage; one that this machine lacks is shown beside those it has.
    if let Err(e @ Error::Config { .. }) = opened {
        return Err(e);
    }
    let none = Vec::new();
    let checked: Vec<Checked> = opened.as_ref().unwrap_or(&none).iter().map(checked).collect();
    if args.json {
        output::print_json(&as_json(&listed, &checked))?;
    } else {
        output::print(&as_text(&listed, &checked))?;
    }
    opened?;
    checked.iter().try_for_each(|device| match device.checks.iter().find(|c| !c.passed()) {
        Some(failed) => Err(Error::Device { device: device.name.clone(), message: failed.fault() }),
        None => Ok(()),
    })
}

fn checked((name, device): &(String, Device)) -> Checked {
    Checked { name: name.clone(), checks: check(device) }
}

fn as_text(listed: &[Listed], checked: &[Checked]) -> String {
    let mut devices = vec![output::row(["device", "usable", "note"])];
    devices.extend(listed.iter().map(|l| output::row([&l.name, if l.usable { "yes" } else { "no" }, &l.note])));
    let mut checks = vec![output::row(["device", "check", "difference", "tolerance", ""])];
    for device in checked {
        checks.extend(device.checks.iter().map(|c| {
            let difference = c.difference.as_ref().map_or_else(|_| "-".to_owned(), |d| format!("{d:.1e}"));
            let verdict = if c.passed() { "ok" } else { "FAILED" };
            output::row([&device.name, c.name, &difference, &format!("{:.1e}", c.tolerance), verdict])
        }));
    }
    let checks = if checked.is_empty() { String::new() } else { format!("\n{}", output::columns(&checks)) };
    output::columns(&devices) + &checks
}

fn as_json(listed: &[Listed], checked: &[Checked]) -> Value {
    let one = |c: &Check| {
        let (difference, error) = (c.difference.as_ref().ok(), c.difference.as_ref().err());
        json!({"name": c.name, "difference": difference, "tolerance": c.tolerance, "passed": c.passed(), "error": error})
    };
    let checks = |c: &Checked| json!({"device": c.name, "checks": c.checks.iter().map(one).collect::<Vec<_>>()});
    let device = |l: &Listed| json!({"name": l.name, "usable": l.usable, "note": l.note});
    json!({
        "devices": listed.iter().map(device).collect::<Vec<_>>(),
        "checked": checked.iter().map(checks).collect::<Vec<_>>(),
    })
}
