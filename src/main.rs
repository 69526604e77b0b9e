//! The `nanomq` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    nanomq::cli::main()
}
