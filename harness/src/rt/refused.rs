//! What shuttle, loom or std have and Mallory has not, where a user would look for it. Each item exists
//! so that the compiler can say what to use instead: by a bound that no type meets. `docs/threads.md`
//! has the reasons.
//!
//! Each of the bounds has a parameter, its own or its type's: one without any is an error where it is
//! written, not where the item is used.

use std::marker::PhantomData;

/// No type implements it.
#[diagnostic::on_unimplemented(
    message = "`Notify` is of loom, and not here: std has no such type",
    label = "not in `mallory::sync`",
    note = "use `thread::park` and `Thread::unpark`, or a `Condvar`; in async code tokio's `Notify`"
)]
pub trait LoomsNotify {}

/// No type implements it.
#[cfg(mallory_model)]
#[diagnostic::on_unimplemented(
    message = "`unsync_load` and `with_mut` of atomics are of loom, and not here: std has neither",
    label = "not in `mallory::sync`",
    note = "use `into_inner`, or `load`; without the feature `loom` there is `get_mut` as well"
)]
pub trait LoomsAtomicMethods<'a> {}

/// No type implements it.
#[diagnostic::on_unimplemented(
    message = "`cell::Cell` is of loom, and not here",
    label = "not in `mallory::sync`",
    note = "use `sync::cell::UnsafeCell` where threads share it, and `std::cell::Cell` where they don't"
)]
pub trait LoomsCell {}

/// No type implements it.
#[diagnostic::on_unimplemented(
    message = "`SystemTime` is not here: it differs in each run, so no run could be replayed",
    label = "not in `mallory::time`",
    note = "measure with `time::Instant`, or let the caller pass the time of day"
)]
pub trait TimeOfDay {}

/// No type implements it.
#[diagnostic::on_unimplemented(
    message = "`spawn_local` is not here: a task is a thread of the exploration",
    label = "not in `mallory::future`",
    note = "use `future::spawn` with a future that is `Send`, or await the future where it is"
)]
pub trait LocalTask {}

/// Of loom, and not here.
#[derive(Debug)]
pub struct Notify<T = ()>(PhantomData<T>);

impl<T> Notify<T> {
    /// Does not compile where it is called.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it can't be made")]
    pub fn new() -> Self
    where
        Self: LoomsNotify,
    {
        Notify(PhantomData)
    }
}

/// Of loom, and not here.
#[derive(Debug)]
pub struct Cell<T>(T);

impl<T> Cell<T> {
    /// Does not compile where it is called.
    #[must_use]
    pub fn new(value: T) -> Self
    where
        Self: LoomsCell,
    {
        Cell(value)
    }
}

/// Of std, and not here.
#[derive(Debug)]
pub struct SystemTime<T = ()>(PhantomData<T>);

impl<T> SystemTime<T> {
    /// Does not compile where it is called.
    #[must_use]
    pub fn now() -> Self
    where
        Self: TimeOfDay,
    {
        SystemTime(PhantomData)
    }
}

/// Of shuttle, and not here: does not compile where it is called.
pub fn spawn_local<F: LocalTask>(future: F) -> F {
    future
}
