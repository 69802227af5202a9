//! The `isoline` program: parses the command line, runs it, and turns the result into an exit code.

use isoline::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::panics::install();
    match cli::panics::caught(|| cli::main(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
