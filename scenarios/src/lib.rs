//! The systems that Mallory is tried on: services on a fallible allocator, the memory parts
//! that they share, and both under several threads; planted bugs that Mallory has to find; and,
//! with the feature `foreign`, other people's crates and C libraries.

// The only lines that production code needs: std's threads and locks, or replacements for them that
// a model checker can drive. All other modules use `crate::sync` and `crate::thread`.
#[cfg(any(feature = "shuttle", feature = "loom"))]
pub(crate) use mallory::{sync, thread};
#[cfg(not(any(feature = "shuttle", feature = "loom")))]
pub(crate) use std::{sync, thread};

pub mod concurrent;
#[cfg(feature = "foreign")]
pub mod foreign;
pub mod fuzz_targets;
pub mod memory;
pub mod planted;
pub mod services;
pub mod systems;

use mallory::Scenario;

use planted::{shelf, slot};
use services::{
    cache_rebuild, circuit_breaker, config_cache, container_memory, fixture, git_command,
    journal_intern, lfs_batch, request_context, state_listener, task_executor,
};

/// Every scenario that the command line can sweep or explore.
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

/// The services, each with its script and its input, if it has one.
fn services() -> Vec<Scenario> {
    vec![
        script!(cache_rebuild::CacheRebuild, "cache-rebuild.ron").input(fixture::journal),
        script!(journal_intern::JournalIntern, "journal-intern.ron").input(fixture::journal),
        script!(lfs_batch::LfsBatch, "lfs-batch.ron").input(fixture::lfs_requests),
        script!(lfs_batch::LfsBatchArena, "lfs-batch-arena.ron").input(fixture::lfs_requests),
        script!(request_context::Board, "request-context.ron"),
        script!(container_memory::MemoryManager, "container-memory.ron"),
        script!(config_cache::ConfigCache, "config-cache.ron"),
        script!(circuit_breaker::Gateway, "circuit-breaker.ron"),
        script!(git_command::GitCommand, "git-command.ron").input(fixture::git_answers),
        script!(task_executor::TaskExecutor, "task-executor.ron"),
        script!(state_listener::StateHub, "state-listener.ron"),
    ]
}

/// The memory parts, the heap itself, and the shelf; the other shelves and slots are known to
/// scripts.
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
        script!(systems::Arenas, "arena.ron"),
        script!(systems::Interns, "intern.ron"),
        script!(systems::Blocks, "blocks.ron"),
        script!(systems::Slabs, "slab.ron"),
        script!(systems::Regions, "regions.ron"),
        shelf,
    ];
    parts.into_iter().map(|part| part.group("parts")).collect()
}
