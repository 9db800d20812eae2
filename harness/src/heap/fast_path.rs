//! The fast path: short routes for an `alloc` and a `free` while nothing is wrong. The full route
//! of each call is in `heap/mod.rs`. This is the map of both.
//!
//! # Words
//! - *Alone*: a serial run, on the OS thread that it belongs to.
//! - *Quick*: this request comes before `State::quick_stop`, a number that combines every reason to
//!   look at a request closely. It is the first request that the plan may fail, or at which the
//!   run's bound or heartbeat is due. It is 0 if each event is watched (recorder, sink, capture,
//!   budget, histogram), freed blocks are wiped, or a model checker drives the run. A free is quick
//!   unless it is 0.
//! - *Ordinary*: aligned to at most 16, not smaller than its alignment (the two conditions under
//!   which std's `System` calls plain `malloc`), and small enough for a record (under 256 MiB).
//! - *At home*: the record is in the first place of the ledger's table that is tried. That is
//!   nearly always so, and the code for it is inlined.
//! - *Guards* are on or off for a whole run.
//!
//! # Routes of an `alloc`
//! *Detect* has nothing to do, since a request names no block. *Decide* is one comparison (quick)
//! on all routes but A9, where the plan is asked. The first route that applies is taken:
//!
//! 1. A1 [`request_alloc`](Heap::request_alloc): alone, quick, no guards, a size up to
//!    `Node::pooled`. *Forward* takes a block of the pool, *record* writes beside it. Saves
//!    `malloc`, the search in the ledger and all calls.
//! 2. A2 [`request_unpooled`](Heap::request_unpooled): as A1, for the first request of a run,
//!    before the pool has its memory. It reserves that, and does as A1. Saves A1 the check.
//! 3. A3 [`alloc_guarded`] with a pool: alone, quick, ordinary, guards. As A1, and paints the
//!    guards by two 16-byte stores. Saves the same.
//! 4. A4 [`alloc_guarded`] without: as A3 where the pool has no block, or under a global heap.
//!    *Forward* calls `malloc`, *record* enters the block at home, or by [`grant`] if that place is
//!    taken. Saves the call through the port, the check of the port's contract, and the inlined
//!    parts' calls.
//! 5. A5 [`alloc_unguarded`]: as A4, without guards.
//! 6. A6 [`request_port`](Heap::request_port): alone, quick, ordinary, no guards, over another port
//!    than `malloc`. *Forward* calls the port and checks its contract, *record* is as in A4. Saves
//!    the questions about threads and the plan.
//! 7. A7 [`request_driven`](Heap::request_driven): a model checker drives the run. As A1, after the
//!    call's scheduling point, and with `State::driven_stop` for quick. Saves the same.
//! 8. A8 `refuse_foreign`: a serial run on another OS thread, or a confined heap on another logical
//!    thread. The request is refused and parked, for the owner to report.
//! 9. A9 [`request_fully`](Heap::request_fully): everything else, in four plain steps.
//!
//! Under a global heap requests come by [`quick_alloc`](Heap::quick_alloc): A4 or A5, without the
//! lock while the process has one thread, else with it; and if they don't apply, A9. A parallel run
//! always takes A9.
//!
//! # Routes of a `free`
//! *Decide* has nothing to do, since a free can't fail. *Detect* searches the block with exactly
//! this address, heap, size and alignment; if there is none, the free takes F8, which reports what
//! is wrong. *Record* takes the block out where it was found. The first route that applies is
//! taken:
//!
//! 1. F1 [`release`](Heap::release): alone, quick, no guards, a size up to `Node::pooled`. *Detect*
//!    reads the record beside the block, *forward* gives the block to the pool. Saves what A1
//!    saves.
//! 2. F2 [`free_unguarded`]: alone, quick, ordinary, no guards, over `malloc`, not the pool's.
//!    *Detect* searches at home, else by [`free_anywhere`], *forward* calls `free`. Saves what A5
//!    saves.
//! 3. F3 [`free_guarded`](Heap::free_guarded): as F2 with guards, the pool's blocks included. It
//!    compares the guards by two 16-byte loads, and *forward* poisons the block and puts it into
//!    quarantine.
//! 4. F4 [`evict`](Heap::evict): follows F3 if the quarantine is too full. It checks the poison of
//!    the oldest block and gives that to the pool or to `free`. Saves decoding the record and
//!    finding the port of the block.
//! 5. F5 [`release_unpooled`](Heap::release_unpooled): as F2 over another port. *Forward* calls the
//!    port.
//! 6. F6 [`release_driven`](Heap::release_driven): a model checker drives the run. As F1, after the
//!    call's scheduling point.
//! 7. F7 `refuse_foreign`: as A8. The free is not carried out, but parked, for the owner to report.
//! 8. F8 [`release_fully`](Heap::release_fully): everything else, in four plain steps. A wrong free
//!    gets its finding and changes nothing else.
//!
//! Under a global heap frees come by [`quick_free`](Heap::quick_free): F2 or F3, with or without
//! the lock as for requests; and if they don't apply, F8 if the run knows the address.
//!
//! # What they save
//! Instructions of an `alloc` and a `free` of 64 bytes, by callgrind, with the allocator's own:
//! A1 and F1 209 (233 by A2 and F1), A3 and F3 619 (789 by A3 and F8), A6 and F5 617 (652 without
//! the search at home, 903 by A9 and F8). Under a global heap A4 and F3 618 (1191 by A4 and F8).
//!
//! What is out of the ordinary is always a call in tail position, so that the ordinary routes save
//! no registers for it.
#![allow(unsafe_code)]

use std::alloc::Layout;
#[cfg(not(unix))]
use std::alloc::{GlobalAlloc, System};
use std::ptr::NonNull;

use crate::heap::node::{AnyPort, Node, StateGuard, start_of};
use crate::heap::quarantine::Quarantined;
use crate::heap::quick_record::{self, grant_pooled};
use crate::heap::record::SIZE_SIDE;
use crate::heap::state::State;
use crate::heap::thread_context::ThreadContext;
use crate::heap::{AllocResult, Heap, redzone};
#[cfg(unix)]
use crate::memory::c_library;
use crate::port::Refused;
use crate::trace::{End, Op};

/// Whether the fast path handles this layout.
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
    let start = c_library::malloc(layout.size());
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
        c_library::free(start.as_ptr());
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
            && let Some(start) = run.with(|state| grant_pooled(state, layout, 0, node))
        {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
        }
        self.request_unpooled(layout)
    }

    /// Chooses among routes A2 to A6 and A9 (see the top of this file).
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
                is_served.then(|| grant_pooled(state, layout, 0, node)).flatten()
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

    /// Routes A3 and A4 of a serial run.
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

    /// Route A7: an `alloc` of a run that a model checker drives, after its scheduling point.
    /// `None` if the pool doesn't serve it; nothing is done then.
    #[inline(always)]
    pub(crate) fn request_driven(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (run, node) = (self.core().alone()?, self.node());
        let is_quick = run.with(|state| state.requests + 1 < state.driven_stop)
            && layout.align() <= 16
            && layout.size().wrapping_sub(1) < node.pooled;
        if !is_quick {
            return None;
        }
        run.with(|state| grant_pooled(state, layout, 0, node))
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

    /// Routes A4 and A5, for a caller that may touch the state already. `None` if none of them
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
                        // (`quick_free`); it was requested with this layout, and leaves the
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

/// Route A5: from the system, without guards.
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

/// Routes A3 and A4: with guards, from the pool if it has a block, else from the system.
#[inline(never)]
fn alloc_guarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    let pooled = || entered.with(|state| grant_pooled(state, layout, redzone::LEAD, node));
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
