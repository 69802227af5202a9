//! The `isoline` program: parses the command line, runs it, and turns the result into an exit code.

use isoline::{cli, panics};
use std::process::ExitCode;

fn main() -> ExitCode {
    panics::install();
    match panics::caught(|| cli::main(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
