//! What a host runs, and what every host provides.

use std::cell::RefCell;
use std::rc::Rc;

use crate::rt::run_log::RunLog;
use crate::rt::thread_set::THREADS_MAX;
#[cfg(mallory_model)]
use crate::run::outcome::Cue;
use crate::run::outcome::{ScheduledEnd, ThreadScheduler};
use crate::schedule::default_order::Bound;
use crate::schedule::search::{Search, SearchOptions};

/// A run that a host makes once for each schedule of a search.
pub(crate) trait ScheduledRun {
    /// Prepares the next run, before its threads begin.
    fn begin(&mut self);

    /// Runs the subject, as the run's first thread.
    fn body(&mut self);

    /// Sees the log of the run, before [`end`](Self::end).
    #[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "only loom's runs are compared"))]
    fn read_log(&mut self, _: &RunLog) {}

    /// Evaluates the run, after the last of its threads. Returns whether the search continues.
    fn end(&mut self, end: ScheduledEnd, search: &Search) -> bool;
}

/// Runs the threads of a model one at a time, and asks a search which one continues.
pub(crate) trait Host: ThreadScheduler {
    /// Makes a run for each schedule of the search.
    fn search(&self, search: Rc<RefCell<Search>>, run: &mut dyn ScheduledRun);

    /// The number of threads that a run can have, the subject's own included.
    fn threads_max(&self) -> usize {
        THREADS_MAX
    }

    /// Whether the host leaves out schedules that differ only in the order of requests in different
    /// threads. If so, no request's result may depend on another thread's requests.
    fn is_weak(&self) -> bool {
        false
    }

    /// All schedules of this host within the bound, up to `limit` of them.
    fn bounded(&self, bound: Bound, options: SearchOptions, limit: u64) -> Search {
        Search::bounded(bound, options, limit)
    }
}

/// One run, made after as many rehearsals as the host needs to reach its schedule: loom can only
/// repeat its search from the start.
#[cfg(mallory_model)]
pub(crate) struct RehearsedRun<'a> {
    cue: &'a mut dyn FnMut(Cue),
    /// The number of the schedule that is wanted, from 1, and how many have begun.
    wanted: u64,
    begun: u64,
    end: ScheduledEnd,
}

#[cfg(mallory_model)]
impl<'a> RehearsedRun<'a> {
    /// The run of the host's `wanted`th schedule, counted from 1.
    pub(crate) fn new(wanted: u64, cue: &'a mut dyn FnMut(Cue)) -> Self {
        RehearsedRun { cue, wanted, begun: 0, end: ScheduledEnd::default() }
    }

    /// How the run ended.
    pub(crate) fn into_end(self) -> ScheduledEnd {
        self.end
    }
}

#[cfg(mallory_model)]
impl ScheduledRun for RehearsedRun<'_> {
    fn begin(&mut self) {
        self.begun += 1;
        if self.begun < self.wanted {
            (self.cue)(Cue::Rehearse);
        }
    }

    fn body(&mut self) {
        (self.cue)(Cue::Body);
    }

    fn end(&mut self, end: ScheduledEnd, _: &Search) -> bool {
        if self.begun < self.wanted {
            (self.cue)(Cue::Cut);
            return true;
        }
        self.end = end;
        false
    }
}
