//! The parsers of a sweep's journal and of a log of commits.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::journal(bytes));
