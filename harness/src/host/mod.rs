//! Hosts: loops that own us. A model checker calls the subject, once for each schedule, and asks
//! which of its threads goes on.

#[cfg(feature = "loom")]
pub(crate) mod loom;
#[cfg(feature = "shuttle")]
pub(crate) mod shuttle;

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::Error;
use crate::rt::thread_set::THREADS_MAX;
#[cfg(mallory_model)]
use crate::run::outcome::Cue;
use crate::run::outcome::{ScheduledEnd, ThreadScheduler};
use crate::schedule::search::Search;

/// Something that is run once for each schedule of a search.
pub(crate) trait ScheduledRun {
    /// Before a schedule's threads begin.
    fn begin(&mut self);

    /// What its first thread does.
    fn body(&mut self);

    /// After the last of its threads. False: that is enough.
    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool;
}

/// Who runs threads one at a time, and asks a search whose turn it is.
pub(crate) trait Host: ThreadScheduler {
    /// Runs a piece for each schedule of the search.
    fn search(&self, search: Rc<RefCell<Search>>, piece: &mut dyn ScheduledRun);

    /// So many threads it can tell apart, the subject's own included.
    fn threads_max(&self) -> usize {
        THREADS_MAX
    }

    /// Whether what happens in one thread is nothing that another one's requests may depend on.
    fn is_weak(&self) -> bool {
        false
    }

    /// All schedules of this host with at most so many preemptions, `limit` of them at most.
    fn bounded(&self, preemptions: u32, limit: u64) -> Search {
        Search::bounded(preemptions, limit)
    }
}

/// One run as a piece, after as many rehearsals as the host needs to come to it.
#[cfg(mallory_model)]
pub(crate) struct RehearsedRun<'a> {
    cue: &'a mut dyn FnMut(Cue),
    /// Which of the schedules it is, and how many have begun.
    at: u64,
    begun: u64,
    conducted: ScheduledEnd,
}

#[cfg(mallory_model)]
impl<'a> RehearsedRun<'a> {
    pub(crate) fn at(at: u64, cue: &'a mut dyn FnMut(Cue)) -> Self {
        RehearsedRun { cue, at, begun: 0, conducted: ScheduledEnd::default() }
    }

    pub(crate) fn conducted(self) -> ScheduledEnd {
        self.conducted
    }
}

#[cfg(mallory_model)]
impl ScheduledRun for RehearsedRun<'_> {
    fn begin(&mut self) {
        self.begun += 1;
        if self.begun < self.at {
            (self.cue)(Cue::Rehearse);
        }
    }

    fn body(&mut self) {
        (self.cue)(Cue::Body);
    }

    fn end(&mut self, conducted: ScheduledEnd, _: &Search) -> bool {
        if self.begun < self.at {
            (self.cue)(Cue::Cut);
            return true;
        }
        self.conducted = conducted;
        false
    }
}

/// Who lets the threads take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Shuttle,
    Loom,
}

impl Engine {
    pub(crate) const ALL: [Engine; 2] = [Engine::Shuttle, Engine::Loom];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Shuttle => "shuttle",
            Engine::Loom => "loom",
        }
    }

    /// Whether this build has it.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Engine::Shuttle => cfg!(feature = "shuttle"),
            Engine::Loom => cfg!(feature = "loom"),
        }
    }

    /// What is wrong where it isn't there.
    pub(crate) fn missing(self) -> Error {
        let name = self.name();
        Error::new(format!("this build has no {name}: exploring needs the feature `{name}`"))
            .help(format!("build with --features {name}"))
    }
}

/// Shuttle, where this build has it.
pub(crate) fn shuttle() -> Result<&'static dyn Host, Error> {
    #[cfg(feature = "shuttle")]
    return Ok(&shuttle::Shuttle);
    #[cfg(not(feature = "shuttle"))]
    Err(Engine::Shuttle.missing())
}

/// Loom, where this build has it.
pub(crate) fn loom() -> Result<&'static dyn Host, Error> {
    #[cfg(feature = "loom")]
    return Ok(&loom::Loom);
    #[cfg(not(feature = "loom"))]
    Err(Engine::Loom.missing())
}

/// Readies this process for runs under a host. Before any fork.
pub(crate) fn settle() {
    #[cfg(feature = "loom")]
    loom::settle();
    #[cfg(feature = "shuttle")]
    shuttle::settle();
}
