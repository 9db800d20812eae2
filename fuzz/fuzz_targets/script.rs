//! The reader of scripts and cases.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::targets::script(bytes));
