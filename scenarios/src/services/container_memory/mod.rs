//! The service container-memory: the memory manager of a container runtime.
//!
//! A `manager` keeps containers (`container`), whose names are in a string pool and whose logs are in
//! pooled buffers. Each operation works in one of three arenas: for containers, for the network, for
//! the configuration (`parse` reads texts there). What a container holds besides memory, an address
//! and a control group, comes from the `host`; an `error_context` gives it back, newest first, if a
//! later step fails. A `managed` resource is cleaned up when its guard is dropped. The `tracker`
//! counts bytes by owner, and `limits` are checked before anything is allocated.
//!
//! When memory is short, the manager gives up what it can make again, cached specifications (`cache`)
//! and blocks that wait in pools, and makes one more attempt; under `pressure` it does so ahead of
//! time, and in an emergency drops the logs of stopped containers. `metrics` are written as JSON.
//! `system` is the manager as Mallory's `System`.

mod cache;
mod container;
mod error_context;
mod host;
mod limits;
mod managed;
mod manager;
mod metrics;
mod model;
mod operation;
mod parse;
mod pressure;
mod system;
mod tracker;

pub use container::{CONTAINER_BYTES, LOG_BUFFERS};
pub use error_context::ErrorContext;
pub use host::{Host, Resource};
pub use managed::ManagedResource;
pub use manager::MemoryManager;
pub use metrics::Metrics;
pub use model::Model;
pub use operation::{ENV_MAX, ID_MAX, LOG_MAX, Op, Refusal, Reply, State};
pub use pressure::Level;
pub use tracker::{Owner, Tracker};
