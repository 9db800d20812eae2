//! Child processes: how they are started, watched, heard and reaped. A run that may abort, crash,
//! exit or hang happens in one, so that the parent survives it and can report it.
//!
//! The life of a child, and the file of each step:
//!
//! 1. **Fork.** [`child`] forks for one task (`child::ask`), and [`worker_pool`] keeps a fixed
//!    number of workers that take items (points of a sweep, or searches) from a shared list until
//!    none is left. [`fork_pool`] forks a child in the middle of a run, once for each request that
//!    is to fail. [`page_tables`] makes such forks cheap. [`forked_call`] makes a single call in a
//!    fork of a child, so that calls don't learn from each other.
//! 2. **Start.** The child puts its standard streams to `/dev/null`, takes away what a test runner
//!    captures ([`output_capture`]), closes the parent's locked files ([`file_lock`]), attaches its
//!    [`status`], installs its [`signal_handlers`] and sends a first message. One that doesn't is killed and
//!    replaced.
//! 3. **Work.** A plan needs no transport: the child is a copy of its parent, so the subject's
//!    closure and the plan that injects its *faults* are simply there. A worker learns its item's
//!    number from shared memory. [`randomness`] answers the run's random numbers from its seed. The
//!    run sends a [`heartbeat`] while it makes requests, and has a
//!    directory of its own ([`scratch_dir`]). [`thread_births`] numbers the threads that it starts.
//!    Of a test program's requests, [`test_scope`] tells which are the test's.
//! 4. **Report.** *Findings* come back as messages through the [`pipe`], in the byte format of
//!    [`codec`], by a worker after each item, by an isolated
//!    run as soon as each is known.
//! 5. **Death.** The signal handlers write to the child's status why it dies: its call stack
//!    ([`backtrace`]), the block whose page was touched ([`guard_pages`]), or where it hangs
//!    ([`stalls`]).
//!    [`access_size`] reads how much the instruction accesses, and [`wild_jump`] finds the caller where
//!    there is no instruction.
//! 6. **Reap.** The parent ([`child_handle`]) polls pipe and child, kills a child whose
//!    [`watchdog`] has expired, and turns wait status and shared memory into a `Death` ([`exit`]).
//!    The worker pool then forks a replacement. What the subject started and left is ended
//!    (`leftovers`).
//!
//! What survives a death, and where:
//!
//! - In the pipe: every message that was sent whole, so findings, fingerprints and the injected
//!   fault. A message that the death cut short is dropped.
//! - In [`shared_memory`]: a byte for each item, which is its outcome; the item that the child was
//!   at, its schedule, and how the runs of that item ended; the number of heartbeats; the mark of a
//!   signal handler and its words, such as a call stack.
//!
//! A message can get lost, for instance if the subject closes the pipe. The item's byte then still
//! says that there was a finding, and the caller runs the item again.
//!
//! [`descriptors`] keeps our files out of the way of a whole program, and `file_limit` bounds what one
//! writes.
//!
//! [`atomic_file`] is here because two processes may write the same file at once, and [`shared_log`]
//! because children learn the same names one after the other.

pub(crate) mod access_size;
pub(crate) mod atomic_file;
pub(crate) mod backtrace;
pub(crate) mod child;
pub(crate) mod child_handle;
pub(crate) mod codec;
pub(crate) mod descriptors;
pub(crate) mod exit;
#[cfg(feature = "preload")]
pub(crate) mod file_limit;
pub(crate) mod file_lock;
pub(crate) mod fork_pool;
pub(crate) mod forked_call;
pub(crate) mod guard_pages;
pub(crate) mod guard_region;
#[cfg(feature = "preload")]
pub(crate) mod handled_signals;
pub(crate) mod heartbeat;
#[cfg(target_os = "linux")]
pub(crate) mod hit_list;
pub(crate) mod leftovers;
pub(crate) mod output_capture;
pub(crate) mod page_tables;
pub(crate) mod pipe;
pub(crate) mod randomness;
#[cfg(target_os = "linux")]
pub(crate) mod reachability;
pub(crate) mod scratch_dir;
pub(crate) mod shared_log;
pub(crate) mod shared_memory;
pub(crate) mod signal_handlers;
pub(crate) mod stalls;
pub(crate) mod status;
pub(crate) mod test_scope;
pub(crate) mod thread_births;
pub(crate) mod watchdog;
pub(crate) mod wild_jump;
pub(crate) mod worker_pool;
