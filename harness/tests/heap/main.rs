//! Heaps: the blocks that they hand out, what they detect, the ports below them, and threads.

mod adversary;
mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod owners;
mod port_contract;
mod strict_inner;
mod system_port;
mod threads;
