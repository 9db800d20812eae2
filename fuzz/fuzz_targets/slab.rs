//! A slab, watched as a heap of its own, beside a naive map of blocks.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::parts::Slabs);
