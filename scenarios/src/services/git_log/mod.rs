//! The parser of `git log --raw` that the services read their input with, object ids and digests.
//! Nothing here allocates.

pub mod id;
pub mod log;

pub use id::{Digest, Id};
pub use log::{Change, ChangeKind, Commit, Log};
