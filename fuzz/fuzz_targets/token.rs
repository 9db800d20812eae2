//! The parser of tokens.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::token(bytes));
