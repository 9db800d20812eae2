//! lfs-batch: a Git LFS server.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::services::lfs_batch::LfsBatch,
    mallory_scenarios::fuzz_targets::requests()
);
