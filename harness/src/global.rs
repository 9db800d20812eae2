//! The global allocator as a subject: code that never sees a heap is watched through this.
//!
//! ```text
//!  Vec, Box, String … ─▶ GlobalHeap ─┬─ off ────▶ the allocator inside
//!                                    └─ armed ──▶ Heap (the run's) ─▶ the allocator inside
//! ```
//!
//! Off, it passes every call on. While a run goes on it is *armed*: the subject's calls go through
//! the run's heap like any other's. Three kinds of calls pass unwatched all the same: those of the
//! harness, those of the panic machinery, and those of threads that the run doesn't own.
//!
//! A block may outlive its run: a static's, a leaked one. It is a *survivor*: kept in a table, so
//! that a later free finds the guards that were put around it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::gate::{is_single_threaded, mark};
use crate::heap::Heap;
use crate::ledger::{Block, Ledger};
use crate::node::{Entered, some, start_of};
use crate::options::Options;
use crate::port::{Port, Refused};
use crate::redzone;
use crate::trace::Op;

/// A global allocator that can be watched: it wraps any other, and does nothing until a
/// [`Sweep`](crate::Sweep::global) arms it.
///
/// ```
/// #[global_allocator]
/// static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();
///
/// let report = mallory::Sweep::new("greeting")
///     .global(&HEAP)
///     .run(|_| {
///         let mut text = String::new();
///         text.try_reserve(40)?;
///         text.push_str("memory that is there, or an error");
///         Ok::<_, std::collections::TryReserveError>(text)
///     });
/// report.assert_clean();
/// ```
pub struct GlobalHeap<A = System> {
    inner: A,
    /// What an idle call looks at: 0 while nothing is armed and nothing has survived.
    busy: AtomicUsize,
    /// The run's heap, while its subject runs.
    armed: AtomicPtr<Heap>,
    /// Whether every thread is the subject's: so in a child, which has no others.
    everyone: AtomicBool,
    /// Calls that are inside the armed heap, of processes with several threads.
    pins: AtomicUsize,
    unattributed: AtomicU64,
    survivors: Survivors,
    /// The thread that is closing a run, while [`CLOSING`].
    closer: AtomicUsize,
    /// Survivors, and their bytes, that were given back between runs.
    gone: [AtomicUsize; 2],
}

/// In `busy`: a run is going on.
const ARMED: usize = 1;
/// A run is over, and what is left of it is not in the table of survivors yet: threads of the
/// subject's that outlive it wait with their frees.
const CLOSING: usize = 2;
/// Above these the survivors are counted.
const SURVIVOR: usize = 4;

thread_local! {
    /// What this thread's calls are: the subject's, or see [`PASSING`] and [`INSIDE`].
    static PLACE: Cell<u8> = const { Cell::new(0) };
    /// Whether this thread belongs to an armed run of the process.
    static ATTRIBUTED: Cell<bool> = const { Cell::new(false) };
}

/// The harness is at work on this thread: its requests pass, its frees are looked at.
const PASSING: u8 = 1;
/// The thread is inside of a heap: nothing is looked at, since that is being done.
const INSIDE: u8 = 2;

/// Sets this thread's place until it is dropped.
pub(crate) struct In(u8);

impl In {
    #[inline]
    fn place(place: u8) -> In {
        In(PLACE.replace(place))
    }

    /// Inside of a heap: what is asked for meanwhile is nobody's.
    #[inline]
    pub(crate) fn side() -> In {
        In::place(INSIDE)
    }
}

impl Drop for In {
    #[inline]
    fn drop(&mut self) {
        PLACE.set(self.0);
    }
}

/// Runs something of the harness's while a subject's run goes on: its memory is not the subject's.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let _in = In::place(PASSING);
    work()
}

/// Runs the subject's own code.
pub(crate) fn ours<R>(work: impl FnOnce() -> R) -> R {
    let _in = In::place(0);
    work()
}

/// Whether the present thread belongs to an armed run; for a thread that it starts.
pub(crate) fn is_attributed() -> bool {
    ATTRIBUTED.get()
}

/// Makes the present thread one of an armed run's, or none.
pub(crate) fn attribute(is_ours: bool) {
    ATTRIBUTED.set(is_ours);
}

/// What runs know of a global heap, whatever it wraps.
pub(crate) trait Global: Sync {
    /// A run's heap over the allocator inside.
    fn heap(&'static self, options: Options) -> Heap;
    /// Lets the calls of the present thread (or of all) go through this heap, until
    /// [`disarm`](Self::disarm).
    fn arm(&self, heap: &Heap, everyone: bool);
    /// The present thread goes on with what is left, and says so when it is done: see
    /// [`settle`](Self::settle).
    fn disarm(&self);
    /// All that outlives the run is kept.
    fn settle(&self);
    /// Survivors, and their bytes, that were given back since the last time it was asked, past
    /// every run.
    fn take_gone(&self) -> (usize, usize);
    /// Remembers a block that outlives its run.
    fn keep(&self, block: &Block, guards: bool);
    /// Calls since the last time it was asked that belonged to no run.
    fn take_unattributed(&self) -> u64;
}

impl GlobalHeap<System> {
    /// Over the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        GlobalHeap::over(System)
    }
}

impl<A> GlobalHeap<A> {
    /// Over this allocator.
    #[must_use]
    pub const fn over(inner: A) -> Self {
        GlobalHeap {
            inner,
            busy: AtomicUsize::new(0),
            armed: AtomicPtr::new(std::ptr::null_mut()),
            everyone: AtomicBool::new(false),
            pins: AtomicUsize::new(0),
            unattributed: AtomicU64::new(0),
            survivors: Survivors::new(),
            closer: AtomicUsize::new(0),
            gone: [const { AtomicUsize::new(0) }; 2],
        }
    }
}

impl<A> std::fmt::Debug for GlobalHeap<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalHeap").finish_non_exhaustive()
    }
}

/// The way into an armed heap, held while a call is in there.
struct Way<'a> {
    heap: &'a Heap,
    /// The right to touch the run's state, where the process has one thread.
    entered: Option<Entered<'a>>,
    pins: Option<&'a AtomicUsize>,
    _in: In,
}

impl Way<'_> {
    #[inline]
    fn takes_back(&self, start: NonNull<u8>, layout: Layout) -> bool {
        let quick = |entered: &Entered<'_>| self.heap.free_entered(entered, start, layout);
        self.entered.as_ref().is_some_and(quick) || self.heap.takes_back(start, layout)
    }
}

impl Drop for Way<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(pins) = self.pins {
            pins.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<A: GlobalAlloc> GlobalHeap<A> {
    /// The armed heap, if this call is one for it.
    #[inline]
    fn way(&self) -> Option<Way<'_>> {
        let heap = self.armed.load(Ordering::Acquire);
        if heap.is_null() {
            return None;
        }
        if is_single_threaded() {
            // SAFETY: armed by the only thread there is (so nobody disarms meanwhile), and the
            // heap outlives that (`arm`).
            let heap = unsafe { &*heap };
            if let Some(entered) = heap.core().enter_solo() {
                return Some(Way { heap, entered: Some(entered), pins: None, _in: In::side() });
            }
        }
        self.way_among_threads()
    }

    #[cold]
    #[inline(never)]
    fn way_among_threads(&self) -> Option<Way<'_>> {
        self.pins.fetch_add(1, Ordering::SeqCst);
        let heap = self.armed.load(Ordering::SeqCst);
        if heap.is_null() {
            self.pins.fetch_sub(1, Ordering::Release);
            return None;
        }
        // SAFETY: `disarm` takes the heap away first and then waits for all pins, of which this
        // is one.
        let heap = unsafe { &*heap };
        Some(Way { heap, entered: None, pins: Some(&self.pins), _in: In::side() })
    }

    /// Whether this thread's requests are the subject's.
    #[inline]
    fn is_ours(&self) -> bool {
        if PLACE.get() != 0 {
            return false;
        }
        self.everyone.load(Ordering::Relaxed) || ATTRIBUTED.get() || self.is_anothers()
    }

    #[cold]
    fn is_anothers(&self) -> bool {
        self.unattributed.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// A request while a run goes on. `plain` is how to pass it on.
    #[inline]
    fn ask(&self, layout: Layout, zeroed: bool, plain: impl FnOnce() -> *mut u8) -> *mut u8 {
        if !self.is_ours() {
            return self.pass(layout, plain());
        }
        let Some(way) = self.way() else {
            return plain();
        };
        if std::thread::panicking() && !way.heap.fails_while_panicking() {
            drop(way);
            return self.pass(layout, plain());
        }
        if !zeroed
            && let Some(entered) = &way.entered
            && let Some(start) = way.heap.alloc_entered(entered, layout)
        {
            return start.as_ptr();
        }
        let op = if zeroed { Op::AllocZeroed } else { Op::Alloc };
        let answer = way.heap.request_fully(op, layout);
        answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
    }

    /// Notes that a block was handed out past the armed heap, which must not take it for one of
    /// those that it remembers as freed.
    fn pass(&self, layout: Layout, start: *mut u8) -> *mut u8 {
        if PLACE.get() != INSIDE
            && let Some(way) = self.way()
        {
            way.heap.forget(start as usize, layout.size());
        }
        start
    }

    /// A free while a run goes on, or while there are survivors.
    #[inline]
    fn take_back(&self, start: NonNull<u8>, layout: Layout) {
        if PLACE.get() != INSIDE
            && let Some(way) = self.way()
            && way.takes_back(start, layout)
        {
            return;
        }
        self.take_back_foreign(start, layout);
    }

    /// Gives back a block that no run knows.
    #[cold]
    #[inline(never)]
    fn take_back_foreign(&self, start: NonNull<u8>, layout: Layout) {
        // What is given back inside of a heap is the harness's: whoever closes the run may be
        // waiting for just this call to end.
        if PLACE.get() != INSIDE {
            self.wait_for_survivors();
        }
        let _in = In::side();
        if self.busy.load(Ordering::Acquire) >= SURVIVOR
            && let Some((block, guards)) = self.survivors.take(start)
        {
            self.busy.fetch_sub(SURVIVOR, Ordering::Release);
            match self.way() {
                Some(way) => way.heap.survivor_gone(block.size),
                None => {
                    self.gone[0].fetch_add(1, Ordering::Relaxed);
                    self.gone[1].fetch_add(block.size, Ordering::Relaxed);
                }
            }
            let at = if guards { block.layout() } else { layout };
            return self.hand_back(start, at, guards);
        }
        self.hand_back(start, layout, false);
    }

    /// While a run is closed by another thread, its blocks are neither the run's nor survivors.
    fn wait_for_survivors(&self) {
        while self.busy.load(Ordering::Acquire) & CLOSING != 0
            && self.closer.load(Ordering::Relaxed) != mark()
        {
            std::thread::yield_now();
        }
    }

    fn hand_back(&self, start: NonNull<u8>, layout: Layout, guards: bool) {
        let padded = if guards { redzone::padded(layout) } else { Some(layout) };
        let Some(padded) = padded else { return };
        let front = if guards { redzone::front(layout.align()) } else { 0 };
        // SAFETY: the block came from the allocator inside with just this layout: it is unknown to
        // every run, or a survivor, around which a run put guards of this size.
        unsafe { self.inner.dealloc(start.as_ptr().sub(front), padded) }
    }

    /// A resize while a run goes on, or while there are survivors.
    #[cold]
    #[inline(never)]
    fn resize(&self, start: NonNull<u8>, old: Layout, new: Layout) -> *mut u8 {
        let op = if new.size() >= old.size() { Op::Grow } else { Op::Shrink };
        let place = PLACE.get();
        let is_ours = self.is_ours();
        if place != INSIDE
            && let Some(way) = self.way()
            && way.heap.owns(start)
        {
            let answer = match is_ours && !std::thread::panicking() {
                true => way.heap.resize(op, start, old, new, false),
                false => way.heap.resize_in_peace(op, start, old, new),
            };
            return answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr());
        }
        // A block from before the run, or of the harness: as a new one, a copy and a free.
        // SAFETY: the size is not zero (`GlobalAlloc::realloc`).
        let plain = || unsafe { self.inner.alloc(new) };
        let fresh = match self.way().filter(|_| is_ours && !std::thread::panicking()) {
            Some(way) => {
                let answer = way.heap.request_fully(op, new);
                answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
            }
            None => self.pass(new, plain()),
        };
        if !fresh.is_null() {
            // SAFETY: both blocks are live and disjoint, and at least as long.
            unsafe { fresh.copy_from_nonoverlapping(start.as_ptr(), old.size().min(new.size())) };
            self.take_back_foreign(start, old);
        }
        fresh
    }
}

// SAFETY: blocks come from the allocator inside or from a heap over it, which keeps its contract;
// each is given back where it came from: to the run that knows it, as a survivor, or as it is.
// Nothing here unwinds or calls the global allocator without the mark `INSIDE`, under which calls
// pass straight on.
unsafe impl<A: GlobalAlloc + Sync + 'static> GlobalAlloc for GlobalHeap<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are passed on unchanged.
        let plain = || unsafe { self.inner.alloc(layout) };
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            return plain();
        }
        self.ask(layout, false, plain)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are passed on unchanged.
        let plain = || unsafe { self.inner.alloc_zeroed(layout) };
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            return plain();
        }
        self.ask(layout, true, plain)
    }

    #[inline]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match NonNull::new(start) {
            Some(start) if self.busy.load(Ordering::Relaxed) != 0 => self.take_back(start, layout),
            // SAFETY: the caller's obligations are passed on unchanged: nothing has guards.
            _ => unsafe { self.inner.dealloc(start, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, start: *mut u8, old: Layout, size: usize) -> *mut u8 {
        match (NonNull::new(start), Layout::from_size_align(size, old.align())) {
            (Some(start), Ok(new)) if self.busy.load(Ordering::Relaxed) != 0 => {
                self.resize(start, old, new)
            }
            // SAFETY: the caller's obligations are passed on unchanged: nothing has guards.
            _ => unsafe { self.inner.realloc(start, old, size) },
        }
    }
}

impl<A: GlobalAlloc + Sync + 'static> Global for GlobalHeap<A> {
    fn heap(&'static self, options: Options) -> Heap {
        let options = options.global();
        if TypeId::of::<A>() == TypeId::of::<System>() {
            return options.heap();
        }
        options.heap_over(Inner(&self.inner))
    }

    fn arm(&self, heap: &Heap, everyone: bool) {
        self.everyone.store(everyone, Ordering::Relaxed);
        attribute(true);
        self.armed.store(std::ptr::from_ref(heap).cast_mut(), Ordering::SeqCst);
        self.busy.fetch_or(ARMED, Ordering::SeqCst);
    }

    fn disarm(&self) {
        self.closer.store(mark(), Ordering::SeqCst);
        self.busy.fetch_or(CLOSING, Ordering::SeqCst);
        self.busy.fetch_and(!ARMED, Ordering::SeqCst);
        self.armed.store(std::ptr::null_mut(), Ordering::SeqCst);
        attribute(false);
        while self.pins.load(Ordering::SeqCst) != 0 {
            spin_loop();
        }
    }

    fn settle(&self) {
        self.busy.fetch_and(!CLOSING, Ordering::SeqCst);
    }

    fn take_gone(&self) -> (usize, usize) {
        let [blocks, bytes] = &self.gone;
        (blocks.swap(0, Ordering::Relaxed), bytes.swap(0, Ordering::Relaxed))
    }

    fn keep(&self, block: &Block, guards: bool) {
        let _in = In::side();
        self.survivors.keep(block, guards);
        self.busy.fetch_add(SURVIVOR, Ordering::Release);
    }

    fn take_unattributed(&self) -> u64 {
        self.unattributed.swap(0, Ordering::Relaxed)
    }
}

/// The allocator inside, as a port.
struct Inner<A: 'static>(&'static A);

// SAFETY: `GlobalAlloc` promises what a port does, for sizes above zero, to which every request is
// raised, in and out alike.
unsafe impl<A: GlobalAlloc + Sync> Port for Inner<A> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { self.0.alloc(some(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { self.0.alloc_zeroed(some(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller hands back a block of ours with the layout it was asked with.
        unsafe { self.0.dealloc(block.as_ptr(), some(layout)) }
    }
}

/// Blocks that outlived their runs, behind a lock that nobody holds for long.
struct Survivors {
    locked: AtomicBool,
    table: UnsafeCell<Ledger>,
}

// SAFETY: the table is touched behind the lock only.
unsafe impl Sync for Survivors {}

impl Survivors {
    const fn new() -> Self {
        Survivors { locked: AtomicBool::new(false), table: UnsafeCell::new(Ledger::fresh()) }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Ledger) -> R) -> R {
        while self.locked.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        // SAFETY: whoever has the lock is alone with the table; `work` doesn't come back here,
        // since calls are `INSIDE` meanwhile.
        let answer = work(unsafe { &mut *self.table.get() });
        self.locked.store(false, Ordering::Release);
        answer
    }

    fn keep(&self, block: &Block, guards: bool) {
        self.with(|table| {
            table.insert(
                start_of(block).as_ptr() as usize,
                guards.into(),
                block.size,
                block.align,
                0,
            );
        });
    }

    /// Takes a survivor out, and whether it has guards.
    fn take(&self, start: NonNull<u8>) -> Option<(Block, bool)> {
        self.with(|table| {
            let address = start.as_ptr() as usize;
            let slot = table.find(address, 0).or_else(|| table.find(address, 1))?;
            let block = table.block(slot);
            table.remove(slot);
            Some((block, block.heap == 1))
        })
    }
}
