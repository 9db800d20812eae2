//! Other people's crates, swept without changes: their requests reach Mallory through the program's
//! global allocator.
//!
//! Most of their requests are infallible: if one fails, std aborts. So a clean sweep here means
//! that failures abort at known call sites, which are counted and listed in the report, and that
//! nothing else happens: no block is lost, freed twice or overrun, and no result is wrong.
//!
//! C libraries that take an allocator (`sqlite`, `lua`) get their memory from a heap, and each of
//! their requests can fail.

#[cfg(feature = "foreign-allocators")]
pub mod allocators;
pub mod axum;
#[cfg(feature = "shuttle")]
pub mod axum_shop;
pub mod leaderboard;
pub mod lua;
pub mod popular;
pub mod regex;
mod region;
pub mod serde_json;
pub mod sqlite;
mod subject;
pub mod table;
pub mod version;

use std::alloc::GlobalAlloc;

use mallory::{GlobalHeap, Scenario};

use crate::services::fixture;
use crate::services::lfs_batch_sqlite::LfsBatchSqlite;
use crate::services::task_repository_sqlite::TaskRepositories;

use subject::PROGRAM;
pub use subject::{Aborts, ForeignSubject};

/// The subjects of the group `foreign`.
pub const SUBJECTS: [ForeignSubject; 3] = [serde_json::SUBJECT, regex::SUBJECT, axum::SUBJECT];

/// All of them, over the program's global allocator: the groups `foreign` and `popular`.
#[must_use]
pub fn scenarios<A: GlobalAlloc + Sync>(heap: &'static GlobalHeap<A>) -> Vec<Scenario> {
    let foreign = SUBJECTS.map(|subject| subject.scenario("foreign", heap));
    let popular = popular::SUBJECTS.map(|subject| subject.scenario("popular", heap));
    let durable = Scenario::script::<LfsBatchSqlite>(
        "scenarios/scripts/lfs-batch-sqlite.ron",
        include_str!("../../scripts/lfs-batch-sqlite.ron"),
    );
    let durable = durable.input(fixture::lfs_requests).group("foreign").rerun_by(PROGRAM);
    let repository = Scenario::script::<TaskRepositories>(
        "scenarios/scripts/task-repository-sqlite.ron",
        include_str!("../../scripts/task-repository-sqlite.ron"),
    );
    let repository = repository.group("foreign").rerun_by(PROGRAM);
    let leaderboard = leaderboard::sweep::scenario(heap);
    let others = [leaderboard, sqlite::scenario(), lua::scenario(), durable, repository];
    foreign.into_iter().chain(others).chain(popular).collect()
}
