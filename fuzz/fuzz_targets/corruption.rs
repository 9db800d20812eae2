//! Damaged blocks: each kind of damage is found as itself.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::corruption(bytes));
