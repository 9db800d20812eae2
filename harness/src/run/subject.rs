//! Subjects: closures, a set-up with an operation, and scripts of a system, each as one `Subject`.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use crate::heap::Heap;
use crate::heap::state::State;
use crate::heap::thread_context::ours;
use crate::report::evidence::Evidence;
use crate::report::format::difference;
use crate::report::kind::Kind;
use crate::run::outcome::SubjectEnd;
use crate::run::{Stage, Subject};
use crate::system::Guarantee;

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

pub(crate) fn failed<E: Debug>(error: &E, classify: &impl Classify<E>) -> SubjectEnd {
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

pub(crate) fn call<T, E: Debug>(
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

/// Whether no request has failed on purpose so far.
pub(crate) fn is_faultless(heap: &Heap) -> bool {
    heap.with(|state| state.injected.is_none())
}

impl Stage<'_> {
    fn is_faultless(&self) -> bool {
        is_faultless(&self.heap)
    }

    /// Lets every request pass: for good, or until [`resume`](Self::resume).
    pub(crate) fn relieve(&self, insists: bool) -> Option<(u64, bool)> {
        if insists {
            return Some(self.heap.with(State::pause));
        }
        self.rest();
        None
    }

    pub(crate) fn resume(&self, shortage: Option<(u64, bool)>) {
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
