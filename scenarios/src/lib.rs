//! The systems that Mallory is tried on: three services on a fallible allocator with the memory
//! parts that they share, planted bugs that it has to find, and (with the feature `foreign`) crates
//! that know nothing of it.

pub mod cache_rebuild;
mod draw;
pub mod fixture;
#[cfg(feature = "foreign")]
pub mod foreign;
pub mod journal;
pub mod journal_intern;
pub mod lfs;
pub mod lfs_batch;
pub mod memory;
pub mod parts;
pub mod planted;
pub mod shelf;
pub mod targets;

use mallory::Scenario;

/// Everything that the command line can be told to sweep.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    services().into_iter().chain(planted::scenarios()).collect()
}

/// The three services, each with its script and its input.
fn services() -> Vec<Scenario> {
    macro_rules! script {
        ($system:ty, $file:literal) => {
            Scenario::script::<$system>(
                concat!("scenarios/scripts/", $file),
                include_str!(concat!("../scripts/", $file)),
            )
        };
    }
    vec![
        script!(cache_rebuild::CacheRebuild, "cache-rebuild.ron").input(fixture::journal),
        script!(journal_intern::JournalIntern, "journal-intern.ron").input(fixture::journal),
        script!(lfs_batch::LfsBatch, "lfs-batch.ron").input(fixture::lfs_requests),
    ]
}
