//! A heap and its ledger, compared with a map of blocks.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::systems::Blocks);
