//! The processes of a sweep: how children end, what they must not disturb, and sweeps that are
//! configured by the environment, killed and resumed.
#![cfg(unix)]

#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod environment;
#[cfg(target_os = "linux")]
mod full_disk;
#[cfg(target_os = "linux")]
mod interference;
mod journal;
mod other_threads;
#[cfg(target_os = "linux")]
mod process_state;
mod subject;
