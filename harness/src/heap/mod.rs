//! The heap: every call of the subject comes through here, in four steps: *detect* (is it legal?),
//! *decide* (does the plan fail it?), *forward* (to the port), *record*.
//!
//! A bad free never reaches the port. Nothing here unwinds. The state of a run is touched only
//! between calls into ports, never across one, so a port may itself allocate from a heap of the
//! same run.
//!
//! This file is the full route of each call. Most calls take a shorter one: `fast_path.rs` begins
//! with a map of all routes.
#![allow(unsafe_code)]

pub(crate) mod detection;
pub(crate) mod fast_path;
pub(crate) mod freed_ring;
pub(crate) mod heap_table;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
pub(crate) mod node;
pub(crate) mod pool;
pub(crate) mod pool_memory;
pub(crate) mod quarantine;
pub(crate) mod quick_record;
pub(crate) mod record;
pub(crate) mod record_table;
pub(crate) mod redzone;
pub(crate) mod run_lock;
pub(crate) mod state;
pub(crate) mod survivor;
pub(crate) mod thread_context;
pub(crate) mod unknown_frees;

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::detect::block::Block;
use crate::heap::ledger::RecordSlot;
use crate::heap::node::{AnyPort, Core, Node, StateGuard, check_poison, start_of};
use crate::heap::quarantine::Quarantined;
use crate::heap::record::Record;
use crate::heap::state::{ForeignCall, State};
use crate::heap::thread_context::aside;
use crate::plan::Plan;
use crate::port::{Port, Refused};
use crate::process::backtrace;
use crate::rt::{self, AccessKind, Object, SharedOp, SharedOpKind};
use crate::trace::{End, Op};

pub(crate) type AllocResult = Result<NonNull<[u8]>, Refused>;

/// A watched allocator: what the harness hands to the subject.
///
/// Clones are the same heap. With the feature `allocator-api2` (on by default) it is an
/// `Allocator`, so `hashbrown::HashMap<_, _, _, Heap>` and `allocator_api2::vec::Vec<_, Heap>`
/// just work. It is a [`Port`] as well, so allocators under test can be built on top of it.
///
/// A heap is *serial* unless [`Options::parallel`](crate::Options::parallel) is set: it belongs to
/// the OS thread that made it. Another thread's request is refused, its free is not carried out,
/// and both are reported.
///
/// ```
/// use std::alloc::Layout;
/// use mallory::{Heap, Port};
///
/// let heap = Heap::new();
/// let layout = Layout::new::<[u64; 4]>();
/// let block = heap.alloc(layout)?.cast();
/// assert_eq!(heap.live_bytes(), 32);
/// // SAFETY: a live block of this heap, with its own layout.
/// unsafe { heap.free(block, layout) };
/// assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
/// # Ok::<(), mallory::Refused>(())
/// ```
pub struct Heap {
    pub(crate) node: NonNull<Node<AnyPort>>,
}

// SAFETY: `state` is touched only by the owning thread (`Core::enter` compares thread marks) or
// under the run's lock; everything else is an atomic or in a mutex. Ports are `Send` and are called
// under the same rule.
unsafe impl Send for Heap {}
// SAFETY: as above: a shared reference lets another thread do nothing that a moved handle doesn't.
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
        entered.expect("[mallory bug] a run's state is used on a thread of another run").with(step)
    }

    /// Declares that blocks of this heap and of the other may be freed through either.
    ///
    /// # Panics
    /// On a thread that the heap doesn't belong to, like all methods that read or change the run.
    pub fn alias(&self, other: &Heap) {
        self.with(|state| state.heaps.alias(self.node().id, other.node().id));
    }

    /// The name that the heap was made with; `main` for a run's first heap.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.with(|state| state.heaps.name(self.node().id))
    }

    /// Whether custom allocators on this heap should pass every call straight to it: the kill
    /// switch, set by `MALLORY_DISABLE_CUSTOM_ALLOCATORS=1` or
    /// [`Options::bypass`](crate::Options::bypass).
    #[must_use]
    pub fn bypass(&self) -> bool {
        self.core().bypass
    }

    /// The bytes that are live in the run, over all heaps that are not on top of another one.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.with(|state| state.live)
    }

    /// The number of findings of the run's detectors so far, for code that uses a heap without a
    /// sweep. Leaks are only reported at a run's end: use [`live_bytes`](Self::live_bytes).
    #[must_use]
    pub fn found(&self) -> usize {
        self.with(|state| state.evidence.len())
    }

    /// The largest value that [`live_bytes`](Self::live_bytes) has had.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.with(|state| state.peak)
    }

    /// Watches the blocks that this run allocates from here on for data races, if a model checker
    /// drives it ([`Explore`](crate::Explore)). Atomics and cells of `mallory::sync` that are in a
    /// block are seen to use it, and [`note_read`](Heap::note_read) and
    /// [`note_write`](Heap::note_write) say of other accesses. A use and a free of a block that
    /// nothing orders are a data race.
    pub fn track_races(&self) {
        self.core().watches_races.store(true, Ordering::Relaxed);
    }

    /// Says that the present thread reads what is at this address. See
    /// [`track_races`](Heap::track_races).
    pub fn note_read<T: ?Sized>(&self, at: *const T) {
        rt::note_block_access(at.cast::<u8>() as usize, false);
    }

    /// Says that the present thread writes what is at this address. See
    /// [`track_races`](Heap::track_races).
    pub fn note_write<T: ?Sized>(&self, at: *const T) {
        rt::note_block_access(at.cast::<u8>() as usize, true);
    }

    /// Watches a new block, if blocks are watched.
    fn watch(&self, start: NonNull<u8>, layout: Layout) {
        if self.core().watches_races.load(Ordering::Relaxed) {
            rt::watch_block(start.as_ptr() as usize, layout.size());
        }
    }

    /// A scheduling point of a run that a model checker drives. It comes before anything is looked
    /// at, so that what a call sees still holds when it acts on it.
    #[cold]
    #[inline(never)]
    fn reach_scheduling_point(&self, what: SharedOpKind, block: Option<NonNull<u8>>) {
        let heap = self.node().id;
        if self.core().points {
            rt::scheduling_point(SharedOp { what, object: u32::from(heap) });
        }
        if what == SharedOpKind::Request {
            rt::log_access(Object::Fault, AccessKind::Read);
        }
        if let Some(start) = block {
            // The address only identifies the block within the run.
            let block = Object::Block(heap, start.as_ptr() as u64);
            rt::log_access(block, AccessKind::Write);
            if self.core().watches_races.load(Ordering::Relaxed) {
                if what == SharedOpKind::Free {
                    rt::note_block_free(start.as_ptr() as usize);
                } else {
                    rt::log_block_access(start.as_ptr() as usize, AccessKind::CellWrite);
                }
            }
        }
        self.core().follow();
    }

    // ---- the four steps, for a request ----

    /// Route A9 of `fast_path.rs`.
    #[inline(never)]
    pub(crate) fn request_fully(&self, op: Op, layout: Layout) -> AllocResult {
        let node = self.node();
        if self.core().driven {
            self.reach_scheduling_point(SharedOpKind::Request, None);
            if op == Op::Alloc
                && let Some(start) = self.request_driven(layout)
            {
                self.watch(start, layout);
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
        entered.with(|state| node.add_live(state));
        if self.core().driven {
            self.watch(start, layout);
        }
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Asks the plan whether the current request fails. During the question the plan is out of the
    /// state, since a closure in it may use a heap of this run; it is not asked about that.
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
        // What a closure of the plan allocates is not the subject's.
        let refuses = aside(|| rt::without_points(|| plan.refuses(&request)));
        let crosses_threads = plan.crosses_threads();
        entered.with(|state| state.take_plan_back(plan));
        if !refuses {
            return false;
        }
        if crosses_threads && entered.with(|state| state.injected.is_none()) {
            // Whether another thread's request fails depends on whether it comes before this.
            rt::log_access(Object::Fault, AccessKind::Write);
        }
        // Code that unwinds after an earlier fault gets its memory, unless that is to be tried: a
        // second panic would abort the process and hide the first.
        let (is_later, spares_unwinding) = entered.with(|state| {
            let is_later = state.injected.is_some();
            (is_later, is_later && !state.options.unwinding)
        });
        let is_spared =
            is_later && self.is_dying(entered) || spares_unwinding && std::thread::panicking();
        !is_spared && !backtrace::is_outside_test(request.at.thread)
    }

    /// Whether this request comes from std itself, under the global allocator, between a failed
    /// request and the abort: std may look up a backtrace and print it. If so, all requests pass
    /// from here on.
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

    // ---- the four steps, for a free ----

    /// Route F8 of `fast_path.rs`.
    #[inline(never)]
    pub(crate) fn release_fully(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        if self.core().driven {
            self.reach_scheduling_point(SharedOpKind::Free, Some(start));
            if self.release_driven(start, layout) {
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
            let find_or_report = |state: &mut State| {
                let slot = state.find_or_report(address, layout, node.id, Op::Free)?;
                Some((slot, state.ledger.block(slot)))
            };
            if let Some((slot, block)) = entered.with(find_or_report) {
                self.retire(&entered, slot, block);
            }
        }
    }

    /// Records and forwards a right free.
    #[inline]
    fn retire(&self, entered: &StateGuard<'_>, slot: RecordSlot, block: Block) {
        let node = self.node();
        let record = entered.with(|state| state.freed(slot, &block, node.counted));
        if block.heap == node.id {
            entered.with(|state| node.remove_live(state));
        } else if let Some(owner) = entered.node(block.heap) {
            // SAFETY: a node is taken out of the table when it is dropped (`Heap::node_gone`), so
            // this one lives.
            let owner = unsafe { owner.0.as_ref() };
            entered.with(|state| owner.remove_live(state));
        }
        self.dispose(entered, block, record);
    }

    /// Puts a block that has left the ledger into quarantine, or hands it to the port.
    #[inline]
    fn dispose(&self, entered: &StateGuard<'_>, block: Block, record: Record) {
        let node = self.node();
        if !entered.with(|state| state.guards) {
            if entered.with(|state| state.options.wipe) {
                // SAFETY: the block was live until now, and its last user has freed it.
                unsafe { redzone::wipe(start_of(&block), block.size) };
            }
            node.give_back(&block, false, entered);
            return;
        }
        // SAFETY: the block is painted: guards are on for a whole run or not at all.
        let damage = unsafe { redzone::damage(start_of(&block), block.size, block.align) };
        entered.with(|state| {
            if !block.tainted {
                state.check_guards(damage, &block, Some(state.events));
            }
            // SAFETY: as above; its last user has freed it.
            unsafe { redzone::poison(start_of(&block), block.size, state.options.wipe) };
            state.quarantine.push(Quarantined { record, event: state.events }, block.size);
        });
        while let Some(kept) = entered.with(State::surplus) {
            self.check_and_give_back(entered, &kept);
        }
    }

    /// Checks a block that has left the quarantine for writes after its free, and hands it to its
    /// port.
    #[cold]
    #[inline(never)]
    pub(crate) fn check_and_give_back(&self, entered: &StateGuard<'_>, kept: &Quarantined) {
        let block = entered.with(|state| check_poison(state, kept));
        if let Some(node) = entered.node(block.heap) {
            // SAFETY: a node is taken out of the table when it is dropped, and empties its part of
            // the quarantine before (`Node::give_back_all`), so this one lives.
            unsafe { node.0.as_ref() }.give_back(&block, true, entered);
        }
    }

    // ---- the four steps, for a resize ----

    /// A grow or a shrink. `zeroed` zeroes the bytes that are new.
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
            self.reach_scheduling_point(SharedOpKind::Request, Some(start));
        }
        let Some(entered) = self.enter_home() else {
            return self.refuse_foreign(op, new, start.as_ptr());
        };
        let address = start.as_ptr() as usize;
        // Detect.
        let find = |state: &mut State| {
            let fits = state.ledger.fits(address, node.id, old.size(), old.align());
            let slot = fits.or_else(|| state.find_or_report(address, old, node.id, op))?;
            Some(state.ledger.block(slot))
        };
        let block = entered.with(find).ok_or(Refused)?;
        // Decide.
        if !entered.with(State::passes) && self.consult(&entered, op, new, old.size()) {
            entered.with(|state| state.refused(op, new, block.heap, End::Injected));
            return Err(Refused);
        }
        // Forward, by default as a fresh block, a copy and a free: the block keeps its number and
        // always moves, so the run doesn't depend on whether the port could have grown it in place.
        // The port may resize it only if it is the port's own, is not to be wiped, and has no
        // guards.
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
                // The event of the resize, which is recorded below, is the one that frees the old
                // place.
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
        if self.core().driven && self.core().watches_races.load(Ordering::Relaxed) {
            if fresh != start {
                rt::note_block_free(address);
            }
            self.watch(fresh, new);
        }
        Ok(NonNull::slice_from_raw_parts(fresh, new.size()))
    }

    // ---- for a global heap, whose callers also hold blocks of others ----

    /// Whether a block of this run is, or was, at this address. Only for a call of the subject's
    /// the address may also be inside a live block: that search visits every live block, of which
    /// there may be very many, and the harness frees blocks of its own at each fork.
    #[cold]
    pub(crate) fn knows(&self, start: NonNull<u8>, is_subject: bool) -> bool {
        let address = start.as_ptr() as usize;
        self.with(|state| match is_subject {
            true => state.ledger.knows(address),
            false => state.ledger.remembers(address),
        })
    }

    /// A free of a block that this run [knows](Self::knows). Returns false otherwise; nothing is
    /// done then.
    #[cold]
    #[inline(never)]
    pub(crate) fn free_if_known(
        &self,
        start: NonNull<u8>,
        layout: Layout,
        is_subject: bool,
    ) -> bool {
        if !self.knows(start, is_subject) {
            return false;
        }
        self.release_fully(start, layout);
        true
    }

    /// A resize that the plan neither counts nor fails.
    #[cold]
    pub(crate) fn resize_uncounted(
        &self,
        op: Op,
        start: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> AllocResult {
        let before = self.with(State::pause);
        let result = self.resize(op, start, old, new, false);
        self.with(|state| state.go_on(before));
        result
    }

    // ---- other threads, other moments ----

    /// The right to touch the state. `None` on a thread that this heap doesn't serve.
    #[inline]
    fn enter_home(&self) -> Option<StateGuard<'_>> {
        self.core().enter().filter(|entered| self.node().is_home_of(entered))
    }

    /// Refuses a call of a thread that this heap doesn't serve, and parks it to be reported.
    #[cold]
    #[inline(never)]
    fn refuse_foreign(&self, op: Op, layout: Layout, address: *mut u8) -> AllocResult {
        let foreign = ForeignCall { op, heap: self.node().id, address: address as usize, layout };
        let stack = backtrace::stack();
        let mut parked = self.core().foreign.lock().unwrap_or_else(PoisonError::into_inner);
        parked.push((foreign, Some(stack)));
        Err(Refused)
    }

    /// Takes every block of this heap back at once, if its port can do that ([`Port::reclaim`],
    /// such as an arena's reset). Guards are checked, and blocks that were live are no leaks.
    ///
    /// # Safety
    /// - Nobody uses a block of this heap afterwards.
    pub unsafe fn reclaim(&self) {
        if let Some(entered) = self.core().enter() {
            self.node().give_back_all(&entered);
        }
    }

    /// Lets this plan decide which requests of the run fail. The run's requests are counted from 1
    /// again.
    ///
    /// ```
    /// use std::alloc::Layout;
    /// use mallory::{Heap, Plan, Port};
    ///
    /// let heap = Heap::new();
    /// heap.arm(Plan::nth(2));
    /// let layout = Layout::new::<u64>();
    /// assert!(heap.alloc(layout).is_ok());
    /// assert!(heap.alloc(layout).is_err());
    /// ```
    pub fn arm(&self, plan: Plan) {
        self.with(|state| state.arm(plan));
    }

    /// Lifts the plan: from here on every request passes that the port can grant.
    pub fn disarm(&self) {
        self.with(State::disarm);
    }

    /// Checks the guards of every live block now, instead of when it is freed.
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
                    state.check_guards(damage, &block, None);
                }
            }
        });
    }
}

// SAFETY: the heap keeps its port's contract and adds refusals, which the contract allows; a
// block that it handed out is in the ledger until it is freed.
unsafe impl Port for Heap {
    #[inline]
    fn alloc(&self, layout: Layout) -> AllocResult {
        let result = self.request_alloc(layout);
        keep_frame();
        result
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> AllocResult {
        let result = self.request_fully(Op::AllocZeroed, layout);
        keep_frame();
        result
    }

    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        self.release(block, layout);
        keep_frame();
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let result = self.resize(Op::Grow, block, old, new, false);
        keep_frame();
        result
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let result = self.resize(Op::Shrink, block, old, new, false);
        keep_frame();
        result
    }
}

impl Heap {
    /// Grows a block and zeroes the bytes that are new.
    ///
    /// # Errors
    /// As [`Port::grow`].
    ///
    /// # Safety
    /// - As for [`Port::grow`].
    #[inline]
    pub unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> AllocResult {
        let result = self.resize(Op::Grow, block, old, new, true);
        keep_frame();
        result
    }
}

/// By how much more is left than before: in bytes, or in blocks if the bytes are equal.
pub(crate) fn is_more((blocks, bytes): (i64, i64)) -> i64 {
    if bytes == 0 { blocks } else { bytes }
}

/// Keeps the caller's frame on the stack until the call into the heap has returned. Otherwise that
/// call could be a tail call in optimised builds, and the frame missing from call sites.
#[inline(always)]
fn keep_frame() {
    // SAFETY: no instruction at all; the optimiser has to assume one and may not drop it.
    unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) }
}
