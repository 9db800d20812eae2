//! Ports beside the model of their contract.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::targets::ports(bytes));
