//! One execution: subject + plan (+ schedule) = `Run`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::capture::{self, Capture, Census, Stack};
use crate::finding::{Evidence, Kind, Moment, Role};
use crate::heap::Heap;
use crate::options::Options;
use crate::plan::Plan;
use crate::state::{Injected, State};
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
    pub(crate) const ALL: [Outcome; 10] = [
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
    /// A panic.
    Panicked(String),
}

/// How to make one run.
pub(crate) struct Job<'a> {
    pub(crate) options: Options,
    pub(crate) port: &'a dyn Fn(Options) -> Heap,
    pub(crate) plan: Plan,
    /// Requests after which the plan is lifted.
    pub(crate) bound: u64,
    pub(crate) stuck: Option<fn()>,
    /// The text of the fault-free result.
    pub(crate) baseline: Option<&'a str>,
    pub(crate) record: bool,
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
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) requests: u64,
    pub(crate) injected: Option<Injected>,
    pub(crate) peak: usize,
    pub(crate) leaked: usize,
    pub(crate) text: Option<String>,
    pub(crate) trace: Vec<Event>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
    pub(crate) census: Option<Census>,
    pub(crate) sizes: Option<Vec<u64>>,
    pub(crate) budget_used: Option<u64>,
}

/// What a subject is given, and where it says what came of it.
pub(crate) struct Stage<'a> {
    pub(crate) heap: Heap,
    pub(crate) input: &'a [u8],
    scratch: &'a Scratch,
    plan: Option<Plan>,
    pub(crate) baseline: Option<&'a str>,
    text: Option<String>,
    /// Findings of oracles, as detectors' are.
    pub(crate) evidence: Vec<Evidence>,
}

impl<'a> Stage<'a> {
    /// From here on the plan decides: the part under test begins.
    pub(crate) fn arm(&mut self) {
        if let Some(plan) = self.plan.take() {
            self.heap.arm(plan);
        }
    }

    /// From here on no request fails: the part under test is over.
    pub(crate) fn rest(&self) {
        self.heap.disarm();
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

/// Lines in which a text differs from the expected one; the text is only built where it does.
pub(crate) fn difference(
    expected: &str,
    show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result,
) -> Option<String> {
    let mut rest = Rest { expected };
    if show(&mut rest).is_ok() && rest.expected.is_empty() {
        return None;
    }
    let mut text = String::new();
    let _ = show(&mut text);
    Some(diff(expected, &text))
}

/// Compares what is written with a text, without building it.
struct Rest<'a> {
    expected: &'a str,
}

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.expected = self.expected.strip_prefix(piece).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// The changed lines of two texts, at most a screenful.
pub(crate) fn diff(expected: &str, text: &str) -> String {
    const LINES_MAX: usize = 12;
    const WIDTH_MAX: usize = 160;
    let diff = similar::TextDiff::from_lines(expected, text);
    let changed =
        diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    let mut out = String::new();
    let mut left = 0;
    for (nth, change) in changed.enumerate() {
        if nth >= LINES_MAX {
            left += 1;
            continue;
        }
        let line: String = change.value().trim_end().chars().take(WIDTH_MAX).collect();
        let _ = writeln!(out, "{} {line}", change.tag());
    }
    if left > 0 {
        let _ = writeln!(out, "… and {left} more lines");
    }
    out.trim_end().to_owned()
}

/// A directory that each run finds empty, made when it is first asked for.
pub(crate) struct Scratch {
    path: PathBuf,
    used: std::cell::Cell<bool>,
}

impl Scratch {
    /// A scratch directory of this process, named after `owner`.
    pub(crate) fn new(owner: u32) -> Self {
        let path = std::env::temp_dir().join(format!("mallory-{owner}-{}", std::process::id()));
        Scratch { path, used: std::cell::Cell::new(false) }
    }

    fn path(&self) -> &Path {
        if !self.used.replace(true) {
            // A failure shows when the subject uses the directory, with the subject's own error.
            let _ = std::fs::create_dir_all(&self.path);
        }
        &self.path
    }

    fn empty(&self) {
        if self.used.get() {
            let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
            }
        }
    }

    /// Removes the directory of a process that is done, or dead.
    pub(crate) fn remove(owner: u32, process: u32) {
        let path = std::env::temp_dir().join(format!("mallory-{owner}-{process}"));
        let _ = std::fs::remove_dir_all(path);
    }
}

/// Where everything outside of the subject is called from: the outer end of every call site.
#[inline(never)]
fn boundary(subject: &dyn Subject, stage: &mut Stage<'_>) -> Ended {
    let ended = subject.call(stage);
    // Work after the call keeps this frame on the stack during it.
    std::hint::black_box(&ended);
    ended
}

/// Runs the subject once.
pub(crate) fn execute(subject: &dyn Subject, job: Job<'_>) -> Run {
    let heap = (job.port)(job.options);
    job.scratch.empty();
    let wants_panic = job.capture.as_ref().is_some_and(|c| c.moments.contains(&Moment::Panic));
    heap.with(|state| {
        state.set_bound(job.bound);
        state.stuck = job.stuck;
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
        baseline: job.baseline,
        text: None,
        evidence: Vec::new(),
    };
    let (ended, panic_stack) = catch(wants_panic, || boundary(subject, &mut stage));
    let Stage { evidence: oracles, text, heap: its_heap, .. } = stage;
    drop(its_heap);
    heap.disarm();
    heap.close();
    heap.with(|state| finish(state, ended, oracles, text, panic_stack))
}

fn finish(
    state: &mut State,
    ended: Ended,
    oracles: Vec<Evidence>,
    text: Option<String>,
    panic_stack: Option<Stack>,
) -> Run {
    let injected = state.injected;
    let mut failure = None;
    let outcome = match ended {
        _ if state.hung => {
            let note = "after the failure it went on asking, past ten times as many requests";
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
        evidence: std::mem::take(&mut state.evidence),
        fingerprint: state.fingerprint,
        requests: state.requests,
        injected,
        peak: state.peak,
        leaked: state.live,
        text,
        trace: state.recorder.take().unwrap_or_default(),
        taken,
        census: capture.census,
        sizes: state.sizes.take().map(|sizes| sizes.to_vec()),
        budget_used: state.budget_used(),
    }
}

/// What the panic hook writes down of a watched subject's first panic.
#[derive(Default)]
struct Panicked {
    message: Option<String>,
    stack: Option<Stack>,
    wants_stack: bool,
}

thread_local! {
    static WATCHED: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Puts a hook before the present one that keeps quiet about watched subjects. Done once, and
/// before any fork: a child of a threaded process must not touch the hook's lock for writing.
pub(crate) fn hook_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = WATCHED.with(|watched| {
                let Ok(mut watched) = watched.try_borrow_mut() else {
                    return false;
                };
                let Some(panicked) = watched.as_mut() else {
                    return false;
                };
                if panicked.message.is_none() {
                    let text = said(info.payload());
                    let place =
                        info.location().map(|at| format!("{}:{}", base(at.file()), at.line()));
                    panicked.message = Some(match place {
                        Some(place) => format!("panicked at {place}: {text}"),
                        None => format!("panicked: {text}"),
                    });
                    panicked.stack = panicked.wants_stack.then(capture::stack);
                }
                true
            });
            if !ours {
                before(info);
            }
        }));
    });
}

/// A source path without what belongs to this machine: compilers are told absolute paths of
/// registry crates only.
fn base(file: &str) -> &str {
    if !Path::new(file).is_absolute() {
        return file;
    }
    let cut = file.rfind("/src/").and_then(|src| file[..src].rfind('/'));
    cut.map_or(file, |cut| &file[cut + 1..])
}

fn said(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a value that is no text".to_owned())
}

fn catch(wants_stack: bool, run: impl FnOnce() -> Ended) -> (Ended, Option<Stack>) {
    let watch = Panicked { wants_stack, ..Panicked::default() };
    let before = WATCHED.with(|watched| watched.replace(Some(watch)));
    let result = std::panic::catch_unwind(AssertUnwindSafe(run));
    let panicked = WATCHED.with(|watched| watched.replace(before)).unwrap_or_default();
    match result {
        Ok(ended) => (ended, None),
        Err(payload) => {
            let message =
                panicked.message.unwrap_or_else(|| format!("panicked: {}", said(&*payload)));
            // A payload may itself panic when it is dropped.
            std::mem::forget(payload);
            (Ended::Panicked(message), panicked.stack)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_differ_in_nothing_however_they_are_written() {
        let show = |out: &mut dyn fmt::Write| {
            out.write_str("entries: ")?;
            out.write_str("3\n")
        };
        assert_eq!(difference("entries: 3\n", &show), None);
        let shorter = difference("entries: 3\nmore\n", &show).expect("differs");
        assert_eq!(shorter, "- more");
        let other = difference("entries: 2\n", &show).expect("differs");
        assert_eq!(other, "- entries: 2\n+ entries: 3");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let expected: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(diff(&expected, "").ends_with("… and 88 more lines"));
    }
}
