//! The *record* step of the fast path: what a request or a free changes in a run's state where the
//! block is ordinary and its record is found at the first look.
//!
//! Each function either does all of its work or nothing, and its result says which. The caller
//! then tries a slower route.

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::heap::ledger::Ledger;
use crate::heap::node::{AnyPort, Node};
use crate::heap::quarantine::Quarantined;
use crate::heap::record::Record;
use crate::heap::state::State;
use crate::trace::{End, Event, Op};

/// Takes a block out of the pool, and records it and its request. `None` if the pool has none;
/// nothing is done then. With guards, the result is where the front guard begins.
#[inline(always)]
pub(crate) fn grant_pooled(
    state: &mut State,
    layout: Layout,
    lead: usize,
    node: &Node<AnyPort>,
) -> Option<NonNull<u8>> {
    let start = state.ledger.grant_pooled(node.id, layout, lead, state.allocations + 1)?;
    state.requests += 1;
    count_granted(state, layout, node);
    Some(start)
}

/// Records the free of a block of the pool, and gives its memory back. False if the free fits no
/// such block; nothing is done then.
#[inline(always)]
pub(crate) fn free_pooled(
    state: &mut State,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> bool {
    let address = start.as_ptr() as usize;
    if !state.ledger.release_pooled(address, node.id, layout, state.events + 1) {
        return false;
    }
    // As `State::count_event`: runs that have a pool always hash frees.
    state.events += 1;
    state.fingerprint.add(free_event(state, layout, node));
    state.live -= layout.size() & node.counted;
    node.remove_live(state);
    true
}

/// Records a request and its block. False if the block's first place in the ledger is taken;
/// nothing is done then.
#[inline(always)]
pub(crate) fn grant_at_home(
    state: &mut State,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> bool {
    let is_home = grant_counted_at_home(state, start, layout, node);
    state.requests += u64::from(is_home);
    is_home
}

/// [`grant_at_home`] for a request that has been counted already.
#[inline(always)]
pub(crate) fn grant_counted_at_home(
    state: &mut State,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> bool {
    let (size, align, heap) = (layout.size(), layout.align(), node.id);
    let number = state.allocations + 1;
    let address = start.as_ptr() as usize;
    let is_home = state.ledger.insert_at_home(address, heap, size, align, number);
    if is_home {
        count_granted(state, layout, node);
    }
    is_home
}

/// Records a free and takes the block out of the ledger. `None` if its record is not in its first
/// place, or the free fits no block; nothing is done then.
#[inline(always)]
pub(crate) fn free_at_home(
    state: &mut State,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> Option<Quarantined> {
    free_by(state, Ledger::take_at_home, start, layout, node)
}

/// [`free_at_home`], wherever the record is. `None` if the free fits no block.
pub(crate) fn free_anywhere(
    state: &mut State,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> Option<Quarantined> {
    free_by(state, Ledger::take, start, layout, node)
}

#[inline(always)]
fn free_by(
    state: &mut State,
    take: impl FnOnce(&mut Ledger, usize, u16, usize, usize, u64) -> Option<Record>,
    start: NonNull<u8>,
    layout: Layout,
    node: &Node<AnyPort>,
) -> Option<Quarantined> {
    let (size, align, heap) = (layout.size(), layout.align(), node.id);
    let address = start.as_ptr() as usize;
    let record = take(&mut state.ledger, address, heap, size, align, state.events + 1)?;
    state.count_event(free_event(state, layout, node));
    state.live -= layout.size() & node.counted;
    node.remove_live(state);
    Some(Quarantined { record, event: state.events })
}

#[inline(always)]
fn free_event(state: &State, layout: Layout, node: &Node<AnyPort>) -> Event {
    let (size, align, heap) = (layout.size(), layout.align(), node.id);
    Event { op: Op::Free, heap, thread: state.thread, align, size, end: End::Done }
}

#[inline(always)]
fn count_granted(state: &mut State, layout: Layout, node: &Node<AnyPort>) {
    let (size, align, heap) = (layout.size(), layout.align(), node.id);
    let thread = state.thread;
    state.allocations += 1;
    state.count_event(Event { op: Op::Alloc, heap, thread, align, size, end: End::Done });
    state.live += size & node.counted;
    if state.live > state.peak {
        state.peak = state.live;
    }
    node.add_live(state);
}
