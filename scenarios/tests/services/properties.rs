//! The services, the memory parts and the heap compared with their models on random scripts.

use std::path::Path;

use arbitrary::Arbitrary;
use mallory::proptest::property;
use mallory::{System, Verdict};
use mallory_scenarios::planted::shelf::{Shelf, Sound};
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
use serde::Serialize;
use serde::de::DeserializeOwned;

fn holds<S: System>(input: &[u8], cases: u32, operations: usize)
where
    S::Op: Serialize + DeserializeOwned + for<'a> Arbitrary<'a>,
{
    let cases_in = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases");
    let property = property::<S>().input(input).cases(cases).operations(operations);
    let report = property.cases_in(cases_in).run();
    report.assert_clean();
    assert_eq!(report.verdict(), Verdict::Sampled, "{report}");
    assert_eq!(report.coverage().runs, u64::from(cases), "{report}");
}

#[test]
fn cache_rebuild() {
    holds::<CacheRebuild>(fixture::SAMPLE, 300, 60);
}

#[test]
fn journal_intern() {
    holds::<JournalIntern>(fixture::SAMPLE, 300, 200);
}

#[test]
fn lfs_batch() {
    holds::<LfsBatch>(&fixture::lfs_requests().expect("the fixture"), 300, 200);
}

#[test]
fn lfs_batch_arena() {
    holds::<LfsBatchArena>(&fixture::lfs_requests().expect("the fixture"), 300, 200);
}

#[test]
fn request_context() {
    holds::<Board>(&[], 300, 200);
}

#[test]
fn container_memory() {
    holds::<MemoryManager>(&[], 300, 200);
}

#[test]
fn config_cache() {
    holds::<ConfigCache>(&[], 300, 200);
}

#[test]
fn circuit_breaker() {
    holds::<Gateway>(&[], 300, 200);
}

#[test]
fn git_command() {
    holds::<GitCommand>(fixture::GIT_ANSWERS, 300, 60);
}

#[test]
fn task_executor() {
    holds::<TaskExecutor>(&[], 300, 200);
}

#[test]
fn state_listener() {
    holds::<StateHub>(&[], 300, 200);
}

#[test]
fn arena() {
    holds::<Arenas>(&[], 400, 60);
}

#[test]
fn intern() {
    holds::<Interns>(&[], 400, 400);
}

#[test]
fn heap_and_ledger() {
    holds::<Blocks>(&[], 400, 300);
}

#[test]
fn slab() {
    holds::<Slabs>(&[], 400, 300);
}

#[test]
fn regions() {
    holds::<Regions>(&[], 300, 200);
}

#[test]
fn sound_shelf() {
    holds::<Shelf<Sound>>(&[], 1000, 100);
}
