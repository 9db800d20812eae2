//! The service config-cache: a cache of configurations, on a heap that may refuse.
//!
//! A `configuration` is read once, when it is stored; later requests find its lines. The `cache`
//! keeps as many as its capacity says, each until its time is over, and counts hits and misses.
//! Time passes by the operation `Advance` only. `entries` are found by name and are in the order of
//! their last use, so that the one whose last use is longest ago is evicted.
//!
//! An `answer` is lent from the cache where the stored text is what was asked for, and a text of
//! the caller's where an override or a default changes it. `system` is the cache as Mallory's
//! `System`.

mod answer;
mod cache;
mod configuration;
mod entries;
mod model;
mod operation;
mod system;

pub use answer::{Answer, Value};
pub use cache::ConfigCache;
pub use model::Model;
pub use operation::{
    CAPACITY_MAX, Gone, LINES_MAX, NAME_MAX, Op, Refusal, Reply, SOURCE_MAX, Stats,
};
