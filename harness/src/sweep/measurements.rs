//! The result of the fault-free runs, and look-ups in it: which request is made where, and how
//! often.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::process::backtrace::LEFT_OUT;
use crate::process::codec::codec_struct;
use crate::process::test_scope;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;
use crate::run::outcome::ResultComparison;
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;
use crate::trace::{Coordinate, Injected, Op};

/// What the fault-free runs measured. `baseline` makes it in a child process, so it has a codec.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    /// How the subject fails without any fault, which is the caller's mistake.
    pub(crate) error: Option<String>,
    /// Requests of all threads together, and by thread.
    pub(crate) requests: u64,
    pub(crate) by_thread: Vec<u64>,
    pub(crate) fingerprint: u64,
    /// The most bytes that were live at a time, in a run in which growing blocks stay in place.
    pub(crate) peak: usize,
    /// What the system of a script measured of itself.
    pub(crate) metrics: Vec<(String, u64)>,
    /// The `Debug` texts of the results: one, unless schedules differ in it.
    pub(crate) texts: Vec<String>,
    /// Where the results of a whole program differ; empty if they don't.
    pub(crate) difference: String,
    /// How results are compared with them.
    pub(crate) comparison: ResultComparison,
    /// Whether there is debug information to name call sites by.
    pub(crate) has_sites: bool,
    pub(crate) sites: Vec<Site>,
    /// The index in `sites` of each request, by thread and ordinal.
    pub(crate) by_request: Vec<Vec<u32>>,
    /// Which of `sites` are left out, whose requests are not made to fail; empty for none.
    pub(crate) left_out: Vec<bool>,
    /// The index in `sites` that stands for requests that are not of the test's, in a test program.
    pub(crate) outside_test: Option<u32>,
    /// The operation and the bytes of each request, by thread and ordinal.
    pub(crate) asked: Vec<Vec<(Op, u64)>>,
    /// Bugs that show without any fault.
    pub(crate) found: Vec<Observation>,
    /// Why no faulted run can be made, if none can: the fault-free runs die, fail, or differ.
    pub(crate) dead_end: Option<String>,
    /// Requests by size class (powers of two), if `MALLORY_HISTOGRAM` asks for them.
    pub(crate) sizes: Option<Vec<u64>>,
    /// The peak in percent of the budget, if there is one.
    pub(crate) budget_used: Option<u64>,
    /// Threads that made requests, and calls of threads that belong to no run.
    pub(crate) threads: u64,
    /// Threads that were still running when their run had ended.
    pub(crate) running: u64,
    pub(crate) unattributed: u64,
    /// Notes on what statics and thread-locals keep from the first run on.
    pub(crate) once: Vec<String>,
    /// Whether the global heap that was given is not the program's allocator.
    pub(crate) misses_global: bool,
    /// How long a run took, in microseconds. It decides when a later run counts as hung, and which
    /// strategy a sweep takes; it is never printed.
    pub(crate) micros: u64,
}

impl Baseline {
    /// Checks that the subject succeeds without any fault. A failure that may follow from a bug
    /// that was found is no mistake of the caller's, but a dead end.
    ///
    /// # Errors
    /// If it fails, and nothing was found.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        let Some(error) = &self.error else {
            return Ok(());
        };
        if !self.found.is_empty() {
            self.dead_end.get_or_insert(format!("the subject fails without any fault: {error}"));
            return Ok(());
        }
        self.failure().map_or(Ok(()), Err)
    }

    /// The mistake of a subject that fails without any fault.
    pub(crate) fn failure(&self) -> Option<Error> {
        let error = self.error.as_deref()?;
        let help = match error {
            ENDLESS => {
                "a loop that waits for another thread has to call mallory::thread::yield_now"
            }
            TOO_MANY => {
                "give it a task that ends, and a small one: each run makes all requests again"
            }
            _ if test_scope::is_set() => "make it pass, or leave it out: `-- --skip NAME`",
            _ => "a sweep needs a subject that succeeds while there is memory",
        };
        let (why, said) = error.split_once('\n').unwrap_or((error, ""));
        let said = said.lines().filter(|line| !line.trim().is_empty()).take(SAID_MAX);
        let said: Vec<String> = said.map(str::to_owned).collect();
        let subject = if test_scope::is_set() { "test" } else { "subject" };
        let what = format!("the {subject} fails without any fault: {why}");
        Some(Error::new(what).listing(&said).help(help))
    }

    /// Whether runs without a fault fail for a reason that no search over schedules finds.
    pub(crate) fn fails_for_other_reasons(&self) -> bool {
        self.error.as_ref().is_none_or(|error| !self.found.is_empty() || error.starts_with(CROWD))
    }

    /// Whether the fault-free runs showed this evidence as well, before the request that failed
    /// here. Up to there all runs are equal, so it is the same bug.
    pub(crate) fn has_shown(&self, evidence: &Evidence, injected: &Injected) -> bool {
        let is_before = |moment: &Moment| match moment {
            Moment::Allocation(number) => *number <= self.allocations_before(injected.at),
            Moment::Event(event) => *event < injected.event,
            // A first free is before the second one, which is an event.
            Moment::UnknownFree(_) => true,
            _ => false,
        };
        let is_same = |known: &Evidence| {
            (known.kind, &known.block, &known.steps)
                == (evidence.kind, &evidence.block, &evidence.steps)
        };
        !evidence.steps.is_empty()
            && evidence.steps.iter().all(|step| is_before(&step.1))
            && self.found.iter().flat_map(|found| &found.evidence).any(is_same)
    }

    /// Whether something of this kind shows without any fault.
    pub(crate) fn shows(&self, kind: Kind) -> bool {
        self.found.iter().flat_map(|found| &found.evidence).any(|evidence| evidence.kind == kind)
    }

    /// Whether runs without a fault do no damage to their process.
    pub(crate) fn is_harmless(&self) -> bool {
        let is_harmless =
            |kind| matches!(kind, Kind::Leak | Kind::Nondeterminism | Kind::UninitRead);
        let mut kinds = self.found.iter().flat_map(|found| &found.evidence).map(|found| found.kind);
        kinds.all(is_harmless)
    }

    /// The number of blocks that a run's only thread has allocated before this request.
    fn allocations_before(&self, at: Coordinate) -> u64 {
        let asked = self.asked.get(usize::from(at.thread)).map_or(&[][..], Vec::as_slice);
        let before = asked.iter().take(at.ordinal.saturating_sub(1) as usize);
        before.filter(|(op, _)| matches!(op, Op::Alloc | Op::AllocZeroed)).count() as u64
    }

    /// Whether runs of this subject make the same events in the same order: those of one thread do.
    pub(crate) fn is_in_order(&self, settings: &Settings) -> bool {
        !settings.options.parallel && self.threads <= 1
    }

    /// Whether there are requests, but no debug information to name their call sites.
    pub(crate) fn lacks_sites(&self) -> bool {
        !self.has_sites && self.by_request.iter().any(|requests| !requests.is_empty())
    }

    /// The operation and the bytes of a request.
    pub(crate) fn asked(&self, at: Coordinate) -> Option<(Op, u64)> {
        let asked = self.asked.get(usize::from(at.thread))?;
        asked.get(usize::try_from(at.ordinal.checked_sub(1)?).ok()?).copied()
    }

    /// The call site of a request.
    pub(crate) fn site(&self, at: Coordinate) -> Option<&Site> {
        self.sites.get(self.site_number(at)?)
    }

    /// The index of a request's call site in `sites`.
    pub(crate) fn site_number(&self, at: Coordinate) -> Option<usize> {
        let sites = self.by_request.get(usize::from(at.thread))?;
        Some(*sites.get(usize::try_from(at.ordinal.checked_sub(1)?).ok()?)? as usize)
    }

    /// Gives the requests that are not of the test's a call site of their own, in a test program.
    pub(crate) fn mark_outside_test(&mut self) {
        if !test_scope::is_set() {
            return;
        }
        let left_out = self.sites.len() as u32;
        self.sites.push(Site::default());
        let places = self.by_request.iter_mut().flatten();
        places.filter(|place| **place == LEFT_OUT).for_each(|place| *place = left_out);
        self.outside_test = Some(left_out);
    }

    /// Requests of a thread.
    pub(crate) fn count(&self, thread: u16) -> u64 {
        self.by_thread.get(usize::from(thread)).copied().unwrap_or(0)
    }

    /// Every coordinate of a request that may be made to fail, thread by thread.
    pub(crate) fn coordinates(&self) -> impl Iterator<Item = Coordinate> {
        let threads = (0..).zip(&self.by_thread);
        let all = threads.flat_map(|(thread, count)| {
            (1..=*count).map(move |ordinal| Coordinate { thread, ordinal })
        });
        all.filter(|at| self.is_subjects(*at) && !self.is_left_out(*at))
    }

    /// Whether a request's call site is left out.
    fn is_left_out(&self, at: Coordinate) -> bool {
        let is_out = |site: usize| self.left_out.get(site).copied().unwrap_or_default();
        !self.left_out.is_empty() && self.site_number(at).is_some_and(is_out)
    }

    /// Whether a request is the subject's: all are, but in a test program only the test's.
    fn is_subjects(&self, at: Coordinate) -> bool {
        let Some(outside) = self.outside_test else { return true };
        self.site_number(at).is_some_and(|site| site != outside as usize)
    }

    /// The number of the subject's requests.
    pub(crate) fn subject_requests(&self) -> u64 {
        match self.outside_test {
            Some(_) => self.coordinates().count() as u64,
            None => self.requests,
        }
    }

    /// The number of threads that make requests of the subject's.
    pub(crate) fn subject_threads(&self) -> u64 {
        match self.outside_test {
            Some(_) => {
                let threads: BTreeSet<u16> = self.coordinates().map(|at| at.thread).collect();
                threads.len() as u64
            }
            None => self.threads,
        }
    }

    /// Which occurrence of its call site this request is in its thread, from 1; 0 without sites.
    pub(crate) fn occurrence(&self, at: Coordinate) -> u64 {
        let Some(site) = self.site(at) else { return 0 };
        let key = site.key();
        let same = |index: &&u32| self.sites[**index as usize].key() == key;
        let sites = self.by_request.get(usize::from(at.thread)).map_or(&[][..], Vec::as_slice);
        sites.iter().take(at.ordinal as usize).filter(same).count() as u64
    }

    /// The coordinate of a thread's Nth request from the call site with this short key.
    pub(crate) fn find(&self, thread: u16, site: u32, occurrence: u64) -> Option<Coordinate> {
        let mut left = occurrence;
        for (ordinal, index) in (1..).zip(self.by_request.get(usize::from(thread))?) {
            if self.sites[*index as usize].short() == site {
                left = left.checked_sub(1)?;
                if left == 0 {
                    return Some(Coordinate { thread, ordinal });
                }
            }
        }
        None
    }

    /// The number of different call sites.
    pub(crate) fn site_count(&self) -> u64 {
        let is_subjects = |(nth, _): &(u32, &Site)| Some(*nth) != self.outside_test;
        let sites = (0..).zip(&self.sites).filter(is_subjects);
        let keys: BTreeSet<u64> = sites.map(|(_, site)| site.key()).collect();
        keys.len() as u64
    }
}

/// The most lines of what a failing subject said that are printed.
const SAID_MAX: usize = 12;

/// The failure of a subject whose threads reach scheduling points without end.
pub(crate) const ENDLESS: &str = "its threads never end";
/// The failure of a whole program that makes more than `PROGRAM_REQUESTS_MAX`.
pub(crate) const TOO_MANY: &str = "it makes more than 5,000,000 requests";
/// How the error of a subject begins that starts more threads than a model can have.
pub(crate) const CROWD: &str = "it starts more than";

codec_struct!(Baseline {
    error,
    requests,
    by_thread,
    fingerprint,
    peak,
    metrics,
    texts,
    difference,
    comparison,
    has_sites,
    sites,
    by_request,
    left_out,
    outside_test,
    asked,
    found,
    dead_end,
    sizes,
    budget_used,
    threads,
    running,
    unattributed,
    once,
    misses_global,
    micros,
});
