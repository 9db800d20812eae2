//! Traits that say, in the compiler's errors, what a caller's mistake is and what to write instead. They
//! have no methods.

/// A closure that several workers may call at a time: one that is `Sync`.
#[diagnostic::on_unimplemented(
    message = "this closure captures something that only one thread may use",
    label = "it is not `Sync`: does it capture an `Rc`, a `Cell`, a `RefCell` or a raw pointer?",
    note = "`.run_local(..)` takes any closure, and gives each worker process its own copy of what it \
            captures",
    note = "or make that value inside of the closure, or capture an `Arc`, a `Mutex` or an atomic"
)]
pub trait Shareable {}

#[diagnostic::do_not_recommend]
impl<F: Sync> Shareable for F {}

/// What a builder is that has an object to sweep operations on. No other has it.
#[diagnostic::on_unimplemented(
    message = "`.operation(..)` without `.setup(..)`",
    label = "there is no object that the operation could be swept on",
    note = "make the object first: `.setup(|heap| ..).operation(|object| ..)`; or sweep a closure that \
            needs none: `.run(|heap| ..)`"
)]
pub trait HasSetup {}

/// What a sweep is that knows what to fail. A set-up alone is none.
#[diagnostic::on_unimplemented(
    message = "`.setup(..)` without `.operation(..)`",
    label = "the set-up is never made to fail, so that there is nothing to sweep yet",
    note = "say what is swept on the object: `.setup(|heap| ..).operation(|object| ..)`"
)]
pub trait HasOperation {}
