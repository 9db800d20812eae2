//! The reader of tokens.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::targets::token(bytes));
