//! Popular crates doing real work, in the group `popular`: Mallory must not report anything wrong.
//!
//! None of them loses a block, frees one twice or overruns one when memory runs out, so none of
//! that may be reported; the call sites that abort are counted. The table in `FOREIGN.md` is
//! printed by `cargo run --release --features foreign --example popular`.

mod collections;
mod machinery;
mod parsers;

use super::subject::{self, Aborts, ForeignSubject};

/// A subject that aborts at every failed request.
macro_rules! infallible {
    ($package:literal, $debug:literal, $release:literal, $work:path, $does:literal) => {
        ForeignSubject {
            package: $package,
            does: $does,
            aborts: Aborts::new($debug, $release),
            run: |sweep| subject::infallible(sweep, $work),
        }
    };
}

/// A subject that returns an error for some failed requests, and may abort at others.
macro_rules! fallible {
    ($package:literal, $debug:literal, $release:literal, $work:path, $does:literal) => {
        ForeignSubject {
            package: $package,
            does: $does,
            aborts: Aborts::new($debug, $release),
            run: |sweep| subject::fallible(sweep, $work),
        }
    };
}

/// Every one, in the order of the table.
pub const SUBJECTS: [ForeignSubject; 18] = [
    fallible!("hashbrown", 1, 1, collections::hashbrown, "counts words, with `try_reserve`"),
    infallible!("indexmap", 6, 6, collections::indexmap, "fills, sorts and thins out a map"),
    fallible!("smallvec", 1, 1, collections::smallvec, "spills, with `try_reserve`, and shrinks"),
    infallible!("bytes", 7, 7, collections::bytes, "splits, shares and joins a buffer's frames"),
    infallible!("slab", 4, 4, collections::slab, "fills, empties and refills places"),
    fallible!("bumpalo", 0, 0, collections::bumpalo, "fills an arena, with `try_alloc`, twice"),
    infallible!(
        "rpds",
        31,
        32,
        collections::rpds,
        "changes maps and a vector, and keeps the old ones"
    ),
    infallible!(
        "petgraph",
        10,
        10,
        collections::petgraph,
        "orders a graph and finds its components"
    ),
    infallible!(
        "serde_json",
        16,
        16,
        parsers::serde_json,
        "reads and writes records by derived code"
    ),
    infallible!("toml", 44, 44, parsers::toml, "reads a manifest, changes and writes it"),
    infallible!("csv", 18, 18, parsers::csv, "reads a table and writes some of its rows"),
    infallible!("nom", 10, 10, parsers::nom, "parses nested lists"),
    infallible!("winnow", 4, 4, parsers::winnow, "parses settings in sections"),
    infallible!("semver", 10, 10, parsers::semver, "sorts versions and matches requirements"),
    infallible!("chrono", 9, 9, parsers::chrono, "parses, shifts and formats dates"),
    infallible!("url", 17, 17, parsers::url, "parses, joins and changes addresses"),
    infallible!(
        "tokio",
        14,
        14,
        machinery::tokio,
        "runs tasks that talk over channels on one thread"
    ),
    fallible!("flate2", 12, 12, machinery::flate2, "compresses a text and gets it back"),
];
