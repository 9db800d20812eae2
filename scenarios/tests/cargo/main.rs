//! `cargo mallory`: the tests of a small crate, which each test here copies, builds and sweeps.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod allowed;
mod mistakes;
mod nextest;
mod outcomes;
mod workshop;
