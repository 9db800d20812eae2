//! What a heap is made of: the run's shared core, who may touch it, and one node for each heap.
//!
//! ```text
//!  Heap ─▶ Node { port } ─▶ Core { State } ◀─ Node { port } ◀─ Heap
//! ```
//!
//! Nodes live in memory of their own from the system, so making a heap is no allocation of the
//! subject's process.
#![allow(unsafe_code)]

use crate::port::at_least_one;
use std::alloc::Layout;
use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::detect::block::Block;
use crate::heap::pool;
use crate::heap::redzone;
use crate::heap::run_lock::{GLOBAL_LOCK, RunLock, SHARED, SOLO, is_single_threaded, mark};
use crate::heap::state::{ForeignCall, State};
use crate::heap::thread_context::ThreadContext;
use crate::port::{Malloc, Port, Refused};
use crate::process::backtrace::Stack;
use crate::rt;
use crate::trace::Op;

pub(crate) type AnyPort = dyn Port + Send;

/// One heap of a run. Lives in memory of its own from the system, so that making a heap is no
/// allocation of the subject's process.
pub(crate) struct Node<P: ?Sized> {
    pub(crate) handles: AtomicUsize,
    pub(crate) run: NonNull<Core>,
    pub(crate) id: u16,
    /// All ones where this heap's bytes count towards the run's peak; zero where they are already
    /// counted by the heap below.
    pub(crate) counted: usize,
    /// The only logical thread that may use this heap, where there is one.
    home: Option<u16>,
    /// Live blocks; touched with the right to touch the state only.
    live: UnsafeCell<usize>,
    /// The port is the system's own: it is called directly, which is most of the time.
    pub(crate) is_malloc: bool,
    /// And small blocks are taken from the pool; of a run's heaps that can only be the first.
    pub(crate) is_pooled: bool,
    /// Blocks up to this many bytes come from the pool and have no guards: the quickest route.
    pub(crate) pooled: usize,
    pub(crate) port: P,
}

/// What the heaps of a run share.
pub(crate) struct Core {
    pub(crate) nodes: AtomicUsize,
    /// The mark of the thread that may touch the state; [`SHARED`] or [`SOLO`] where it is nobody's.
    pub(crate) owner: AtomicUsize,
    /// The kill switch, as the run was made with it.
    pub(crate) bypass: bool,
    /// Whether a model checker lets the run's threads take turns, and at each call.
    pub(crate) driven: bool,
    pub(crate) points: bool,
    pub(crate) state: UnsafeCell<State>,
    /// The nodes of the heaps that are alive, by the heap's number; touched as the state is.
    pub(crate) by_number: UnsafeCell<Vec<Option<NodeRef>>>,
    /// The run's number, by which a gate knows it.
    pub(crate) run: u64,
    pub(crate) gate: RunLock,
    pub(crate) foreign: Mutex<Vec<(ForeignCall, Option<Stack>)>>,
    /// Nodes whose last handle went on a thread that they don't belong to: the owner's to empty.
    pub(crate) orphans: Mutex<Vec<NodeRef>>,
}

/// The right to touch the state, for as long as it is held.
pub(crate) struct StateGuard<'a> {
    core: &'a Core,
    /// The gate that is shut behind it, where there may be several threads.
    gate: Cell<Option<&'a RunLock>>,
    /// In the run of a global heap: what the harness asks for meanwhile is not the subject's.
    aside: Option<ThreadContext>,
}

/// A call into a port of the subject's own: what it asks a global heap for is the subject's.
pub(crate) struct CallIntoPort<'e, 'a> {
    entered: &'e StateGuard<'a>,
    _in: ThreadContext,
}

impl Drop for CallIntoPort<'_, '_> {
    fn drop(&mut self) {
        // The port may have started the process's second thread.
        if self.entered.gate.get().is_none() && !is_single_threaded() {
            self.entered.core.gate().shut();
            self.entered.gate.set(Some(self.entered.core.gate()));
        }
    }
}

impl<'a> StateGuard<'a> {
    /// Runs a step on the state. A step never calls a port, the subject, or `with` again.
    #[inline]
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: `Core::enter` made sure that no other thread touches the state, and steps don't
        // nest, so this is the only reference to it.
        step(unsafe { &mut *self.core.state.get() })
    }

    /// The node of the heap with this number, if that heap is alive.
    pub(crate) fn node(&self, heap: u16) -> Option<NodeRef> {
        // SAFETY: as in `with`; the reference ends with this statement.
        unsafe { (&*self.core.by_number.get()).get(usize::from(heap)).copied().flatten() }
    }

    /// Enters the node of a heap under its number, or takes it out.
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
        if let Some(gate) = self.gate.get() {
            gate.open();
        }
    }
}

impl Core {
    /// The gate through which several threads come.
    #[inline]
    pub(crate) fn gate(&self) -> &RunLock {
        if self.owner.load(Ordering::Relaxed) == SOLO { &GLOBAL_LOCK } else { &self.gate }
    }

    /// As [`enter`](Self::enter), for the fast paths: only in a serial run.
    #[inline]
    pub(crate) fn enter_serial(&self) -> Option<StateGuard<'_>> {
        let is_ours = self.owner.load(Ordering::Relaxed) == mark();
        is_ours.then_some(StateGuard { core: self, gate: Cell::new(None), aside: None })
    }

    /// The right of the thread that a serial run belongs to: nothing is undone when it goes.
    #[inline(always)]
    pub(crate) fn alone(&self) -> Option<SerialGuard<'_>> {
        (self.owner.load(Ordering::Relaxed) == mark()).then_some(SerialGuard(self))
    }

    /// The same for a global heap that is armed, by the only thread of the process.
    #[inline]
    pub(crate) fn enter_solo(&self) -> StateGuard<'_> {
        StateGuard { core: self, gate: Cell::new(None), aside: None }
    }

    /// The same behind the gate, which this thread has shut; it is opened again in the end.
    #[inline]
    pub(crate) fn enter_shut(&self, aside: Option<ThreadContext>) -> StateGuard<'_> {
        let gate = self.gate();
        let thread = gate.number(self.run);
        let entered = StateGuard { core: self, gate: Cell::new(Some(gate)), aside };
        entered.with(|state| state.switch_to(thread));
        entered
    }

    /// Makes the state the present logical thread's, where others may have run.
    #[cold]
    pub(crate) fn follow(&self) {
        if let Some(entered) = self.enter_serial() {
            entered.with(|state| state.switch_to(rt::current_thread()));
        }
    }

    #[inline]
    pub(crate) fn enter(&self) -> Option<StateGuard<'_>> {
        self.enter_serial().or_else(|| self.enter_gate())
    }

    #[cold]
    fn enter_gate(&self) -> Option<StateGuard<'_>> {
        let aside = match self.owner.load(Ordering::Relaxed) {
            SHARED => None,
            SOLO => Some(ThreadContext::side()),
            _ => return None,
        };
        if aside.is_some() && is_single_threaded() {
            return Some(StateGuard { core: self, gate: Cell::new(None), aside });
        }
        self.gate().shut();
        Some(self.enter_shut(aside))
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

impl<P: 'static> Node<P> {
    /// `pool` says where the subject's part of a pooled block begins, where the run has a pool.
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

    /// Live blocks of this heap.
    #[inline]
    pub(crate) fn live(&self, _: &StateGuard<'_>) -> usize {
        // SAFETY: whoever has entered is alone with the run, and references don't outlive calls.
        unsafe { *self.live.get() }
    }

    #[inline]
    pub(crate) fn gained(&self, _: &mut State) {
        // SAFETY: whoever holds the state has entered; the rest as in `live`.
        unsafe { *self.live.get() += 1 }
    }

    #[inline]
    pub(crate) fn lost(&self, _: &mut State) {
        // SAFETY: as in `gained`.
        unsafe { *self.live.get() -= 1 }
    }

    /// A fresh block from the port, with guards around it where they are on.
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
            (false, false) => self.called(entered, |port| port.alloc(asked))?,
            (true, _) => self.called(entered, |port| port.alloc_zeroed(asked))?,
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

    /// A block that breaks the port's contract is reported and never reaches the subject. It is
    /// not given back either: what would it be given back as?
    #[cold]
    #[inline(never)]
    fn reject(
        &self,
        block: NonNull<[u8]>,
        asked: Layout,
        layout: Layout,
        entered: &StateGuard<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        self.accuse(block, asked, layout, entered);
        Err(Refused)
    }

    /// Reports a block that is misaligned or too small.
    fn accuse(
        &self,
        block: NonNull<[u8]>,
        asked: Layout,
        layout: Layout,
        entered: &StateGuard<'_>,
    ) {
        entered.with(|state| {
            let subject = state.subject(0, self.id, layout, state.allocations + 1);
            let event = state.events + 1;
            state.accuse(if block.len() < asked.size() {
                crate::detect::too_small(block.len(), subject, event)
            } else {
                crate::detect::misaligned(subject, event)
            });
        });
    }

    /// Lets the port resize a block; only without guards.
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
        let answer = self.called(entered, |port| unsafe {
            if new.size() >= old.size() && op == Op::Grow {
                port.grow(start, old, new)
            } else {
                port.shrink(start, old, new)
            }
        });
        let resized = answer?;
        let base = resized.cast::<u8>();
        if base.as_ptr() as usize & (new.align() - 1) == 0 && resized.len() >= new.size() {
            return Ok(base);
        }
        // The old block is gone, and the new one can't be handed on: another takes its contents.
        self.accuse(resized, new, layout, entered);
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
                self.called(entered, |port| port.free(start, at_least_one(layout)));
            }
        }
    }

    /// Calls the port. One of the subject's own is no part of the harness: what it asks a global
    /// heap for is watched, and what it gives back there may have guards.
    #[inline]
    fn called<R>(&self, entered: &StateGuard<'_>, call: impl FnOnce(&AnyPort) -> R) -> R {
        let _outside = if self.counted == 0 { entered.outside() } else { None };
        let answer = call(&self.port);
        if entered.core.driven {
            // The port may have waited for a lock.
            entered.core.follow();
        }
        answer
    }

    /// Hands a block to the port, guards and all.
    #[inline]
    pub(crate) fn give_back(&self, block: &Block, guards: bool, entered: &StateGuard<'_>) {
        if block.heap == 0 && entered.with(|state| state.give_to_pool(block.address, block.size)) {
            return;
        }
        let layout = block.layout();
        if !guards {
            return self.hand_back(start_of(block), layout, entered);
        }
        let Some(padded) = redzone::padded(layout) else { return };
        // SAFETY: `obtain` moved the start by just this much.
        let start = unsafe { start_of(block).sub(redzone::front(layout.align())) };
        // SAFETY: as in `hand_back`, with the layout that `obtain` asked for.
        self.called(entered, |port| unsafe { port.free(start, padded) });
    }

    /// Everything that this heap still holds goes back to its port: one by one from quarantine,
    /// and the live blocks at once, where the port can do that.
    pub(crate) fn leave(&self, entered: &StateGuard<'_>) {
        while let Some(kept) = entered.with(|state| state.release_kept_of(self.id)) {
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
            self.give_back(&block, true, entered);
        }
        let live = self.live(entered) != 0;
        let guarded = |state: &mut State| {
            for block in state.ledger.live().iter().filter(|b| b.heap == self.id && !b.tainted) {
                // SAFETY: guards are on (checked below), so each live block is painted.
                let damage = unsafe { redzone::damage(start_of(block), block.size, block.align) };
                state.judge(damage, block, None);
            }
        };
        if live && entered.with(|state| state.guards) {
            entered.with(guarded);
        }
        // SAFETY: the heap is going, or its user promised (`Heap::reclaim`) that its blocks are
        // used no more.
        if self.called(entered, |port| unsafe { port.reclaim() }) && live {
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

/// A block of the pool's for this layout, guards included, if it has one.
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
        // SAFETY: the block is as long as what was asked for.
        unsafe { start.write_bytes(0, asked.size()) };
    }
    Some(NonNull::slice_from_raw_parts(start, asked.size()))
}

/// A node on its way into the state, which finds the ports of quarantined blocks by it.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef(pub(crate) NonNull<Node<AnyPort>>);

// SAFETY: it is only followed with the right to touch the state, like the state itself.
unsafe impl Send for NodeRef {}
