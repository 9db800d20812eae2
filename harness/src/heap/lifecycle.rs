//! Heaps come and go: how one is made, named, put over a port, cloned and let go of.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crate::detect::block::HeapInfo;
use crate::heap::node::{AnyPort, Core, Node, NodeRef};
use crate::heap::record::HEAPS_MAX;
use crate::heap::run_lock::{RunLock, SHARED, SOLO, look_for_threads, mark, new_run};
use crate::heap::state::{State, pool_lead};
use crate::heap::{AllocResult, Heap};
use crate::options::Options;
use crate::port::{Malloc, Port};

impl Heap {
    /// A heap over the system's allocator, all detectors on. Small blocks are cut off a region of
    /// its own; with [`Heap::over`] a [`SystemPort`](crate::SystemPort) each is `malloc`'s.
    #[must_use]
    #[allow(clippy::new_without_default)] // a constructor that demands to be named
    pub fn new() -> Heap {
        Options::new().heap()
    }

    /// A heap over this port, all detectors on.
    #[must_use]
    pub fn over(port: impl Port + Send + 'static) -> Heap {
        Options::new().heap_over(port)
    }

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
            state: UnsafeCell::new(State::new(options)),
            by_number: UnsafeCell::default(),
            run,
            gate: RunLock::of(run),
            foreign: Mutex::default(),
            orphans: Mutex::default(),
        });
        Heap::attach(NonNull::from(Box::leak(core)), "main", port, true, None)
    }

    /// A heap of the same run, over the same port, with a name of its own: its blocks are not the
    /// other's.
    #[must_use]
    pub fn named(&self, name: &'static str) -> Heap {
        Heap::attach(self.node().run, name, Unwatched(self.clone()), self.node().counted != 0, None)
    }

    /// Watches a port that itself takes its memory from a heap of this run, such as an arena: each
    /// of its blocks is a block of the new heap, inside a block of the one below.
    #[must_use]
    pub fn wrap(&self, name: &'static str, port: impl Port + Send + 'static) -> Heap {
        Heap::attach(self.node().run, name, port, false, None)
    }

    /// As [`wrap`](Self::wrap), for a port that serves one thread only, such as a slab: the logical
    /// thread that calls this. Another one's request is refused, its free leaves the block as it
    /// is, and both are reported as `wrong-thread`; the port sees neither.
    #[must_use]
    pub fn confine(&self, name: &'static str, port: impl Port + Send + 'static) -> Heap {
        if self.core().driven {
            self.core().follow();
        }
        let entered =
            self.core().enter().expect("a heap is made on the thread that its run belongs to");
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
        let entered = core.enter().expect("a heap is made on the thread that its run belongs to");
        let (id, pool) = entered.with(|state| (state.enrol(name), pool_lead(&state.options)));
        let node = Node::new(run, id, counts, pool, home, port);
        let layout = Layout::new::<Node<P>>();
        // SAFETY: a node is never zero-sized.
        let Some(place) = NonNull::new(unsafe { System.alloc(layout) }.cast::<Node<P>>()) else {
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
            // The state is not this thread's to touch: the owner takes the node down (`adopt`).
            let orphans = &self.core().orphans;
            orphans.lock().unwrap_or_else(PoisonError::into_inner).push(NodeRef(self.node));
            return;
        };
        self.node().leave(&entered);
        let id = self.node().id;
        let live = self.node().live(&entered);
        entered.set_node(id, None);
        entered.with(|state| state.retire(id, live));
        drop(entered);
        let layout = Layout::for_value(self.node());
        // SAFETY: this was the last handle (the count fell to zero), so nobody else can reach the
        // node; it was allocated by `attach` from `System` with this layout.
        unsafe {
            self.node.drop_in_place();
            System.dealloc(self.node.as_ptr().cast(), layout);
        }
        // SAFETY: the node held one share of the run; the run lives until the last is gone.
        if unsafe { run.as_ref() }.nodes.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: made by `Box::leak` in `first`; no node is left to reach it by.
            drop(unsafe { Box::from_raw(run.as_ptr()) });
        }
    }

    /// Takes down the heaps whose last handle went on another thread.
    pub(crate) fn adopt(&self) {
        let orphans = &self.core().orphans;
        let orphans = std::mem::take(&mut *orphans.lock().unwrap_or_else(PoisonError::into_inner));
        for NodeRef(node) in orphans {
            // Its count is at zero and stays there: this is no handle, only a way to the node.
            ManuallyDrop::new(Heap { node }).node_gone();
        }
    }
}

/// The last step of building a heap. It is here because options are below heaps and don't know them.
impl Options {
    /// A heap over the system's allocator.
    #[must_use]
    pub fn heap(self) -> Heap {
        self.heap_over(Malloc)
    }

    /// A heap over this port.
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
            .map(|entered| entered.with(|state| state.heaps[usize::from(self.node().id)].name));
        f.debug_tuple("Heap").field(&name.unwrap_or("of another thread")).finish()
    }
}

/// A heap's port as it is, past the heap: what a second heap over the same port stands on.
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

impl State {
    /// A place for a heap of this name. Where too many are alive at once, the last ones share one.
    pub(crate) fn enrol(&mut self, name: &'static str) -> u16 {
        let reused =
            self.free_heaps.iter().position(|id| self.heaps[usize::from(*id)].name == name);
        if let Some(place) = reused {
            return self.free_heaps.swap_remove(place);
        }
        let id = self.heaps.len();
        if id == HEAPS_MAX {
            return id as u16 - 1;
        }
        self.heaps.push(HeapInfo { name, family: id as u16 });
        id as u16
    }

    /// The heap is gone; a later one of its name takes its place, unless blocks are left.
    pub(crate) fn retire(&mut self, heap: u16, live: usize) {
        if live == 0 && usize::from(heap) != HEAPS_MAX - 1 {
            self.free_heaps.push(heap);
        }
    }
}
