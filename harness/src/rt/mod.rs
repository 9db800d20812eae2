//! What is known of the run that a model checker drives on this OS thread. `sync` and `thread`
//! report to it, `heap` and `run` ask it, `host` begins and ends runs.
//!
//! Shuttle and loom run every logical thread of a run on one OS thread, each on a stack of its own.
//! A plain thread-local therefore holds the value of whichever logical thread used it last. What
//! has to follow the logical thread is kept here: its number (in spawn order; 0 is the subject's
//! own) and the address at which its backtraces end. Every switch between threads happens inside
//! [`across_switch`], which saves both on the stack of the thread that is left and restores them
//! when that thread runs again.
//!
//! Without the features `shuttle` and `loom` there is one thread, number 0, and no scheduling
//! point.
//!
//! | question | file |
//! |---|---|
//! | Which engines are there, and what do threads do to what they share? | `point` |
//! | Which thread runs? What happens at a scheduling point? How is a run abandoned? | `execution` |
//! | How do threads start, end, and wait for locks, notifications and each other? | `blocking` |
//! | Who holds which lock, who waits for what, and is that a deadlock? | `lock_table` |
//! | How are several threads stored in one word, and how many can there be? | `thread_set` |
//! | Where do a thread's backtraces end? | `backtrace_end` |
//! | How does shuttle make many runs in one execution? | `task_pool` |
//! | On which stacks do loom's threads run? | `stack` |
//! | What do all these do in a build without a model checker? | `no_model` |

pub(crate) mod backtrace_end;
#[cfg(mallory_model)]
pub(crate) mod blocking;
#[cfg(mallory_model)]
pub(crate) mod execution;
#[cfg(mallory_model)]
pub(crate) mod lock_table;
#[cfg(not(mallory_model))]
pub(crate) mod no_model;
pub(crate) mod point;
#[cfg(feature = "loom")]
pub(crate) mod stack;
#[cfg(feature = "shuttle")]
pub(crate) mod task_pool;
pub(crate) mod thread_set;

pub(crate) use crate::rt::backtrace_end::{backtrace_end, set_backtrace_end};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::blocking::{
    LOOM_THREADS_MAX, note_acquired, note_notify, note_released, note_wait, note_woken,
    thread_count,
};
#[cfg(mallory_model)]
pub(crate) use crate::rt::blocking::{Spawned, end_main_thread, join, spawn};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::blocking::{acquire, notify, release, try_acquire, wait_on_condvar};
#[cfg(mallory_model)]
pub(crate) use crate::rt::execution::{
    AbandonedRun, ThreadListener, abandon, begin_run, current_thread, deadlock, end_run, engine,
    first_panic, is_abandoned, listen, note_panic, scheduling_point, scheduling_point_on,
    without_points, yield_now,
};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::execution::{across_switch, exceeded_thread_limit, record_operation};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::execution::{pass_points_until, set_current_thread, take_counted_point};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::lock_table::points;
#[cfg(mallory_model)]
pub(crate) use crate::rt::lock_table::{BlockedThread, LockMode, ObjectId, WaitsFor, run};
#[cfg(not(mallory_model))]
pub(crate) use crate::rt::no_model::{current_thread, scheduling_point, without_points};
#[cfg(mallory_model)]
pub(crate) use crate::rt::point::CurrentEngine;
pub(crate) use crate::rt::point::{SharedOp, SharedOpKind};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::stack::on_large_stack;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::task_pool::{
    NextTask, TaskPool, end_execution, next_task, wait_for_threads,
};
