//! The services and the memory parts that they are built on: everything in this binary is expected
//! to be clean, so it can also be run under a sanitizer.

mod adversary;
mod by_hand;
mod cache_rebuild;
mod circuit_breaker;
mod config_cache;
mod container_memory;
mod git_command;
mod git_log;
mod journal_intern;
mod lfs_batch;
mod memory;
mod operations;
mod outside;
mod properties;
mod request_context;
mod state_listener;
mod survival;
mod task_executor;
mod threads;
