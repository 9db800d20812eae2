//! A Git LFS server's batch API without the network: the JSON of a request in, the JSON of a
//! response out, over a metadata store.
//!
//! Every call works in its own arena (`server`), where the request is read (`json_reader`,
//! `request`, `pointer`) and the response is written (`batch`, `object`, `response`). Only what the
//! `store` keeps and the reply itself are allocated from the heap. A mistake of a client is a
//! `fault`, which becomes an error reply. `system` is the server as Mallory's `System`, twice: the
//! store's texts (`fields`) are in blocks of their own, or in an arena.
//!
//! The protocol: <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>.

mod batch;
mod fault;
pub mod fields;
mod json_reader;
pub mod model;
mod object;
pub mod oid;
pub mod pointer;
mod request;
mod response;
pub mod server;
pub mod shared;
pub mod store;
pub(crate) mod system;

pub use oid::Oid;
pub use response::Reply;
pub use server::Server;
pub use system::{Error, LfsBatch, LfsBatchArena, Op, Request};
