//! `mallory exec`: programs in C and C++ that were never built for it. Each is compiled by the test.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod choices;
mod committed;
mod endings;
mod killed;
mod page;
mod pitfalls;
mod planted;
#[path = "../support/program.rs"]
mod program;
mod refused;
mod surroundings;
mod tree;
mod workshop;
