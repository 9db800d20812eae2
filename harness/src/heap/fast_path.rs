//! The fast path: the routes of an `alloc` and a `free` while nothing is wrong. The full route is in
//! `heap/mod.rs`. This is the map of both.
//!
//! # Words
//! - *Alone*: a serial run, on the OS thread that it belongs to. *Locked*: the run's lock is held
//!   (a parallel run, or a global heap in a process with threads).
//! - *Before the stop*: this request comes before `State::quick_stop`. That number combines every
//!   reason to look closely at a request: the plan may fail it, the run's bound or its heartbeat is
//!   due, or somebody watches single events (recorder, sink, capture, budget, histogram, wiping) or
//!   drives the run (a model checker). With one of the last kind it is 0, so no request and no free
//!   takes the fast path.
//! - *Ordinary*: aligned to at most 16, not smaller than its alignment, and small enough for a
//!   record (under 256 MiB).
//! - *At home*: the record is in the first place of the ledger's table that is looked at, so there
//!   is no probing. That is nearly always so.
//!
//! # Routes of an `alloc`
//! Detect is empty here (a request names no block). Decide is the comparison with the stop.
//!
//! | route | taken if | forward | record | saves |
//! |---|---|---|---|---|
//! | A1 [`request_alloc`](Heap::request_alloc) | alone, before the stop, pool without guards has a block | pool | beside the block | `malloc`, the search in the ledger; a fifth of A9's work |
//! | A2 [`request_unpooled`](Heap::request_unpooled) | the same, and the pool's memory is not reserved yet | pool, after reserving it | as A1 | nothing: A1 starts here |
//! | A3 [`alloc_unguarded`] | alone or locked, before the stop, ordinary, over `malloc`, no guards | `malloc` | at home, else [`grant`] | the virtual call, the port's contract check, state that only full requests need |
//! | A4 [`alloc_guarded`], pool | as A3 with guards; the pool has a block | pool | beside the block | as A1; guards are painted by two 16-byte stores |
//! | A5 [`alloc_guarded`], `malloc` | as A4; the pool has none, or there is none | `malloc` | at home, else [`grant`] | as A3; guards as A4 |
//! | A6 [`request_port`](Heap::request_port) | alone, before the stop, ordinary, over another port, no guards | the port, contract checked | at home, else in full | the plan's and the thread's questions |
//! | A7 [`request_driven`](Heap::request_driven) | a model checker drives the run, after its scheduling point; before `State::driven_stop` | pool | as A1 | as A1 |
//! | A8 foreign thread | a serial run, on another thread, or a heap confined to another logical thread | – (refused) | parked for the owner | – |
//! | A9 [`request_fully`](Heap::request_fully) | everything else | the port, or the pool first | in full; watchers, budget | – |
//!
//! A global heap's requests come from `global/mod.rs` by [`quick_alloc`](Heap::quick_alloc): A3 or
//! A5 (such runs have no pool), without the lock while the process has one thread; else A9.
//!
//! # Routes of a `free`
//! Decide is empty here (a free can't fail). Detect is the search for exactly this block: address,
//! heap, size and alignment. Whatever is not found goes on to F8, which finds out why.
//!
//! | route | taken if | detect | forward | saves |
//! |---|---|---|---|---|
//! | F1 [`release`](Heap::release) | alone, `quick_stop` not 0, size within the pool, no guards | beside the block | pool | as A1 |
//! | F2 [`free_unguarded`] | alone or locked, `quick_stop` not 0, ordinary, over `malloc`, no guards, not the pool's | at home, else anywhere | `free` | as A3 |
//! | F3 [`free_guarded`](Heap::free_guarded) | the same with guards | as F2, or beside the block | quarantine | as A3; guards and poison by 16-byte steps |
//! | F4 [`evict`](Heap::evict) | F3 made the quarantine too full | the poison is whole | pool or `free` | the decoding of the record for plain blocks |
//! | F5 [`release_unpooled`](Heap::release_unpooled) | alone, `quick_stop` not 0, ordinary, over another port, no guards | at home, else anywhere | the port | as A6 |
//! | F6 [`release_driven`](Heap::release_driven) | a model checker drives the run, after its scheduling point | beside the block | pool | as A7 |
//! | F7 foreign thread | as A8 | – | – (parked) | – |
//! | F8 [`release_fully`](Heap::release_fully) | everything else | anywhere; a free that fits no block gets its finding and changes nothing | quarantine, pool or port | – |
//!
//! A global heap's frees come by [`quick_free`](Heap::quick_free): F2 or F3, else F8 if the run knows
//! the address. Everything out of the ordinary is called last, as a tail call, so that the ordinary
//! routes save no registers for it.
#![allow(unsafe_code)]

use std::alloc::Layout;
#[cfg(not(unix))]
use std::alloc::{GlobalAlloc, System};
use std::ptr::NonNull;

use crate::heap::node::{AnyPort, Node, StateGuard, start_of};
use crate::heap::quarantine::Quarantined;
use crate::heap::record::SIZE_SIDE;
use crate::heap::state::State;
use crate::heap::thread_context::ThreadContext;
use crate::heap::{AllocResult, Heap, quick_record, redzone};
use crate::port::Refused;
use crate::trace::{End, Op};

/// Whether the fast path handles this layout. `malloc` aligns every block of 16 bytes or more to
/// 16, and smaller ones to their size.
#[inline(always)]
fn is_ordinary(layout: Layout) -> bool {
    layout.align() <= 16 && layout.size() >= layout.align() && layout.size() < SIZE_SIDE
}

/// An ordinary block from the system.
#[inline(always)]
fn malloc(layout: Layout) -> Option<NonNull<u8>> {
    // On Unix std's `System` is the C library's `malloc` and `free`, behind a choice by alignment
    // that `is_ordinary` has made already.
    #[cfg(unix)]
    // SAFETY: takes any size.
    let start = unsafe { libc::malloc(layout.size()) }.cast();
    #[cfg(not(unix))]
    // SAFETY: an ordinary layout is not empty.
    let start = unsafe { System.alloc(layout) };
    NonNull::new(start)
}

/// Gives such a block back.
///
/// # Safety
/// - It came from [`malloc`] or from `System`, with this ordinary layout, and nobody uses it.
#[inline(always)]
unsafe fn free(start: NonNull<u8>, layout: Layout) {
    #[cfg(unix)]
    // SAFETY: the caller's promise; `System` frees such a block in the same way.
    unsafe {
        let _ = layout;
        libc::free(start.as_ptr().cast());
    }
    #[cfg(not(unix))]
    // SAFETY: the caller's promise.
    unsafe {
        System.dealloc(start.as_ptr(), layout)
    }
}

/// The layout to ask the system for to get an ordinary block with guards.
#[inline(always)]
fn with_guards(size: usize) -> Layout {
    // SAFETY: an ordinary size (below 2^28) plus the guards' doesn't overflow, and 16 is a power of
    // two.
    unsafe { Layout::from_size_align_unchecked(size + redzone::QUICK_ROOM, 16) }
}

impl Heap {
    /// Route A1: an `alloc` that the pool serves at once.
    #[inline(never)]
    pub(crate) fn request_alloc(&self, layout: Layout) -> AllocResult {
        let node = self.node();
        if let Some(run) = self.core().alone()
            && run.with(|state| state.requests + 1 < state.quick_stop)
            && layout.align() <= 16
            // One comparison for "not 0 and at most `pooled`".
            && layout.size().wrapping_sub(1) < node.pooled
            && let Some(start) = run.with(|state| quick_record::grant_pooled(state, layout, 0, node))
        {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
        }
        self.request_unpooled(layout)
    }

    /// Chooses among routes A2 to A6 and A9.
    #[inline(never)]
    fn request_unpooled(&self, layout: Layout) -> AllocResult {
        let node = self.node();
        if let Some(entered) = self.core().enter_serial()
            && entered.with(|state| state.requests + 1 < state.quick_stop)
            && is_ordinary(layout)
        {
            if !node.is_malloc && !entered.with(|state| state.guards) {
                return self.request_port(&entered, layout);
            }
            if !node.is_malloc {
                return self.request_fully(Op::Alloc, layout);
            }
            if entered.with(|state| state.guards) {
                return self.request_guarded(layout);
            }
            let pooled = entered.with(|state| {
                state.ledger.open_pool();
                let is_served = node.pooled > 0;
                is_served.then(|| quick_record::grant_pooled(state, layout, 0, node)).flatten()
            });
            if let Some(start) = pooled.or_else(|| alloc_unguarded(node, &entered, layout)) {
                return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
            }
        }
        self.request_fully(Op::Alloc, layout)
    }

    /// Route A6: over a port of the user's own. It may itself make a request of a heap of this run;
    /// that one is counted after this one.
    #[inline(never)]
    fn request_port(&self, entered: &StateGuard<'_>, layout: Layout) -> AllocResult {
        let node = self.node();
        entered.with(|state| state.requests += 1);
        let Ok(start) = node.obtain(layout, false, false, entered) else {
            entered.with(|state| state.refused(Op::Alloc, layout, node.id, End::Refused));
            return Err(Refused);
        };
        let is_home =
            entered.with(|state| quick_record::grant_counted_at_home(state, start, layout, node));
        if !is_home {
            let address = start.as_ptr() as usize;
            entered.with(|state| {
                state.granted(Op::Alloc, address, layout, node.id, node.counted);
                node.add_live(state);
            });
        }
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Routes A4 and A5 of a serial run.
    #[inline(never)]
    fn request_guarded(&self, layout: Layout) -> AllocResult {
        if let Some(entered) = self.core().enter_serial()
            && let Some(start) = alloc_guarded(self.node(), &entered, layout)
        {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
        }
        self.request_fully(Op::Alloc, layout)
    }

    /// Route F1: a free to the pool.
    #[inline(never)]
    pub(crate) fn release(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if let Some(run) = self.core().alone()
            && run.with(|state| state.quick_stop != 0)
            && layout.size().wrapping_sub(1) < node.pooled
            && run.with(|state| quick_record::free_pooled(state, start, layout, node))
        {
            return;
        }
        self.release_unpooled(start, layout);
    }

    /// Route A7: an `alloc` of a run that a model checker drives, after its scheduling point. `None`
    /// if the pool doesn't serve it; nothing is done then.
    #[inline(always)]
    pub(crate) fn request_driven(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (run, node) = (self.core().alone()?, self.node());
        let is_quick = run.with(|state| state.requests + 1 < state.driven_stop)
            && layout.align() <= 16
            && layout.size().wrapping_sub(1) < node.pooled;
        if !is_quick {
            return None;
        }
        run.with(|state| quick_record::grant_pooled(state, layout, 0, node))
    }

    /// Route F6: the same for a free. False if it is not one to the pool; nothing is done then.
    #[inline(always)]
    pub(crate) fn release_driven(&self, start: NonNull<u8>, layout: Layout) -> bool {
        let (Some(run), node) = (self.core().alone(), self.node()) else { return false };
        run.with(|state| state.driven_stop != 0)
            && layout.size().wrapping_sub(1) < node.pooled
            && run.with(|state| quick_record::free_pooled(state, start, layout, node))
    }

    /// Chooses among routes F2, F3, F5 and F8.
    #[inline(never)]
    fn release_unpooled(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if let Some(entered) = self.core().enter_serial() {
            if self.quick_free(&entered, start, layout) {
                return;
            }
            let is_quick = entered.with(|state| state.quick_stop != 0 && !state.guards);
            if is_quick && is_ordinary(layout) && !node.is_malloc {
                let is_home = entered
                    .with(|state| quick_record::free_at_home(state, start, layout, node))
                    .is_some();
                if is_home || free_anywhere(node, &entered, start, layout) {
                    node.hand_back(start, layout, &entered);
                    return;
                }
            }
        }
        self.release_fully(start, layout);
    }

    /// Routes A3 to A5, for a caller that may touch the state already. `None` if none of them
    /// applies; nothing is done then.
    #[inline(always)]
    pub(crate) fn quick_alloc(
        &self,
        entered: &StateGuard<'_>,
        layout: Layout,
    ) -> Option<NonNull<u8>> {
        let node = self.node();
        let passes = entered.with(|state| state.requests + 1 < state.quick_stop);
        if !passes || !is_ordinary(layout) || !node.is_malloc {
            return None;
        }
        if entered.with(|state| state.guards) {
            return alloc_guarded(node, entered, layout);
        }
        alloc_unguarded(node, entered, layout)
    }

    /// Routes F2 and F3, for a caller that may touch the state already. False if neither applies;
    /// nothing is done then.
    #[inline(always)]
    pub(crate) fn quick_free(
        &self,
        entered: &StateGuard<'_>,
        start: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        let node = self.node();
        let (is_quick, guards) = entered.with(|state| (state.quick_stop != 0, state.guards));
        if !is_quick || !is_ordinary(layout) || !node.is_malloc {
            return false;
        }
        if guards {
            return self.free_guarded(entered, start, layout);
        }
        free_unguarded(node, entered, start, layout)
    }

    /// Route F3: the guards are checked, and the block is poisoned and put into quarantine.
    #[inline(never)]
    fn free_guarded(&self, entered: &StateGuard<'_>, start: NonNull<u8>, layout: Layout) -> bool {
        let (node, size) = (self.node(), layout.size());
        let kept = entered.with(|state| {
            let at_home = match state.ledger.pool.block(start.as_ptr() as usize).is_some() {
                true => None,
                false => quick_record::free_at_home(state, start, layout, node),
            };
            at_home.or_else(|| quick_record::free_anywhere(state, start, layout, node))
        });
        let Some(kept) = kept else { return false };
        // SAFETY: guards are on for a whole run, so the block is painted; its last user freed it.
        unsafe {
            if !redzone::is_whole(start, size) {
                report_damage(entered, &kept);
            }
            redzone::poison(start, size, false);
        }
        if entered.with(|state| !state.quarantine.has_room()) {
            let _in = ThreadContext::side();
            entered.with(|state| state.quarantine.make_room());
        }
        let surplus = entered.with(|state| {
            state.quarantine.push(kept, size);
            state.surplus()
        });
        if let Some(surplus) = surplus {
            self.evict(entered, surplus);
        }
        true
    }

    /// Route F4: takes blocks out of quarantine until it is within its bounds.
    #[inline]
    fn evict(&self, entered: &StateGuard<'_>, first: Quarantined) {
        let node = self.node();
        let mut surplus = Some(first);
        while let Some(kept) = surplus {
            let record = kept.record;
            let size = record.small_size();
            let start = NonNull::new(record.address() as *mut u8);
            // SAFETY: the block was poisoned when it came into quarantine and is still ours.
            let is_unwritten = |start| unsafe { redzone::is_unwritten(start, size, false) };
            match start {
                Some(start) if record.is_plain(node.id) && is_unwritten(start) => {
                    // SAFETY: the block is painted, and aligned to at most 16 (`is_plain`).
                    let base = unsafe { redzone::base_of(start) };
                    let is_pooled = node.is_pooled
                        && entered.with(|state| state.ledger.give_to_pool(record.address(), size));
                    if !is_pooled {
                        // SAFETY: a block of this heap, which is over the system's allocator
                        // (`quick_free`); it was asked for with this layout, and leaves the
                        // quarantine once.
                        unsafe { free(base, with_guards(size)) }
                    }
                }
                _ => {
                    let _in = ThreadContext::side();
                    self.check_and_give_back(entered, &kept);
                }
            }
            surplus = entered.with(State::surplus);
        }
    }
}

/// Route A3: from the system, without guards.
#[inline(always)]
fn alloc_unguarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    let start = malloc(layout)?;
    if !entered.with(|state| quick_record::grant_at_home(state, start, layout, node)) {
        grant(node, entered, start, layout);
    }
    Some(start)
}

/// Route F2: to the system, without guards. False if the free fits no block; nothing is done then.
#[inline(always)]
fn free_unguarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    start: NonNull<u8>,
    layout: Layout,
) -> bool {
    // A right free of a block of the pool has taken route F1, so this one is wrong.
    if entered.with(|state| state.ledger.pool.block(start.as_ptr() as usize).is_some())
        || entered.with(|state| quick_record::free_at_home(state, start, layout, node)).is_none()
            && !free_anywhere(node, entered, start, layout)
    {
        return false;
    }
    // SAFETY: an ordinary block that came from the system with this layout: it was in the
    // ledger under this heap, whose port is the system's.
    unsafe { free(start, layout) };
    true
}

/// Routes A4 and A5: with guards, from the pool if it has a block, else from the system.
#[inline(never)]
fn alloc_guarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    let pooled =
        || entered.with(|state| quick_record::grant_pooled(state, layout, redzone::LEAD, node));
    let reopened = || {
        entered.with(|state| state.ledger.open_pool());
        pooled()
    };
    if node.is_pooled
        && let Some(base) = pooled().or_else(reopened)
    {
        // SAFETY: in a run with guards the pool's blocks have room for both.
        return Some(unsafe { redzone::paint_quickly(base, layout.size()) });
    }
    let base = malloc(with_guards(layout.size()))?;
    // SAFETY: the block has room for both guards.
    let start = unsafe { redzone::paint_quickly(base, layout.size()) };
    if !entered.with(|state| quick_record::grant_at_home(state, start, layout, node)) {
        grant(node, entered, start, layout);
    }
    Some(start)
}

/// Records a block whose first place in the ledger is taken.
#[inline(never)]
fn grant(node: &Node<AnyPort>, entered: &StateGuard<'_>, start: NonNull<u8>, layout: Layout) {
    let _in = ThreadContext::side();
    let address = start.as_ptr() as usize;
    entered.with(|state| {
        state.requests += 1;
        state.granted(Op::Alloc, address, layout, node.id, node.counted);
        node.add_live(state);
    });
}

/// Records the free of a block whose record is not in its first place in the ledger.
#[inline(never)]
fn free_anywhere(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    start: NonNull<u8>,
    layout: Layout,
) -> bool {
    entered.with(|state| quick_record::free_anywhere(state, start, layout, node)).is_some()
}

#[cold]
#[inline(never)]
fn report_damage(entered: &StateGuard<'_>, kept: &Quarantined) {
    let _in = ThreadContext::side();
    entered.with(|state| {
        let block = state.ledger.decode(kept.record);
        // SAFETY: the block is painted (the caller read its guards) and still the heap's.
        let damage = unsafe { redzone::damage(start_of(&block), block.size, block.align) };
        state.check_guards(damage, &block, Some(kept.event));
    });
}
