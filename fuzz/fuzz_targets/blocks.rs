//! A heap and its ledger beside a naive map of blocks.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::parts::Blocks);
