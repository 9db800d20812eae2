//! A shelf with a planted bug, which the variable MALLORY_PLANTED names: how soon is it reached?
#![no_main]

mallory::fuzz::fuzz_target!(|bytes| mallory_scenarios::targets::planted(bytes));
