//! A shelf with the planted bug that the variable PLANTED_SHELF names: how soon is it reached?
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::fuzz_targets::planted(bytes));
