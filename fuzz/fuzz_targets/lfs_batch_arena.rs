//! lfs-batch-arena: a Git LFS server whose store has its texts in an arena.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::services::lfs_batch::LfsBatchArena,
    mallory_scenarios::fuzz_targets::requests()
);
