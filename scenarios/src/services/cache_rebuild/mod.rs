//! The service cache-rebuild: reads a log of commits, keeps an index path → commits and commit →
//! paths in a cache file, and serves look-ups from that file.
//!
//! ```text
//!  log ─parse─▶ Index ─encode─▶ image ─▶ temporary file ─rename─▶ cache file ─▶ look-ups
//!      └────────── in one arena ─────────┘
//! ```
//!
//! The rename is the only step that other processes see, and nothing can fail after it: a failed
//! rebuild leaves the old cache as it was, and no temporary file.

mod error;
mod image;
mod index;
mod model;
mod operation;
pub mod shared;
mod store;
mod system;

pub use error::Error;
pub use model::{Cached, Model};
pub use operation::{BUDGET, BUDGET_WARNING, Ids, Op, Reply, Summary};
pub use system::CacheRebuild;
