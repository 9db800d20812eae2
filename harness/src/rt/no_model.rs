//! The run's state in a build without a model checker: one thread, and no scheduling points.

use crate::rt::access::{AccessKind, Object};
use crate::rt::point::SharedOp;

#[inline]
pub(crate) fn current_thread() -> u16 {
    0
}

#[inline]
pub(crate) fn scheduling_point(_: SharedOp) {}

#[inline]
pub(crate) fn without_points<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[inline]
pub(crate) fn log_access(_: Object, _: AccessKind) {}

#[inline]
pub(crate) fn note_block_access(_: usize, _: bool) {}

pub(crate) fn set_daemon_names(_: &[String]) {}

#[inline]
pub(crate) fn watch_block(_: usize, _: usize) {}

#[inline]
pub(crate) fn note_block_free(_: usize) {}

#[inline]
pub(crate) fn log_block_access(_: usize, _: AccessKind) {}
