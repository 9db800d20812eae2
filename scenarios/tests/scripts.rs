//! Every script × each way to drive it, and every case, as tests of their own: a file that is
//! added to `scripts` or `cases` is a test that is added.

use std::process::ExitCode;

use mallory::script::ScriptTests;
use mallory_scenarios::cache_rebuild::CacheRebuild;
use mallory_scenarios::fixture;
use mallory_scenarios::journal_intern::JournalIntern;
use mallory_scenarios::lfs_batch::LfsBatch;
use mallory_scenarios::parts::{Arenas, Blocks, Interns, Slabs};
use mallory_scenarios::shelf::{
    Aborts, Forgets, Leaks, Mistakes, Overruns, Panics, Shelf, Shortens, Sound, Swallows,
};
use mallory_scenarios::slot::{FORGETS, SOUND, STALE, Slot};

fn main() -> ExitCode {
    let tests = ScriptTests::new(env!("CARGO_MANIFEST_DIR"))
        .system_with::<CacheRebuild>(fixture::journal)
        .system_with::<JournalIntern>(fixture::journal)
        .system_with::<LfsBatch>(fixture::lfs_requests)
        .system::<Arenas>()
        .system::<Blocks>()
        .system::<Slabs>()
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
        // It needs the feature `foreign`, and is swept by that one's tests.
        .elsewhere("lfs-batch-sqlite")
        .scripts("scripts")
        .cases("cases");
    // Their threads take turns by shuttle's engine.
    #[cfg(feature = "shuttle")]
    let tests = tests.scripts("scripts/threads").cases("cases/threads");
    tests.main()
}
