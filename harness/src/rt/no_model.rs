//! The run's state in a build without a model checker: one thread, and no scheduling points.

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
