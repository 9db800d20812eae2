//! `cargo mallory`: every test of a crate, as it is, without a changed line.
//!
//! ```text
//!  cargo mallory test ──▶ cargo test ──▶ cargo-mallory __runner TESTS ──▶ each test's sweep
//!        ▲                                        │                       (as `mallory exec`)
//!        └────────────── a folder of results ◀────┘
//! ```
//!
//! Cargo builds the tests, and starts each test program through a *runner*, which is this program again
//! (`CARGO_TARGET_…_RUNNER`). So neither cargo nor rustc nor a build script is ever watched. The runner
//! lists the program's tests, and sweeps one after the other: each as a program of its own, of whose
//! requests only the test's count (`process/test_scope`). nextest lists the tests itself, and starts the
//! runner for each, several at a time.
//!
//! - `arguments` tells our flags from cargo's;
//! - `command` starts cargo, and is what the user waits for;
//! - `settings` is what it tells the runners, and `results` is what they leave for it;
//! - `runner` sweeps, `listing` finds the tests of a program;
//! - `summary` is what is printed at the end, `json` and `junit` are the same for programs;
//! - `allowed_aborts` are those that the user accepts.

mod allowed_aborts;
mod arguments;
mod command;
mod json;
mod junit;
mod listing;
mod results;
mod runner;
mod settings;
mod summary;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::output::print_error;
use crate::cli::usage::asked_format;
use crate::env::Env;

/// The word by which cargo starts this program as a runner.
const RUNNER: &str = "__runner";

/// Runs the command line of the program `cargo-mallory`, with the library that is preloaded into test
/// programs (the crate `mallory-preload`), and returns its exit code.
#[must_use]
pub fn main(library: &[u8]) -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == RUNNER) {
        return runner::run(&words[1..], library);
    }
    // Cargo passes the name of the subcommand.
    if words.first().is_some_and(|word| word == "mallory") {
        words.remove(0);
    }
    let arguments = match arguments::parse(&words) {
        Ok(arguments) => arguments,
        Err(code) => return ExitCode::from(code),
    };
    match Env::read().and_then(|env| command::run(&arguments, &env)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(None, &error, asked_format(&words));
            ExitCode::from(2)
        }
    }
}
