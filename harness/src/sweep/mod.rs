//! A sweep: every request of a subject fails in turn, and what each failure shows is reported.
//!
//! The flow of a sweep, from the closure to the report:
//!
//! 1. `builder` collects what the caller asks for (`builder_core` holds what it shares with
//!    [`Explore`](crate::Explore)) in `settings`; `run_request` then
//!    starts the loop (`run_loop`), or a replay.
//! 2. `engine` is the loop of a sweep. It calls the following in order.
//! 3. `baseline` makes the fault-free runs in a child process: `measurements` are their result,
//!    with the requests, their call sites, and the fault-free result.
//!    `trace_difference` compares their events. `guarded` repeats them with inaccessible pages around every block, and `address_reuse` with
//!    addresses that are given out again at once.
//!    Before them, `first_use` fails the requests that only the first run of a process makes.
//! 4. `points` lists what to fail: each request, once and for good, new call sites first. Of a whole
//!    program `novel_points` takes some requests of each call stack, the most novel first, and
//!    `chosen_sites` leaves out what the user names, and what the C library does by itself.
//! 5. `workers` has every point run in child processes, by the `strategy` that suits: from the
//!    beginning in worker processes, or by `fork` off one pass. `journal` notes what is done (`journal_text` is its form).
//! 6. `point` makes the one faulted run of a point, and repeats it for call sites if it shows a
//!    bug. `observation` is what it hands back; `point_status` is its outcome in shared memory.
//! 7. Deaths and outcomes that the parent judges are confirmed, each in an `isolated_run`;
//!    `exit_outcome` names them. `leak_trend` confirms leaks of the global allocator by repetition.
//!    If runs learn from each other, or write where they may not (`stray_accesses`), the engine
//!    begins again: each run then has a process of its own, or guarded memory.
//!    `vacuity` refuses what would pass for nothing. `whole_program` has what only programs need.
//! 8. `suppressions` names the call sites, lets `grouping` make one finding of each root cause,
//!    takes out what the caller allows (`allowed_file` is its committed list), and so completes
//!    the report.
//!
//! `replay` makes a single run instead: of a token, or under the caller's plan.

pub(crate) mod address_reuse;
pub(crate) mod allowed_file;
pub(crate) mod baseline;
pub(crate) mod builder;
pub(crate) mod builder_core;
pub(crate) mod chosen_sites;
pub(crate) mod engine;
pub(crate) mod exit_outcome;
pub(crate) mod first_use;
pub(crate) mod fork;
pub(crate) mod grouping;
pub(crate) mod guarded;
pub(crate) mod isolated_run;
pub(crate) mod journal;
pub(crate) mod journal_text;
pub(crate) mod leak_trend;
pub(crate) mod measurements;
pub(crate) mod novel_points;
pub(crate) mod observation;
pub(crate) mod point;
pub(crate) mod point_status;
pub(crate) mod points;
#[cfg(feature = "preload")]
pub(crate) mod program;
pub(crate) mod replay;
pub(crate) mod run_loop;
pub(crate) mod run_request;
pub(crate) mod settings;
pub(crate) mod strategy;
pub(crate) mod stray_accesses;
pub(crate) mod suppressions;
pub(crate) mod trace_difference;
pub(crate) mod vacuity;
pub(crate) mod whole_program;
pub(crate) mod workers;

pub use self::builder::{Setup, Sweep};
pub use self::settings::Progress;
pub use crate::report::outcome::Strategy;
pub use crate::run::demands::{HasOperation, HasSetup, Shareable};
pub use crate::run::subject::{Classify, Observe, Returned};
