//! One execution: subject + plan (+ schedule) = `Run`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::capture::{self, Capture, Census, Stack};
use crate::evidence::{Evidence, Moment, Role};
use crate::global::{Armed, Global, In};
use crate::heap::Heap;
use crate::kind::Kind;
use crate::omen;
use crate::options::Options;
use crate::panics::catch;
use crate::plan::Plan;
use crate::pulse::Lifeline;
use crate::scratch::Scratch;
use crate::state::{Injected, State};
use crate::text::difference;
use crate::trace::{Event, Fingerprint};

/// How one faulted run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// `Err`, and it was out of memory.
    Propagated,
    /// `Ok`, and the result is the fault-free one.
    Absorbed,
    /// `Ok`, and the result is another one.
    SilentWrong,
    /// `Err`, and it was not out of memory.
    WrongError,
    /// The subject panicked.
    Panicked,
    /// The process aborted.
    Aborted,
    /// The process died of a signal.
    Crashed,
    /// The subject ended the process.
    Exited,
    /// The subject asked for memory without end, or did nothing for ever.
    Hung,
    /// The request that was to fail never came.
    Unreached,
}

impl Outcome {
    /// Every outcome, in the order in which reports count them.
    pub const ALL: [Outcome; 10] = [
        Outcome::Propagated,
        Outcome::Absorbed,
        Outcome::SilentWrong,
        Outcome::WrongError,
        Outcome::Panicked,
        Outcome::Aborted,
        Outcome::Crashed,
        Outcome::Exited,
        Outcome::Hung,
        Outcome::Unreached,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Propagated => "propagated",
            Outcome::Absorbed => "absorbed",
            Outcome::SilentWrong => "silent_wrong",
            Outcome::WrongError => "wrong_error",
            Outcome::Panicked => "panicked",
            Outcome::Aborted => "aborted",
            Outcome::Crashed => "crashed",
            Outcome::Exited => "exited",
            Outcome::Hung => "hung",
            Outcome::Unreached => "unreached",
        }
    }
}

/// How a sweep comes to each of its points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The faster of the two, as far as a few runs tell.
    #[default]
    Auto,
    /// Each point is a run of its own, from the beginning, in a worker.
    Rerun,
    /// One pass through the subject forks a child at each request, which fails it. Needs a subject
    /// with one thread that holds nothing open for writing.
    Fork,
}

/// The code under test, with its types forgotten.
pub(crate) trait Subject {
    /// Runs it once, from an empty heap to an empty heap.
    fn call(&self, stage: &mut Stage<'_>) -> Ended;
}

/// How the subject's own code ended, panics apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// `Ok`. With a fault-free result to compare with: what differs, if anything does.
    Ok { differs: Option<String> },
    /// `Err` that means out of memory.
    Oom,
    /// `Err` that doesn't.
    Err(String),
    /// Before any request failed, an operation did otherwise than its model.
    Unlike(Unlike),
    /// A panic.
    Panicked(String),
}

/// What went wrong without any fault: in which operation, which is named, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unlike {
    pub(crate) kind: Kind,
    pub(crate) operation: String,
    pub(crate) note: String,
}

/// How to make one run.
pub(crate) struct Job<'a> {
    pub(crate) options: Options,
    pub(crate) port: Option<&'a dyn Fn(Options) -> Heap>,
    /// The global allocator, where that is what the subject uses.
    pub(crate) global: Option<&'static dyn Global>,
    /// Whether all threads of the process are the subject's: so in a child.
    pub(crate) everyone: bool,
    pub(crate) plan: Plan,
    /// Requests after which the plan is lifted.
    pub(crate) bound: u64,
    /// By what it says that it is alive, where somebody listens.
    pub(crate) lifeline: Option<Lifeline>,
    /// The text of the fault-free result.
    pub(crate) baseline: Option<&'a str>,
    pub(crate) record: bool,
    /// Whether to tell at which request each operation of a script began.
    pub(crate) tells_starts: bool,
    pub(crate) capture: Option<Capture>,
    pub(crate) input: &'a [u8],
    pub(crate) scratch: &'a Scratch,
    /// Where single events are told to as they come, for runs that may die.
    pub(crate) sink: Option<Box<dyn Sink>>,
}

/// Hears of a run while it goes.
pub(crate) trait Sink {
    fn evidence(&self, evidence: &Evidence);
    fn fingerprint(&self, fingerprint: Fingerprint, injected: Option<&Injected>);
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// The `Err` or panic of a run that ended in one.
    pub(crate) failure: Option<String>,
    /// What went wrong before any fault, where the subject is a script.
    pub(crate) unlike: Option<Unlike>,
    /// Requests before each operation of a script, if that was asked for.
    pub(crate) starts: Vec<u64>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) fingerprint: Fingerprint,
    /// Requests of the part under test, by logical thread.
    pub(crate) requests: Vec<u64>,
    pub(crate) injected: Option<Injected>,
    pub(crate) peak: usize,
    pub(crate) leaked: usize,
    pub(crate) text: Option<String>,
    pub(crate) trace: Vec<Event>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
    pub(crate) census: Option<Census>,
    pub(crate) sizes: Option<Vec<u64>>,
    pub(crate) budget_used: Option<u64>,
    /// Under the global allocator: by how many blocks and bytes there is more left than before.
    pub(crate) survived: (i64, i64),
    /// Calls of threads that the run doesn't own.
    pub(crate) unattributed: u64,
    /// Threads that called.
    pub(crate) threads: usize,
}

/// What a subject is given, and where it says what came of it.
pub(crate) struct Stage<'a> {
    pub(crate) heap: Heap,
    pub(crate) input: &'a [u8],
    scratch: &'a Scratch,
    plan: Option<Plan>,
    bound: u64,
    pub(crate) baseline: Option<&'a str>,
    text: Option<String>,
    starts: Option<Vec<u64>>,
    /// Findings of oracles, as detectors' are.
    pub(crate) evidence: Vec<Evidence>,
}

impl<'a> Stage<'a> {
    /// From here on the plan decides: the part under test begins.
    pub(crate) fn arm(&mut self) {
        if let Some(plan) = self.plan.take() {
            self.heap.arm(plan);
            // The set-up before this may ask as often as it likes.
            self.heap.with(|state| state.set_bound(self.bound));
        }
    }

    /// From here on no request fails: the part under test is over.
    pub(crate) fn rest(&self) {
        self.heap.disarm();
    }

    /// The next operation of a script begins.
    pub(crate) fn begins(&mut self) {
        if let Some(starts) = &mut self.starts {
            starts.push(self.heap.with(|state| state.requests));
        }
    }

    pub(crate) fn scratch(&self) -> &'a Path {
        self.scratch.path()
    }

    /// Judges an `Ok` by its text, as `show` writes it.
    pub(crate) fn ok(&mut self, show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result) -> Ended {
        let Some(baseline) = self.baseline else {
            let mut text = String::new();
            let _ = show(&mut text);
            self.text = Some(text);
            return Ended::Ok { differs: None };
        };
        Ended::Ok { differs: difference(baseline, show) }
    }
}

/// Where everything outside of the subject is called from: the outer end of every call site.
#[inline(never)]
fn boundary(subject: &dyn Subject, stage: &mut Stage<'_>) -> Ended {
    let ended = capture::within(|| subject.call(stage));
    // Work after the call keeps this frame on the stack during it.
    std::hint::black_box(&ended);
    ended
}

/// Runs the subject once.
pub(crate) fn execute(subject: &dyn Subject, job: Job<'_>) -> Run {
    let _in = In::passing();
    let heap = match (job.global, job.port) {
        (Some(global), _) => global.heap(job.options),
        (None, Some(port)) => port(job.options),
        (None, None) => job.options.heap(),
    };
    let armed = job.global.map(|global| Armed::new(global, &heap, job.everyone));
    job.scratch.empty();
    let wants_panic = job.capture.as_ref().is_some_and(|c| c.moments.contains(&Moment::Panic));
    heap.with(|state| {
        if let Some(lifeline) = job.lifeline {
            state.hold(lifeline);
        }
        if let Some(sink) = job.sink {
            state.tell(sink);
        }
        if job.record {
            state.record();
        }
        if let Some(capture) = job.capture {
            state.look_for(capture);
        }
    });
    let mut stage = Stage {
        heap: heap.clone(),
        input: job.input,
        scratch: job.scratch,
        plan: Some(job.plan),
        bound: job.bound,
        baseline: job.baseline,
        text: None,
        starts: job.tells_starts.then(Vec::new),
        evidence: Vec::new(),
    };
    let (ended, panic_stack) = catch(wants_panic, || boundary(subject, &mut stage));
    // A process that the subject forked comes back here as well, with everything of its parent's.
    omen::end_strangers();
    let Stage { evidence: oracles, text, starts, heap: its_heap, .. } = stage;
    drop(its_heap);
    let threads = heap.threads();
    let (survived, unattributed) = match armed {
        Some(armed) => armed.end(),
        None => {
            heap.disarm();
            heap.close();
            ((0, 0), 0)
        }
    };
    let run = heap.with(|state| finish(state, ended, oracles, text, panic_stack));
    let leaked = if job.global.is_some() { survived.1.max(0) as usize } else { run.leaked };
    Run { survived, unattributed, leaked, threads, starts: starts.unwrap_or_default(), ..run }
}

fn finish(
    state: &mut State,
    ended: Ended,
    oracles: Vec<Evidence>,
    text: Option<String>,
    panic_stack: Option<Stack>,
) -> Run {
    let injected = state.injected;
    let (mut failure, mut unlike) = (None, None);
    let outcome = match ended {
        _ if state.hung => {
            let note = "it went on asking, past ten times the requests of the run without a fault";
            state.accuse(Evidence::new(Kind::NoProgress).note(note));
            Outcome::Hung
        }
        Ended::Panicked(message) => {
            if injected.is_some() {
                let evidence = Evidence::new(Kind::Panic).note(message.clone());
                state.accuse(evidence.step(Role::Panicked, Moment::Panic));
            }
            failure = Some(message);
            Outcome::Panicked
        }
        Ended::Err(message) => {
            if injected.is_some() {
                let note = format!("the error is not out of memory: {message}");
                state.accuse(Evidence::new(Kind::WrongError).note(note));
            }
            failure = Some(message);
            Outcome::WrongError
        }
        Ended::Unlike(found) => {
            failure = Some(found.note.clone());
            let is_error = found.kind == Kind::WrongError;
            unlike = Some(found);
            if is_error { Outcome::WrongError } else { Outcome::SilentWrong }
        }
        Ended::Oom => Outcome::Propagated,
        Ended::Ok { differs: None } => Outcome::Absorbed,
        Ended::Ok { differs: Some(diff) } => {
            let note = "it answered Ok, and the result is not the fault-free one:";
            state.accuse(Evidence::new(Kind::SilentWrong).note(note).note(diff));
            Outcome::SilentWrong
        }
    };
    for evidence in oracles {
        state.accuse(evidence);
    }
    let capture = state.capture.take().unwrap_or_default();
    let mut taken = capture.taken;
    if let Some(stack) = panic_stack {
        taken.insert(Moment::Panic, stack);
    }
    Run {
        outcome,
        failure,
        unlike,
        starts: Vec::new(),
        evidence: std::mem::take(&mut state.evidence),
        fingerprint: state.fingerprint,
        requests: std::mem::take(&mut state.asked),
        injected,
        peak: state.peak,
        leaked: state.live,
        text,
        trace: state.recorder.take().unwrap_or_default(),
        taken,
        census: capture.census,
        sizes: state.sizes.take().map(|sizes| sizes.to_vec()),
        budget_used: state.budget_used(),
        survived: (0, 0),
        unattributed: 0,
        threads: 1,
    }
}
