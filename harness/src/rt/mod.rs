//! Which model checker drives this OS thread, and which of its logical threads is on.
//!
//! Under shuttle and loom every thread of a model is a stack of its own on one OS thread, so what
//! a thread-local says belongs to whoever happens to run. What has to follow the logical thread is
//! kept here: its number (spawn order; 0 is the subject's own), and how far out its call stacks are
//! taken. It follows because every change of threads happens inside a call of ours ([`away`]), which
//! notes both on the stack that is left and puts them back when that stack goes on.
//!
//! Without the features `shuttle` and `loom` there is one thread, number 0, and no point ever.

#[cfg(mallory_model)]
pub(crate) mod blocking;
#[cfg(mallory_model)]
pub(crate) mod execution;
#[cfg(mallory_model)]
pub(crate) mod lock_table;
pub(crate) mod point;
#[cfg(feature = "loom")]
pub(crate) mod stack;
#[cfg(feature = "shuttle")]
pub(crate) mod task_pool;
pub(crate) mod thread_set;

#[cfg(mallory_model)]
pub(crate) use crate::rt::blocking::*;
#[cfg(mallory_model)]
pub(crate) use crate::rt::execution::*;
#[cfg(mallory_model)]
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::lock_table::points;
#[cfg(mallory_model)]
pub(crate) use crate::rt::lock_table::{BlockedThread, LockMode, ObjectId, WaitsFor, run};
#[allow(unused_imports, reason = "without a model checker nobody asks for the engine")]
pub(crate) use crate::rt::point::{CurrentEngine, SharedOp, SharedOpKind, outer, set_outer};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::stack::on_large_stack;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::task_pool::{NextTask, TaskPool, dismiss, gather, next};

#[cfg(not(mallory_model))]
mod none {
    use crate::rt::point::{CurrentEngine, SharedOp};

    #[inline]
    pub(crate) fn engine() -> CurrentEngine {
        CurrentEngine::None
    }

    #[inline]
    pub(crate) fn logical() -> u16 {
        0
    }

    #[inline]
    pub(crate) fn point(_: SharedOp) {}

    #[inline]
    pub(crate) fn quietly<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}
#[cfg(not(mallory_model))]
pub(crate) use none::*;
