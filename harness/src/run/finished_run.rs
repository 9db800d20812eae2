//! A finished run, and how its outcome follows from the subject's end and from what the heap
//! noticed.

use std::collections::BTreeMap;

use crate::heap::state::State;
use crate::memory::preloaded;
use crate::process::backtrace::{Census, Stack};
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
#[cfg(mallory_model)]
use crate::rt;
use crate::rt::{AccessKind, Object};
#[cfg(mallory_model)]
use crate::run::event_recorder;
use crate::run::outcome::{ModelMismatch, ScheduledEnd, Stopped, SubjectEnd};
use crate::run::panic_capture::CaughtCall;
use crate::schedule::ScheduledOp;
use crate::schedule::data_races::DataRace;
use crate::trace::{Event, Fingerprint, Injected};

/// How loom's message begins where it finds a race.
const LOOM_RACE: &str = "Causality violation";

/// A finished run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// The text of the `Err` or panic, if the run ended in one.
    pub(crate) failure: Option<String>,
    /// What went wrong before any fault, if the subject is a script.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    pub(crate) mismatch: Option<ModelMismatch>,
    /// For each thread its requests before each operation of a script, if that was wanted.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "as above"))]
    pub(crate) starts: Vec<Vec<u64>>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) fingerprint: Fingerprint,
    /// The number of requests of the part under test, by logical thread.
    pub(crate) requests: Vec<u64>,
    pub(crate) injected: Option<Injected>,
    /// The most bytes that were live at once.
    pub(crate) peak: usize,
    /// What the system of a script measured of itself.
    pub(crate) metrics: Vec<(String, u64)>,
    /// Bytes that were live at the end.
    pub(crate) leaked: usize,
    /// The text of the result, if there was none to compare it with.
    pub(crate) text: Option<String>,
    pub(crate) trace: Vec<Event>,
    /// The backtraces that were wanted.
    pub(crate) taken: BTreeMap<Moment, Stack>,
    pub(crate) census: Option<Census>,
    pub(crate) sizes: Option<Vec<u64>>,
    pub(crate) budget_used: Option<u64>,
    /// Under the global allocator: how many more blocks and bytes are live than before the run.
    pub(crate) survived: (i64, i64),
    /// Calls of threads that don't belong to the run.
    pub(crate) unattributed: u64,
    /// Threads that it started and that have not ended: no leak can be told then.
    pub(crate) running: usize,
    /// Threads that made calls.
    pub(crate) threads: usize,
    /// How the schedule ended, if the threads were scheduled.
    pub(crate) conducted: ScheduledEnd,
    /// The threads' operations on what they share, if that was wanted.
    pub(crate) operations: Vec<ScheduledOp>,
}

impl Run {
    /// Judges a run by how its subject ended, and takes what the heap noticed out of its state.
    pub(crate) fn judge(
        state: &mut State,
        caught: CaughtCall,
        oracles: Vec<Evidence>,
        text: Option<String>,
        conducted: &ScheduledEnd,
    ) -> Run {
        let injected = state.injected;
        let (mut failure, mut mismatch) = (None, None);
        let CaughtCall { mut ended, stack: panic_stack, message } = caught;
        if let Some(panic_message) = conducted.panicked.clone() {
            // Another thread panicked, and this one may have ended well: it is a panic of the
            // subject all the same.
            ended = SubjectEnd::Panicked(message.unwrap_or(panic_message));
        }
        // If the first thread itself panicked, `ended` already has the better message.
        if let Some(Stopped::Panicked(message)) = &conducted.stopped
            && !matches!(ended, SubjectEnd::Panicked(_))
        {
            ended = SubjectEnd::Panicked(message.clone());
        }
        // Also a thread that no other one joins has to end.
        let is_stuck = matches!(conducted.stopped, Some(Stopped::Deadlock | Stopped::Endless));
        if is_stuck && !matches!(ended, SubjectEnd::Panicked(_)) {
            ended = SubjectEnd::Stopped;
        }
        // Loom stops at a race, with a panic that is none of the subject's.
        let loom_race = match &ended {
            SubjectEnd::Panicked(message) if message.contains(LOOM_RACE) => Some(message.clone()),
            _ => None,
        };
        if let Some(message) = &loom_race
            && conducted.races.is_empty()
        {
            state.accuse(Evidence::new(Kind::DataRace).note(message.clone()));
        }
        let outcome = match ended {
            _ if loom_race.is_some() => Outcome::Hung,
            _ if let Some(event) = state.hung => {
                let note =
                    "it kept making requests, past ten times the requests of the fault-free run";
                let evidence = Evidence::new(Kind::NoProgress).note(note);
                state.accuse(evidence.step(Role::Hung, Moment::Event(event)));
                Outcome::Hung
            }
            SubjectEnd::Stopped => {
                if conducted.stopped == Some(Stopped::Deadlock) {
                    state.accuse(deadlock());
                } else {
                    let help = "a loop that waits for another thread has to call \
                                mallory::thread::yield_now";
                    let evidence = Evidence::new(Kind::NoProgress).note("its threads never ended");
                    state.accuse(evidence.note(help));
                }
                Outcome::Hung
            }
            SubjectEnd::Panicked(message) => {
                if injected.is_some() {
                    let evidence = Evidence::new(Kind::Panic).note(message.clone());
                    state.accuse(evidence.step(Role::Panicked, Moment::Panic));
                }
                failure = Some(message);
                Outcome::Panicked
            }
            SubjectEnd::Err(message) => {
                if injected.is_some() {
                    let note = format!("the error is not out of memory: {message}");
                    state.accuse(Evidence::new(Kind::WrongError).note(note));
                }
                failure = Some(message);
                Outcome::WrongError
            }
            SubjectEnd::Mismatch(found) => {
                failure = Some(found.note.clone());
                let is_error = found.kind == Kind::WrongError;
                mismatch = Some(found);
                if is_error { Outcome::WrongError } else { Outcome::SilentWrong }
            }
            SubjectEnd::Oom => Outcome::Propagated,
            SubjectEnd::Ok { differs: None } => Outcome::Absorbed,
            SubjectEnd::Degraded => Outcome::Degraded,
            SubjectEnd::Ok { differs: Some(diff) } => {
                let note = match preloaded::is_preloaded() {
                    true => {
                        "it said nothing of it, but its output differs from the fault-free one:"
                    }
                    false => "it returned Ok, but the result differs from the fault-free one:",
                };
                state.accuse(Evidence::new(Kind::SilentWrong).note(note).note(diff));
                Outcome::SilentWrong
            }
        };
        for evidence in oracles {
            state.accuse(evidence);
        }
        for race in &conducted.races {
            state.accuse(data_race(race));
        }
        let is_free = |race: &DataRace| {
            race.accesses.iter().any(|access| access.kind == AccessKind::BlockFree)
        };
        if conducted.races.iter().any(is_free) {
            // That the block was used after it was freed is the same bug.
            state.evidence.retain(|evidence| evidence.kind != Kind::UseAfterFree);
        }
        let capture = state.capture.take().unwrap_or_default();
        let mut taken = capture.taken;
        if let Some(stack) = panic_stack {
            taken.insert(Moment::Panic, stack);
        }
        Run {
            outcome,
            failure,
            mismatch,
            starts: Vec::new(),
            evidence: std::mem::take(&mut state.evidence),
            fingerprint: state.whole_fingerprint(),
            requests: std::mem::take(&mut state.asked),
            injected,
            peak: state.peak,
            metrics: std::mem::take(&mut state.metrics),
            leaked: state.live,
            text,
            trace: state.recorder.take().unwrap_or_default(),
            taken,
            census: capture.census,
            sizes: state.sizes.take().map(|sizes| sizes.to_vec()),
            budget_used: state.budget_used(),
            survived: (0, 0),
            unattributed: 0,
            running: 0,
            threads: 1,
            conducted: ScheduledEnd::default(),
            operations: Vec::new(),
        }
    }
}

/// A data race, with both accesses and what would have to order them.
fn data_race(race: &DataRace) -> Evidence {
    let what = |kind: AccessKind| match kind {
        AccessKind::CellWrite => "writes",
        AccessKind::BlockFree => "frees",
        AccessKind::BlockUse => "uses",
        _ => "reads",
    };
    let object = match race.object {
        Object::Shared(number) => format!("the cell o{number}"),
        _ => "a block".to_owned(),
    };
    let evidence = Evidence::new(Kind::DataRace);
    let evidence = race.accesses.iter().fold(evidence, |evidence, access| {
        let label = format!("T{} {} {object}", access.thread, what(access.kind));
        evidence.labelled(label, Role::Accessed, Moment::Step(access.operation))
    });
    evidence.note(race.missing.clone())
}

/// A deadlock, with what each thread waits for as far as that is known.
fn deadlock() -> Evidence {
    #[cfg(mallory_model)]
    if let Some(blocked) = rt::deadlock() {
        return event_recorder::deadlock(&blocked);
    }
    Evidence::new(Kind::Deadlock).note("the remaining threads wait for each other")
}
