//! `isoline devices`: lists what can compute here, and checks whether it computes correctly.

use super::selfcheck::{Check, check};
use super::{CommandRow, Context, output, parsed};
use crate::device::{self, Device, DeviceEntry};
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// The row of `isoline devices`.
pub const ROW: CommandRow =
    CommandRow::new::<Args>("devices", "List the devices of this machine and check their numbers", |typed, context| {
        run(&parsed(typed)?, context)
    });

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
    /// Check in this process, as the processes do that are started for the purpose
    #[arg(long, hide = true)]
    inside: bool,
}

/// A device with the results of its checks.
struct Checked {
    name: String,
    checks: Vec<Check>,
}

/// Prints the devices and their checks.
///
/// # Errors
/// [`Error::Device`] if a check fails, or if the device named by `--device` does not open.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let listed = device::list();
    let opened = match context.device.as_str() {
        "auto" => listed.iter().filter(|l| l.usable).map(|l| Ok((l.name.clone(), device::open(&l.name)?.1))).collect(),
        name => device::open(name).map(|(name, device)| vec![(name.to_string(), device)]),
    };
    // A name that means nothing is wrong usage. A device that this machine lacks is reported together with those it
    // has.
    if let Err(e @ Error::Key { .. }) = opened {
        return Err(e);
    }
    let none = Vec::new();
    let apart = |name: &str| !args.inside && !name.starts_with("cpu");
    let one = |(name, device): &(String, Device)| {
        let checks = if apart(name) { check_apart(name) } else { check(device) };
        Checked { name: name.clone(), checks }
    };
    let checked: Vec<Checked> = opened.as_ref().unwrap_or(&none).iter().map(one).collect();
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

/// Checks a device in a process of its own, because some drivers end the process that uses them.
fn check_apart(name: &str) -> Vec<Check> {
    let run = || -> Result<Vec<Check>, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut call = std::process::Command::new(program);
        call.args(["devices", "--inside", "--json", "--device", name]).stdin(std::process::Stdio::null());
        let output = call.output().map_err(|e| e.to_string())?;
        if output.status.code().is_none() {
            return Err(format!("the driver ended the process ({})", output.status));
        }
        let report: Value = serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            said.lines().last().unwrap_or("the check gave no answer").to_owned()
        })?;
        let checks = report["checked"][0]["checks"].as_array().ok_or("the check gave no answer")?;
        Ok(checks.iter().map(read).collect())
    };
    let failed = |e| Check { name: "process".into(), difference: Err(e), tolerance: 0.0 };
    run().unwrap_or_else(|e| vec![failed(e)])
}

/// Reads a check back from what [`as_json`] wrote.
fn read(value: &Value) -> Check {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| value[key].as_f64().unwrap_or(f64::NAN);
    let difference = if value["error"].is_null() { Ok(number("difference")) } else { Err(text("error")) };
    Check { name: text("name").into(), difference, tolerance: number("tolerance") }
}

fn as_text(listed: &[DeviceEntry], checked: &[Checked]) -> String {
    let mut devices = vec![output::row(["device", "usable", "note"])];
    devices.extend(listed.iter().map(|l| output::row([&l.name, if l.usable { "yes" } else { "no" }, &l.note])));
    let mut checks = vec![output::row(["device", "check", "difference", "tolerance", ""])];
    for device in checked {
        checks.extend(device.checks.iter().map(|c| {
            let difference = c.difference.as_ref().map_or_else(|_| "-".to_owned(), |d| format!("{d:.1e}"));
            let verdict = if c.passed() { "ok" } else { "FAILED" };
            output::row([&device.name, &c.name, &difference, &format!("{:.1e}", c.tolerance), verdict])
        }));
    }
    let checks = if checked.is_empty() { String::new() } else { format!("\n{}", output::columns(&checks)) };
    output::columns(&devices) + &checks
}

fn as_json(listed: &[DeviceEntry], checked: &[Checked]) -> Value {
    let one = |c: &Check| {
        let (difference, error) = (c.difference.as_ref().ok(), c.difference.as_ref().err());
        json!({"name": c.name, "difference": difference, "tolerance": c.tolerance, "passed": c.passed(), "error": error})
    };
    let checks = |c: &Checked| json!({"device": c.name, "checks": c.checks.iter().map(one).collect::<Vec<_>>()});
    let device = |l: &DeviceEntry| json!({"name": l.name, "usable": l.usable, "note": l.note});
    json!({
        "devices": listed.iter().map(device).collect::<Vec<_>>(),
        "checked": checked.iter().map(checks).collect::<Vec<_>>(),
    })
}
