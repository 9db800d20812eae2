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
//! | Which logical thread runs? | `current` |
//! | Which engines are there, and what do threads do to what they share? | `point` |
//! | What happens at a scheduling point? How is a run abandoned? | `execution` |
//! | How do threads start, end, and wait for locks, notifications and each other? | `blocking` |
//! | Who holds which lock, who waits for what, and is that a deadlock? | `lock_table`; what changes it is in `locks`, `waits` and `run_threads` |
//! | How does a thread yield and sleep, and when does it have to wait for its turn? | `pauses`, `yields` |
//! | Which operations of two threads may be exchanged? | `access` |
//! | What may a task choose by itself at a point? | `own_choice` |
//! | What did the threads of a run do, and which could have gone on instead? | `run_log`, to which `access_log` adds |
//! | Which blocks of memory are watched for data races? | `watched_blocks` |
//! | Which number has a lock, an atomic or a condition variable in a run? | `object_id` |
//! | How are sets of threads stored, and how many threads can there be? | `thread_set` |
//! | Where do a thread's backtraces end? | `backtrace_end` |
//! | How does shuttle make many runs in one execution? | `task_pool` |
//! | On which stacks do loom's threads run? | `stack` |
//! | What do peers have that is not here, and what does the compiler say to it? | `refused` |
//! | What do all these do in a build without a model checker? | `no_model` |

#[cfg_attr(
    not(all(feature = "shuttle", feature = "loom", feature = "ron")),
    allow(dead_code, reason = "each engine logs a part of it")
)]
pub(crate) mod access;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod access_log;
pub(crate) mod backtrace_end;
#[cfg(mallory_model)]
pub(crate) mod blocking;
#[cfg(mallory_model)]
pub(crate) mod current;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod execution;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod lock_table;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod locks;
#[cfg(not(mallory_model))]
pub(crate) mod no_model;
#[cfg(mallory_model)]
pub(crate) mod object_id;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom's tasks choose nothing"))]
pub(crate) mod own_choice;
#[cfg(mallory_model)]
pub(crate) mod pauses;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod point;
pub(crate) mod refused;
pub(crate) mod run_log;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod run_threads;
#[cfg(feature = "loom")]
pub(crate) mod stack;
#[cfg(feature = "shuttle")]
pub(crate) mod task_pool;
pub(crate) mod thread_set;
#[cfg(mallory_model)]
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom needs a part of it"))]
pub(crate) mod waits;
#[cfg(mallory_model)]
pub(crate) mod watched_blocks;
#[cfg(mallory_model)]
pub(crate) mod yields;

#[cfg(mallory_model)]
pub(crate) use crate::rt::access::Orders;
pub(crate) use crate::rt::access::{AccessKind, Object};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::access_log::log_value;
#[cfg(mallory_model)]
pub(crate) use crate::rt::access_log::{
    log_access, log_block_access, log_ordering_access, note_block_free, return_log, take_log,
    watch_block,
};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::access_log::{log_ordered, set_log_partial};
pub(crate) use crate::rt::backtrace_end::{backtrace_end, set_backtrace_end};
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) use crate::rt::blocking::choose_branch;
#[cfg(feature = "loom")]
pub(crate) use crate::rt::blocking::{
    LOOM_THREADS_MAX, note_acquired, note_notify, note_released, note_wait, note_woken,
    thread_count,
};
#[cfg(mallory_model)]
pub(crate) use crate::rt::blocking::{Spawned, end_main_thread, is_thread_finished, join, spawn};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::blocking::{
    acquire, arrive, await_wake, notify, park, poll_point, release, try_acquire, unpark,
    wait_for_permit, wait_on_condvar, wake_task,
};
#[cfg(mallory_model)]
pub(crate) use crate::rt::current::current_thread;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::current::set_current_thread;
#[cfg(mallory_model)]
pub(crate) use crate::rt::execution::{
    AbandonedRun, ThreadListener, abandon, begin_run, deadlock, end_run, engine, first_panic,
    is_abandoned, is_daemon_name, listen, note_block_access, note_panic, record_operation,
    scheduling_point, scheduling_point_on, set_daemon_names, without_points,
};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::execution::{across_switch, exceeded_thread_limit};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::execution::{count_point, pass_points_until, take_counted_point};
#[cfg(mallory_model)]
pub(crate) use crate::rt::lock_table::{BlockedThread, LockMode, WaitsFor, run};
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::locks::set_permits;
#[cfg(not(mallory_model))]
pub(crate) use crate::rt::no_model::{
    current_thread, log_access, log_block_access, note_block_access, note_block_free,
    scheduling_point, set_daemon_names, watch_block, without_points,
};
#[cfg(mallory_model)]
pub(crate) use crate::rt::object_id::ObjectId;
#[cfg(all(mallory_model, feature = "tokio"))]
pub(crate) use crate::rt::pauses::{present_time, wake_at};
#[cfg(mallory_model)]
pub(crate) use crate::rt::pauses::{simulated_now, sleep, yield_now};
#[cfg(mallory_model)]
pub(crate) use crate::rt::point::CurrentEngine;
pub(crate) use crate::rt::point::{SharedOp, SharedOpKind};
#[cfg(mallory_model)]
pub(crate) use crate::rt::run_threads::set_daemon;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::run_threads::{
    add_foreign_threads, begin_step, choices, foreign_threads, only_daemons_are_left, points, steps,
};
#[cfg(feature = "loom")]
pub(crate) use crate::rt::stack::on_large_stack;
#[cfg(feature = "shuttle")]
pub(crate) use crate::rt::task_pool::{
    NextTask, TaskPool, end_execution, next_task, wait_for_threads,
};
#[cfg(all(feature = "shuttle", feature = "tokio"))]
pub(crate) use crate::rt::waits::withdraw_offer;
