//! The quick routes: what a request and a free cost while nothing is wrong.
//!
//! Most calls are alike: an `alloc` or a `free` on the thread that the run belongs to, of a block
//! of ordinary size and alignment, over the system's own allocator, where the plan has not begun
//! and nobody watches single events. They come through here in a handful of comparisons; whatever
//! is out of the ordinary is left untouched, for the full routes of `heap.rs`. A global heap comes
//! here without the mark that it is inside: what may ask for memory of its own sets it.
#![allow(unsafe_code)]

use std::alloc::Layout;
#[cfg(not(unix))]
use std::alloc::{GlobalAlloc, System};
use std::ptr::NonNull;

use crate::heap::ledger::Ledger;
use crate::heap::node::{AnyPort, Node, StateGuard};
use crate::heap::quarantine::Quarantined;
use crate::heap::record::Record;
use crate::heap::record::SIZE_SIDE;
use crate::heap::redzone;
use crate::heap::state::State;
use crate::heap::thread_context::ThreadContext;
use crate::heap::{AllocResult, Heap};
use crate::port::Refused;
use crate::trace::{End, Event, Op};

/// What the quick routes are for; 16 is what `malloc` aligns to without being asked.
#[inline(always)]
fn is_ordinary(layout: Layout) -> bool {
    layout.align() <= 16 && layout.size() >= layout.align() && layout.size() < SIZE_SIDE
}

/// An ordinary block of the system's.
#[inline(always)]
fn malloc(layout: Layout) -> Option<NonNull<u8>> {
    // On Unix std's `System` is the C library's `malloc` and `free`, behind a choice that has been
    // made here already (`is_ordinary`).
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
    // SAFETY: the caller's promise; `System` frees such a block just so.
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

/// What is asked of the system for an ordinary block with guards.
#[inline(always)]
fn guarded(size: usize) -> Layout {
    // SAFETY: an ordinary size (below 2^28) with the guards' added doesn't overflow.
    unsafe { Layout::from_size_align_unchecked(size + redzone::QUICK_ROOM, 16) }
}

impl Heap {
    /// An `alloc`. Whatever is out of the ordinary is the last thing that is called, so that an
    /// ordinary one keeps nothing for it.
    #[inline(never)]
    pub(crate) fn request_alloc(&self, layout: Layout) -> AllocResult {
        let node = self.node();
        if let Some(run) = self.core().alone()
            && run.with(|state| state.requests + 1 < state.quick_stop)
            && layout.align() <= 16
            && layout.size().wrapping_sub(1) < node.pooled
            && let Some(start) = run.with(|state| state.grant_pooled(layout, 0, node))
        {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
        }
        self.request_unpooled(layout)
    }

    /// One that is not served by the pool at once.
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
                (node.pooled > 0).then(|| state.grant_pooled(layout, 0, node)).flatten()
            });
            if let Some(start) = pooled.or_else(|| alloc_unguarded(node, &entered, layout)) {
                return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
            }
        }
        self.request_fully(Op::Alloc, layout)
    }

    /// One over a port of somebody's own, which may itself ask a heap of this run: it comes after
    /// this request.
    #[inline(never)]
    fn request_port(&self, entered: &StateGuard<'_>, layout: Layout) -> AllocResult {
        let node = self.node();
        entered.with(|state| state.requests += 1);
        let Ok(start) = node.obtain(layout, false, false, entered) else {
            entered.with(|state| state.refused(Op::Alloc, layout, node.id, End::Refused));
            return Err(Refused);
        };
        let is_home = entered.with(|state| state.record_quickly(start, layout, node));
        if !is_home {
            let address = start.as_ptr() as usize;
            entered.with(|state| {
                state.granted(Op::Alloc, address, layout, node.id, node.counted);
                node.gained(state);
            });
        }
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    #[inline(never)]
    fn request_guarded(&self, layout: Layout) -> AllocResult {
        if let Some(entered) = self.core().enter_serial()
            && let Some(start) = alloc_guarded(self.node(), &entered, layout)
        {
            return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
        }
        self.request_fully(Op::Alloc, layout)
    }

    /// A free, in the same way.
    #[inline(never)]
    pub(crate) fn release(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if let Some(run) = self.core().alone()
            && run.with(|state| state.quick_stop != 0)
            && layout.size().wrapping_sub(1) < node.pooled
            && run.with(|state| state.free_pooled(start, layout, node))
        {
            return;
        }
        self.release_unpooled(start, layout);
    }

    /// An `alloc` of a run that a model checker drives, whose turn has come, if it is an ordinary one
    /// of the pool's; `None` where nothing was done.
    #[inline(always)]
    pub(crate) fn request_met(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (run, node) = (self.core().alone()?, self.node());
        let is_quick = run.with(|state| state.requests + 1 < state.met_stop)
            && layout.align() <= 16
            && layout.size().wrapping_sub(1) < node.pooled;
        if is_quick { run.with(|state| state.grant_pooled(layout, 0, node)) } else { None }
    }

    /// A free, in the same way.
    #[inline(always)]
    pub(crate) fn release_met(&self, start: NonNull<u8>, layout: Layout) -> bool {
        let (Some(run), node) = (self.core().alone(), self.node()) else { return false };
        run.with(|state| state.met_stop != 0)
            && layout.size().wrapping_sub(1) < node.pooled
            && run.with(|state| state.free_pooled(start, layout, node))
    }

    /// One that is not the pool's, or not in order.
    #[inline(never)]
    fn release_unpooled(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if let Some(entered) = self.core().enter_serial() {
            if self.free_entered(&entered, start, layout) {
                return;
            }
            let is_quick = entered.with(|state| state.quick_stop != 0 && !state.guards);
            if is_quick && is_ordinary(layout) && !node.is_malloc {
                let is_home = entered.with(|state| state.free_quickly(start, layout, node));
                if is_home.is_some() || free_elsewhere(node, &entered, start, layout) {
                    node.hand_back(start, layout, &entered);
                    return;
                }
            }
        }
        self.release_fully(start, layout);
    }

    /// An `alloc` by one who may touch the state, if it is an ordinary one; `None` where nothing
    /// was done.
    #[inline(always)]
    pub(crate) fn alloc_entered(
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

    /// A free by one who may touch the state, if it is an ordinary one; `false` where nothing was
    /// done.
    #[inline(always)]
    pub(crate) fn free_entered(
        &self,
        entered: &StateGuard<'_>,
        start: NonNull<u8>,
        layout: Layout,
    ) -> bool {
        let node = self.node();
        let (may, guards) = entered.with(|state| (state.quick_stop != 0, state.guards));
        if !may || !is_ordinary(layout) || !node.is_malloc {
            return false;
        }
        if guards {
            return self.free_guarded(entered, start, layout);
        }
        free_unguarded(node, entered, start, layout)
    }

    /// The rest of a quick free, where there are guards.
    #[inline(never)]
    fn free_guarded(&self, entered: &StateGuard<'_>, start: NonNull<u8>, layout: Layout) -> bool {
        let (node, size) = (self.node(), layout.size());
        let kept = entered.with(|state| {
            let at_home = match state.ledger.pool.block(start.as_ptr() as usize).is_some() {
                true => None,
                false => state.free_quickly(start, layout, node),
            };
            at_home.or_else(|| state.free_from_afar(start, layout, node))
        });
        let Some(kept) = kept else { return false };
        // SAFETY: guards are on for a whole run, so the block is painted; nobody uses it any more.
        unsafe {
            if !redzone::is_whole(start, size) {
                judge(entered, &kept);
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

    /// Lets blocks go whose time in quarantine is up.
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
                    // SAFETY: the block is painted, and aligned to at most 16.
                    let base = unsafe { redzone::base_of(start) };
                    let is_pooled = node.is_pooled
                        && entered.with(|state| state.give_to_pool(record.address(), size));
                    if !is_pooled {
                        // SAFETY: a block of this heap, which stands over the system: it was asked
                        // for with this layout, and leaves the quarantine once.
                        unsafe { free(base, guarded(size)) }
                    }
                }
                _ => {
                    let _in = ThreadContext::side();
                    self.let_go(entered, &kept);
                }
            }
            surplus = entered.with(State::surplus);
        }
    }
}

/// The rest of a quick `alloc` from the system, where there are no guards.
#[inline(always)]
fn alloc_unguarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    let start = malloc(layout)?;
    if !entered.with(|state| state.grant_quickly(start, layout, node)) {
        grant(node, entered, start, layout);
    }
    Some(start)
}

/// The rest of a quick free to the system, where there are no guards. False where nothing was done.
#[inline(always)]
fn free_unguarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    start: NonNull<u8>,
    layout: Layout,
) -> bool {
    // A block of the pool that gets here is not freed in order.
    if entered.with(|state| state.ledger.pool.block(start.as_ptr() as usize).is_some())
        || entered.with(|state| state.free_quickly(start, layout, node)).is_none()
            && !free_elsewhere(node, entered, start, layout)
    {
        return false;
    }
    // SAFETY: an ordinary block that came from the system with this layout: it was in the
    // ledger under this heap, whose port is the system's.
    unsafe { free(start, layout) };
    true
}

/// The rest of a quick `alloc`, where there are guards.
#[inline(never)]
fn alloc_guarded(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    layout: Layout,
) -> Option<NonNull<u8>> {
    let pooled = || entered.with(|state| state.grant_pooled(layout, redzone::LEAD, node));
    let reopened = || {
        entered.with(|state| state.ledger.open_pool());
        pooled()
    };
    if node.is_pooled
        && let Some(base) = pooled().or_else(reopened)
    {
        // SAFETY: the pool's blocks have room for both guards where there are any.
        return Some(unsafe { redzone::paint_quickly(base, layout.size()) });
    }
    let base = malloc(guarded(layout.size()))?;
    // SAFETY: the block has room for both guards.
    let start = unsafe { redzone::paint_quickly(base, layout.size()) };
    if !entered.with(|state| state.grant_quickly(start, layout, node)) {
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
        node.gained(state);
    });
}

/// Records the free of a block that is not in its first place in the ledger.
#[inline(never)]
fn free_elsewhere(
    node: &Node<AnyPort>,
    entered: &StateGuard<'_>,
    start: NonNull<u8>,
    layout: Layout,
) -> bool {
    entered.with(|state| state.free_from_afar(start, layout, node)).is_some()
}

#[cold]
#[inline(never)]
fn judge(entered: &StateGuard<'_>, kept: &Quarantined) {
    let _in = ThreadContext::side();
    entered.with(|state| {
        let block = state.ledger.decode(kept.record);
        // SAFETY: the block is painted (the caller read its guards) and still the heap's.
        let damage = unsafe {
            redzone::damage(crate::heap::node::start_of(&block), block.size, block.align)
        };
        state.judge(damage, &block, Some(kept.event));
    });
}

impl State {
    /// Takes a block out of the pool and records it, and its request. `None` where the pool has
    /// none, and nothing is done. With guards, what is answered is where they begin.
    #[inline(always)]
    fn grant_pooled(
        &mut self,
        layout: Layout,
        lead: usize,
        node: &Node<AnyPort>,
    ) -> Option<NonNull<u8>> {
        let start = self.ledger.grant_pooled(node.id, layout, lead, self.allocations + 1)?;
        self.requests += 1;
        self.count_granted(layout, node);
        Some(start)
    }

    /// Records the free of a block of the pool, and gives its memory back. False where it is not
    /// in order, and nothing is done.
    #[inline(always)]
    fn free_pooled(&mut self, start: NonNull<u8>, layout: Layout, node: &Node<AnyPort>) -> bool {
        let address = start.as_ptr() as usize;
        if !self.ledger.release_pooled(address, node.id, layout, self.events + 1) {
            return false;
        }
        // As `stamp`: where there is a pool, frees are told.
        self.events += 1;
        self.fingerprint.add(self.free_event(layout, node));
        self.live -= layout.size() & node.counted;
        node.lost(self);
        true
    }

    #[inline(always)]
    fn free_event(&self, layout: Layout, node: &Node<AnyPort>) -> Event {
        let (size, align, heap) = (layout.size(), layout.align(), node.id);
        Event { op: Op::Free, heap, thread: self.thread, align, size, end: End::Done }
    }

    /// Takes the memory of a block back that is in the ledger no more, if it is the pool's.
    #[inline]
    pub(crate) fn give_to_pool(&mut self, address: usize, size: usize) -> bool {
        let Some(block) = self.ledger.pool.block(address) else { return false };
        self.ledger.pool.give(block, size + 2 * self.ledger.pool.lead());
        true
    }

    #[inline(always)]
    fn count_granted(&mut self, layout: Layout, node: &Node<AnyPort>) {
        let (size, align, heap) = (layout.size(), layout.align(), node.id);
        self.allocations += 1;
        self.stamp(Event { op: Op::Alloc, heap, thread: self.thread, align, size, end: End::Done });
        self.live += size & node.counted;
        if self.live > self.peak {
            self.peak = self.live;
        }
        node.gained(self);
    }

    #[inline(always)]
    fn count_freed(&mut self, layout: Layout, node: &Node<AnyPort>) {
        self.stamp(self.free_event(layout, node));
        self.live -= layout.size() & node.counted;
        node.lost(self);
    }

    /// Records a request and its block. False where it takes longer, and nothing is done.
    #[inline(always)]
    fn grant_quickly(&mut self, start: NonNull<u8>, layout: Layout, node: &Node<AnyPort>) -> bool {
        let is_home = self.record_quickly(start, layout, node);
        self.requests += u64::from(is_home);
        is_home
    }

    /// The same for a request that is counted already.
    #[inline(always)]
    fn record_quickly(&mut self, start: NonNull<u8>, layout: Layout, node: &Node<AnyPort>) -> bool {
        let (size, align, heap) = (layout.size(), layout.align(), node.id);
        let number = self.allocations + 1;
        let address = start.as_ptr() as usize;
        let is_home = self.ledger.insert_at_home(address, heap, size, align, number);
        if is_home {
            self.count_granted(layout, node);
        }
        is_home
    }

    /// Records a free and takes the block out of the ledger. `None` where it is not in order or
    /// takes longer, and nothing is done.
    #[inline(always)]
    fn free_quickly(
        &mut self,
        start: NonNull<u8>,
        layout: Layout,
        node: &Node<AnyPort>,
    ) -> Option<Quarantined> {
        self.free_by(Ledger::take_at_home, start, layout, node)
    }

    /// [`free_quickly`](Self::free_quickly), wherever the block stands in the ledger. `None` where
    /// the free is not in order.
    fn free_from_afar(
        &mut self,
        start: NonNull<u8>,
        layout: Layout,
        node: &Node<AnyPort>,
    ) -> Option<Quarantined> {
        self.free_by(Ledger::take, start, layout, node)
    }

    #[inline(always)]
    fn free_by(
        &mut self,
        take: impl FnOnce(&mut Ledger, usize, u16, usize, usize, u64) -> Option<Record>,
        start: NonNull<u8>,
        layout: Layout,
        node: &Node<AnyPort>,
    ) -> Option<Quarantined> {
        let (size, align, heap) = (layout.size(), layout.align(), node.id);
        let address = start.as_ptr() as usize;
        let record = take(&mut self.ledger, address, heap, size, align, self.events + 1)?;
        self.count_freed(layout, node);
        Some(Quarantined { record, event: self.events })
    }
}
