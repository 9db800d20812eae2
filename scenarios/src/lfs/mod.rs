//! A Git LFS server's batch API without the network: the JSON of a request in, the JSON of a
//! response out, over a metadata store.
//!
//! Every call works in an arena of its own (`server`); requests are read (`json_reader`,
//! `request`, `pointer`) and answered (`batch`, `object`, `response`, `json_writer`) there, and
//! only what the `store` keeps and the reply itself come from the heap. What a client does wrong
//! is a `fault`, told in a reply.
//!
//! The protocol: <https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>.

mod batch;
mod fault;
mod json_reader;
mod json_writer;
pub mod model;
mod object;
pub mod oid;
pub mod pointer;
mod request;
mod response;
pub mod server;
pub mod shared;
#[cfg(feature = "foreign")]
pub mod sqlite_store;
pub mod store;

pub use oid::Oid;
pub use response::Reply;
pub use server::Server;
