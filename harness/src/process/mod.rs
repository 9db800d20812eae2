//! Child processes: how they are started, watched, spoken to and ended.

pub(crate) mod atomic_file;
pub(crate) mod backtrace;
pub(crate) mod child;
pub(crate) mod codec;
pub(crate) mod exit;
pub(crate) mod fork_pool;
pub(crate) mod guard_pages;
pub(crate) mod heartbeat;
pub(crate) mod page_tables;
pub(crate) mod pipe;
pub(crate) mod scratch_dir;
pub(crate) mod shared_memory;
pub(crate) mod signal_handlers;
pub(crate) mod status;
pub(crate) mod worker_pool;
