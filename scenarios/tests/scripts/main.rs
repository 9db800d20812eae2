//! Runs every script in each way (plain, sweep, adversary, explore), and every case, as tests of
//! their own: adding a file to `scripts` or `cases` adds its tests.

use std::process::ExitCode;

use mallory::script::ScriptTests;
use mallory_scenarios::planted::shelf::{
    Aborts, Forgets, Leaks, Mistakes, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
};
use mallory_scenarios::planted::slot::{FORGETS, SOUND, STALE, Slot};
use mallory_scenarios::services::cache_rebuild::CacheRebuild;
use mallory_scenarios::services::circuit_breaker::Gateway;
use mallory_scenarios::services::config_cache::ConfigCache;
use mallory_scenarios::services::container_memory::MemoryManager;
use mallory_scenarios::services::fixture;
use mallory_scenarios::services::git_command::GitCommand;
use mallory_scenarios::services::journal_intern::JournalIntern;
use mallory_scenarios::services::lfs_batch::{LfsBatch, LfsBatchArena};
use mallory_scenarios::services::request_context::Board;
use mallory_scenarios::services::state_listener::StateHub;
use mallory_scenarios::services::task_executor::TaskExecutor;
use mallory_scenarios::systems::{Arenas, Blocks, Interns, Regions, Slabs};

fn main() -> ExitCode {
    let tests = ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
        .system_with::<CacheRebuild>(fixture::journal)
        .system_with::<JournalIntern>(fixture::journal)
        .system_with::<LfsBatch>(fixture::lfs_requests)
        .system_with::<LfsBatchArena>(fixture::lfs_requests)
        .system::<Board>()
        .system::<MemoryManager>()
        .system::<ConfigCache>()
        .system::<Gateway>()
        .system_with::<GitCommand>(fixture::git_answers)
        .system::<TaskExecutor>()
        .system::<StateHub>()
        .system::<Arenas>()
        .system::<Blocks>()
        .system::<Slabs>()
        .system::<Regions>()
        .system::<Interns>()
        .system::<Shelf<Sound>>()
        .system::<Shelf<Leaks>>()
        .system::<Shelf<Forgets>>()
        .system::<Shelf<Shortens>>()
        .system::<Shelf<Mistakes>>()
        .system::<Shelf<Panics>>()
        .system::<Shelf<Overruns>>()
        .system::<Shelf<Swallows>>()
        .system::<Shelf<Aborts>>()
        .system::<Slot<SOUND>>()
        .system::<Slot<FORGETS>>()
        .system::<Slot<STALE>>()
        // They need the feature `foreign`; the tests of that feature sweep them.
        .elsewhere("lfs-batch-sqlite")
        .elsewhere("task-repository-sqlite")
        .scripts("scripts")
        .cases("cases");
    // Their threads are scheduled by shuttle.
    #[cfg(feature = "shuttle")]
    let tests = tests.scripts("scripts/threads").cases("cases/threads");
    tests.main()
}
