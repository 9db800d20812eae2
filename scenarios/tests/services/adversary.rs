//! The services on the adversarial heap: a limited sweep with guard pages, which are slow, and a
//! complete one with adversarial contents, addresses and alignments only.

use mallory::System;
use mallory::adversary::{Adversary, Guard, Reuse};
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
use serde::de::DeserializeOwned;

use crate::survival::{Input, nothing, report};

/// A sweep runs new call sites first, so a limited one still reaches all of them.
fn stays_clean<S: System>(text: &str, input: Input)
where
    S::Op: DeserializeOwned,
{
    let guarded = [
        Adversary::new(),
        Adversary::new().seed(1).guard(Guard::Before).reuse(Reuse::Never).refuse_shrinks(true),
    ];
    for modes in guarded {
        report::<S>(text, input, |sweep| sweep.adversary(modes.clone()).limit(48)).assert_clean();
    }
    let modes = Adversary::new().guard(Guard::None);
    let all = report::<S>(text, input, |sweep| sweep.adversary(modes.clone()));
    all.assert_clean();
    assert!(all.coverage().complete, "{all}");
}

#[test]
fn cache_rebuild() {
    let script = include_str!("../../scripts/cache-rebuild.ron");
    stays_clean::<CacheRebuild>(script, fixture::journal);
}

#[test]
fn journal_intern() {
    let script = include_str!("../../scripts/journal-intern.ron");
    stays_clean::<JournalIntern>(script, fixture::journal);
}

#[test]
fn lfs_batch() {
    let script = include_str!("../../scripts/lfs-batch.ron");
    stays_clean::<LfsBatch>(script, fixture::lfs_requests);
}

#[test]
fn lfs_batch_arena() {
    let script = include_str!("../../scripts/lfs-batch-arena.ron");
    stays_clean::<LfsBatchArena>(script, fixture::lfs_requests);
}

#[test]
fn request_context() {
    let script = include_str!("../../scripts/request-context.ron");
    stays_clean::<Board>(script, nothing);
}

#[test]
fn container_memory() {
    let script = include_str!("../../scripts/container-memory.ron");
    stays_clean::<MemoryManager>(script, nothing);
}

#[test]
fn config_cache() {
    let script = include_str!("../../scripts/config-cache.ron");
    stays_clean::<ConfigCache>(script, nothing);
}

#[test]
fn circuit_breaker() {
    let script = include_str!("../../scripts/circuit-breaker.ron");
    stays_clean::<Gateway>(script, nothing);
}

#[test]
fn git_command() {
    let script = include_str!("../../scripts/git-command.ron");
    stays_clean::<GitCommand>(script, fixture::git_answers);
}

#[test]
fn task_executor() {
    let script = include_str!("../../scripts/task-executor.ron");
    stays_clean::<TaskExecutor>(script, nothing);
}

#[test]
fn state_listener() {
    let script = include_str!("../../scripts/state-listener.ron");
    stays_clean::<StateHub>(script, nothing);
}
