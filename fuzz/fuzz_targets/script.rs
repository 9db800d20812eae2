//! The parser of scripts and cases.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::script(bytes));
