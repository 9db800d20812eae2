//! Prints the table of `ALLOCATORS.md`: checks every allocator in it against the contract of a
//! port. With the name of a package it prints only that package's reports; with
//! `MALLORY_SEQUENCE=FILE` in the environment it runs the sequence in that file.

use std::process::ExitCode;

use mallory_scenarios::foreign::allocators::{Trial, all, table};

fn main() -> ExitCode {
    let Some(package) = std::env::args().nth(1) else {
        print!("{}", table());
        return ExitCode::SUCCESS;
    };
    let mut code = None;
    for allocator in all().iter().filter(|allocator| allocator.package == package) {
        let report = (allocator.run)(Trial::Generated).report;
        print!("{report}");
        code = code.max(Some(report.exit_code()));
    }
    let code = code.unwrap_or_else(|| {
        eprintln!("error: there is no `{package}`\n  help: name a package of the table");
        2
    });
    ExitCode::from(code)
}
