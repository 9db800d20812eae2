//! The LFS server's reader of requests.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::targets::lfs_request(bytes));
