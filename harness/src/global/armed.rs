//! How a run uses a global heap, whatever allocator that wraps: it arms it, ends, and disarms it.

use std::alloc::Layout;

use crate::heap::Heap;
use crate::heap::run_lock::wait_for_threads;
use crate::heap::survivor::KeepSurvivors;
use crate::options::Options;
use crate::process::thread_births::{self, Wait};

/// A global heap as a run sees it.
pub(crate) trait Global: KeepSurvivors + Sync {
    /// A heap for a run, over the allocator inside.
    fn heap(&'static self, options: Options) -> Heap;
    /// Passes the calls of the current thread and those it starts (or of all threads) through this
    /// heap, until [`disarm`](Self::disarm).
    fn arm(&self, heap: &Heap, everyone: bool);
    /// Lets requests pass unwatched from here on. Frees are still checked.
    fn rest(&self);
    /// Undoes [`arm`](Self::arm).
    fn disarm(&self);
    /// Frees a block that a run kept though it had not allocated it.
    fn free_kept(&self, address: usize, layout: Layout);
    /// The number of requests that belonged to no run since the last call.
    fn take_unattributed(&self) -> u64;
}

/// How a run of a global heap ended.
pub(crate) struct GlobalEnd {
    /// By how many blocks and bytes there is more left than after the previous run.
    pub(crate) survived: (i64, i64),
    /// The number of requests that belonged to no run.
    pub(crate) unattributed: u64,
    /// The threads of the run that have not ended.
    pub(crate) running: usize,
}

/// Keeps a global heap armed until it is dropped.
pub(crate) struct Armed<'a> {
    global: &'a dyn Global,
    heap: &'a Heap,
    owns_process: bool,
}

impl<'a> Armed<'a> {
    pub(crate) fn new(global: &'a dyn Global, heap: &'a Heap, everyone: bool) -> Self {
        global.arm(heap, everyone);
        Armed { global, heap, owns_process: everyone }
    }

    /// Ends the run.
    pub(crate) fn end(self) -> GlobalEnd {
        self.global.rest();
        let heap = self.heap;
        heap.disarm();
        let running = match self.owns_process {
            true => thread_births::wait_for_ends(Wait::Dropped),
            false => {
                wait_for_threads(heap.threads());
                0
            }
        };
        heap.close(true);
        let kept = heap.with(|state| state.unknown_frees.take());
        // In a child of the sweep nothing is handed out again that was freed before: a next run frees
        // the same blocks.
        if !self.owns_process {
            kept.into_iter().for_each(|(address, layout)| self.global.free_kept(address, layout));
        }
        let survived = heap.leave_to(self.global);
        GlobalEnd { survived, unattributed: self.global.take_unattributed(), running }
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.global.disarm();
    }
}
