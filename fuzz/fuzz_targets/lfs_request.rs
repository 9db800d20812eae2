//! The LFS server's parser of requests.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::lfs_request(bytes));
