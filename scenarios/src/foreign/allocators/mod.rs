//! Published allocators, and our own arena, checked against the contract of a port. The table in
//! `ALLOCATORS.md` is printed by `cargo run --release --features foreign-allocators --example allocators`.
//!
//! Each is run in child processes, so a crash is a line in the table. Every broken promise has been
//! investigated: its cause is written beside the sequence that shows it.

mod allocator;
mod arenas;
mod general;
mod regions;
mod tables;

use std::fmt::Write as _;

pub use allocator::{Allocator, Known, Shows, Trial, TrialReport, broken};

/// Every one, in the order of the table.
#[must_use]
pub fn all() -> Vec<Allocator> {
    let kinds: [&[Allocator]; 4] = [&general::ALL, &tables::ALL, &regions::ALL, &arenas::ALL];
    kinds.concat()
}

/// Runs all of them and prints the results: the table of `ALLOCATORS.md`, followed by the cause of
/// each broken promise.
#[must_use]
pub fn table() -> String {
    let mut text = String::from(
        "| package | version | type | kind | through | run | operations | promises | release | \
         with checks |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for allocator in all() {
        let trial = (allocator.run)(Trial::Generated);
        let _ = writeln!(text, "{}", allocator.row(&trial));
    }
    for Allocator { package, name, known, .. } in all() {
        for Known { shows, promise, sequence, reason } in known {
            let when = match shows {
                Shows::Always => "",
                Shows::Checked => " (with checks)",
                Shows::Unchecked => " (in release)",
            };
            let _ = writeln!(text, "\n**{package}, `{name}`: {promise}**{when}");
            let _ = writeln!(text, "```\n{sequence}\n```\n{reason}");
        }
    }
    text
}
