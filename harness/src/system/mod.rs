//! Systems under test: code that scripts of operations drive, beside a plain model that says what
//! the code should do.
//!
//! A [`System`] opens on a [`Heap`], applies one operation at a time, says what it guarantees after
//! an error, and shows its state. [`Sweep::script`](crate::Sweep::script), script files, property
//! tests and fuzzers all drive it through this one trait.
//!
//! ```
//! use std::fmt::Debug;
//!
//! use allocator_api2::{collections::TryReserveError, vec::Vec};
//! use mallory::system::{System, World};
//! use mallory::{Heap, Sweep};
//!
//! struct Stack(Vec<u32, Heap>);
//!
//! #[derive(Clone, Debug)]
//! enum Op {
//!     Push(u32),
//!     Pop,
//! }
//!
//! impl System for Stack {
//!     const NAME: &'static str = "stack";
//!
//!     type Op = Op;
//!     type Reply = Option<u32>;
//!     type Error = TryReserveError;
//!     type Model = std::vec::Vec<u32>;
//!
//!     fn open(heap: &Heap, _: &World<'_>) -> Result<Self, TryReserveError> {
//!         Ok(Stack(Vec::new_in(heap.clone())))
//!     }
//!
//!     fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Option<u32>, TryReserveError> {
//!         match op {
//!             Op::Push(number) => {
//!                 self.0.try_reserve(1)?;
//!                 self.0.push(*number);
//!                 Ok(None)
//!             }
//!             Op::Pop => Ok(self.0.pop()),
//!         }
//!     }
//!
//!     fn is_oom(_: &TryReserveError) -> bool {
//!         true
//!     }
//!
//!     fn snapshot(&self) -> std::vec::Vec<u32> {
//!         self.0.to_vec()
//!     }
//!
//!     fn model(model: &mut std::vec::Vec<u32>, op: &Op, _: &World<'_>) -> impl Debug {
//!         match op {
//!             Op::Push(number) => {
//!                 model.push(*number);
//!                 None
//!             }
//!             Op::Pop => model.pop(),
//!         }
//!     }
//! }
//!
//! Sweep::new("stack").script::<Stack>(&[Op::Push(1), Op::Push(2), Op::Pop]).assert_clean();
//! ```

#[cfg(feature = "ron")]
pub(crate) mod script;

use std::fmt::Debug;
use std::path::Path;

use crate::heap::Heap;

/// What an operation guarantees when it returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guarantee {
    /// The state after the error is the state before the operation (strong guarantee).
    Atomic,
    /// A part of the operation may have been done. Applying the same operation again completes it.
    Retryable,
}

/// What a run gives to a system besides memory.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct World<'a> {
    /// The scenario's input: its fixture, or the file that `--input` names. Empty if there is none.
    pub input: &'a [u8],
    /// A directory that is empty when the run starts, and that no other run uses.
    pub scratch: &'a Path,
}

impl<'a> World<'a> {
    /// A world with this input and this directory, for calling a system without Mallory.
    #[must_use]
    pub fn new(input: &'a [u8], scratch: &'a Path) -> Self {
        World { input, scratch }
    }
}

/// Applies one operation by a shared reference. What [`System::shared`] returns.
pub type ApplyShared<S> =
    fn(&S, &<S as System>::Op, &World<'_>) -> Result<<S as System>::Reply, <S as System>::Error>;

/// A system under test. The [module](self) has an example.
///
/// A system requests all of its memory from the heap on which it is opened, and returns an error
/// where a request fails. A sweep fails each request in turn. After an error it compares the state
/// with what [`guarantee`](Self::guarantee) says, applies the operation again without faults, and
/// compares every reply and the end state with the model.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no system under test",
    label = "this needs `impl mallory::System for {Self}`",
    note = "the documentation of `mallory::system` has a whole one, of 25 lines"
)]
pub trait System: Sized {
    /// Its name in scripts.
    const NAME: &'static str;

    /// One operation. Scripts are lists of these; the name of a variant is the name in reports.
    type Op: Clone + Debug;
    /// What an operation returns. It is compared with the model's reply by its `Debug` text.
    type Reply: Debug;
    /// Why an operation failed.
    type Error: Debug;
    /// The state of the plain model: std collections, as simple as possible.
    type Model: Clone + Debug + Default + PartialEq;

    /// Opens the system. It is called again without faults if it fails.
    ///
    /// # Errors
    /// Out of memory, or that the world is unusable.
    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Self::Error>;

    /// Applies one operation.
    ///
    /// # Errors
    /// Out of memory, or an error of the system's own. The latter is a finding: a refusal that the
    /// model knows of belongs into the reply.
    fn apply(&mut self, op: &Self::Op, world: &World<'_>) -> Result<Self::Reply, Self::Error>;

    /// How several threads of a script apply operations at the same time: a function that does the
    /// same as [`apply`](Self::apply) by a shared reference. Its locks and atomics have to be those
    /// of [`mallory::sync`](crate::sync).
    ///
    /// The default is `None`: threads then apply whole operations one after the other, in every
    /// order. A `wrong-thread` finding is still possible, if an operation uses what belongs to the
    /// thread that opened the system.
    fn shared() -> Option<ApplyShared<Self>> {
        None
    }

    /// Whether an error means out of memory. Any other error of a run with a fault is a
    /// `wrong-error` finding.
    fn is_oom(error: &Self::Error) -> bool;

    /// What this operation guarantees when it returns an error. The default is
    /// [`Guarantee::Atomic`].
    fn guarantee(_op: &Self::Op) -> Guarantee {
        Guarantee::Atomic
    }

    /// The whole state, in the form of the model. If a snapshot leaves something out, its loss is
    /// not noticed.
    fn snapshot(&self) -> Self::Model;

    /// What the system measures of itself at the end of a script: names and whole numbers, the same in
    /// every run. The report of a sweep has those of the fault-free run; they are compared with
    /// nothing. By default there are none.
    fn metrics(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Applies the operation to the plain model and returns the expected reply. Its `Debug` text
    /// has to equal that of [`apply`](Self::apply)'s reply.
    fn model(model: &mut Self::Model, op: &Self::Op, world: &World<'_>) -> impl Debug;
}
