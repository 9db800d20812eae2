//! Ports, compared with the model of their contract.
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::ports(bytes));
