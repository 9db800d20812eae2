//! Subjects: closures, a set-up with an operation, and scripts of a system, each as one `Subject`.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use crate::heap::Heap;
use crate::heap::state::State;
use crate::heap::thread_context::ours;
use crate::report::evidence::Evidence;
use crate::report::format::{diff, difference};
use crate::report::kind::Kind;
use crate::run::outcome::{ModelMismatch, SubjectEnd};
use crate::run::{Stage, Subject};
use crate::system::{Guarantee, System, World};

/// Says which errors mean out of memory. What [`Sweep::oom`](crate::Sweep::oom) sets.
pub trait Classify<E> {
    /// `None`: nobody said.
    #[doc(hidden)]
    fn is_oom(&self, error: &E) -> Option<bool>;
}

/// Chooses what of a result is compared. What [`Sweep::observe`](crate::Sweep::observe) sets.
pub trait Observe<T> {
    #[doc(hidden)]
    fn show(&self, value: &T, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// No classifier: every `Err` counts as propagated.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Unclassified;

/// The whole result, by its `Debug` text.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole;

/// A caller's closure.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct By<F>(pub(crate) F);

impl<E> Classify<E> for Unclassified {
    fn is_oom(&self, _: &E) -> Option<bool> {
        None
    }
}

impl<E, F: Fn(&E) -> bool> Classify<E> for By<F> {
    fn is_oom(&self, error: &E) -> Option<bool> {
        Some((self.0)(error))
    }
}

impl<T: Debug> Observe<T> for Whole {
    fn show(&self, value: &T, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{value:#?}")
    }
}

impl<T, R: Debug, F: Fn(&T) -> R> Observe<T> for By<F> {
    fn show(&self, value: &T, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:#?}", (self.0)(value))
    }
}

fn failed<E: Debug>(error: &E, classify: &impl Classify<E>) -> SubjectEnd {
    match classify.is_oom(error) {
        Some(false) => SubjectEnd::Err(format!("{error:?}")),
        Some(true) | None => SubjectEnd::Oom,
    }
}

/// A closure from a heap to a result.
pub(crate) struct ClosureSubject<'a, F, C, V> {
    pub(crate) run: RefCell<F>,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<T, E, F, C, V> Subject for ClosureSubject<'_, F, C, V>
where
    F: FnMut(&Heap) -> Result<T, E>,
    E: Debug,
    C: Classify<E>,
    V: Observe<T>,
{
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        call(&mut *self.run.borrow_mut(), self.classify, self.observe, stage)
    }
}

/// The same of a closure that several calls may be in at once: one whose threads wait for each other
/// never comes back.
pub(crate) struct SharedSubject<'a, F, C, V> {
    pub(crate) run: F,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<T, E, F, C, V> Subject for SharedSubject<'_, F, C, V>
where
    F: Fn(&Heap) -> Result<T, E>,
    E: Debug,
    C: Classify<E>,
    V: Observe<T>,
{
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        call(&mut |heap| (self.run)(heap), self.classify, self.observe, stage)
    }
}

fn call<T, E: Debug>(
    run: &mut dyn FnMut(&Heap) -> Result<T, E>,
    classify: &impl Classify<E>,
    observe: &impl Observe<T>,
    stage: &mut Stage<'_>,
) -> SubjectEnd {
    let heap = stage.heap.clone();
    stage.arm();
    let result = ours(|| run(&heap));
    stage.rest();
    match result {
        Ok(value) => stage.ok(&|out| observe.show(&value, out)),
        Err(error) if stage.is_faultless() => SubjectEnd::Err(format!("{error:?}")),
        Err(error) => failed(&error, classify),
    }
}

/// An object that is made without faults, and an operation on it that is swept.
pub(crate) struct StagedSubject<'a, F, G, C, V> {
    pub(crate) setup: F,
    pub(crate) operation: G,
    pub(crate) guarantee: Guarantee,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<S, T, E, F, G, C, V> Subject for StagedSubject<'_, F, G, C, V>
where
    F: Fn(&Heap) -> Result<S, E>,
    G: Fn(&mut S) -> Result<T, E>,
    T: Debug,
    E: Debug,
    C: Classify<E>,
    V: Observe<S>,
{
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        let heap = stage.heap.clone();
        let mut object = match ours(|| (self.setup)(&heap)) {
            Ok(object) => object,
            Err(error) => return SubjectEnd::Err(format!("the set-up failed: {error:?}")),
        };
        let state = |object: &S| {
            let mut text = String::new();
            let _ = self.observe.show(object, &mut text);
            text
        };
        let before = state(&object);
        stage.arm();
        let first = ours(|| (self.operation)(&mut object));
        stage.rest();
        let error = match first {
            Ok(reply) => {
                return stage.ok(&|out| {
                    writeln!(out, "{reply:#?}")?;
                    self.observe.show(&object, out)
                });
            }
            Err(error) => error,
        };
        if stage.is_faultless() {
            return SubjectEnd::Err(format!("{error:?}"));
        }
        if self.guarantee == Guarantee::Atomic {
            stage.expect_same(
                "the state after the error is not the state before:",
                &before,
                &|out| self.observe.show(&object, out),
            );
        }
        match ours(|| (self.operation)(&mut object)) {
            Ok(reply) => stage.expect_end(&|out| {
                writeln!(out, "{reply:#?}")?;
                self.observe.show(&object, out)
            }),
            Err(error) => stage.not_recovered(format!("with memory again it fails: {error:?}")),
        }
        failed(&error, self.classify)
    }
}

/// A script of operations on a system, and what the plain model makes of them.
pub(crate) struct ScriptSubject<S: System> {
    ops: Vec<S::Op>,
    /// What the model replied to each operation, its state before each, if they are kept, and at
    /// the end.
    replies: Vec<String>,
    states: Vec<S::Model>,
    end: S::Model,
    /// Whether requests go on failing after the first error: each operation that fails is
    /// repeated in peace. Otherwise the first error ends the shortage.
    insists: bool,
}

impl<S: System> ScriptSubject<S> {
    /// For many runs of the same operations: the model's states are kept.
    pub(crate) fn new(ops: &[S::Op], world: &World<'_>, insists: bool) -> Self {
        Self::with(ops, world, insists, true)
    }

    /// For a run or two: the few states that are asked for are made anew.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are written in it"))]
    pub(crate) fn once(ops: &[S::Op], world: &World<'_>, insists: bool) -> Self {
        Self::with(ops, world, insists, false)
    }

    fn with(ops: &[S::Op], world: &World<'_>, insists: bool, keeps: bool) -> Self {
        let (mut end, mut states) = (S::Model::default(), Vec::new());
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            states.extend(keeps.then(|| end.clone()));
            replies.push(format!("{:?}", S::model(&mut end, op, world)));
        }
        ScriptSubject { ops: ops.to_vec(), replies, states, end, insists }
    }

    /// The model's state before an operation.
    fn before(&self, nth: usize, world: &World<'_>) -> S::Model {
        self.states.get(nth).cloned().unwrap_or_else(|| {
            let mut state = S::Model::default();
            for op in &self.ops[..nth] {
                let _ = S::model(&mut state, op, world);
            }
            state
        })
    }
}

/// What comes of a script on its way.
#[derive(Default)]
pub(crate) struct ScriptProgress {
    error: Option<SubjectEnd>,
    wrong: Option<(String, ModelMismatch)>,
    /// Whether that was before any request failed.
    wrong_by_itself: bool,
}

impl ScriptProgress {
    /// An operation answered an error.
    pub(crate) fn failed(&mut self, is_oom: bool, name: &str, note: String, heap: &Heap) {
        let ended = if is_faultless(heap) {
            let (kind, operation) = (Kind::WrongError, name.to_owned());
            SubjectEnd::Mismatch(ModelMismatch { kind, operation, note })
        } else if is_oom {
            SubjectEnd::Oom
        } else {
            SubjectEnd::Err(note)
        };
        match self.error {
            // Out of memory is what was to be expected: anything else says more.
            None | Some(SubjectEnd::Oom) if ended != SubjectEnd::Oom => self.error = Some(ended),
            None => self.error = Some(ended),
            Some(_) => {}
        }
    }

    /// An operation, or the end, is not as the model has it.
    pub(crate) fn differs(&mut self, name: &str, note: String, heap: &Heap) {
        if self.wrong.is_none() {
            let (kind, operation) = (Kind::SilentWrong, name.to_owned());
            self.wrong_by_itself = is_faultless(heap);
            self.wrong = Some((note.clone(), ModelMismatch { kind, operation, note }));
        }
    }

    pub(crate) fn end(self, stage: &mut Stage<'_>) -> SubjectEnd {
        match (self.error, self.wrong) {
            (Some(ended @ SubjectEnd::Mismatch(_)), _) => ended,
            (_, Some((_, unlike))) if self.wrong_by_itself => SubjectEnd::Mismatch(unlike),
            (Some(ended), None) => ended,
            (Some(ended), Some((wrong, _))) => {
                stage.not_recovered(wrong);
                ended
            }
            (None, None) => SubjectEnd::Ok { differs: None },
            (None, Some((wrong, _))) => SubjectEnd::Ok { differs: Some(wrong) },
        }
    }
}

/// An operation's name: its `Debug` text up to what it holds.
pub(crate) fn name_of(op: &impl Debug) -> String {
    let text = format!("{op:?}");
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text[..end.unwrap_or(text.len())].to_owned()
}

impl<S: System> Subject for ScriptSubject<S> {
    fn call(&self, stage: &mut Stage<'_>) -> SubjectEnd {
        let heap = stage.heap.clone();
        let world = World::new(stage.input, stage.scratch());
        let mut course = ScriptProgress::default();
        stage.arm();
        if self.insists {
            heap.with(|state| state.wants_latest = true);
        }
        let mut system = match open::<S>(self.insists, &world, &mut course, stage) {
            Ok(system) => system,
            Err(ended) => return ended,
        };
        for (nth, op) in self.ops.iter().enumerate() {
            stage.begins();
            let mut reply = ours(|| system.apply(op, &world));
            if let Err(error) = &reply {
                let what = format!("operation {} ({op:?})", nth + 1);
                let note = format!("{what}: {error:?}");
                course.failed(S::is_oom(error), &name_of(op), note, &heap);
                let shortage = stage.relieve(self.insists);
                if S::guarantee(op) == Guarantee::Atomic {
                    let state = system.snapshot();
                    let before = self.before(nth, &world);
                    if state != before {
                        let diff = diff_models(&before, &state);
                        stage.not_recovered(format!(
                            "{what}: the state after the error is not the state before:\n{diff}"
                        ));
                    }
                }
                reply = ours(|| system.apply(op, &world));
                stage.resume(shortage);
            }
            match reply {
                Ok(reply) => {
                    let show = |out: &mut dyn fmt::Write| write!(out, "{reply:?}");
                    if let Some(diff) = difference(&self.replies[nth], &show) {
                        let note = format!(
                            "operation {} ({op:?}) replied otherwise than the model:\n{diff}",
                            nth + 1
                        );
                        course.differs(&name_of(op), note, &heap);
                    }
                }
                Err(error) => {
                    stage.not_recovered(format!("with memory again {op:?} fails: {error:?}"));
                    break;
                }
            }
        }
        stage.rest();
        let state = system.snapshot();
        if course.wrong.is_none() && state != self.end {
            let diff = diff_models(&self.end, &state);
            course.differs("the end", format!("the end state is not the model's:\n{diff}"), &heap);
        }
        ours(|| drop(system));
        course.end(stage)
    }
}

/// Opens a system: again with memory, where it fails.
pub(crate) fn open<S: System>(
    insists: bool,
    world: &World<'_>,
    course: &mut ScriptProgress,
    stage: &mut Stage<'_>,
) -> Result<S, SubjectEnd> {
    let heap = stage.heap.clone();
    let mut opened = ours(|| S::open(&heap, world));
    if let Err(error) = &opened {
        course.failed(S::is_oom(error), "open", format!("open: {error:?}"), &heap);
        let shortage = stage.relieve(insists);
        opened = ours(|| S::open(&heap, world));
        stage.resume(shortage);
    }
    opened.map_err(|error| {
        stage.not_recovered(format!("with memory again it does not open: {error:?}"));
        course.error.take().unwrap_or(SubjectEnd::Oom)
    })
}

/// Whether no request has failed on purpose so far.
pub(crate) fn is_faultless(heap: &Heap) -> bool {
    heap.with(|state| state.injected.is_none())
}

pub(crate) fn diff_models(expected: &impl Debug, found: &impl Debug) -> String {
    diff(&format!("{expected:#?}"), &format!("{found:#?}"))
}

impl Stage<'_> {
    fn is_faultless(&self) -> bool {
        is_faultless(&self.heap)
    }

    /// Lets every request pass: for good, or until [`resume`](Self::resume).
    fn relieve(&self, insists: bool) -> Option<(u64, bool)> {
        if insists {
            return Some(self.heap.with(State::pause));
        }
        self.rest();
        None
    }

    fn resume(&self, shortage: Option<(u64, bool)>) {
        if let Some(before) = shortage {
            self.heap.with(|state| state.go_on(before));
            if !self.evidence.is_empty() {
                // The latest failure is what it comes of: no other is to take its place.
                self.rest();
            }
        }
    }

    pub(crate) fn not_recovered(&mut self, note: String) {
        // A subject that fails without any fault is the caller's mistake, not a bad recovery.
        if !self.is_faultless() {
            self.evidence.push(Evidence::new(Kind::NotRecovered).note(note));
        }
    }

    fn expect_same(
        &mut self,
        what: &str,
        expected: &str,
        show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result,
    ) {
        if let Some(diff) = difference(expected, show) {
            self.not_recovered(format!("{what}\n{diff}"));
        }
    }

    fn expect_end(&mut self, show: &dyn Fn(&mut dyn fmt::Write) -> fmt::Result) {
        if let Some(baseline) = self.baseline.and_then(<[String]>::first) {
            self.expect_same("after the retry the end is not the fault-free one:", baseline, show);
        }
    }
}
