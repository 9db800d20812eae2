//! The options of a heap and its run: what is watched, and how the heap behaves.

use crate::report::kind::Kind;

/// What a heap watches, and how it behaves. By default all detectors are on.
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
    /// Whether the heap serves the global allocator: any thread may use it.
    pub(crate) global: bool,
    /// Whether such a heap has a port of its own, instead of the allocator that the global heap
    /// wraps.
    pub(crate) apart: bool,
    /// Whether requests made while a panic unwinds are counted and fail as well.
    pub(crate) unwinding: bool,
    pub(crate) bypass: bool,
    /// Whether a model checker schedules the run's threads.
    pub(crate) driven: bool,
    /// Whether each request and each free is a scheduling point then.
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
    /// All detectors on, serial, and every resize moves the block.
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

    /// Switches off the detectors that need guard bytes, poison and quarantine. Those that only
    /// need the ledger stay on: leaks, double, invalid and cross-allocator frees, layout
    /// mismatches.
    #[must_use]
    pub fn ledger_only(self) -> Self {
        self.without(Kind::HeapBufferOverflow)
            .without(Kind::HeapBufferUnderflow)
            .without(Kind::UseAfterFree)
    }

    /// Whether a grow or shrink always moves the block (the default), or the port decides. A port
    /// that sometimes grows in place makes clean code look nondeterministic.
    #[must_use]
    pub fn moving(mut self, moving: bool) -> Self {
        self.moving = moving;
        self
    }

    /// Zeroes every block before it is given back to the port, so that secrets don't outlive it.
    #[must_use]
    pub fn wipe_on_free(mut self) -> Self {
        self.wipe = true;
        self
    }

    /// Sets a budget for live bytes. More than `bytes` is a finding (`over-budget`), and from 80 %
    /// on the report warns.
    #[must_use]
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// Counts the sizes of requests, for the percentiles p50, p90 and p99 in the report.
    #[must_use]
    pub fn histogram(mut self) -> Self {
        self.histogram = true;
        self
    }

    /// Lets several OS threads use the heap at once. Each call then takes a lock, and the verdict
    /// can only be *sampled*.
    #[must_use]
    pub fn parallel(mut self) -> Self {
        self.parallel = true;
        self
    }

    /// The kill switch for custom allocators on the heap: those that ask
    /// [`Heap::bypass`](crate::Heap::bypass) pass every call straight to the heap.
    #[must_use]
    pub fn bypass(mut self, bypass: bool) -> Self {
        self.bypass = bypass;
        self
    }

    /// For a heap that serves the global allocator.
    pub(crate) fn global(mut self) -> Self {
        self.global = true;
        self
    }

    /// For a heap that serves the global allocator from a port of its own.
    pub(crate) fn apart(mut self) -> Self {
        self.apart = true;
        self.global()
    }

    /// For a run whose threads a model checker schedules. With `points` each request and each free
    /// is a scheduling point.
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
