//! The stage of a run: what the run gives to its subject, and where the subject says what happened.

use std::fmt;
use std::path::Path;

use crate::heap::Heap;
use crate::heap::state::State;
use crate::plan::Plan;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::process::thread_births::{self, Wait};
use crate::report::evidence::Evidence;
use crate::report::format::{diff, difference, is_equal};
use crate::report::kind::Kind;
use crate::run::outcome::{ResultComparison, SubjectEnd};

/// The code under test, with its types erased.
pub(crate) trait Subject {
    /// Runs it once, from an empty heap to an empty heap.
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd;
}

/// The number of writes of a result's text that show that the subject is alive. A text that never ends
/// has to end in silence.
const WRITES_ALIVE: u64 = 1 << 26;

/// Passes on what a result's `Debug` writes. Each write shows that the subject is alive: it makes no
/// request meanwhile, and a large result may take long.
struct Living<'a> {
    out: &'a mut dyn fmt::Write,
    left: u64,
}

/// Writes a text.
type Show<'a> = dyn Fn(&mut dyn fmt::Write) -> fmt::Result + 'a;

impl Living<'_> {
    fn show(show: &Show<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        show(&mut Living { out, left: WRITES_ALIVE })
    }
}

impl fmt::Write for Living<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if self.left > 0 {
            self.left -= 1;
            status::heartbeat();
        }
        self.out.write_str(piece)
    }
}

/// What a subject is given, and where it reports to.
pub(crate) struct Stage<'a> {
    pub(crate) heap: Heap,
    pub(crate) input: &'a [u8],
    pub(super) scratch: &'a ScratchDir,
    /// Until the part under test begins.
    pub(super) plan: Option<Plan>,
    /// The number of requests after which the plan is lifted.
    pub(super) bound: u64,
    pub(crate) baseline: Option<&'a [String]>,
    /// How the result is compared with those texts.
    pub(crate) comparison: ResultComparison,
    /// The text of an `Ok` that there is no fault-free result to compare with.
    pub(super) text: Option<String>,
    /// For each thread its requests before each operation of a script, if that is wanted.
    pub(crate) starts: Option<Vec<Vec<u64>>>,
    /// Findings of oracles; those of detectors are in the heap.
    pub(crate) evidence: Vec<Evidence>,
}

/// What [`Stage::pause_faults`] returns for [`Stage::resume_faults`]: the requests so far, and
/// whether the plan was active.
pub(crate) type PausedFaults = (u64, bool);

impl<'a> Stage<'a> {
    /// Begins the part under test: the plan decides from here on.
    pub(crate) fn arm(&mut self) {
        if let Some(plan) = self.plan.take() {
            self.heap.arm(plan);
            // Set here, since requests of a set-up before this don't count.
            self.heap.with(|state| state.set_bound(self.bound));
        }
    }

    /// Ends the part under test: no request fails from here on.
    pub(crate) fn disarm(&self) {
        thread_births::wait_for_ends(Wait::Returned);
        self.heap.disarm();
    }

    /// Keeps what the system of a script measured of itself.
    pub(crate) fn set_metrics(&self, metrics: Vec<(&'static str, u64)>) {
        let metrics = metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.heap.with(|state| state.metrics = metrics);
    }

    /// Begins the next operation of a script.
    pub(crate) fn begin_operation(&mut self) {
        if let Some(starts) = &mut self.starts {
            let requests = self.heap.with(|state| state.requests);
            match starts.first_mut() {
                Some(first) => first.push(requests),
                None => starts.push(vec![requests]),
            }
        }
    }

    pub(crate) fn scratch(&self) -> &'a Path {
        self.scratch.path()
    }

    /// The end of a subject that returned `Ok`: compares the text that `show` writes with the
    /// fault-free results.
    pub(crate) fn ok(&mut self, show: &Show<'_>) -> SubjectEnd {
        let show: &Show<'_> = &|out| Living::show(show, out);
        let Some((usual, others)) = self.baseline.and_then(<[String]>::split_first) else {
            let mut text = String::new();
            let _ = show(&mut text);
            self.text = Some(text);
            return SubjectEnd::Ok { differs: None };
        };
        let differs = self.compare(usual, show);
        let is_another = || others.iter().any(|text| self.compare(text, show).is_none());
        SubjectEnd::Ok { differs: differs.filter(|_| !is_another()) }
    }

    /// How the text that `show` writes differs from a fault-free one, if that counts.
    fn compare(&self, expected: &str, show: &Show<'_>) -> Option<String> {
        if self.comparison == ResultComparison::Never {
            return None;
        }
        if is_equal(expected, show) {
            return None;
        }
        let mut text = String::new();
        let _ = show(&mut text);
        // However long the texts are, comparing them is no silence of the subject's.
        status::busy(|| {
            let differs = ResultComparison::of(expected, &text) > self.comparison;
            differs.then(|| diff(expected, &text))
        })
    }

    /// Whether no request has failed on purpose so far.
    pub(crate) fn is_faultless(&self) -> bool {
        is_faultless(&self.heap)
    }

    /// Makes every request succeed: until [`resume_faults`](Self::resume_faults) if the plan
    /// `keeps_failing`, otherwise for the rest of the run.
    pub(crate) fn pause_faults(&self, keeps_failing: bool) -> Option<PausedFaults> {
        if keeps_failing {
            return Some(self.heap.with(State::pause));
        }
        self.disarm();
        None
    }

    /// Makes requests fail again, unless something was found meanwhile.
    pub(crate) fn resume_faults(&self, paused: Option<PausedFaults>) {
        if let Some(paused) = paused {
            self.heap.with(|state| state.go_on(paused));
            if !self.evidence.is_empty() {
                // The finding is attributed to the latest fault, so there must be no other.
                self.disarm();
            }
        }
    }

    /// Adds a `not-recovered` finding.
    pub(crate) fn not_recovered(&mut self, note: String) {
        // A subject that fails without any fault is the caller's mistake, not a bad recovery.
        if !self.is_faultless() {
            self.evidence.push(Evidence::new(Kind::NotRecovered).note(note));
        }
    }

    /// Adds a `not-recovered` finding if the text that `show` writes is not the expected one.
    pub(crate) fn expect_same(&mut self, what: &str, expected: &str, show: &Show<'_>) {
        if let Some(diff) = difference(expected, &|out| Living::show(show, out)) {
            self.not_recovered(format!("{what}\n{diff}"));
        }
    }

    /// As [`expect_same`](Self::expect_same), for the end of the run and the fault-free result.
    pub(crate) fn expect_end(&mut self, show: &Show<'_>) {
        if let Some(baseline) = self.baseline.and_then(<[String]>::first) {
            let what = "after the retry the end state differs from the fault-free one:";
            if let Some(diff) = self.compare(baseline, &|out| Living::show(show, out)) {
                self.not_recovered(format!("{what}\n{diff}"));
            }
        }
    }
}

/// Whether no request has failed on purpose so far.
pub(crate) fn is_faultless(heap: &Heap) -> bool {
    heap.with(|state| state.injected.is_none())
}
