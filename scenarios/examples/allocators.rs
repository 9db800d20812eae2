//! Prints the table of `ALLOCATORS.md`: holds every allocator in it to the contract of a port. With
//! the name of a package it prints that one's reports alone; `MALLORY_SEQUENCE=FILE` before it runs
//! the sequence in a file.

use std::process::ExitCode;

use mallory_scenarios::foreign::allocators::{What, all, table};

fn main() -> ExitCode {
    let Some(package) = std::env::args().nth(1) else {
        print!("{}", table());
        return ExitCode::SUCCESS;
    };
    let mut code = None;
    for allocator in all().iter().filter(|allocator| allocator.package == package) {
        let report = (allocator.run)(What::Drawn).report;
        print!("{report}");
        code = code.max(Some(report.exit_code()));
    }
    let code = code.unwrap_or_else(|| {
        eprintln!("error: there is no `{package}`\n  mend: name a package of the table");
        2
    });
    ExitCode::from(code)
}
