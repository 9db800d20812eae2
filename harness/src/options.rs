//! What a heap watches and how: the switches of a run.

use crate::report::kind::Kind;

/// What a heap watches. The default is everything.
///
/// ```
/// use mallory::{Heap, Kind, Options};
/// let heap = Options::new().without(Kind::Leak).budget(1 << 20).heap();
/// # let _: Heap = heap;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    off: u32,
    pub(crate) moving: bool,
    pub(crate) wipe: bool,
    pub(crate) budget: Option<usize>,
    pub(crate) histogram: bool,
    pub(crate) parallel: bool,
    /// The heap stands behind the global allocator: any thread may come.
    pub(crate) global: bool,
    /// Such a heap's port is not the allocator inside of the global one.
    pub(crate) apart: bool,
    /// Requests of code that runs while a panic unwinds count and fail as well.
    pub(crate) unwinding: bool,
    pub(crate) bypass: bool,
    /// A model checker lets the run's threads take turns.
    pub(crate) driven: bool,
    /// And each request and each free is a point at which it may.
    pub(crate) points: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            off: 0,
            moving: true,
            wipe: false,
            budget: None,
            histogram: false,
            parallel: false,
            global: false,
            apart: false,
            unwinding: false,
            bypass: false,
            driven: false,
            points: false,
        }
    }
}

impl Options {
    /// All detectors, serial, and every grow moves.
    #[must_use]
    pub fn new() -> Self {
        Options::default()
    }

    /// Switches one detector off.
    #[must_use]
    pub fn without(mut self, kind: Kind) -> Self {
        self.off |= 1 << kind as u32;
        self
    }

    /// Switches off what needs guard bytes, poison and quarantine: only the ledger is left
    /// (leaks, double, invalid and cross-allocator frees, layout mismatches).
    #[must_use]
    pub fn ledger_only(self) -> Self {
        self.without(Kind::HeapBufferOverflow)
            .without(Kind::HeapBufferUnderflow)
            .without(Kind::UseAfterFree)
    }

    /// Whether growing moves the block every time (the default), or the port decides. A heap
    /// that grows in place when it is warm makes clean code look nondeterministic.
    #[must_use]
    pub fn moving(mut self, moving: bool) -> Self {
        self.moving = moving;
        self
    }

    /// Zeroes every block before it goes back to the port, so that secrets don't outlive it.
    #[must_use]
    pub fn wipe_on_free(mut self) -> Self {
        self.wipe = true;
        self
    }

    /// Live bytes above this are a finding; from 80 % on the report warns.
    #[must_use]
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// Counts request sizes for the report's p50, p90 and p99.
    #[must_use]
    pub fn histogram(mut self) -> Self {
        self.histogram = true;
        self
    }

    /// Lets several OS threads use the heap at once, at the price of a mutex, and of a verdict
    /// that can only be *sampled*.
    #[must_use]
    pub fn parallel(mut self) -> Self {
        self.parallel = true;
        self
    }

    /// The kill switch: memory parts that ask [`Heap::bypass`](crate::Heap::bypass) pass every
    /// allocation straight to their port.
    #[must_use]
    pub fn bypass(mut self, bypass: bool) -> Self {
        self.bypass = bypass;
        self
    }

    /// For a heap that stands behind the global allocator.
    pub(crate) fn global(mut self) -> Self {
        self.global = true;
        self
    }

    /// For a heap that stands behind the global allocator, and over a port of its own.
    pub(crate) fn apart(mut self) -> Self {
        self.apart = true;
        self.global()
    }

    /// For a run whose threads a model checker lets take turns: at each request and each free, or
    /// only elsewhere.
    pub(crate) fn driven(mut self, points: bool) -> Self {
        self.driven = true;
        self.points = points;
        self
    }

    pub(crate) fn detects(&self, kind: Kind) -> bool {
        self.off & (1 << kind as u32) == 0
    }

    /// Whether blocks get guards, poison and quarantine.
    pub(crate) fn guards(&self) -> bool {
        self.detects(Kind::HeapBufferOverflow)
            || self.detects(Kind::HeapBufferUnderflow)
            || self.detects(Kind::UseAfterFree)
    }
}
