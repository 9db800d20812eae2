//! One execution of a subject: a subject and a plan of faults (and a schedule) give a [`Run`].
//!
//! The way of a run through the files of this folder:
//!
//! 1. A [`Subject`] is the code under test without its types: a closure or a set-up with an
//!    operation ([`subject`]), or a script of operations on a system, on one thread
//!    ([`script_subject`]) or on several ([`concurrent_script`]).
//! 2. A [`Job`] ([`job`]) says how to run it: which heap, which plan, which schedule, what to
//!    record.
//! 3. [`execute()`] makes a heap and a [`Stage`] ([`stage`]), through which the subject tells when
//!    the part under test begins and ends. It calls the subject through [`boundary`] and catches
//!    its panic ([`panic_capture`]). A run whose threads are scheduled goes through a
//!    [`ThreadScheduler`](outcome::ThreadScheduler), which the folder `host` implements;
//!    [`event_recorder`] then writes down what the threads do.
//! 4. [`outcome`] has the ways in which the subject's code can end. [`finished_run`] turns one of
//!    them, with what the heap noticed, into a [`Run`].
//! 5. If the run is alone in its child process, [`message`] sends its findings to the parent meanwhile.
//!
//! A subject that keeps state from run to run has each run in a process of its own ([`apart`]).
//!
//! [`linearizability`] looks for an order of concurrent operations that explains their replies,
//! [`symbolizer`] turns backtraces into call sites ([`function_name`]), and [`ddmin`] makes lists shorter. They are
//! here because several folders above use them, as [`program_result`] is, the result of a whole program. [`demands`] is what the compiler says to callers.

mod apart;
#[cfg(all(feature = "shuttle", feature = "ron"))]
pub(crate) mod concurrent_script;
pub(crate) mod ddmin;
pub(crate) mod demands;
#[cfg(mallory_model)]
pub(crate) mod event_recorder;
mod execute;
mod finished_run;
pub(crate) mod function_name;
mod job;
#[cfg(all(feature = "shuttle", feature = "ron"))]
pub(crate) mod linearizability;
pub(crate) mod message;
pub(crate) mod outcome;
pub(crate) mod panic_capture;
pub(crate) mod program_result;
pub(crate) mod script_subject;
mod stage;
pub(crate) mod subject;
pub(crate) mod symbolizer;

use crate::process::backtrace;
use crate::run::outcome::SubjectEnd;

pub(crate) use crate::run::apart::execute_apart;
pub(crate) use crate::run::execute::{RunInProgress, execute};
pub(crate) use crate::run::finished_run::Run;
pub(crate) use crate::run::job::Job;
pub(crate) use crate::run::stage::{Stage, Subject};

/// Calls the subject. This frame is the outer end of every call site; the symbolizer recognizes it
/// by the path `mallory::run::boundary`.
#[inline(never)]
fn boundary(subject: &dyn Subject, stage: &mut Stage<'_>) -> SubjectEnd {
    let ended = backtrace::within(|| subject.call(stage));
    // Work after the call keeps it from becoming a tail call, which would remove this frame.
    std::hint::black_box(&ended);
    ended
}
