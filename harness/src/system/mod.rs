//! A system under test: what a scenario script drives.
//!
//! One small trait: open on a heap, apply one operation, say what holds after an error, and
//! compare with a plain model. Scripts, sweeps, property tests and fuzzers all go through it.

#[cfg(feature = "ron")]
pub(crate) mod script;

use std::fmt::Debug;
use std::path::Path;

use crate::heap::Heap;

/// What an operation promises when it answers an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guarantee {
    /// The state after the error is the state before the operation.
    Atomic,
    /// Part of it may have been done; the same operation again completes it.
    Retryable,
}

/// What a run lends to a system besides memory.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct World<'a> {
    /// The scenario's input: the fixture, or what `--input` named.
    pub input: &'a [u8],
    /// A directory of this run's own, empty when it starts.
    pub scratch: &'a Path,
}

impl<'a> World<'a> {
    /// A world of this input and this directory.
    #[must_use]
    pub fn new(input: &'a [u8], scratch: &'a Path) -> Self {
        World { input, scratch }
    }
}

/// How several threads apply operations to one system at once: what [`System::shared`] answers.
pub type ApplyShared<S> =
    fn(&S, &<S as System>::Op, &World<'_>) -> Result<<S as System>::Reply, <S as System>::Error>;

/// A system under test.
///
/// Every byte that it keeps comes from the heap it is opened on, and every path answers an error
/// instead of aborting: the sweep fails each request in turn and holds the system to its word.
pub trait System: Sized {
    /// What scripts call it.
    const NAME: &'static str;

    /// One operation, as scripts write it.
    type Op: Clone + Debug;
    /// What an operation answers. Compared by its `Debug` text.
    type Reply: Debug;
    /// Why an operation failed.
    type Error: Debug;
    /// The plain state: std collections, nothing clever.
    type Model: Clone + Debug + Default + PartialEq;

    /// Opens the system.
    ///
    /// # Errors
    /// Out of memory, or that the world isn't as it should be.
    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Self::Error>;

    /// Applies one operation.
    ///
    /// # Errors
    /// Out of memory, or what the system itself has to object.
    fn apply(&mut self, op: &Self::Op, world: &World<'_>) -> Result<Self::Reply, Self::Error>;

    /// How several threads apply operations at once, where a script has several: the same as
    /// [`apply`](Self::apply), by a shared reference. Its locks and atomics are those of
    /// `mallory::sync`. `None`, unless it is overridden: then one operation comes after the other,
    /// whole, in every order; what belongs to the thread that opened it is found as that.
    fn shared() -> Option<ApplyShared<Self>> {
        None
    }

    /// Whether an error means that memory ran out.
    fn is_oom(error: &Self::Error) -> bool;

    /// What holds after this operation's error.
    fn guarantee(_op: &Self::Op) -> Guarantee {
        Guarantee::Atomic
    }

    /// The whole state as the model has it. Nothing may be missing: what a snapshot leaves out
    /// can be lost unseen.
    fn snapshot(&self) -> Self::Model;

    /// Applies the operation to the plain model, and answers what the reply's `Debug` text shall
    /// be the same as.
    fn model(model: &mut Self::Model, op: &Self::Op, world: &World<'_>) -> impl Debug;
}
