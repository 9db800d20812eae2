//! Threads in every order up to a bound, by shuttle and by loom.

#[cfg(feature = "shuttle")]
mod concurrent;
#[cfg(feature = "loom")]
mod loom_racy;
#[cfg(any(feature = "shuttle", feature = "loom"))]
mod pairs;
#[cfg(any(feature = "shuttle", feature = "loom"))]
#[path = "../support/program.rs"]
mod program;
#[cfg(feature = "shuttle")]
mod racy;
#[cfg(feature = "shuttle")]
mod scripts;
