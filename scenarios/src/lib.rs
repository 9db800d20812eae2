//! The systems that Mallory is tried on: three services on a fallible allocator with the memory
//! parts that they share, some of them with several threads; planted bugs that it has to find; and
//! (with the feature `foreign`) crates that know nothing of it.

// The four lines that production code needs: std's threads and locks, or their twins that a model
// checker can drive. All else says `crate::sync` and `crate::thread`.
#[cfg(any(feature = "shuttle", feature = "loom"))]
pub(crate) use mallory::{sync, thread};
#[cfg(not(any(feature = "shuttle", feature = "loom")))]
pub(crate) use std::{sync, thread};

pub mod cache_rebuild;
pub mod concurrent;
mod draw;
pub mod fixture;
#[cfg(feature = "foreign")]
pub mod foreign;
pub mod journal;
pub mod journal_intern;
pub mod lfs;
pub mod lfs_batch;
#[cfg(feature = "foreign")]
pub mod lfs_batch_sqlite;
pub mod memory;
pub mod parts;
pub mod planted;
pub mod shelf;
pub mod slot;
pub mod targets;

use mallory::Scenario;

/// Everything that the command line can be told to sweep or to explore.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = services();
    scenarios.extend(parts());
    scenarios.extend(concurrent::scenarios());
    scenarios.extend(planted::scenarios());
    scenarios.extend(planted::racy::scenarios());
    scenarios
}

macro_rules! script {
    ($system:ty, $file:literal) => {
        Scenario::script::<$system>(
            concat!("scenarios/scripts/", $file),
            include_str!(concat!("../scripts/", $file)),
        )
    };
}

/// The three services, each with its script and its input.
fn services() -> Vec<Scenario> {
    vec![
        script!(cache_rebuild::CacheRebuild, "cache-rebuild.ron").input(fixture::journal),
        script!(journal_intern::JournalIntern, "journal-intern.ron").input(fixture::journal),
        script!(lfs_batch::LfsBatch, "lfs-batch.ron").input(fixture::lfs_requests),
    ]
}

/// The memory parts, the heap, and the shelves.
fn parts() -> Vec<Scenario> {
    let shelf = script!(shelf::Shelf<shelf::Sound>, "shelf.ron")
        .knows::<shelf::Shelf<shelf::Leaks>>()
        .knows::<shelf::Shelf<shelf::Forgets>>()
        .knows::<shelf::Shelf<shelf::Shortens>>()
        .knows::<shelf::Shelf<shelf::Mistakes>>()
        .knows::<shelf::Shelf<shelf::Panics>>()
        .knows::<shelf::Shelf<shelf::Overruns>>()
        .knows::<shelf::Shelf<shelf::Swallows>>()
        .knows::<shelf::Shelf<shelf::Aborts>>()
        .knows::<slot::Slot<{ slot::SOUND }>>()
        .knows::<slot::Slot<{ slot::FORGETS }>>()
        .knows::<slot::Slot<{ slot::STALE }>>();
    let parts = [
        script!(parts::Arenas, "arena.ron"),
        script!(parts::Interns, "intern.ron"),
        script!(parts::Blocks, "blocks.ron"),
        script!(parts::Slabs, "slab.ron"),
        shelf,
    ];
    parts.into_iter().map(|part| part.group("parts")).collect()
}
