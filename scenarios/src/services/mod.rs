//! The services: realistic systems on a fallible allocator, each with a plain model; and what they
//! share.

pub mod cache_rebuild;
pub mod circuit_breaker;
pub mod config_cache;
pub mod container_memory;
pub mod fixture;
mod generate;
pub mod git_command;
pub mod git_log;
pub mod journal_intern;
pub(crate) mod json_writer;
pub mod lfs_batch;
#[cfg(feature = "foreign")]
pub mod lfs_batch_sqlite;
pub mod request_context;
pub mod state_listener;
pub mod task_executor;
#[cfg(feature = "foreign")]
pub mod task_repository_sqlite;
