//! Subjects: closures, a set-up with an operation, and scripts of a system, each as one `Subject`.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use crate::evidence::Evidence;
use crate::global::ours;
use crate::heap::Heap;
use crate::kind::Kind;
use crate::run::{Ended, Stage, Subject};
use crate::system::{Guarantee, System, World};
use crate::text::{diff, difference};

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

fn failed<E: Debug>(error: &E, classify: &impl Classify<E>) -> Ended {
    match classify.is_oom(error) {
        Some(false) => Ended::Err(format!("{error:?}")),
        Some(true) | None => Ended::Oom,
    }
}

/// A closure from a heap to a result.
pub(crate) struct Closure<'a, F, C, V> {
    pub(crate) run: RefCell<F>,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<T, E, F, C, V> Subject for Closure<'_, F, C, V>
where
    F: FnMut(&Heap) -> Result<T, E>,
    E: Debug,
    C: Classify<E>,
    V: Observe<T>,
{
    fn call(&self, stage: &mut Stage<'_>) -> Ended {
        call(&mut *self.run.borrow_mut(), self.classify, self.observe, stage)
    }
}

/// The same of a closure that several calls may be in at once: one whose threads wait for each other
/// never comes back.
pub(crate) struct Shared<'a, F, C, V> {
    pub(crate) run: F,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<T, E, F, C, V> Subject for Shared<'_, F, C, V>
where
    F: Fn(&Heap) -> Result<T, E>,
    E: Debug,
    C: Classify<E>,
    V: Observe<T>,
{
    fn call(&self, stage: &mut Stage<'_>) -> Ended {
        call(&mut |heap| (self.run)(heap), self.classify, self.observe, stage)
    }
}

fn call<T, E: Debug>(
    run: &mut dyn FnMut(&Heap) -> Result<T, E>,
    classify: &impl Classify<E>,
    observe: &impl Observe<T>,
    stage: &mut Stage<'_>,
) -> Ended {
    let heap = stage.heap.clone();
    stage.arm();
    let result = ours(|| run(&heap));
    stage.rest();
    match result {
        Ok(value) => stage.ok(&|out| observe.show(&value, out)),
        Err(error) if stage.is_faultless() => Ended::Err(format!("{error:?}")),
        Err(error) => failed(&error, classify),
    }
}

/// An object that is made without faults, and an operation on it that is swept.
pub(crate) struct Staged<'a, F, G, C, V> {
    pub(crate) setup: F,
    pub(crate) operation: G,
    pub(crate) guarantee: Guarantee,
    pub(crate) classify: &'a C,
    pub(crate) observe: &'a V,
}

impl<S, T, E, F, G, C, V> Subject for Staged<'_, F, G, C, V>
where
    F: Fn(&Heap) -> Result<S, E>,
    G: Fn(&mut S) -> Result<T, E>,
    T: Debug,
    E: Debug,
    C: Classify<E>,
    V: Observe<S>,
{
    fn call(&self, stage: &mut Stage<'_>) -> Ended {
        let heap = stage.heap.clone();
        let mut object = match ours(|| (self.setup)(&heap)) {
            Ok(object) => object,
            Err(error) => return Ended::Err(format!("the set-up failed: {error:?}")),
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
            return Ended::Err(format!("{error:?}"));
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
pub(crate) struct Scripted<S: System> {
    ops: Vec<S::Op>,
    /// What the model replied to each operation, and its state before each and at the end.
    replies: Vec<String>,
    states: Vec<S::Model>,
}

impl<S: System> Scripted<S> {
    pub(crate) fn new(ops: &[S::Op], world: &World<'_>) -> Self {
        let mut model = S::Model::default();
        let mut states = vec![model.clone()];
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(format!("{:?}", S::model(&mut model, op, world)));
            states.push(model.clone());
        }
        Scripted { ops: ops.to_vec(), replies, states }
    }
}

impl<S: System> Subject for Scripted<S> {
    fn call(&self, stage: &mut Stage<'_>) -> Ended {
        let heap = stage.heap.clone();
        let world = World::new(stage.input, stage.scratch());
        let mut first_error = None;
        let mut note_error = |error: &S::Error, stage: &Stage<'_>, what: &str| {
            let oom = !stage.is_faultless() && S::is_oom(error);
            let ended = if oom { Ended::Oom } else { Ended::Err(format!("{what}: {error:?}")) };
            first_error.get_or_insert(ended);
        };
        stage.arm();
        let mut opened = ours(|| S::open(&heap, &world));
        if let Err(error) = &opened {
            note_error(error, stage, "open");
            stage.rest();
            opened = ours(|| S::open(&heap, &world));
        }
        let mut system = match opened {
            Ok(system) => system,
            Err(error) => {
                stage.not_recovered(format!("with memory again it does not open: {error:?}"));
                return first_error.unwrap_or(Ended::Oom);
            }
        };
        let mut wrong = None;
        for (nth, op) in self.ops.iter().enumerate() {
            let mut reply = ours(|| system.apply(op, &world));
            if let Err(error) = &reply {
                let what = format!("operation {} ({op:?})", nth + 1);
                note_error(error, stage, &what);
                stage.rest();
                if S::guarantee(op) == Guarantee::Atomic {
                    let state = system.snapshot();
                    if state != self.states[nth] {
                        let diff = diff_models(&self.states[nth], &state);
                        stage.not_recovered(format!(
                            "{what}: the state after the error is not the state before:\n{diff}"
                        ));
                    }
                }
                reply = ours(|| system.apply(op, &world));
            }
            match reply {
                Ok(reply) => {
                    let show = |out: &mut dyn fmt::Write| write!(out, "{reply:?}");
                    if let Some(diff) = difference(&self.replies[nth], &show) {
                        wrong.get_or_insert(format!(
                            "operation {} ({op:?}) replied otherwise than the model:\n{diff}",
                            nth + 1
                        ));
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
        let expected = self.states.last().expect("there is a state before the first operation");
        if wrong.is_none() && state != *expected {
            let diff = diff_models(expected, &state);
            wrong = Some(format!("the end state is not the model's:\n{diff}"));
        }
        ours(|| drop(system));
        match (first_error, wrong) {
            (Some(ended), None) => ended,
            (Some(ended), Some(wrong)) => {
                stage.not_recovered(wrong);
                ended
            }
            (None, None) => Ended::Ok { differs: None },
            (None, Some(wrong)) if stage.is_faultless() => Ended::Err(wrong),
            (None, Some(wrong)) => Ended::Ok { differs: Some(wrong) },
        }
    }
}

fn diff_models(expected: &impl Debug, found: &impl Debug) -> String {
    diff(&format!("{expected:#?}"), &format!("{found:#?}"))
}

impl Stage<'_> {
    /// Whether no request has failed on purpose so far.
    fn is_faultless(&self) -> bool {
        self.heap.with(|state| state.injected.is_none())
    }

    fn not_recovered(&mut self, note: String) {
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
