//! The life of a heap and of its run: how a heap is made, named, put over a port, cloned and
//! dropped, and how a run ends.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crate::heap::node::{AnyPort, Core, Node, NodeRef};
use crate::heap::run_lock::{RunLock, SHARED, SOLO, look_for_threads, mark, new_run};
use crate::heap::state::{State, pool_lead};
use crate::heap::survivor::{KeepSurvivors, SurvivorKind};
use crate::heap::{AllocResult, Heap, is_more};
use crate::memory::own::OwnMemory;
use crate::memory::preloaded::is_preloaded;
use crate::options::Options;
use crate::port::{Malloc, Port};
#[cfg(target_os = "linux")]
use crate::process::reachability;
use crate::report::evidence::Moment;

const WRONG_THREAD: &str = "a heap is made on the thread that its run belongs to";

impl Heap {
    /// A heap over the system's allocator, all detectors on.
    ///
    /// Small blocks are cut off a memory region of the heap's own. With
    /// `Heap::over(SystemPort::new())` every block is `malloc`'s
    /// ([`SystemPort`](crate::SystemPort)).
    #[must_use]
    #[allow(clippy::new_without_default)] // a heap is made on purpose, never by a derived default
    pub fn new() -> Heap {
        Options::new().heap()
    }

    /// A heap over this port, all detectors on.
    #[must_use]
    pub fn over(port: impl Port + Send + 'static) -> Heap {
        Options::new().heap_over(port)
    }

    /// The first heap of a new run.
    pub(crate) fn first(options: Options, port: impl Port + Send + 'static) -> Heap {
        let owner = match () {
            () if options.global => SOLO,
            () if options.parallel => SHARED,
            () => mark(),
        };
        if options.global {
            look_for_threads();
        }
        let run = new_run();
        let core = Box::new(Core {
            nodes: AtomicUsize::new(0),
            owner: AtomicUsize::new(owner),
            bypass: options.bypass,
            driven: options.driven,
            points: options.points,
            watches_races: AtomicBool::new(false),
            state: UnsafeCell::new(State::new(options)),
            by_number: UnsafeCell::default(),
            run,
            lock: RunLock::of(run),
            foreign: Mutex::default(),
            orphans: Mutex::default(),
        });
        Heap::attach(NonNull::from(Box::leak(core)), "main", port, true, None)
    }

    /// A second heap of the same run, over the same port, with this name. Each heap owns its
    /// blocks: freeing one through the other is a finding, unless both are [aliases](Heap::alias).
    #[must_use]
    pub fn named(&self, name: &'static str) -> Heap {
        Heap::attach(self.node().run, name, Unwatched(self.clone()), self.node().counted != 0, None)
    }

    /// A heap of the same run over a port that takes its memory from a heap of this run, such as an
    /// arena. Each of its blocks is a block of the new heap, inside a block of the heap below. Its
    /// bytes are not counted again.
    #[must_use]
    pub fn wrap(&self, name: &'static str, port: impl Port + Send + 'static) -> Heap {
        Heap::attach(self.node().run, name, port, false, None)
    }

    /// As [`wrap`](Self::wrap), for a port that serves one thread only, such as a slab: the logical
    /// thread that calls this. Another thread's request is refused, and its free leaves the block
    /// as it is. Both are reported as `wrong-thread`, and the port sees neither.
    #[must_use]
    pub fn confine(&self, name: &'static str, port: impl Port + Send + 'static) -> Heap {
        if self.core().driven {
            self.core().follow();
        }
        let entered = self.core().enter().expect(WRONG_THREAD);
        let home = entered.with(|state| state.thread);
        drop(entered);
        Heap::attach(self.node().run, name, port, false, Some(home))
    }

    fn attach<P: Port + Send + 'static>(
        run: NonNull<Core>,
        name: &'static str,
        port: P,
        counts: bool,
        home: Option<u16>,
    ) -> Heap {
        // SAFETY: the caller holds a handle on this run, or has just made it.
        let core = unsafe { run.as_ref() };
        core.nodes.fetch_add(1, Ordering::Relaxed);
        let entered = core.enter().expect(WRONG_THREAD);
        let (id, pool) = entered.with(|state| (state.heaps.add(name), pool_lead(&state.options)));
        let node = Node::new(run, id, counts, pool, home, port);
        let layout = Layout::new::<Node<P>>();
        // SAFETY: a node is never zero-sized.
        let Some(place) = NonNull::new(unsafe { OwnMemory.alloc(layout) }.cast::<Node<P>>()) else {
            std::alloc::handle_alloc_error(layout)
        };
        // SAFETY: `place` was just allocated with the layout of a node.
        unsafe { place.write(node) };
        let node: NonNull<Node<AnyPort>> = place;
        entered.set_node(id, Some(NodeRef(node)));
        Heap { node }
    }

    #[cold]
    #[inline(never)]
    fn node_gone(&mut self) {
        let run = self.node().run;
        let Some(entered) = self.core().enter() else {
            // This thread may not touch the state. The owner drops the node (`adopt`).
            let orphans = &self.core().orphans;
            orphans.lock().unwrap_or_else(PoisonError::into_inner).push(NodeRef(self.node));
            return;
        };
        self.node().give_back_all(&entered);
        let id = self.node().id;
        let live = self.node().live(&entered);
        entered.set_node(id, None);
        entered.with(|state| state.heaps.remove(id, live));
        drop(entered);
        let layout = Layout::for_value(self.node());
        // SAFETY: this was the last handle (the count fell to zero), so nobody else can reach the
        // node; it was allocated by `attach` from `OwnMemory` with this layout.
        unsafe {
            self.node.drop_in_place();
            OwnMemory.dealloc(self.node.as_ptr().cast(), layout);
        }
        // SAFETY: the node held one share of the run; the run lives until the last is gone.
        if unsafe { run.as_ref() }.nodes.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: made by `Box::leak` in `first`; this was the last node, so nobody else can
            // reach it.
            drop(unsafe { Box::from_raw(run.as_ptr()) });
        }
    }

    /// Drops the heaps whose last handle was dropped on another thread.
    pub(crate) fn adopt(&self) {
        let orphans = &self.core().orphans;
        let orphans = std::mem::take(&mut *orphans.lock().unwrap_or_else(PoisonError::into_inner));
        for NodeRef(node) in orphans {
            // The count of handles is zero and stays so: this is no handle, and is not dropped.
            ManuallyDrop::new(Heap { node }).node_gone();
        }
    }
}

/// The end of a run.
impl Heap {
    /// Ends the run: checks everything in quarantine and every guard, and reports the blocks that
    /// are left and the calls of foreign threads.
    ///
    /// With `ended` false some threads never ended, and blocks that are left are no leaks: those
    /// that such a thread holds can't be told from those that were lost.
    pub(crate) fn close(&self, ended: bool) {
        let Some(entered) = self.core().enter() else {
            return;
        };
        self.adopt();
        while let Some(kept) = entered.with(State::release_kept) {
            self.check_and_give_back(&entered, &kept);
        }
        let foreign = std::mem::take(
            &mut *self.core().foreign.lock().unwrap_or_else(PoisonError::into_inner),
        );
        entered.with(|state| {
            for (nth, (foreign, stack)) in (1..).zip(&foreign) {
                state.report_foreign_call(foreign, nth);
                if let (Some(capture), Some(stack)) = (&mut state.capture, stack) {
                    capture.taken.entry(Moment::Foreign(nth)).or_insert_with(|| stack.clone());
                }
            }
        });
        self.check();
        // Some of a global heap's blocks belong to statics: `leave_to` handles all of them.
        entered.with(|state| (ended && !state.options.global).then(|| state.report_leaks()));
    }

    /// Leaves what is still live to the global heap. Returns by how many blocks and bytes there is
    /// more left than after the previous run. If there is more, each block is reported as a leak.
    pub(crate) fn leave_to(&self, global: &dyn KeepSurvivors) -> (i64, i64) {
        let Some(entered) = self.core().enter() else {
            return (0, 0);
        };
        // All of it under the lock: another thread that frees such a block finds it either in the
        // ledger or among the survivors.
        let left = entered.with(|state| state.ledger.take_heap(self.node().id));
        #[cfg(target_os = "linux")]
        if is_preloaded() {
            // The process ends with the run, and what something leads to is no leak.
            let live: Vec<_> = left.iter().map(|block| (block.address, block.size)).collect();
            for found in reachability::lost(&live) {
                let block = &left[found.index];
                if !block.tainted {
                    entered.with(|state| state.report_lost(block, found.below));
                }
            }
            return (0, 0);
        }
        let kind = entered.with(|state| match (state.options.apart, state.guards) {
            (true, _) => SurvivorKind::ForGood,
            (false, true) => SurvivorKind::Guarded,
            (false, false) => SurvivorKind::Plain,
        });
        for block in &left {
            entered.with(|state| self.node().remove_live(state));
            global.keep(block, kind);
        }
        let more = global.growth();
        if is_more(more) > 0 {
            // A block that has a finding already is no leak as well.
            let leaks = left.iter().filter(|block| !block.tainted);
            entered.with(|state| leaks.for_each(|block| state.report_leak(block)));
        }
        more
    }

    /// The number of threads that used this run.
    pub(crate) fn threads(&self) -> usize {
        self.core().lock().threads().max(1)
    }
}

/// Here and not in `options.rs`, which is a layer below heaps and doesn't know them.
impl Options {
    /// A heap over the system's allocator, with these options.
    #[must_use]
    pub fn heap(self) -> Heap {
        self.heap_over(Malloc)
    }

    /// A heap over this port, with these options.
    #[must_use]
    pub fn heap_over(self, port: impl Port + Send + 'static) -> Heap {
        Heap::first(self, port)
    }
}

impl Clone for Heap {
    #[inline]
    fn clone(&self) -> Self {
        self.node().handles.fetch_add(1, Ordering::Relaxed);
        Heap { node: self.node }
    }
}

impl Drop for Heap {
    #[inline]
    fn drop(&mut self) {
        if self.node().handles.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            self.node_gone();
        }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .core()
            .enter()
            .map(|entered| entered.with(|state| state.heaps.name(self.node().id)));
        f.debug_tuple("Heap").field(&name.unwrap_or("of another thread")).finish()
    }
}

/// The port below a heap, without the heap: a second heap over the same port is put over this.
struct Unwatched(Heap);

// SAFETY: every call goes to the port of the heap inside, which keeps the contract.
unsafe impl Port for Unwatched {
    fn alloc(&self, layout: Layout) -> AllocResult {
        self.0.node().port.alloc(layout)
    }

    fn alloc_zeroed(&self, layout: Layout) -> AllocResult {
        self.0.node().port.alloc_zeroed(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.free(block, layout) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.grow(block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.shrink(block, old, new) }
    }
}
