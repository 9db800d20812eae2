//! Threads in every order up to a bound, by shuttle and by loom.

#[cfg(all(feature = "shuttle", feature = "foreign"))]
mod axum_shop;
#[cfg(feature = "shuttle")]
mod classics;
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
mod queue;
#[cfg(feature = "shuttle")]
mod racy;
#[cfg(feature = "shuttle")]
mod scripts;
