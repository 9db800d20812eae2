//! The `mallory` command over this repository's scenarios.

use std::process::ExitCode;

fn main() -> ExitCode {
    mallory::cli::main(&mallory_scenarios::scenarios())
}
