//! The global allocator as a heap: code that doesn't take a heap as a parameter is watched here.
//!
//! ```text
//!  Vec, Box, String … ─▶ GlobalHeap ─┬─ off ────▶ the allocator inside
//!                                    └─ armed ──▶ Heap (the run's) ─▶ the allocator inside
//! ```
//!
//! Off, it passes every call on. During a run it is *armed*: the subject's calls go through the
//! run's heap. Three kinds of requests pass unwatched even then: those of the harness, those of the
//! panic machinery, and those of threads that don't belong to the run. The frees of all threads are
//! checked until every block of the run is accounted for, since a thread of the subject may still
//! be about to end.
//!
//! A block may outlive its run: one of a static, or a leaked one. Such a *survivor* is kept in a
//! table, so that a later free finds the guards around it.
#![allow(unsafe_code)]

pub(crate) mod armed;
#[cfg(feature = "preload")]
pub(crate) mod c_calls;
pub(crate) mod inner_port;
pub(crate) mod survivors;
pub(crate) mod wild;

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::TypeId;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crate::detect::block::Block;
pub(crate) use crate::global::armed::{Armed, Global, GlobalEnd};
use crate::global::inner_port::InnerPort;
use crate::global::survivors::Survivors;
use crate::heap::node::StateGuard;
use crate::heap::run_lock::{GLOBAL_LOCK, begin_alone, end_alone, is_single_threaded};
use crate::heap::survivor::{KeepSurvivors, SurvivorKind};
use crate::heap::thread_context::{
    INSIDE, PASSING, ThreadContext, attribute, is_attributed, place,
};
use crate::heap::{AllocResult, Heap, redzone};
use crate::memory::c_library::CLibrary;
use crate::options::Options;
use crate::process::backtrace::is_machinery;
use crate::trace::Op;

/// A global allocator that can be watched. It wraps another one, and passes every call on until a
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
    /// [`ARMED`] during a run, plus [`SURVIVOR`] for each survivor. While it is 0, every call
    /// passes on at once.
    busy: AtomicUsize,
    /// The run's heap, or null.
    armed: AtomicPtr<Heap>,
    /// Whose requests are the subject's: [`ATTRIBUTED_ONES`], [`EVERYONE`] or [`NOBODY`].
    owners: AtomicU8,
    /// The number of requests of threads that don't belong to the run.
    unattributed: AtomicU64,
    survivors: Survivors,
}

/// In `busy`: the heap is armed for a run.
const ARMED: usize = 1;
/// In `busy`: one survivor.
const SURVIVOR: usize = 2;

/// In `owners`: the threads that are attributed to the run.
const ATTRIBUTED_ONES: u8 = 0;
/// In `owners`: all threads, as in a child process, whose threads are all the run's.
const EVERYONE: u8 = 1;
/// In `owners`: no thread, since the run is over.
const NOBODY: u8 = 2;

impl GlobalHeap<System> {
    /// A global heap over the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        GlobalHeap::over(System)
    }
}

impl<A> GlobalHeap<A> {
    /// A global heap over this allocator.
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
    /// Watches the calls of all threads during `work`, without a fault and without a report: for
    /// the benchmark, which measures what that costs.
    #[doc(hidden)]
    pub fn watch<R>(&'static self, options: Options, work: impl FnOnce() -> R) -> R {
        let heap = Global::heap(self, options);
        let armed = Armed::new(self, &heap, true);
        let result = work();
        armed.end();
        result
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

/// Access to the armed heap for one call.
struct ArmedAccess<'a> {
    heap: &'a Heap,
    /// The right to touch the run's state.
    entered: StateGuard<'a>,
    _in: ThreadContext,
}

impl<A: GlobalAlloc + 'static> GlobalHeap<A> {
    /// The armed heap, if the process has one thread. This is the fast way: without the lock, and
    /// without marking the thread as [`INSIDE`], which the fast path does itself where it may
    /// allocate.
    #[inline]
    fn solo(&self) -> Option<(&Heap, StateGuard<'_>)> {
        let heap = self.armed.load(Ordering::Relaxed);
        if heap.is_null() || !is_single_threaded() {
            return None;
        }
        // SAFETY: the only thread of the process armed it, so nobody disarms it meanwhile, and the
        // heap lives until it is disarmed (`Armed` borrows it).
        let heap = unsafe { &*heap };
        Some((heap, heap.core().enter_solo()))
    }

    /// Access to the armed heap, if one is armed.
    fn access(&self) -> Option<ArmedAccess<'_>> {
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
        // SAFETY: `disarm` takes the heap away under the lock, which this thread holds now.
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

    /// A request during a run. It is a function of its own, so that its callers need no stack frame
    /// when there is no run.
    ///
    /// # Safety
    /// - As for [`GlobalAlloc::alloc`].
    #[inline(never)]
    unsafe fn request<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
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
        self.request_locked(layout, zeroed).unwrap_or_else(|| self.pass(layout, zeroed, plain))
    }

    /// A request of the subject's, through the lock. `None` if the run is over.
    #[inline(never)]
    fn request_locked(&self, layout: Layout, zeroed: bool) -> Option<*mut u8> {
        let access = self.access()?;
        if !zeroed && let Some(start) = access.heap.quick_alloc(&access.entered, layout) {
            return Some(start.as_ptr());
        }
        let op = if zeroed { Op::AllocZeroed } else { Op::Alloc };
        Some(or_null(access.heap.request_fully(op, layout)))
    }

    /// A request that is not watched, unless the subject's requests are to fail while it panics.
    #[cold]
    #[inline(never)]
    fn pass(&self, layout: Layout, zeroed: bool, plain: impl FnOnce() -> *mut u8) -> *mut u8 {
        if place() == INSIDE {
            return plain();
        }
        if self.fails_while_panicking()
            && let Some(start) = self.request_locked(layout, zeroed)
        {
            return start;
        }
        self.alloc_unwatched(layout, plain)
    }

    /// Allocates past the run. The armed heap forgets the freed blocks that were at this address: a
    /// free of the new block is no double free.
    fn alloc_unwatched(&self, layout: Layout, plain: impl FnOnce() -> *mut u8) -> *mut u8 {
        // A thread that is inside the heap can't enter it again. And requests that the allocator
        // inside makes itself are not watched either.
        let is_inside = place() == INSIDE;
        let _in = ThreadContext::side();
        let start = plain();
        if !is_inside && let Some(access) = self.access() {
            access.entered.with(|state| state.ledger.forget(start as usize, layout.size()));
        }
        start
    }

    /// Whether this is a request of the subject's while it panics, and those may fail.
    fn fails_while_panicking(&self) -> bool {
        self.is_ours()
            && std::thread::panicking()
            && self.access().is_some_and(|access| {
                access.entered.with(|state| state.options.unwinding) && !is_machinery()
            })
    }

    /// A free during a run, or while there are survivors.
    #[inline(never)]
    fn free(&self, start: NonNull<u8>, layout: Layout) {
        if place() != INSIDE
            && let Some((heap, entered)) = self.solo()
            && heap.quick_free(&entered, start, layout)
        {
            return;
        }
        self.free_locked(start, layout);
    }

    /// The same through the lock.
    #[inline(never)]
    fn free_locked(&self, start: NonNull<u8>, layout: Layout) {
        let place = place();
        if place != INSIDE
            && let Some(access) = self.access()
            && (access.heap.quick_free(&access.entered, start, layout)
                || access.heap.free_if_known(start, layout, place != PASSING))
        {
            return;
        }
        let is_owner = self.owners.load(Ordering::Relaxed) == EVERYONE || is_attributed();
        self.free_unknown(start, layout, place == 0 && is_owner);
    }

    /// Frees a block that the current run doesn't know: a survivor, or one that was never watched.
    /// `is_subject` says whether the subject frees it.
    #[cold]
    #[inline(never)]
    fn free_unknown(&self, start: NonNull<u8>, layout: Layout, is_subject: bool) {
        let _in = ThreadContext::side();
        if self.busy.load(Ordering::Acquire) >= SURVIVOR
            && let Some((block, kind)) = self.survivors.take(start)
        {
            self.busy.fetch_sub(SURVIVOR, Ordering::Release);
            return match kind {
                SurvivorKind::Plain => self.hand_back(start, layout, false),
                SurvivorKind::Guarded => self.hand_back(start, block.layout(), true),
                SurvivorKind::ForGood => {}
            };
        }
        let is_done = is_subject
            && (self.refuses(Op::Free, start, layout) || self.keeps_unknown(start, layout));
        if !is_done {
            self.hand_back(start, layout, false);
        }
    }

    /// Whether a run keeps this block that it didn't allocate, or has freed it before.
    fn keeps_unknown(&self, start: NonNull<u8>, layout: Layout) -> bool {
        let Some(access) = self.access() else { return false };
        access.entered.with(|state| state.free_unknown(start.as_ptr() as usize, layout))
    }

    /// Whether the subject frees or resizes what can be no block, which is then reported.
    fn refuses(&self, op: Op, start: NonNull<u8>, layout: Layout) -> bool {
        let Some(access) = self.access() else { return false };
        let is_malloc = is_c_library::<A>();
        let Some(reason) = wild::reason(start.as_ptr() as usize, layout, is_malloc) else {
            return false;
        };
        access.entered.with(|state| state.report_wild(op, layout, reason));
        true
    }

    /// Frees a block in the allocator inside.
    fn hand_back(&self, start: NonNull<u8>, layout: Layout, guards: bool) {
        let padded = if guards { redzone::padded(layout) } else { Some(layout) };
        let Some(padded) = padded else { return };
        let front = if guards { redzone::front(layout.align()) } else { 0 };
        // SAFETY: the block came from the allocator inside with exactly this layout: either it was
        // never watched, or it is a survivor, around which a run put guards of this size.
        unsafe { self.inner.dealloc(start.as_ptr().sub(front), padded) }
    }

    /// A resize during a run, or while there are survivors.
    #[cold]
    #[inline(never)]
    fn resize(&self, start: NonNull<u8>, old: Layout, new: Layout) -> *mut u8 {
        let op = if new.size() >= old.size() { Op::Grow } else { Op::Shrink };
        let counts = self.busy.load(Ordering::Relaxed) & ARMED != 0
            && self.is_ours()
            && (!std::thread::panicking() || self.fails_while_panicking());
        let place = place();
        if place != INSIDE
            && let Some(access) = self.access()
            && access.heap.knows(start, place != PASSING)
        {
            return or_null(match counts {
                true => access.heap.resize(op, start, old, new, false),
                false => access.heap.resize_uncounted(op, start, old, new),
            });
        }
        if counts && !self.survivors.has(start) && self.refuses(op, start, old) {
            return std::ptr::null_mut();
        }
        // A block from before the run, or of the harness: a new block, a copy and a free.
        let fresh = match counts.then(|| self.access()).flatten() {
            Some(access) => or_null(access.heap.request_fully(op, new)),
            // SAFETY: the size is not zero (`GlobalAlloc::realloc`).
            None => self.alloc_unwatched(new, || unsafe { self.inner.alloc(new) }),
        };
        if !fresh.is_null() {
            // SAFETY: both blocks are live and disjoint, and at least as long.
            unsafe { fresh.copy_from_nonoverlapping(start.as_ptr(), old.size().min(new.size())) };
            self.free_unknown(start, old, false);
        }
        fresh
    }
}

/// Whether blocks of this allocator are `malloc`'s.
fn is_c_library<A: 'static>() -> bool {
    [TypeId::of::<System>(), TypeId::of::<CLibrary>()].contains(&TypeId::of::<A>())
}

fn or_null(result: AllocResult) -> *mut u8 {
    result.map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
}

// SAFETY: blocks come from the allocator inside or from a heap over it, which keeps its contract;
// each is freed where it came from: in the run that knows it, as a survivor, or in the allocator
// inside. Nothing here unwinds. Whatever calls the global allocator from here has marked its thread
// as `INSIDE`, under which requests pass straight on.
unsafe impl<A: GlobalAlloc + Sync + 'static> GlobalAlloc for GlobalHeap<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            // SAFETY: the caller's obligations are passed on unchanged.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: as above.
        unsafe { self.request::<false>(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.busy.load(Ordering::Relaxed) & ARMED == 0 {
            // SAFETY: the caller's obligations are passed on unchanged.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        // SAFETY: as above.
        unsafe { self.request::<true>(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if self.busy.load(Ordering::Relaxed) == 0 {
            // SAFETY: the caller's obligations are passed on unchanged: `busy` is 0, so no block
            // has guards.
            return unsafe { self.inner.dealloc(start, layout) };
        }
        // SAFETY: no block is at null (`GlobalAlloc::dealloc`).
        self.free(unsafe { NonNull::new_unchecked(start) }, layout);
    }

    #[inline]
    unsafe fn realloc(&self, start: *mut u8, old: Layout, size: usize) -> *mut u8 {
        match (NonNull::new(start), Layout::from_size_align(size, old.align())) {
            (Some(start), Ok(new)) if self.busy.load(Ordering::Relaxed) != 0 => {
                self.resize(start, old, new)
            }
            // SAFETY: the caller's obligations are passed on unchanged: `busy` is 0, so no block
            // has guards.
            _ => unsafe { self.inner.realloc(start, old, size) },
        }
    }
}

impl<A: GlobalAlloc + Sync + 'static> Global for GlobalHeap<A> {
    fn heap(&'static self, options: Options) -> Heap {
        let options = options.global();
        if is_c_library::<A>() {
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

    fn free_kept(&self, address: usize, layout: Layout) {
        if let Some(start) = NonNull::new(address as *mut u8) {
            self.hand_back(start, layout, false);
        }
    }

    fn take_unattributed(&self) -> u64 {
        self.unattributed.swap(0, Ordering::Relaxed)
    }
}

impl<A: GlobalAlloc + Sync + 'static> KeepSurvivors for GlobalHeap<A> {
    fn keep(&self, block: &Block, kind: SurvivorKind) {
        let _in = ThreadContext::side();
        self.survivors.keep(block, kind);
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
