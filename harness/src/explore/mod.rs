//! An exploration: faults crossed with the schedules of a subject's threads.

pub(crate) mod builder;
pub(crate) mod context;
pub(crate) mod engine;
pub(crate) mod extra_requests;
pub(crate) mod operation_log;
pub(crate) mod sampling;
pub(crate) mod shrink;
pub(crate) mod shrink_loom;
pub(crate) mod work_item;
pub(crate) mod workers;
