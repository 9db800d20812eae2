//! lfs-batch: a Git LFS server.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::lfs_batch::LfsBatch,
    mallory_scenarios::targets::requests()
);
