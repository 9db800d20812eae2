//! The global allocator as a subject: code that never sees a heap is watched through this.
//!
//! ```text
//!  Vec, Box, String … ─▶ GlobalHeap ─┬─ off ────▶ the allocator inside
//!                                    └─ armed ──▶ Heap (the run's) ─▶ the allocator inside
//! ```
//!
//! Off, it passes every call on. While a run goes on it is *armed*: the subject's calls go through
//! the run's heap like any other's. Three kinds of requests pass unwatched all the same: those of
//! the harness, those of the panic machinery, and those of threads that the run doesn't own. Frees
//! are looked at whoever makes them, until the last block of the run is accounted for: a thread of
//! the subject's may still be on its way out.
//!
//! A block may outlive its run: a static's, a leaked one. It is a *survivor*: kept in a table, so
//! that a later free finds the guards that were put around it.
#![allow(unsafe_code)]

pub(crate) mod survivors;

use crate::global::survivors::Survivors;
use crate::heap::survivor::KeepSurvivors;
use crate::heap::survivor::SurvivorKind;
use crate::heap::thread_context::is_attributed;
use crate::heap::thread_context::place;
use crate::heap::thread_context::{INSIDE, PASSING, ThreadContext, attribute};
use crate::port::at_least_one;
use std::alloc::{GlobalAlloc, Layout, System};
use std::any::TypeId;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::detect::block::Block;
use crate::heap::Heap;
use crate::heap::node::StateGuard;
use crate::heap::redzone;
use crate::heap::run_lock::{
    GLOBAL_LOCK, begin_alone, end_alone, is_single_threaded, wait_for_threads,
};
use crate::options::Options;
use crate::port::{Port, Refused};
use crate::process::backtrace::is_machinery;
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
    /// Whose requests are the subject's.
    owners: AtomicU8,
    unattributed: AtomicU64,
    survivors: Survivors,
}

/// In `busy`: a run is going on. Above it the survivors are counted.
const ARMED: usize = 1;
const SURVIVOR: usize = 2;

/// In `owners`: the threads that are attributed to the run; all of them, so in a child, which has
/// no others; or none, since the run is over.
const ATTRIBUTED_ONES: u8 = 0;
const EVERYONE: u8 = 1;
const NOBODY: u8 = 2;

/// A global heap that is armed until this is dropped.
pub(crate) struct Armed<'a> {
    global: &'a dyn Global,
    heap: &'a Heap,
}

impl<'a> Armed<'a> {
    pub(crate) fn new(global: &'a dyn Global, heap: &'a Heap, everyone: bool) -> Self {
        global.arm(heap, everyone);
        Armed { global, heap }
    }

    /// Ends the run. Answers by how many blocks and bytes there is more left than after the run
    /// before, and how many calls belonged to no run.
    pub(crate) fn end(self) -> ((i64, i64), u64) {
        self.global.rest();
        let heap = self.heap;
        heap.disarm();
        wait_for_threads(heap.threads());
        heap.close(true);
        (heap.leave_to(self.global), self.global.take_unattributed())
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.global.disarm();
    }
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
            owners: AtomicU8::new(NOBODY),
            unattributed: AtomicU64::new(0),
            survivors: Survivors::new(),
        }
    }
}

impl<A: GlobalAlloc + Sync + 'static> GlobalHeap<A> {
    /// Watches all threads' calls while this works, without a fault and without a report: for the
    /// benchmark, which measures what that costs.
    #[doc(hidden)]
    pub fn watch<R>(&'static self, options: Options, work: impl FnOnce() -> R) -> R {
        let heap = Global::heap(self, options);
        let armed = Armed::new(self, &heap, true);
        let answer = work();
        armed.end();
        answer
    }
}

impl<A> GlobalHeap<A> {
    /// The allocator inside.
    #[must_use]
    pub const fn inside(&self) -> &A {
        &self.inner
    }
}

impl<A> std::fmt::Debug for GlobalHeap<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalHeap").finish_non_exhaustive()
    }
}

/// The way into an armed heap, held while a call is in there.
struct ArmedAccess<'a> {
    heap: &'a Heap,
    /// The right to touch the run's state.
    entered: StateGuard<'a>,
    _in: ThreadContext,
}

impl<A: GlobalAlloc> GlobalHeap<A> {
    /// The armed heap, where the process has one thread: the quick way, without a mark that the
    /// thread is inside.
    #[inline]
    fn solo(&self) -> Option<(&Heap, StateGuard<'_>)> {
        let heap = self.armed.load(Ordering::Relaxed);
        if heap.is_null() || !is_single_threaded() {
            return None;
        }
        // SAFETY: armed by the only thread there is (so nobody disarms meanwhile), and the heap
        // outlives that (`arm`).
        let heap = unsafe { &*heap };
        Some((heap, heap.core().enter_solo()))
    }

    /// The armed heap, if there is one.
    fn way(&self) -> Option<ArmedAccess<'_>> {
        let _in = ThreadContext::side();
        if let Some((heap, entered)) = self.solo() {
            return Some(ArmedAccess { heap, entered, _in });
        }
        GLOBAL_LOCK.acquire();
        let heap = self.armed.load(Ordering::Relaxed);
        if heap.is_null() {
            GLOBAL_LOCK.release();
            return None;
        }
        // SAFETY: `disarm` takes the heap away behind the gate, before which it waits now.
        let heap = unsafe { &*heap };
        Some(ArmedAccess { heap, entered: heap.core().enter_locked(None), _in })
    }

    /// Whether this thread's requests are the subject's.
    #[inline]
    fn is_ours(&self) -> bool {
        place() == 0 && (self.owners.load(Ordering::Relaxed) == EVERYONE || self.is_owner())
    }

    #[cold]
    fn is_owner(&self) -> bool {
        let is_over = self.owners.load(Ordering::Relaxed) == NOBODY;
        if !is_over && !is_attributed() {
            self.unattributed.fetch_add(1, Ordering::Relaxed);
        }
        !is_over && is_attributed()
    }

    /// A request while a run goes on. Apart from the callers, which without a run keep nothing on
    /// the stack then.
    ///
    /// # Safety
    /// - As for [`GlobalAlloc::alloc`].
    #[inline(never)]
    unsafe fn ask<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        let zeroed = ZEROED;
        let plain = || match zeroed {
            // SAFETY: the caller's promise.
            false => unsafe { self.inner.alloc(layout) },
            // SAFETY: the caller's promise.
            true => unsafe { self.inner.alloc_zeroed(layout) },
        };
        if !self.is_ours() || std::thread::panicking() {
            return self.pass(layout, zeroed, plain);
        }
        if !zeroed
            && let Some((heap, entered)) = self.solo()
            && let Some(start) = heap.quick_alloc(&entered, layout)
        {
            return start.as_ptr();
        }
        self.ask_fully(layout, zeroed).unwrap_or_else(|| self.pass(layout, zeroed, plain))
    }

    /// `None` where the run is over.
    #[inline(never)]
    fn ask_fully(&self, layout: Layout, zeroed: bool) -> Option<*mut u8> {
        let way = self.way()?;
        if !zeroed && let Some(start) = way.heap.quick_alloc(&way.entered, layout) {
            return Some(start.as_ptr());
        }
        let op = if zeroed { Op::AllocZeroed } else { Op::Alloc };
        let answer = way.heap.request_fully(op, layout);
        Some(answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr()))
    }

    /// A request that is not the subject's. The armed heap must not take its block for one of
    /// those that it remembers as freed.
    #[cold]
    #[inline(never)]
    fn pass(&self, layout: Layout, zeroed: bool, plain: impl FnOnce() -> *mut u8) -> *mut u8 {
        if place() == INSIDE {
            return plain();
        }
        if self.fails_while_panicking()
            && let Some(start) = self.ask_fully(layout, zeroed)
        {
            return start;
        }
        self.past(layout, plain)
    }

    fn past(&self, layout: Layout, plain: impl FnOnce() -> *mut u8) -> *mut u8 {
        // Inside of a heap there is no way in again. And what the allocator inside asks for itself
        // is nobody's either.
        let is_inside = place() == INSIDE;
        let _in = ThreadContext::side();
        let start = plain();
        if !is_inside && let Some(way) = self.way() {
            way.entered.with(|state| state.ledger.forget(start as usize, layout.size()));
        }
        start
    }

    /// Whether the subject's requests fail while this thread panics, and this is one.
    fn fails_while_panicking(&self) -> bool {
        self.is_ours()
            && std::thread::panicking()
            && self.way().is_some_and(|way| {
                way.entered.with(|state| state.options.unwinding) && !is_machinery()
            })
    }

    /// A free while a run goes on, or while there are survivors.
    #[inline(never)]
    fn take_back(&self, start: NonNull<u8>, layout: Layout) {
        if place() != INSIDE
            && let Some((heap, entered)) = self.solo()
            && heap.quick_free(&entered, start, layout)
        {
            return;
        }
        self.take_back_fully(start, layout);
    }

    #[inline(never)]
    fn take_back_fully(&self, start: NonNull<u8>, layout: Layout) {
        let place = place();
        if place != INSIDE
            && let Some(way) = self.way()
            && (way.heap.quick_free(&way.entered, start, layout)
                || way.heap.free_if_known(start, layout, place != PASSING))
        {
            return;
        }
        self.take_back_foreign(start, layout);
    }

    /// Gives back a block that no run knows.
    #[cold]
    #[inline(never)]
    fn take_back_foreign(&self, start: NonNull<u8>, layout: Layout) {
        let _in = ThreadContext::side();
        if self.busy.load(Ordering::Acquire) >= SURVIVOR
            && let Some((block, outlives)) = self.survivors.take(start)
        {
            self.busy.fetch_sub(SURVIVOR, Ordering::Release);
            return match outlives {
                SurvivorKind::Plain => self.hand_back(start, layout, false),
                SurvivorKind::Guarded => self.hand_back(start, block.layout(), true),
                SurvivorKind::ForGood => {}
            };
        }
        self.hand_back(start, layout, false);
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
        let counts = self.busy.load(Ordering::Relaxed) & ARMED != 0
            && self.is_ours()
            && (!std::thread::panicking() || self.fails_while_panicking());
        let place = place();
        if place != INSIDE
            && let Some(way) = self.way()
            && way.heap.knows(start, place != PASSING)
        {
            let answer = match counts {
                true => way.heap.resize(op, start, old, new, false),
                false => way.heap.resize_uncounted(op, start, old, new),
            };
            return answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr());
        }
        // A block from before the run, or of the harness: as a new one, a copy and a free.
        let fresh = match counts.then(|| self.way()).flatten() {
            Some(way) => {
                let answer = way.heap.request_fully(op, new);
                answer.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
            }
            // SAFETY: the size is not zero (`GlobalAlloc::realloc`).
            None => self.past(new, || unsafe { self.inner.alloc(new) }),
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
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            // SAFETY: the caller's obligations are passed on unchanged.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: as above.
        unsafe { self.ask::<false>(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            // SAFETY: the caller's obligations are passed on unchanged.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        // SAFETY: as above.
        unsafe { self.ask::<true>(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if self.busy.load(Ordering::Relaxed) == 0 {
            // SAFETY: the caller's obligations are passed on unchanged: nothing has guards.
            return unsafe { self.inner.dealloc(start, layout) };
        }
        // SAFETY: a block is not at null (`GlobalAlloc::dealloc`).
        self.take_back(unsafe { NonNull::new_unchecked(start) }, layout);
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

/// What runs know of a global heap, whatever it wraps.
pub(crate) trait Global: KeepSurvivors + Sync {
    /// A run's heap over the allocator inside.
    fn heap(&'static self, options: Options) -> Heap;
    /// Sends the calls of the current thread (or of all threads) through this heap, until
    /// [`disarm`](Self::disarm).
    fn arm(&self, heap: &Heap, everyone: bool);
    /// From here on requests pass; frees are still looked at.
    fn rest(&self);
    /// Ends what [`arm`](Self::arm) began.
    fn disarm(&self);
    /// How many calls belonged to no run since this was last called.
    fn take_unattributed(&self) -> u64;
}

impl<A: GlobalAlloc + Sync + 'static> Global for GlobalHeap<A> {
    fn heap(&'static self, options: Options) -> Heap {
        let options = options.global();
        if TypeId::of::<A>() == TypeId::of::<System>() {
            return options.heap();
        }
        options.heap_over(InnerPort(&self.inner))
    }

    fn arm(&self, heap: &Heap, everyone: bool) {
        let run = heap.core().run;
        begin_alone(run);
        GLOBAL_LOCK.acquire();
        self.owners.store(if everyone { EVERYONE } else { ATTRIBUTED_ONES }, Ordering::Relaxed);
        attribute(true);
        self.armed.store(std::ptr::from_ref(heap).cast_mut(), Ordering::Relaxed);
        self.busy.fetch_or(ARMED, Ordering::Relaxed);
        GLOBAL_LOCK.release();
    }

    fn rest(&self) {
        self.owners.store(NOBODY, Ordering::Relaxed);
    }

    fn disarm(&self) {
        self.rest();
        GLOBAL_LOCK.acquire();
        self.busy.fetch_and(!ARMED, Ordering::Relaxed);
        self.armed.store(std::ptr::null_mut(), Ordering::Relaxed);
        GLOBAL_LOCK.release();
        attribute(false);
        end_alone();
    }

    fn take_unattributed(&self) -> u64 {
        self.unattributed.swap(0, Ordering::Relaxed)
    }
}

impl<A: GlobalAlloc + Sync + 'static> KeepSurvivors for GlobalHeap<A> {
    fn keep(&self, block: &Block, outlives: SurvivorKind) {
        let _in = ThreadContext::side();
        self.survivors.keep(block, outlives);
        self.busy.fetch_add(SURVIVOR, Ordering::Release);
    }

    fn growth(&self) -> (i64, i64) {
        self.survivors.with(|kept| {
            let (before, now) = (kept.before, kept.now);
            kept.before = now;
            (now.0 - before.0, now.1 - before.1)
        })
    }
}

/// The allocator inside, as a port.
struct InnerPort<A: 'static>(&'static A);

// SAFETY: `GlobalAlloc` promises what a port does, for sizes above zero, to which every request is
// raised, in and out alike.
unsafe impl<A: GlobalAlloc + Sync> Port for InnerPort<A> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { self.0.alloc(at_least_one(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the size is not zero.
        let start =
            NonNull::new(unsafe { self.0.alloc_zeroed(at_least_one(layout)) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller hands back a block of ours with the layout it was asked with.
        unsafe { self.0.dealloc(block.as_ptr(), at_least_one(layout)) }
    }
}
