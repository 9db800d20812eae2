//! Popular crates doing real work, in the group `popular`: what is clean has to stay clean.
//!
//! None of them loses a block, frees one twice or writes past one when memory runs out, so none of
//! that may be reported; what aborts is counted. The table in `FOREIGN.md` is printed by
//! `cargo run --release --features foreign --example popular`.

mod collections;
mod machinery;
mod parsers;

use std::alloc::GlobalAlloc;
use std::fmt::Write as _;

use mallory::{GlobalHeap, Report, Sweep};

use super::{Aborts, Subject};

/// A subject whose work can't fail but by aborting.
macro_rules! aborts {
    ($package:literal, $debug:literal, $release:literal, $work:path, $does:literal) => {
        Subject {
            package: $package,
            does: $does,
            aborts: Aborts::new($debug, $release),
            run: |sweep| super::infallible(sweep, $work),
        }
    };
}

/// A subject that answers an error where there is no memory, at least in parts.
macro_rules! answers {
    ($package:literal, $debug:literal, $release:literal, $work:path, $does:literal) => {
        Subject {
            package: $package,
            does: $does,
            aborts: Aborts::new($debug, $release),
            run: |sweep| super::fallible(sweep, $work),
        }
    };
}

/// Every one, in the order of the table.
pub const SUBJECTS: [Subject; 18] = [
    answers!("hashbrown", 1, 1, collections::hashbrown, "counts words, with `try_reserve`"),
    aborts!("indexmap", 6, 6, collections::indexmap, "fills, sorts and thins out a map"),
    answers!("smallvec", 1, 1, collections::smallvec, "spills, with `try_reserve`, and shrinks"),
    aborts!("bytes", 7, 7, collections::bytes, "splits, shares and joins a buffer's frames"),
    aborts!("slab", 4, 4, collections::slab, "fills, empties and refills places"),
    answers!("bumpalo", 0, 0, collections::bumpalo, "fills an arena, with `try_alloc`, twice"),
    aborts!("rpds", 31, 32, collections::rpds, "changes maps and a vector, and keeps the old ones"),
    aborts!("petgraph", 10, 10, collections::petgraph, "orders a graph and finds its components"),
    aborts!("serde_json", 16, 16, parsers::serde_json, "reads and writes records by derived code"),
    aborts!("toml", 44, 44, parsers::toml, "reads a manifest, changes and writes it"),
    aborts!("csv", 18, 18, parsers::csv, "reads a table and writes some of its rows"),
    aborts!("nom", 10, 10, parsers::nom, "parses nested lists"),
    aborts!("winnow", 4, 4, parsers::winnow, "parses settings in sections"),
    aborts!("semver", 10, 10, parsers::semver, "sorts versions and matches requirements"),
    aborts!("chrono", 9, 9, parsers::chrono, "parses, shifts and formats dates"),
    aborts!("url", 17, 17, parsers::url, "parses, joins and changes addresses"),
    aborts!("tokio", 13, 13, machinery::tokio, "runs tasks that talk over channels on one thread"),
    answers!("flate2", 12, 12, machinery::flate2, "compresses a text and gets it back"),
];

/// What the workspace was built with.
const LOCK: &str = include_str!("../../../../Cargo.lock");

/// The locked version of a package that this crate depends on.
#[must_use]
pub fn version(package: &str) -> Option<&'static str> {
    let entry = |name: &str| {
        let head = format!("name = \"{name}\"\n");
        LOCK.split("[[package]]\n").find_map(|entry| entry.strip_prefix(&head))
    };
    // Where there are several versions of a package, its dependents say which is theirs.
    let several = format!(" \"{package} ");
    let ours = entry(env!("CARGO_PKG_NAME"))?.lines().find_map(|line| line.strip_prefix(&several));
    match ours {
        Some(version) => version.split('"').next(),
        None => entry(package)?.strip_prefix("version = \"")?.split('"').next(),
    }
}

/// Sweeps them all, and writes down what came of it: the table of `FOREIGN.md`.
#[must_use]
pub fn table<A: GlobalAlloc + Sync>(heap: &'static GlobalHeap<A>) -> String {
    let mut table = String::from(
        "| crate | version | what it does | requests | sites | abort sites | findings |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for subject in super::SUBJECTS.iter().chain(&SUBJECTS) {
        let report = subject.sweep(Sweep::new(subject.name()), heap);
        let _ = writeln!(table, "{}", row(subject, &report));
    }
    table
}

fn row(subject: &Subject, report: &Report) -> String {
    let Subject { package, does, .. } = subject;
    let version = version(package).unwrap_or("unknown");
    let (coverage, aborts) = (report.coverage(), report.allowed().len());
    let found = match (report.error(), report.findings()) {
        (Some(error), _) => error.to_string(),
        (None, []) => "none".to_owned(),
        (None, findings) => findings.iter().map(|f| f.kind().name()).collect::<Vec<_>>().join(", "),
    };
    let (requests, sites) = (coverage.requests, coverage.sites);
    format!("| {package} | {version} | {does} | {requests} | {sites} | {aborts} | {found} |")
}
