//! A shelf with the planted bug that the variable MALLORY_PLANTED names: how soon is it reached?
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::planted(bytes));
