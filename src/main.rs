//! The program: the command line, and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    match robustnas::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("robustnas: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
