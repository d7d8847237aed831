//! The program: the command line, and an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a bug of the program; its message is printed already.
    match std::panic::catch_unwind(robustnas::cli::main) {
        Err(_) => ExitCode::from(robustnas::error::INTERNAL),
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            robustnas::cli::say(&format!("robustnas: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
