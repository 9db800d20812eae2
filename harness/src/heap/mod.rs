//! The heap: the one choke point. Every call of the subject comes through here, in four steps:
//! *detect* (is it legal?), *decide* (does the plan fail it?), *forward* (to the port), *record*.
//!
//! A bad free never reaches the port. Nothing here unwinds. The state of a run is touched only
//! between calls into ports, never across one, so a port may itself allocate from a heap of the
//! same run.
#![allow(unsafe_code)]

pub(crate) mod detection;
pub(crate) mod fast_path;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
pub(crate) mod node;
pub(crate) mod pool;
pub(crate) mod quarantine;
pub(crate) mod record;
pub(crate) mod redzone;
pub(crate) mod run_lock;
pub(crate) mod state;
pub(crate) mod survivor;
pub(crate) mod thread_context;

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::PoisonError;

use crate::detect::block::Block;
use crate::heap::ledger::RecordSlot;
use crate::heap::node::{AnyPort, Core, Node, StateGuard, start_of};
use crate::heap::quarantine::Quarantined;
use crate::heap::record::Record;
use crate::heap::state::{ForeignCall, State};
use crate::heap::survivor::{KeepSurvivors, SurvivorKind};
use crate::heap::thread_context::aside;
use crate::plan::Plan;
use crate::port::{Port, Refused};
use crate::process::backtrace;
use crate::rt;
use crate::rt::{SharedOp, SharedOpKind};
use crate::trace::{End, Op};

pub(crate) type AllocResult = Result<NonNull<[u8]>, Refused>;

/// A watched allocator: what the harness hands to the subject.
///
/// Clones are the same heap. With the feature `allocator-api2` (on by default) it is an
/// `Allocator`, so `hashbrown::HashMap<_, _, _, Heap>` and `allocator_api2::vec::Vec<_, Heap>`
/// just work; it is a [`Port`] as well, so that memory parts can stand on it.
///
/// *Serial* unless [`Options::parallel`](crate::Options::parallel) is asked for: it belongs to the OS thread that made it.
/// Another thread's request is refused and its free is parked; both are reported.
pub struct Heap {
    pub(crate) node: NonNull<Node<AnyPort>>,
}

// SAFETY: `state` is touched only by the owning thread (`enter` compares thread marks before) or,
// in a parallel run, behind the gate; everything else is an atomic or behind a mutex. Ports are
// `Send` and are called under the same rule.
unsafe impl Send for Heap {}
// SAFETY: as above: a shared reference gives another thread nothing that a moved handle doesn't.
unsafe impl Sync for Heap {}

impl Heap {
    #[inline]
    pub(crate) fn node(&self) -> &Node<AnyPort> {
        // SAFETY: a node lives as long as a handle on it; this is one.
        unsafe { self.node.as_ref() }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Core {
        // SAFETY: a run lives as long as one of its nodes; this handle keeps one.
        unsafe { self.node().run.as_ref() }
    }

    /// Runs a step on the run's state.
    ///
    /// # Panics
    /// On a thread that the run doesn't belong to.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let entered = self.core().enter();
        entered.expect("[mallory bug] a run's state is asked for on its own thread").with(step)
    }

    /// Declares that this heap and the other are truly one releaser: blocks of either may be freed
    /// through both.
    pub fn alias(&self, other: &Heap) {
        let (mine, theirs) = (usize::from(self.node().id), usize::from(other.node().id));
        self.with(|state| {
            let (from, to) = (state.heaps[theirs].family, state.heaps[mine].family);
            for heap in state.heaps.iter_mut().filter(|heap| heap.family == from) {
                heap.family = to;
            }
        });
    }

    /// The name it was made with; `main` for a run's first heap.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.with(|state| state.heaps[usize::from(self.node().id)].name)
    }

    /// Whether memory parts shall pass every allocation straight to their port: the kill switch,
    /// `MALLORY_DISABLE_CUSTOM_ALLOCATORS=1` or [`Options::bypass`](crate::Options::bypass).
    #[must_use]
    pub fn bypass(&self) -> bool {
        self.core().bypass
    }

    /// Bytes live in the run, over all heaps that don't stand on another one.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.with(|state| state.live)
    }

    /// How much its detectors have found so far, for whoever runs code on a heap without a sweep.
    /// Leaks are told at a run's end only: look at [`live_bytes`](Self::live_bytes).
    #[must_use]
    pub fn found(&self) -> usize {
        self.with(|state| state.evidence.len())
    }

    /// The most that [`live_bytes`](Self::live_bytes) has been.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.with(|state| state.peak)
    }

    /// Lets other threads go first, where a model checker drives the run. Before anything is looked
    /// at, so that what is seen then still holds when it is acted on.
    #[cold]
    #[inline(never)]
    fn take_turn(&self, what: SharedOpKind) {
        if self.core().points {
            rt::scheduling_point(SharedOp { what, object: u32::from(self.node().id) });
        }
        self.core().follow();
    }

    // ---- the four steps, for a request ----

    /// In full: what is out of the ordinary for `quick.rs`.
    #[inline(never)]
    pub(crate) fn request_fully(&self, op: Op, layout: Layout) -> AllocResult {
        let node = self.node();
        if self.core().driven {
            self.take_turn(SharedOpKind::Request);
            if op == Op::Alloc
                && let Some(start) = self.request_met(layout)
            {
                return Ok(NonNull::slice_from_raw_parts(start, layout.size()));
            }
        }
        let Some(entered) = self.enter_home() else {
            return self.refuse_foreign(op, layout, std::ptr::null_mut());
        };
        // Decide.
        if !entered.with(State::passes) && self.consult(&entered, op, layout, 0) {
            entered.with(|state| state.refused(op, layout, node.id, End::Injected));
            return Err(Refused);
        }
        // Forward.
        let guards = entered.with(|state| state.guards);
        let Ok(start) = node.obtain(layout, op == Op::AllocZeroed, guards, &entered) else {
            entered.with(|state| state.refused(op, layout, node.id, End::Refused));
            return Err(Refused);
        };
        // Record.
        let address = start.as_ptr() as usize;
        entered.with(|state| state.granted(op, address, layout, node.id, node.counted));
        entered.with(|state| node.gained(state));
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Asks the plan about the present request. The plan is out of the state meanwhile: a closure
    /// in it may use a heap of this run, without being asked about that.
    #[cold]
    #[inline(never)]
    fn consult(&self, entered: &StateGuard<'_>, op: Op, layout: Layout, old: usize) -> bool {
        if entered.with(|state| state.requests > state.bound) && self.is_dying(entered) {
            return false;
        }
        let Some(mut plan) = entered.with(State::lend_plan) else {
            return false;
        };
        let request = entered.with(|state| state.request(op, layout, old, self.node().id));
        // A closure's memory is neither the subject's nor the harness's.
        let refuses = aside(|| rt::without_points(|| plan.refuses(&request)));
        entered.with(|state| state.take_plan_back(plan));
        // After a failure made it panic, what unwinds gets its memory, unless that is to be tried:
        // a second panic would end the process and hide the first.
        if !refuses {
            return false;
        }
        let (again, spares) = entered.with(|state| {
            let again = state.injected.is_some();
            (again, again && !state.options.unwinding)
        });
        let gets_it = again && self.is_dying(entered) || spares && std::thread::panicking();
        !gets_it
    }

    /// Whether a global heap's request is one of std's own, on its way from a failed request to the
    /// abort: it may look up a backtrace before, and print it. Those get their memory from here on.
    #[cold]
    fn is_dying(&self, entered: &StateGuard<'_>) -> bool {
        let is_dying = entered.with(|state| state.options.global) && backtrace::is_dying();
        if is_dying {
            entered.with(|state| {
                state.disarm();
                state.set_bound(u64::MAX);
            });
        }
        is_dying
    }

    // ---- and for a free ----

    #[inline(never)]
    pub(crate) fn release_fully(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if self.core().driven {
            self.take_turn(SharedOpKind::Free);
            if self.release_met(start, layout) {
                return;
            }
        }
        let Some(entered) = self.enter_home() else {
            let _ = self.refuse_foreign(Op::Free, layout, start.as_ptr());
            return;
        };
        let address = start.as_ptr() as usize;
        let (size, align) = (layout.size(), layout.align());
        // Detect.
        let fitting = entered.with(|state| state.ledger.fits(address, node.id, size, align));
        if let Some(slot) = fitting {
            let number = entered.with(|state| state.ledger.number(slot));
            let heap = node.id;
            let block = Block { address, heap, size, align, number, tainted: false };
            self.retire(&entered, slot, block);
        } else {
            let settle = |state: &mut State| {
                let slot = state.settle(address, layout, node.id, Op::Free)?;
                Some((slot, state.ledger.block(slot)))
            };
            if let Some((slot, block)) = entered.with(settle) {
                self.retire(&entered, slot, block);
            }
        }
    }

    /// Records and forwards a free that is in order.
    #[inline]
    fn retire(&self, entered: &StateGuard<'_>, slot: RecordSlot, block: Block) {
        let node = self.node();
        let record = entered.with(|state| state.freed(slot, &block, node.counted));
        if block.heap == node.id {
            entered.with(|state| node.lost(state));
        } else if let Some(owner) = entered.node(block.heap) {
            // SAFETY: a node leaves the table when it goes, so this one lives.
            let owner = unsafe { owner.0.as_ref() };
            entered.with(|state| owner.lost(state));
        }
        self.dispose(entered, block, record);
    }

    /// Sees a block off that is no longer in the ledger: into quarantine, or to the port.
    #[inline]
    fn dispose(&self, entered: &StateGuard<'_>, block: Block, record: Record) {
        let node = self.node();
        if !entered.with(|state| state.guards) {
            if entered.with(|state| state.options.wipe) {
                // SAFETY: the block was live until now and is its last user's no more.
                unsafe { redzone::wipe(start_of(&block), block.size) };
            }
            node.give_back(&block, false, entered);
            return;
        }
        // SAFETY: the block is painted: guards are on for a whole run or not at all.
        let damage = unsafe { redzone::damage(start_of(&block), block.size, block.align) };
        entered.with(|state| {
            if !block.tainted {
                state.judge(damage, &block, Some(state.events));
            }
            // SAFETY: as above; its last user gave it back.
            unsafe { redzone::poison(start_of(&block), block.size, state.options.wipe) };
            state.quarantine.push(Quarantined { record, event: state.events }, block.size);
        });
        while let Some(kept) = entered.with(State::surplus) {
            self.let_go(entered, &kept);
        }
    }

    /// Looks a last time at a block from the quarantine, and hands it to its port.
    #[cold]
    #[inline(never)]
    pub(crate) fn let_go(&self, entered: &StateGuard<'_>, kept: &Quarantined) {
        let block = entered.with(|state| {
            let block = state.ledger.decode(kept.record);
            // SAFETY: the block was poisoned when it came into quarantine and is still ours.
            let written =
                unsafe { redzone::written(start_of(&block), block.size, state.options.wipe) };
            if written.is_some() {
                state.accuse_written(written, &block, kept.event);
            }
            block
        });
        if let Some(node) = entered.node(block.heap) {
            // SAFETY: a node leaves the table when it goes, and empties its part of the quarantine
            // before (`Node::leave`), so this one lives.
            unsafe { node.0.as_ref() }.give_back(&block, true, entered);
        }
    }

    // ---- and for a resize ----

    pub(crate) fn resize(
        &self,
        op: Op,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
        zeroed: bool,
    ) -> AllocResult {
        let node = self.node();
        if self.core().driven {
            self.take_turn(SharedOpKind::Request);
        }
        let Some(entered) = self.enter_home() else {
            return self.refuse_foreign(op, new, start.as_ptr());
        };
        let address = start.as_ptr() as usize;
        // Detect.
        let find = |state: &mut State| {
            let fits = state.ledger.fits(address, node.id, old.size(), old.align());
            let slot = fits.or_else(|| state.settle(address, old, node.id, op))?;
            Some(state.ledger.block(slot))
        };
        let block = entered.with(find).ok_or(Refused)?;
        // Decide.
        if !entered.with(State::passes) && self.consult(&entered, op, new, old.size()) {
            entered.with(|state| state.refused(op, new, block.heap, End::Injected));
            return Err(Refused);
        }
        // Forward, as a fresh block, a copy and a free: the block keeps its name and is found at
        // another address, which no in-place luck can change. Or as the port likes.
        // The port would give the old place up unwiped, and knows nothing of the pool's.
        let guards = entered.with(|state| state.guards);
        let moving = entered.with(|state| {
            state.moving || state.options.wipe || state.ledger.pool.block(address).is_some()
        });
        let moves = moving || guards || old.align() != new.align();
        let fresh = if moves {
            node.obtain(new, false, guards, &entered)
        } else {
            node.resize_in_port(op, start, &block, new, &entered)
        };
        let Ok(fresh) = fresh else {
            entered.with(|state| state.refused(op, new, block.heap, End::Refused));
            return Err(Refused);
        };
        let common = old.size().min(new.size());
        if moves {
            // SAFETY: both blocks are live, disjoint (the port's contract) and at least as long.
            unsafe { fresh.copy_from_nonoverlapping(start, common) };
        }
        if zeroed {
            // SAFETY: the fresh block is `new.size()` bytes long.
            unsafe { fresh.add(common).write_bytes(0, new.size() - common) };
        }
        // Record.
        let record = entered.with(|state| {
            let slot = state.ledger.find(address, block.heap);
            let record = match slot {
                // The resize is the event at which the old place was given up.
                Some(slot) if moves => Some(state.ledger.retire(slot, state.events + 1)),
                Some(slot) => {
                    state.ledger.remove(slot);
                    None
                }
                None => None,
            };
            state.resized(op, &block, fresh.as_ptr() as usize, new, node.counted);
            record
        });
        if let Some(record) = record {
            self.dispose(&entered, block, record);
        }
        Ok(NonNull::slice_from_raw_parts(fresh, new.size()))
    }

    // ---- for a global heap, whose callers also hold blocks of others ----

    /// Whether a block of this run has to do with this address. Only the subject would free one in
    /// the midst of a block: for all others it is not looked for there, since the harness frees
    /// blocks of its own at each fork, and there may be very many live ones.
    #[cold]
    pub(crate) fn knows(&self, start: NonNull<u8>, is_subject: bool) -> bool {
        let address = start.as_ptr() as usize;
        self.with(|state| match is_subject {
            true => state.ledger.knows(address),
            false => state.ledger.remembers(address),
        })
    }

    /// A free, unless no block of this run has to do with its address.
    #[cold]
    #[inline(never)]
    pub(crate) fn takes_back(&self, start: NonNull<u8>, layout: Layout, is_subject: bool) -> bool {
        if !self.knows(start, is_subject) {
            return false;
        }
        self.release_fully(start, layout);
        true
    }

    /// A resize that neither counts nor fails.
    #[cold]
    pub(crate) fn resize_in_peace(
        &self,
        op: Op,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> AllocResult {
        let before = self.with(State::pause);
        let answer = self.resize(op, start, old, new, false);
        self.with(|state| state.go_on(before));
        answer
    }

    // ---- other threads, other moments ----

    /// The right to touch the state, for a thread that this heap serves.
    #[inline]
    fn enter_home(&self) -> Option<StateGuard<'_>> {
        self.core().enter().filter(|entered| self.node().is_home_of(entered))
    }

    #[cold]
    #[inline(never)]
    fn refuse_foreign(&self, op: Op, layout: Layout, address: *mut u8) -> AllocResult {
        let foreign = ForeignCall { op, heap: self.node().id, address: address as usize, layout };
        let stack = backtrace::stack();
        let mut parked = self.core().foreign.lock().unwrap_or_else(PoisonError::into_inner);
        parked.push((foreign, Some(stack)));
        Err(Refused)
    }

    /// Takes every block of this heap back at once, where its port can (an arena's reset). Guards
    /// are checked; blocks that were live are no leak.
    ///
    /// # Safety
    /// - Nobody uses a block of this heap afterwards.
    pub unsafe fn reclaim(&self) {
        if let Some(entered) = self.core().enter() {
            self.node().leave(&entered);
        }
    }

    /// Lets this plan decide which requests fail, counting from here.
    pub fn arm(&self, plan: Plan) {
        self.with(|state| state.arm(plan));
    }

    /// Lets every request pass that the port can grant.
    pub fn disarm(&self) {
        self.with(State::disarm);
    }

    /// Reads the guards of every live block now, instead of when it is freed.
    pub fn check(&self) {
        self.with(|state| {
            if !state.guards {
                return;
            }
            for block in state.ledger.live() {
                if !block.tainted {
                    // SAFETY: guards are on, so each live block is painted, and it is still ours.
                    let damage =
                        unsafe { redzone::damage(start_of(&block), block.size, block.align) };
                    state.judge(damage, &block, None);
                }
            }
        });
    }

    /// The end of a run: everything in quarantine is looked at, every guard, every block that is
    /// left, and every call of a foreign thread. Where not all threads came to their end, what they
    /// hold is no leak: nobody can tell it from what was lost before.
    pub(crate) fn close(&self, ended: bool) {
        let Some(entered) = self.core().enter() else {
            return;
        };
        self.adopt();
        while let Some(kept) = entered.with(State::release_kept) {
            self.let_go(&entered, &kept);
        }
        let foreign = std::mem::take(
            &mut *self.core().foreign.lock().unwrap_or_else(PoisonError::into_inner),
        );
        entered.with(|state| {
            for (nth, (foreign, stack)) in (1..).zip(&foreign) {
                state.accuse_foreign(foreign, nth);
                if let (Some(capture), Some(stack)) = (&mut state.capture, stack) {
                    let moment = crate::report::evidence::Moment::Foreign(nth);
                    capture.taken.entry(moment).or_insert_with(|| stack.clone());
                }
            }
        });
        self.check();
        // Of a global heap's blocks some are statics'; see `leave_to`.
        entered.with(|state| (ended && !state.options.global).then(|| state.accuse_leaks()));
    }

    /// Leaves what is still live to the global heap. Answers by how many blocks and bytes there is
    /// more than after the run before; if there is, each block is a suspect.
    pub(crate) fn leave_to(&self, global: &dyn KeepSurvivors) -> (i64, i64) {
        let Some(entered) = self.core().enter() else {
            return (0, 0);
        };
        // All of it behind the gate: another thread that frees such a block finds it in the
        // ledger or among the survivors.
        let left = entered.with(|state| state.ledger.take_heap(self.node().id));
        let outlives = entered.with(|state| match (state.options.apart, state.guards) {
            (true, _) => SurvivorKind::ForGood,
            (false, true) => SurvivorKind::Guarded,
            (false, false) => SurvivorKind::Plain,
        });
        for block in &left {
            entered.with(|state| self.node().lost(state));
            global.keep(block, outlives);
        }
        let more = global.growth();
        if is_more(more) > 0 {
            // A block that has its finding is no leak as well.
            let suspects = left.iter().filter(|block| !block.tainted);
            entered.with(|state| suspects.for_each(|block| state.accuse_leak(block)));
        }
        more
    }

    /// How many threads used this run.
    pub(crate) fn threads(&self) -> usize {
        self.core().gate().threads().max(1)
    }
}

// SAFETY: the heap keeps its port's contract and adds refusals, which the contract allows; a
// block it handed out is found again by its address until it is freed.
unsafe impl Port for Heap {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult {
        let answer = self.request_alloc(layout);
        keep_frame();
        answer
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult {
        let answer = self.request_fully(Op::AllocZeroed, layout);
        keep_frame();
        answer
    }

    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        self.release(block, layout);
        keep_frame();
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let answer = self.resize(Op::Grow, block, old, new, false);
        keep_frame();
        answer
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let answer = self.resize(Op::Shrink, block, old, new, false);
        keep_frame();
        answer
    }
}

impl Heap {
    /// Grows a block and zeroes what is new.
    ///
    /// # Errors
    /// As [`Port::grow`].
    ///
    /// # Safety
    /// - As for [`Port::grow`].
    #[inline]
    pub unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let answer = self.resize(Op::Grow, block, old, new, true);
        keep_frame();
        answer
    }
}

/// Whether there is more left than before: by how many bytes, or blocks where there are none.
pub(crate) fn is_more((blocks, bytes): (i64, i64)) -> i64 {
    if bytes == 0 { blocks } else { bytes }
}

/// Keeps the caller's frame on the stack until the call into the heap is over: as a tail call it
/// would be missing from call sites in optimised builds only.
#[inline(always)]
fn keep_frame() {
    // SAFETY: an empty instruction that the optimiser may not move or drop.
    unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) }
}
