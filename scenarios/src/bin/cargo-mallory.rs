//! The `cargo mallory` command: it sweeps the tests of whatever crate it is called in.

use std::process::ExitCode;

fn main() -> ExitCode {
    mallory::cargo::main(mallory_preload::LIBRARY)
}
