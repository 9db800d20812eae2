//! What the services know of git: logs of commits, object ids, digests. Nothing here allocates.

pub mod id;
pub mod log;

pub use id::{Digest, Id};
pub use log::{Change, Commit, Kind, Log};
