//! `mallory exec`: programs in C and C++ that were never built for it. Each is compiled by the test.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod planted;
#[path = "../support/program.rs"]
mod program;
mod surroundings;
mod workshop;
