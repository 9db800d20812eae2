//! What a heap is made of: the run's shared `Core`, the rights to touch its state, and one `Node`
//! for each heap.
//!
//! ```text
//!  Heap ─▶ Node { port } ─▶ Core { State } ◀─ Node { port } ◀─ Heap
//! ```
//!
//! Core and nodes refer to each other, so they share a file.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::detect::block::Block;
use crate::heap::quarantine::Quarantined;
use crate::heap::run_lock::{GLOBAL_LOCK, RunLock, SHARED, SOLO, is_single_threaded, mark};
use crate::heap::state::{ForeignCall, State};
use crate::heap::thread_context::ThreadContext;
use crate::heap::{pool, redzone};
use crate::port::{Malloc, Port, Refused, at_least_one};
use crate::process::backtrace::Stack;
use crate::rt;
use crate::trace::Op;

pub(crate) type AnyPort = dyn Port + Send;

/// One heap of a run. Its memory comes directly from the system, so under a global heap making one
/// is no request.
pub(crate) struct Node<P: ?Sized> {
    pub(crate) handles: AtomicUsize,
    pub(crate) run: NonNull<Core>,
    pub(crate) id: u16,
    /// A mask for sizes: all ones if this heap's bytes count towards the run's live bytes, zero if
    /// the heap below counts them already.
    pub(crate) counted: usize,
    /// The only logical thread that may use this heap, if it is confined to one.
    home: Option<u16>,
    /// The number of live blocks. Touched only with the right to touch the state.
    live: UnsafeCell<usize>,
    /// Whether the port is the system's allocator, which is then called directly.
    pub(crate) is_malloc: bool,
    /// Whether small blocks are taken from the pool. Only the first heap of a run can do that.
    pub(crate) is_pooled: bool,
    /// The largest size in bytes that comes from the pool without guards: the fastest route. 0 if
    /// there is no pool, or there are guards.
    pub(crate) pooled: usize,
    pub(crate) port: P,
}

/// What the heaps of a run share.
pub(crate) struct Core {
    pub(crate) nodes: AtomicUsize,
    /// The mark of the thread that may touch the state, or [`SHARED`] or [`SOLO`].
    pub(crate) owner: AtomicUsize,
    /// The kill switch ([`Options::bypass`](crate::Options::bypass)).
    pub(crate) bypass: bool,
    /// Whether a model checker schedules the run's threads.
    pub(crate) driven: bool,
    /// Whether each call is a scheduling point then.
    pub(crate) points: bool,
    /// Whether blocks are watched for data races.
    pub(crate) watches_races: AtomicBool,
    pub(crate) state: UnsafeCell<State>,
    /// The nodes of the heaps that are alive, by the heap's number. Touched as the state is.
    pub(crate) by_number: UnsafeCell<Vec<Option<NodeRef>>>,
    /// The run's number, by which a lock identifies it.
    pub(crate) run: u64,
    /// The lock of a [`SHARED`] run.
    pub(crate) lock: RunLock,
    /// Calls of threads that the run doesn't belong to, with their backtraces.
    pub(crate) foreign: Mutex<Vec<(ForeignCall, Option<Stack>)>>,
    /// Nodes whose last handle was dropped on a thread that may not touch the state. The owner
    /// drops them.
    pub(crate) orphans: Mutex<Vec<NodeRef>>,
}

/// The right to touch the state, for as long as it is held.
pub(crate) struct StateGuard<'a> {
    core: &'a Core,
    /// The lock to release in the end, if it is held for this guard.
    lock: Cell<Option<&'a RunLock>>,
    /// In the run of a global heap: marks the thread's requests as the harness's meanwhile.
    aside: Option<ThreadContext>,
}

/// A call into a port of the user's: its requests of a global heap are the subject's.
pub(crate) struct CallIntoPort<'e, 'a> {
    entered: &'e StateGuard<'a>,
    _in: ThreadContext,
}

impl Drop for CallIntoPort<'_, '_> {
    fn drop(&mut self) {
        // The port may have started the process's second thread: from here on the lock is needed.
        if self.entered.lock.get().is_none() && !is_single_threaded() {
            self.entered.core.lock().acquire();
            self.entered.lock.set(Some(self.entered.core.lock()));
        }
    }
}

impl<'a> StateGuard<'a> {
    /// Runs a step on the state. A step never calls a port, the subject, or `with` again.
    #[inline]
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: the methods of `Core` that make a guard make sure that no other thread touches
        // the state, and steps don't nest, so this is the only reference to it.
        step(unsafe { &mut *self.core.state.get() })
    }

    /// The node of the heap with this number, if that heap is alive.
    pub(crate) fn node(&self, heap: u16) -> Option<NodeRef> {
        // SAFETY: as in `with`; the reference ends with this statement.
        unsafe { (&*self.core.by_number.get()).get(usize::from(heap)).copied().flatten() }
    }

    /// Puts the node of a heap into the table under its number, or takes it out.
    pub(crate) fn set_node(&self, heap: u16, node: Option<NodeRef>) {
        // SAFETY: as in `with`; the reference ends with this function, which calls nothing else.
        let nodes = unsafe { &mut *self.core.by_number.get() };
        let place = usize::from(heap);
        if nodes.len() <= place {
            nodes.resize(place + 1, None);
        }
        nodes[place] = node;
    }

    fn outside(&self) -> Option<CallIntoPort<'_, 'a>> {
        let aside = self.aside.as_ref()?;
        Some(CallIntoPort { entered: self, _in: aside.undone() })
    }
}

impl Drop for StateGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(lock) = self.lock.get() {
            lock.release();
        }
    }
}

impl Core {
    /// The lock under which several threads touch the state.
    #[inline]
    pub(crate) fn lock(&self) -> &RunLock {
        if self.owner.load(Ordering::Relaxed) == SOLO { &GLOBAL_LOCK } else { &self.lock }
    }

    /// As [`enter`](Self::enter), but only in a serial run.
    #[inline]
    pub(crate) fn enter_serial(&self) -> Option<StateGuard<'_>> {
        let is_ours = self.owner.load(Ordering::Relaxed) == mark();
        is_ours.then_some(StateGuard { core: self, lock: Cell::new(None), aside: None })
    }

    /// As [`enter_serial`](Self::enter_serial), with a guard that does nothing when it is dropped.
    #[inline(always)]
    pub(crate) fn alone(&self) -> Option<SerialGuard<'_>> {
        (self.owner.load(Ordering::Relaxed) == mark()).then_some(SerialGuard(self))
    }

    /// The right to touch the state of an armed global heap's run, for the only thread of the
    /// process.
    #[inline]
    pub(crate) fn enter_solo(&self) -> StateGuard<'_> {
        StateGuard { core: self, lock: Cell::new(None), aside: None }
    }

    /// The right of a thread that holds the lock, which the guard releases.
    #[inline]
    pub(crate) fn enter_locked(&self, aside: Option<ThreadContext>) -> StateGuard<'_> {
        let lock = self.lock();
        let thread = lock.thread_number(self.run);
        let entered = StateGuard { core: self, lock: Cell::new(Some(lock)), aside };
        entered.with(|state| state.switch_to(thread));
        entered
    }

    /// Tells the state which logical thread runs now, where a model checker may have switched.
    #[cold]
    pub(crate) fn follow(&self) {
        if let Some(entered) = self.enter_serial() {
            entered.with(|state| state.switch_to(rt::current_thread()));
        }
    }

    /// The right to touch the state; `None` on a thread that a serial run doesn't belong to.
    #[inline]
    pub(crate) fn enter(&self) -> Option<StateGuard<'_>> {
        self.enter_serial().or_else(|| self.enter_shared())
    }

    #[cold]
    fn enter_shared(&self) -> Option<StateGuard<'_>> {
        let aside = match self.owner.load(Ordering::Relaxed) {
            SHARED => None,
            SOLO => Some(ThreadContext::side()),
            _ => return None,
        };
        if aside.is_some() && is_single_threaded() {
            return Some(StateGuard { core: self, lock: Cell::new(None), aside });
        }
        self.lock().acquire();
        Some(self.enter_locked(aside))
    }
}

/// The right to touch the state of a serial run.
#[derive(Clone, Copy)]
pub(crate) struct SerialGuard<'a>(&'a Core);

impl SerialGuard<'_> {
    /// Runs a step on the state. A step never calls a port, the subject, or `with` again.
    #[inline(always)]
    pub(crate) fn with<R>(self, step: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: `Core::alone` made sure that the run belongs to this thread, and steps don't
        // nest, so this is the only reference to the state.
        step(unsafe { &mut *self.0.state.get() })
    }
}

pub(crate) fn start_of(block: &Block) -> NonNull<u8> {
    NonNull::new(block.address as *mut u8).expect("[mallory bug] no block begins at null")
}

/// Reports a block from the quarantine if it was written to. Returns the block.
pub(crate) fn check_poison(state: &mut State, kept: &Quarantined) -> Block {
    let block = state.ledger.decode(kept.record);
    // SAFETY: the block was poisoned when it came into quarantine and is still ours.
    let written = unsafe { redzone::written(start_of(&block), block.size, state.options.wipe) };
    if written.is_some() {
        state.report_write_after_free(written, &block, kept.event);
    }
    block
}

impl<P: 'static> Node<P> {
    /// `pool` is the offset of the subject's part in a pooled block, if the run has a pool.
    pub(crate) fn new(
        run: NonNull<Core>,
        id: u16,
        counts: bool,
        pool: Option<usize>,
        home: Option<u16>,
        port: P,
    ) -> Self {
        let counted = if counts { usize::MAX } else { 0 };
        let is_malloc = TypeId::of::<P>() == TypeId::of::<Malloc>();
        let (handles, live) = (AtomicUsize::new(1), UnsafeCell::new(0));
        let is_pooled = is_malloc && id == 0 && pool.is_some();
        let pooled = if is_pooled && pool == Some(0) { pool::BLOCK_MAX } else { 0 };
        Node { handles, run, id, counted, home, live, is_malloc, is_pooled, pooled, port }
    }
}

impl Node<AnyPort> {
    /// Whether the thread that has entered may use this heap.
    #[inline]
    pub(crate) fn is_home_of(&self, entered: &StateGuard<'_>) -> bool {
        self.home.is_none_or(|home| entered.with(|state| state.thread == home))
    }

    /// The number of live blocks of this heap.
    #[inline]
    pub(crate) fn live(&self, _: &StateGuard<'_>) -> usize {
        // SAFETY: the guard shows that no other thread is in the run, and no reference to the cell
        // outlives a call.
        unsafe { *self.live.get() }
    }

    #[inline]
    pub(crate) fn add_live(&self, _: &mut State) {
        // SAFETY: only a guard lends the state, so it is as in `live`.
        unsafe { *self.live.get() += 1 }
    }

    #[inline]
    pub(crate) fn remove_live(&self, _: &mut State) {
        // SAFETY: as in `add_live`.
        unsafe { *self.live.get() -= 1 }
    }

    /// A fresh block from the port, painted if guards are on.
    #[inline]
    pub(crate) fn obtain(
        &self,
        layout: Layout,
        zeroed: bool,
        guards: bool,
        entered: &StateGuard<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        let asked =
            if guards { redzone::padded(layout).ok_or(Refused)? } else { at_least_one(layout) };
        let pooled = if self.is_pooled { take_pooled(asked, zeroed, entered) } else { None };
        let block = match (zeroed, self.is_malloc) {
            _ if pooled.is_some() => pooled.ok_or(Refused)?,
            (false, true) => Malloc.alloc(asked)?,
            (false, false) => self.call_port(entered, |port| port.alloc(asked))?,
            (true, _) => self.call_port(entered, |port| port.alloc_zeroed(asked))?,
        };
        let base = block.cast::<u8>();
        if base.as_ptr() as usize & (asked.align() - 1) != 0 || block.len() < asked.size() {
            return self.reject(block, asked, layout, entered);
        }
        if !guards {
            return Ok(base);
        }
        // SAFETY: the block is as long as the padded layout, which was checked above.
        unsafe {
            let start = base.add(redzone::front(layout.align()));
            redzone::paint(start, layout.size(), layout.align());
            Ok(start)
        }
    }

    /// Reports a block that breaks the port's contract. It never reaches the subject, and is not
    /// given back either, since no layout is known to fit it.
    #[cold]
    #[inline(never)]
    fn reject(
        &self,
        block: NonNull<[u8]>,
        asked: Layout,
        layout: Layout,
        entered: &StateGuard<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        self.report_block(block, asked, layout, entered);
        Err(Refused)
    }

    /// Reports a block that is misaligned or too small.
    fn report_block(
        &self,
        block: NonNull<[u8]>,
        asked: Layout,
        layout: Layout,
        entered: &StateGuard<'_>,
    ) {
        entered.with(|state| {
            let subject = state.block_info(0, self.id, layout, state.allocations + 1);
            let event = state.events + 1;
            state.accuse(if block.len() < asked.size() {
                crate::detect::too_small(block.len(), subject, event)
            } else {
                crate::detect::misaligned(subject, event)
            });
        });
    }

    /// Lets the port resize a block without guards.
    pub(crate) fn resize_in_port(
        &self,
        op: Op,
        start: NonNull<u8>,
        block: &Block,
        layout: Layout,
        entered: &StateGuard<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        let (old, new) = (at_least_one(block.layout()), at_least_one(layout));
        // SAFETY: the block is live with this layout (it was found in the ledger), came from this
        // port through `at_least_one`, and each direction gets its own operation.
        let resized = self.call_port(entered, |port| unsafe {
            if new.size() >= old.size() && op == Op::Grow {
                port.grow(start, old, new)
            } else {
                port.shrink(start, old, new)
            }
        })?;
        let base = resized.cast::<u8>();
        if base.as_ptr() as usize & (new.align() - 1) == 0 && resized.len() >= new.size() {
            return Ok(base);
        }
        // The old block is gone, and the new one breaks the contract: a third one gets its
        // contents.
        self.report_block(resized, new, layout, entered);
        let fresh = self.obtain(layout, false, false, entered)?;
        let common = resized.len().min(old.size()).min(new.size());
        // SAFETY: both blocks are live and at least as long, and disjoint (the port's contract).
        unsafe { fresh.copy_from_nonoverlapping(base, common) };
        Ok(fresh)
    }

    /// Hands a block without guards to the port.
    #[inline]
    pub(crate) fn hand_back(&self, start: NonNull<u8>, layout: Layout, entered: &StateGuard<'_>) {
        // SAFETY: the block came from this port with this layout (`obtain`), was live until its
        // record left the ledger, and is given back once.
        unsafe {
            if self.is_malloc {
                Malloc.free(start, at_least_one(layout));
            } else {
                self.call_port(entered, |port| port.free(start, at_least_one(layout)));
            }
        }
    }

    /// Calls the port. A port of the subject's (`Heap::wrap`) is no part of the harness: what it
    /// requests of a global heap is watched, and what it frees there may have guards.
    #[inline]
    fn call_port<R>(&self, entered: &StateGuard<'_>, call: impl FnOnce(&AnyPort) -> R) -> R {
        let _outside = if self.counted == 0 { entered.outside() } else { None };
        let result = call(&self.port);
        if entered.core.driven {
            // The port may have waited for a lock, and other threads may have run meanwhile.
            entered.core.follow();
        }
        result
    }

    /// Hands a block to the port, guards and all.
    #[inline]
    pub(crate) fn give_back(&self, block: &Block, guards: bool, entered: &StateGuard<'_>) {
        let to_pool = |state: &mut State| state.ledger.give_to_pool(block.address, block.size);
        if block.heap == 0 && entered.with(to_pool) {
            return;
        }
        let layout = block.layout();
        if !guards {
            return self.hand_back(start_of(block), layout, entered);
        }
        let Some(padded) = redzone::padded(layout) else { return };
        // SAFETY: `obtain` moved the start by exactly this much.
        let start = unsafe { start_of(block).sub(redzone::front(layout.align())) };
        // SAFETY: as in `hand_back`, with the layout that `obtain` requested.
        self.call_port(entered, |port| unsafe { port.free(start, padded) });
    }

    /// Gives everything that this heap still holds back to its port: one by one from quarantine,
    /// and the live blocks at once, if the port can do that.
    pub(crate) fn give_back_all(&self, entered: &StateGuard<'_>) {
        while let Some(kept) = entered.with(|state| state.release_kept_of(self.id)) {
            let block = entered.with(|state| check_poison(state, &kept));
            self.give_back(&block, true, entered);
        }
        let has_live = self.live(entered) != 0;
        let check_guards = |state: &mut State| {
            for block in state.ledger.live().iter().filter(|b| b.heap == self.id && !b.tainted) {
                // SAFETY: guards are on (checked below), so each live block is painted.
                let damage = unsafe { redzone::damage(start_of(block), block.size, block.align) };
                state.check_guards(damage, block, None);
            }
        };
        if has_live && entered.with(|state| state.guards) {
            entered.with(check_guards);
        }
        // SAFETY: the heap's last handle is gone, or its user promised (`Heap::reclaim`) that
        // nobody uses its blocks.
        if self.call_port(entered, |port| unsafe { port.reclaim() }) && has_live {
            entered.with(|state| {
                for block in state.ledger.take_heap(self.id) {
                    state.live -= block.size & self.counted;
                }
            });
            // SAFETY: as in `live`.
            unsafe { *self.live.get() = 0 };
        }
    }
}

/// A block of the pool for this layout, which includes the guards. `None` if the pool has none.
fn take_pooled(asked: Layout, zeroed: bool, entered: &StateGuard<'_>) -> Option<NonNull<[u8]>> {
    if asked.align() > 16 {
        return None;
    }
    let start = entered.with(|state| {
        let size = asked.size().checked_sub(2 * state.ledger.pool.lead())?;
        state.ledger.open_pool();
        state.ledger.pool.take_pending(size)
    })?;
    if zeroed {
        // SAFETY: `take_pending` gave a block of at least `asked.size()` bytes.
        unsafe { start.write_bytes(0, asked.size()) };
    }
    Some(NonNull::slice_from_raw_parts(start, asked.size()))
}

/// A pointer to a node, by which the run finds the port of a block in quarantine.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef(pub(crate) NonNull<Node<AnyPort>>);

// SAFETY: it is only followed with the right to touch the state, like the state itself.
unsafe impl Send for NodeRef {}
