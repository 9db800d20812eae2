//! Subjects made of closures: one from a heap to a result, or a set-up with an operation. And how a
//! caller says which errors mean out of memory and what of a result is compared.

use std::cell::RefCell;
use std::fmt::{self, Debug};

use crate::heap::Heap;
use crate::heap::thread_context::ours;
use crate::printable;
use crate::run::outcome::SubjectEnd;
use crate::run::{Stage, Subject};
use crate::system::Guarantee;

/// Says which errors mean out of memory. What [`Sweep::oom`](crate::Sweep::oom) sets.
pub trait Classify<E> {
    /// Whether this error means out of memory; `None` if the caller didn't say.
    #[doc(hidden)]
    fn is_oom(&self, error: &E) -> Option<bool>;
}

/// Chooses which part of a result is compared. What [`Sweep::observe`](crate::Sweep::observe) sets.
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be compared with the fault-free run's",
    label = "results are compared by their `Debug` text, or by what `.observe(..)` makes of them",
    note = "derive `Debug` for `{T}`; or choose a part that has it, by `.observe(|result: &{T}| ..)` \
            further up"
)]
pub trait Observe<T> {
    /// Writes the text that is compared.
    #[doc(hidden)]
    fn show(&self, value: &T, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// What a closure may return that is only checked: nothing, or a `Result`. See
/// [`Sweep::check`](crate::Sweep::check).
#[diagnostic::on_unimplemented(
    message = "a closure that is only checked returns `()` or a `Result`, not `{Self}`",
    label = "this returns `{Self}`",
    note = "end it with `;`, or with `Ok::<_, E>(..)`; what is in a `Result` needs `Debug`"
)]
pub trait Returned {
    /// What it returns if all went well.
    type Value: Debug;
    /// Why it failed.
    type Error: Debug;
    /// It as a `Result`.
    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl Returned for () {
    type Value = ();
    type Error = std::convert::Infallible;

    fn into_result(self) -> Result<(), Self::Error> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<T: Debug, E: Debug> Returned for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

/// No classifier: every `Err` counts as propagated.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Unclassified;

/// The whole result, by its `Debug` text.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole;

/// The choice of a caller's closure.
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

#[diagnostic::do_not_recommend]
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

/// The end of a subject that returned this error.
pub(crate) fn failed<E: Debug>(error: &E, classify: &impl Classify<E>) -> SubjectEnd {
    match classify.is_oom(error) {
        Some(false) => SubjectEnd::Err(printable::debug(&error)),
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

/// As [`ClosureSubject`], of a closure that may be called again while a call is running: a call
/// whose threads deadlock never returns.
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

/// Runs a closure from a heap to a result, all of it under test.
pub(crate) fn call<T, E: Debug>(
    run: &mut dyn FnMut(&Heap) -> Result<T, E>,
    classify: &impl Classify<E>,
    observe: &impl Observe<T>,
    stage: &mut Stage<'_>,
) -> SubjectEnd {
    let heap = stage.heap.clone();
    stage.arm();
    let result = ours(|| run(&heap));
    stage.disarm();
    match result {
        Ok(value) => stage.ok(&|out| observe.show(&value, out)),
        Err(error) if stage.is_faultless() => SubjectEnd::Err(printable::debug(&error)),
        Err(error) => failed(&error, classify),
    }
}

/// A set-up that makes an object without faults, and the operation on it that is swept.
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
            Err(error) => {
                return SubjectEnd::Err(format!("the set-up failed: {}", printable::debug(&error)));
            }
        };
        let state = |object: &S| {
            let mut text = String::new();
            let _ = self.observe.show(object, &mut text);
            text
        };
        let before = state(&object);
        stage.arm();
        let first = ours(|| (self.operation)(&mut object));
        stage.disarm();
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
            return SubjectEnd::Err(printable::debug(&error));
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
            Err(error) => stage.not_recovered(format!(
                "it still fails when memory is available again: {}",
                printable::debug(&error)
            )),
        }
        failed(&error, self.classify)
    }
}
