//! One execution: subject + plan (+ schedule) = `Run`.

#[cfg(all(feature = "shuttle", feature = "ron"))]
pub(crate) mod concurrent_script;
pub(crate) mod ddmin;
#[cfg(mallory_model)]
pub(crate) mod event_recorder;
#[cfg(all(feature = "shuttle", feature = "ron"))]
pub(crate) mod linearizability;
pub(crate) mod message;
pub(crate) mod outcome;
pub(crate) mod panic_capture;
pub(crate) mod script_subject;
pub(crate) mod subject;
pub(crate) mod symbolizer;

use crate::heap::state::EventSink;
use crate::report::outcome::Outcome;
use crate::run::outcome::{Cue, ModelMismatch, ScheduledEnd, Stopped, SubjectEnd, ThreadScheduler};
#[cfg(mallory_model)]
use std::cell::RefCell;
use std::collections::BTreeMap;
#[cfg(mallory_model)]
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
#[cfg(mallory_model)]
use std::rc::Rc;

use crate::global::Armed;
use crate::global::Global;
use crate::heap::Heap;
use crate::heap::state::State;
use crate::heap::thread_context::ThreadContext;
use crate::options::Options;
use crate::plan::Plan;
use crate::process::backtrace;
use crate::process::backtrace::{Capture, Census, Stack};
use crate::process::heartbeat::Lifeline;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::format::difference;
use crate::report::kind::Kind;
#[cfg(mallory_model)]
use crate::rt;
#[cfg(mallory_model)]
use crate::run::event_recorder::{EventRecorder, RecordedEvents};
use crate::run::panic_capture::{CaughtCall, catch};
use crate::schedule::{Preemption, ScheduledOp};
use crate::trace::Injected;
use crate::trace::{Event, Fingerprint};

/// The code under test, with its types forgotten.
pub(crate) trait Subject {
    /// Runs it once, from an empty heap to an empty heap.
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd;
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
    /// The texts of the fault-free results: one, unless schedules differ in it.
    pub(crate) baseline: Option<&'a [String]>,
    /// Who lets its threads take turns, where that is not the system, and by which schedule.
    pub(crate) conductor: Option<&'a dyn ThreadScheduler>,
    pub(crate) turns: &'a [Preemption],
    /// Whether what threads do to what they share is written down.
    pub(crate) hears: bool,
    pub(crate) record: bool,
    /// Whether to tell at which request each operation of a script began.
    pub(crate) tells_starts: bool,
    pub(crate) capture: Option<Capture>,
    pub(crate) input: &'a [u8],
    pub(crate) scratch: &'a ScratchDir,
    /// Where single events are told to as they come, for runs that may die.
    pub(crate) sink: Option<Box<dyn EventSink>>,
}

impl<'a> Job<'a> {
    /// The same run, at which nobody looks.
    fn rehearsal(&self) -> Job<'a> {
        Job {
            options: self.options.clone(),
            plan: self.plan.clone(),
            capture: None,
            sink: None,
            record: false,
            hears: false,
            ..*self
        }
    }
}

/// A finished run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    /// The `Err` or panic of a run that ended in one.
    pub(crate) failure: Option<String>,
    /// What went wrong before any fault, where the subject is a script.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    pub(crate) unlike: Option<ModelMismatch>,
    /// For each thread its requests before each operation of a script, if that was asked for.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "as above"))]
    pub(crate) starts: Vec<Vec<u64>>,
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
    /// Of a run whose threads were made to take turns.
    pub(crate) conducted: ScheduledEnd,
    /// What they did, where that was asked for.
    pub(crate) heard: Vec<ScheduledOp>,
}

/// What a subject is given, and where it says what came of it.
pub(crate) struct Stage<'a> {
    pub(crate) heap: Heap,
    pub(crate) input: &'a [u8],
    scratch: &'a ScratchDir,
    plan: Option<Plan>,
    bound: u64,
    pub(crate) baseline: Option<&'a [String]>,
    text: Option<String>,
    pub(crate) starts: Option<Vec<Vec<u64>>>,
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

    /// Judges an `Ok` by its text, as `show` writes it.
    pub(crate) fn ok(&mut self, show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result) -> SubjectEnd {
        let Some((usual, others)) = self.baseline.and_then(<[String]>::split_first) else {
            let mut text = String::new();
            let _ = show(&mut text);
            self.text = Some(text);
            return SubjectEnd::Ok { differs: None };
        };
        let differs = difference(usual, show);
        let is_another = || others.iter().any(|text| difference(text, show).is_none());
        SubjectEnd::Ok { differs: differs.filter(|_| !is_another()) }
    }
}

/// Where everything outside of the subject is called from: the outer end of every call site.
#[inline(never)]
fn boundary(subject: &dyn Subject, stage: &mut Stage<'_>) -> SubjectEnd {
    let ended = backtrace::within(|| subject.call(stage));
    // Work after the call keeps this frame on the stack during it.
    std::hint::black_box(&ended);
    ended
}

/// A run that is made ready, whose subject is called in between, and that is looked at in the end.
pub(crate) struct RunInProgress<'a> {
    heap: Heap,
    stage: Stage<'a>,
    wants_panic: bool,
    caught: Option<CaughtCall>,
    #[cfg(mallory_model)]
    heard: Option<Rc<RefCell<RecordedEvents>>>,
}

impl<'a> RunInProgress<'a> {
    /// Makes a run ready, but for a global heap.
    pub(crate) fn new(job: Job<'a>) -> RunInProgress<'a> {
        let heap = match (job.global, job.port) {
            (Some(_), Some(port)) => port(job.options.apart()),
            (Some(global), None) => global.heap(job.options),
            (None, Some(port)) => port(job.options),
            (None, None) => job.options.heap(),
        };
        job.scratch.empty();
        let wants_panic = job.capture.as_ref().is_some_and(|c| c.moments.contains(&Moment::Panic));
        #[cfg(mallory_model)]
        let heard = {
            let none = BTreeSet::new();
            EventRecorder::open(job.capture.as_ref().map_or(&none, |c| &c.moments), job.hears)
        };
        let stage = Stage {
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
        RunInProgress {
            heap,
            stage,
            wants_panic,
            caught: None,
            #[cfg(mallory_model)]
            heard,
        }
    }

    /// Calls the subject, on the run's first thread.
    pub(crate) fn body(&mut self, subject: &dyn Subject) {
        let stage = &mut self.stage;
        self.caught = Some(catch(self.wants_panic, || boundary(subject, stage)));
        // A process that the subject forked comes back here as well, with everything of its
        // parent's.
        status::end_strangers();
    }

    /// Looks at what came of it; `left` is what a global heap says.
    fn end_with(self, conducted: ScheduledEnd, left: Option<((i64, i64), u64)>) -> Run {
        let RunInProgress { heap, stage, caught, .. } = self;
        #[cfg(mallory_model)]
        let RecordedEvents { acts, taken } = match self.heard {
            Some(heard) => {
                rt::listen(None);
                heard.take()
            }
            None => RecordedEvents::default(),
        };
        let Stage { evidence: oracles, text, starts, heap: its_heap, .. } = stage;
        drop(its_heap);
        let threads = heap.threads();
        let (survived, unattributed) = left.unwrap_or_else(|| {
            heap.disarm();
            heap.close(conducted.stopped.is_none());
            ((0, 0), 0)
        });
        let is_global = left.is_some();
        let caught = caught.unwrap_or_else(panic_capture::abandoned);
        let run = heap.with(|state| finish(state, caught, oracles, text, &conducted));
        let leaked = if is_global { survived.1.max(0) as usize } else { run.leaked };
        #[cfg(mallory_model)]
        let run = {
            let mut run = run;
            run.taken.extend(taken);
            Run { heard: acts, ..run }
        };
        let starts = starts.unwrap_or_default();
        Run { survived, unattributed, leaked, threads, conducted, starts, ..run }
    }

    /// Looks at what came of it.
    pub(crate) fn end(self, conducted: ScheduledEnd) -> Run {
        self.end_with(conducted, None)
    }
}

/// Runs the subject once.
pub(crate) fn execute(subject: &dyn Subject, job: Job<'_>) -> Run {
    let _in = ThreadContext::passing();
    let (global, everyone, conductor, turns) = (job.global, job.everyone, job.conductor, job.turns);
    let (alike, scratch) = (conductor.map(|_| job.rehearsal()), job.scratch);
    let mut going = RunInProgress::new(job);
    let heap = going.heap.clone();
    let armed = global.map(|global| Armed::new(global, &heap, everyone));
    let conducted = match conductor {
        None => {
            going.body(subject);
            ScheduledEnd::default()
        }
        Some(conductor) => {
            let mut rehearsed = None;
            #[cfg(mallory_model)]
            let mut listener = rt::listen(None);
            conductor.conduct(turns, &mut |cue| match cue {
                Cue::Rehearse => {
                    rehearsed = alike.as_ref().map(|job| RunInProgress::new(job.rehearsal()))
                }
                Cue::Body => {
                    // A rehearsal is heard by nobody: its operations are numbered alike.
                    #[cfg(mallory_model)]
                    if rehearsed.is_none() {
                        rt::listen(listener.take());
                    }
                    rehearsed.as_mut().unwrap_or(&mut going).body(subject);
                }
                Cue::Cut => {
                    drop(rehearsed.take().map(|going| going.end(ScheduledEnd::default())));
                    scratch.empty();
                }
            })
        }
    };
    let left = armed.map(Armed::end);
    drop(heap);
    going.end_with(conducted, left)
}

/// Threads that wait for each other for ever, as far as who waits for whom is known.
fn deadlock() -> Evidence {
    #[cfg(mallory_model)]
    if let Some(blocked) = rt::deadlock() {
        return event_recorder::deadlock(&blocked);
    }
    Evidence::new(Kind::Deadlock).note("the threads that are left wait for each other")
}

fn finish(
    state: &mut State,
    caught: CaughtCall,
    oracles: Vec<Evidence>,
    text: Option<String>,
    conducted: &ScheduledEnd,
) -> Run {
    let injected = state.injected;
    let (mut failure, mut unlike) = (None, None);
    let CaughtCall { mut ended, stack: panic_stack, message } = caught;
    if let Some(said) = conducted.panicked.clone() {
        // It was another thread, and this one may well go on; the subject panicked all the same.
        ended = SubjectEnd::Panicked(message.unwrap_or(said));
    }
    // Where it was the first thread itself, what it said is known from there.
    if let Some(Stopped::Panicked(message)) = &conducted.stopped
        && !matches!(ended, SubjectEnd::Panicked(_))
    {
        ended = SubjectEnd::Panicked(message.clone());
    }
    let outcome = match ended {
        _ if state.hung => {
            let note = "it went on asking, past ten times the requests of the run without a fault";
            state.accuse(Evidence::new(Kind::NoProgress).note(note));
            Outcome::Hung
        }
        SubjectEnd::Stopped => {
            if conducted.stopped == Some(Stopped::Deadlock) {
                state.accuse(deadlock());
            } else {
                let note = "its threads went on for ever";
                state.accuse(Evidence::new(Kind::NoProgress).note(note));
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
            unlike = Some(found);
            if is_error { Outcome::WrongError } else { Outcome::SilentWrong }
        }
        SubjectEnd::Oom => Outcome::Propagated,
        SubjectEnd::Ok { differs: None } => Outcome::Absorbed,
        SubjectEnd::Ok { differs: Some(diff) } => {
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
        conducted: ScheduledEnd::default(),
        heard: Vec::new(),
    }
}
