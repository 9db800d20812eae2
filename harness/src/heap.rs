//! The heap: the one choke point. Every call of the subject comes through here, in four steps:
//! *detect* (is it legal?), *decide* (does the plan fail it?), *forward* (to the port), *record*.
//!
//! A bad free never reaches the port. Nothing here unwinds. The state of a run is touched only
//! between calls into ports, never across one, so a port may itself allocate from a heap of the
//! same run.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::capture::{self, Stack};
use crate::ledger::{Block, Slot};
use crate::options::Options;
use crate::plan::Plan;
use crate::port::{Port, Refused};
use crate::redzone::{self, Kept};
use crate::state::{Foreign, State};
use crate::trace::{End, Op};

type AnyPort = dyn Port + Send;
type Answer = Result<NonNull<[u8]>, Refused>;

/// A watched allocator: what the harness hands to the subject.
///
/// Clones are the same heap. With the feature `allocator-api2` (on by default) it is an
/// `Allocator`, so `hashbrown::HashMap<_, _, _, Heap>` and `allocator_api2::vec::Vec<_, Heap>`
/// just work; it is a [`Port`] as well, so that memory parts can stand on it.
///
/// *Serial* unless [`Options::parallel`] is asked for: it belongs to the OS thread that made it.
/// Another thread's request is refused and its free is parked; both are reported.
pub struct Heap {
    node: NonNull<Node<AnyPort>>,
}

/// One heap of a run. Lives in memory of its own from the system, so that making a heap is no
/// allocation of the subject's process.
struct Node<P: ?Sized> {
    handles: AtomicUsize,
    run: NonNull<Core>,
    id: u16,
    /// All ones where this heap's bytes count towards the run's peak; zero where they are already
    /// counted by the heap below.
    counted: usize,
    port: P,
}

/// What the heaps of a run share.
struct Core {
    nodes: AtomicUsize,
    /// The mark of the thread that may touch the state; 0 in a parallel run.
    owner: AtomicUsize,
    state: UnsafeCell<State>,
    gate: Gate,
    foreign: Mutex<Vec<(Foreign, Option<Stack>)>>,
}

// SAFETY: `state` is touched only by the owning thread (`enter` compares thread marks before) or,
// in a parallel run, behind the gate; everything else is an atomic or behind a mutex. Ports are
// `Send` and are called under the same rule.
unsafe impl Send for Heap {}
// SAFETY: as above: a shared reference gives another thread nothing that a moved handle doesn't.
unsafe impl Sync for Heap {}

/// A mark of the present OS thread: the address of a thread-local, cheaper than a thread id.
#[inline]
fn mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// The mutex of a parallel run: entered again by the thread that holds it, since a port may come
/// back to a heap of the same run.
#[derive(Default)]
struct Gate {
    holder: AtomicUsize,
    depth: AtomicUsize,
    busy: Mutex<bool>,
    free: Condvar,
    /// Marks in the order in which the threads came: their logical numbers.
    threads: Mutex<Vec<usize>>,
}

impl Gate {
    /// Waits for the state, and answers the logical number of this thread.
    fn enter(&self) -> u16 {
        let me = mark();
        if self.holder.load(Ordering::Acquire) != me {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            while *busy {
                busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
            }
            *busy = true;
            self.holder.store(me, Ordering::Release);
        }
        self.depth.fetch_add(1, Ordering::Relaxed);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = threads.iter().position(|thread| *thread == me);
        known.unwrap_or_else(|| {
            threads.push(me);
            threads.len() - 1
        }) as u16
    }

    fn leave(&self) {
        if self.depth.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.holder.store(0, Ordering::Release);
            *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
            self.free.notify_one();
        }
    }
}

/// The right to touch the state, for as long as it is held.
struct Entered<'a> {
    core: &'a Core,
    gated: bool,
}

impl Entered<'_> {
    /// Runs a step on the state. A step never calls a port, the subject, or `with` again.
    #[inline]
    fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        // SAFETY: `Core::enter` made sure that no other thread touches the state, and steps don't
        // nest, so this is the only reference to it.
        step(unsafe { &mut *self.core.state.get() })
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.gated {
            self.core.gate.leave();
        }
    }
}

impl Core {
    #[inline]
    fn enter(&self) -> Option<Entered<'_>> {
        if self.owner.load(Ordering::Relaxed) == mark() {
            return Some(Entered {
                core: self,
                gated: false,
            });
        }
        self.enter_gate()
    }

    #[cold]
    fn enter_gate(&self) -> Option<Entered<'_>> {
        if self.owner.load(Ordering::Relaxed) != 0 {
            return None;
        }
        let thread = self.gate.enter();
        let entered = Entered {
            core: self,
            gated: true,
        };
        entered.with(|state| state.switch_to(thread));
        Some(entered)
    }
}

impl Heap {
    /// A heap over the system's allocator, all detectors on.
    #[must_use]
    #[allow(clippy::new_without_default)] // a constructor that demands to be named
    pub fn new() -> Heap {
        Options::new().heap()
    }

    /// A heap over this port, all detectors on.
    #[must_use]
    pub fn over(port: impl Port + Send + 'static) -> Heap {
        Options::new().heap_over(port)
    }

    pub(crate) fn first(options: Options, port: impl Port + Send + 'static) -> Heap {
        let owner = if options.parallel { 0 } else { mark() };
        let core = Box::new(Core {
            nodes: AtomicUsize::new(0),
            owner: AtomicUsize::new(owner),
            state: UnsafeCell::new(State::new(options)),
            gate: Gate::default(),
            foreign: Mutex::default(),
        });
        Heap::attach(NonNull::from(Box::leak(core)), "main", port, true)
    }

    /// A heap of the same run, over the same port, with a name of its own: its blocks are not the
    /// other's.
    #[must_use]
    pub fn named(&self, name: &'static str) -> Heap {
        Heap::attach(
            self.node().run,
            name,
            Unwatched(self.clone()),
            self.node().counted != 0,
        )
    }

    /// Watches a port that itself takes its memory from a heap of this run, such as an arena: each
    /// of its blocks is a block of the new heap, inside a block of the one below.
    #[must_use]
    pub fn wrap(&self, name: &'static str, port: impl Port + Send + 'static) -> Heap {
        Heap::attach(self.node().run, name, port, false)
    }

    fn attach<P: Port + Send + 'static>(
        run: NonNull<Core>,
        name: &'static str,
        port: P,
        counts: bool,
    ) -> Heap {
        // SAFETY: the caller holds a handle on this run, or has just made it.
        let core = unsafe { run.as_ref() };
        core.nodes.fetch_add(1, Ordering::Relaxed);
        let entered = core
            .enter()
            .expect("a heap is made on the thread that its run belongs to");
        let id = entered.with(|state| state.enrol(name));
        let node = Node {
            handles: AtomicUsize::new(1),
            run,
            id,
            counted: if counts { usize::MAX } else { 0 },
            port,
        };
        let layout = Layout::new::<Node<P>>();
        // SAFETY: a node is never zero-sized.
        let Some(place) = NonNull::new(unsafe { System.alloc(layout) }.cast::<Node<P>>()) else {
            std::alloc::handle_alloc_error(layout)
        };
        // SAFETY: `place` was just allocated with the layout of a node.
        unsafe { place.write(node) };
        let node: NonNull<Node<AnyPort>> = place;
        entered.with(|state| state.nodes[usize::from(id)] = Some(NodeRef(node)));
        Heap { node }
    }

    #[inline]
    fn node(&self) -> &Node<AnyPort> {
        // SAFETY: a node lives as long as a handle on it; this is one.
        unsafe { self.node.as_ref() }
    }

    #[inline]
    fn core(&self) -> &Core {
        // SAFETY: a run lives as long as one of its nodes; this handle keeps one.
        unsafe { self.node().run.as_ref() }
    }

    /// Runs a step on the run's state.
    ///
    /// # Panics
    /// On a thread that the run doesn't belong to.
    pub(crate) fn with<R>(&self, step: impl FnOnce(&mut State) -> R) -> R {
        let entered = self.core().enter();
        entered
            .expect("[mallory bug] a run's state is asked for on its own thread")
            .with(step)
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
    /// `MALLORY_DISABLE_CUSTOM_ALLOCATORS=1` or [`Options::bypass`].
    #[must_use]
    pub fn bypass(&self) -> bool {
        self.with(|state| state.options.bypass)
    }

    /// Bytes live in the run, over all heaps that don't stand on another one.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.with(|state| state.live)
    }

    /// The most that [`live_bytes`](Self::live_bytes) has been.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.with(|state| state.peak)
    }

    // ---- the four steps, for a request ----

    fn request(&self, op: Op, layout: Layout) -> Answer {
        let node = self.node();
        let Some(entered) = self.core().enter() else {
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
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    /// Asks the plan about the present request. The plan is out of the state meanwhile: a closure
    /// in it may use a heap of this run, without being asked about that.
    #[cold]
    #[inline(never)]
    fn consult(&self, entered: &Entered<'_>, op: Op, layout: Layout, old: usize) -> bool {
        let Some(mut plan) = entered.with(State::lend_plan) else {
            return false;
        };
        let request = entered.with(|state| state.request(op, layout, old, self.node().id));
        let refuses = plan.refuses(&request);
        entered.with(|state| state.take_plan_back(plan));
        refuses
    }

    // ---- and for a free ----

    fn release(&self, start: NonNull<u8>, layout: Layout) {
        let node = self.node();
        let Some(entered) = self.core().enter() else {
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
            let block = Block {
                address,
                heap,
                size,
                align,
                number,
                tainted: false,
            };
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
    fn retire(&self, entered: &Entered<'_>, slot: Slot, block: Block) {
        let node = self.node();
        entered.with(|state| state.freed(slot, &block, node.counted));
        self.dispose(entered, block);
    }

    /// Sees a block off that is no longer in the ledger: into quarantine, or to the port.
    #[inline]
    fn dispose(&self, entered: &Entered<'_>, block: Block) {
        let node = self.node();
        if !entered.with(|state| state.guards) {
            if entered.with(|state| state.options.wipe) {
                // SAFETY: the block was live until now and is its last user's no more.
                unsafe { redzone::wipe(start_of(&block), block.size) };
            }
            node.give_back(&block, false);
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
            state.quarantine.push(Kept {
                block,
                event: state.events,
            });
        });
        while let Some(kept) = entered.with(|state| state.quarantine.pop_surplus()) {
            self.let_go(entered, &kept);
        }
    }

    /// Looks a last time at a block from the quarantine, and hands it to its port.
    fn let_go(&self, entered: &Entered<'_>, kept: &Kept) {
        let block = &kept.block;
        let port = entered.with(|state| {
            // SAFETY: the block was poisoned when it came into quarantine and is still ours.
            let written =
                unsafe { redzone::written(start_of(block), block.size, state.options.wipe) };
            if written.is_some() {
                state.accuse_written(written, block, kept.event);
            }
            state.nodes[usize::from(block.heap)]
        });
        if let Some(node) = port {
            // SAFETY: a node leaves `nodes` when it goes, and empties its part of the quarantine
            // before (`Node::leave`), so this one lives.
            unsafe { node.0.as_ref() }.give_back(block, true);
        }
    }

    // ---- and for a resize ----

    fn resize(&self, op: Op, start: NonNull<u8>, old: Layout, new: Layout, zeroed: bool) -> Answer {
        let node = self.node();
        let Some(entered) = self.core().enter() else {
            return self.refuse_foreign(op, new, start.as_ptr());
        };
        let address = start.as_ptr() as usize;
        let passes = entered.with(State::passes);
        // Detect.
        let find = |state: &mut State| {
            let fits = state.ledger.fits(address, node.id, old.size(), old.align());
            let slot = fits.or_else(|| state.settle(address, old, node.id, op))?;
            Some(state.ledger.block(slot))
        };
        let block = entered.with(find).ok_or(Refused)?;
        // Decide.
        if !passes && self.consult(&entered, op, new, old.size()) {
            entered.with(|state| state.refused(op, new, block.heap, End::Injected));
            return Err(Refused);
        }
        // Forward, as a fresh block, a copy and a free: the block keeps its name and is found at
        // another address, which no in-place luck can change. Or as the port likes.
        let (guards, moving) = entered.with(|state| (state.guards, state.moving));
        let moves = moving || guards || old.align() != new.align();
        let fresh = if moves {
            node.obtain(new, false, guards, &entered)
        } else {
            node.resize_in_port(op, start, &block, new)
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
        entered.with(|state| {
            if let Some(slot) = state.ledger.find(address, block.heap) {
                if moves {
                    // The resize is the event at which the old place was given up.
                    state.ledger.retire(slot, state.events + 1);
                } else {
                    state.ledger.remove(slot);
                }
            }
            state.resized(op, &block, fresh.as_ptr() as usize, new, node.counted);
        });
        if moves {
            self.dispose(&entered, block);
        }
        Ok(NonNull::slice_from_raw_parts(fresh, new.size()))
    }

    // ---- other threads, other moments ----

    #[cold]
    #[inline(never)]
    fn refuse_foreign(&self, op: Op, layout: Layout, address: *mut u8) -> Answer {
        let foreign = Foreign {
            op,
            heap: self.node().id,
            address: address as usize,
            layout,
        };
        let stack = capture::stack();
        let mut parked = self
            .core()
            .foreign
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
    /// left, and every call of a foreign thread.
    pub(crate) fn close(&self) {
        let Some(entered) = self.core().enter() else {
            return;
        };
        while let Some(kept) = entered.with(|state| state.quarantine.pop()) {
            self.let_go(&entered, &kept);
        }
        let foreign = std::mem::take(
            &mut *self
                .core()
                .foreign
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        entered.with(|state| {
            for (nth, (foreign, stack)) in (1..).zip(&foreign) {
                state.accuse_foreign(foreign, nth);
                if let (Some(capture), Some(stack)) = (&mut state.capture, stack) {
                    let moment = crate::finding::Moment::Foreign(nth);
                    capture.taken.entry(moment).or_insert_with(|| stack.clone());
                }
            }
        });
        self.check();
        entered.with(State::accuse_leaks);
    }
}

fn start_of(block: &Block) -> NonNull<u8> {
    NonNull::new(block.address as *mut u8).expect("[mallory bug] no block begins at null")
}

impl Node<AnyPort> {
    /// A fresh block from the port, with guards around it where they are on.
    #[inline]
    fn obtain(
        &self,
        layout: Layout,
        zeroed: bool,
        guards: bool,
        entered: &Entered<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        let asked = if guards {
            redzone::padded(layout).ok_or(Refused)?
        } else {
            some(layout)
        };
        let block = if zeroed {
            self.port.alloc_zeroed(asked)?
        } else {
            self.port.alloc(asked)?
        };
        let base = block.cast::<u8>();
        if !base.is_aligned_to_(asked.align()) || block.len() < asked.size() {
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
        entered: &Entered<'_>,
    ) -> Result<NonNull<u8>, Refused> {
        entered.with(|state| {
            let subject = state.subject(0, self.id, layout, state.allocations + 1);
            let event = state.events + 1;
            state.accuse(if block.len() < asked.size() {
                crate::detect::too_small(block.len(), subject, event)
            } else {
                crate::detect::misaligned(subject, event)
            });
        });
        Err(Refused)
    }

    /// Lets the port resize a block; only without guards.
    fn resize_in_port(
        &self,
        op: Op,
        start: NonNull<u8>,
        block: &Block,
        new: Layout,
    ) -> Result<NonNull<u8>, Refused> {
        let (old, new) = (some(block.layout()), some(new));
        // SAFETY: the block is live with this layout (it was found in the ledger), came from this
        // port through `some`, and each direction gets its own operation.
        let answer = unsafe {
            if new.size() >= old.size() && op == Op::Grow {
                self.port.grow(start, old, new)
            } else {
                self.port.shrink(start, old, new)
            }
        };
        answer.map(NonNull::cast)
    }

    /// Hands a block to the port, guards and all.
    #[inline]
    fn give_back(&self, block: &Block, guards: bool) {
        let layout = block.layout();
        let start = start_of(block);
        let (start, layout) = if guards {
            let Some(padded) = redzone::padded(layout) else {
                return;
            };
            // SAFETY: `obtain` moved the start by just this much.
            (unsafe { start.sub(redzone::front(layout.align())) }, padded)
        } else {
            (start, some(layout))
        };
        // SAFETY: the block came from this port with this layout (`obtain`), was live until its
        // record left the ledger, and is given back once.
        unsafe { self.port.free(start, layout) };
    }

    /// Everything that this heap still holds goes back to its port: one by one from quarantine,
    /// and the live blocks at once, where the port can do that.
    fn leave(&self, entered: &Entered<'_>) {
        while let Some(kept) = entered.with(|state| state.quarantine.pop_heap(self.id)) {
            entered.with(|state| {
                let block = &kept.block;
                // SAFETY: the block was poisoned when it came into quarantine and is still ours.
                let written =
                    unsafe { redzone::written(start_of(block), block.size, state.options.wipe) };
                if written.is_some() {
                    state.accuse_written(written, block, kept.event);
                }
            });
            self.give_back(&kept.block, true);
        }
        let live = entered.with(|state| state.ledger.len() != 0);
        let guarded = |state: &mut State| {
            for block in state
                .ledger
                .live()
                .iter()
                .filter(|b| b.heap == self.id && !b.tainted)
            {
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
        if unsafe { self.port.reclaim() } && live {
            entered.with(|state| {
                for block in state.ledger.take_heap(self.id) {
                    state.live -= block.size & self.counted;
                }
            });
        }
    }
}

/// `NonNull::is_aligned_to` is not stable yet.
trait Aligned {
    fn is_aligned_to_(self, align: usize) -> bool;
}

impl Aligned for NonNull<u8> {
    #[inline]
    fn is_aligned_to_(self, align: usize) -> bool {
        (self.as_ptr() as usize) & (align - 1) == 0
    }
}

/// A zero-sized request gets a byte, so that its address is its own.
#[inline]
fn some(layout: Layout) -> Layout {
    if layout.size() != 0 {
        return layout;
    }
    Layout::from_size_align(1, layout.align()).unwrap_or(layout)
}

/// A node on its way into the state, which finds the ports of quarantined blocks by it.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef(NonNull<Node<AnyPort>>);

// SAFETY: it is only followed with the right to touch the state, like the state itself.
unsafe impl Send for NodeRef {}

impl Clone for Heap {
    #[inline]
    fn clone(&self) -> Self {
        self.node().handles.fetch_add(1, Ordering::Relaxed);
        Heap { node: self.node }
    }
}

impl Drop for Heap {
    #[inline]
    fn drop(&mut self) {
        if self.node().handles.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            self.node_gone();
        }
    }
}

impl Heap {
    #[cold]
    #[inline(never)]
    fn node_gone(&mut self) {
        let run = self.node().run;
        if let Some(entered) = self.core().enter() {
            self.node().leave(&entered);
            let id = self.node().id;
            entered.with(|state| {
                state.nodes[usize::from(id)] = None;
                state.retire(id);
            });
        }
        let layout = Layout::for_value(self.node());
        // SAFETY: this was the last handle (the count fell to zero), so nobody else can reach the
        // node; it was allocated by `attach` from `System` with this layout.
        unsafe {
            self.node.drop_in_place();
            System.dealloc(self.node.as_ptr().cast(), layout);
        }
        // SAFETY: the node held one share of the run; the run lives until the last is gone.
        if unsafe { run.as_ref() }
            .nodes
            .fetch_sub(1, Ordering::Release)
            == 1
        {
            fence(Ordering::Acquire);
            // SAFETY: made by `Box::leak` in `first`; no node is left to reach it by.
            drop(unsafe { Box::from_raw(run.as_ptr()) });
        }
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .core()
            .enter()
            .map(|entered| entered.with(|state| state.heaps[usize::from(self.node().id)].name));
        f.debug_tuple("Heap")
            .field(&name.unwrap_or("of another thread"))
            .finish()
    }
}

/// A heap's port as it is, past the heap: what a second heap over the same port stands on.
struct Unwatched(Heap);

// SAFETY: every call goes to the port of the heap inside, which keeps the contract.
unsafe impl Port for Unwatched {
    fn alloc(&self, layout: Layout) -> Answer {
        self.0.node().port.alloc(layout)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Answer {
        self.0.node().port.alloc_zeroed(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.free(block, layout) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.grow(block, old, new) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.node().port.shrink(block, old, new) }
    }
}

// SAFETY: the heap keeps its port's contract and adds refusals, which the contract allows; a
// block it handed out is found again by its address until it is freed.
unsafe impl Port for Heap {
    #[inline]
    fn alloc(&self, layout: Layout) -> Answer {
        let answer = self.request(Op::Alloc, layout);
        keep_frame();
        answer
    }

    #[inline]
    fn alloc_zeroed(&self, layout: Layout) -> Answer {
        let answer = self.request(Op::AllocZeroed, layout);
        keep_frame();
        answer
    }

    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        self.release(block, layout);
        keep_frame();
    }

    #[inline]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        let answer = self.resize(Op::Grow, block, old, new, false);
        keep_frame();
        answer
    }

    #[inline]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Answer {
        let answer = self.resize(Op::Shrink, block, old, new, false);
        keep_frame();
        answer
    }
}

impl Heap {
    /// Grows a block and zeroes what is new.
    ///
    /// # Safety
    /// - As for [`Port::grow`].
    #[inline]
    pub(crate) unsafe fn grow_zeroed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Answer {
        let answer = self.resize(Op::Grow, block, old, new, true);
        keep_frame();
        answer
    }
}

/// Keeps the caller's frame on the stack until the call into the heap is over: as a tail call it
/// would be missing from call sites in optimised builds only.
#[inline(always)]
fn keep_frame() {
    // SAFETY: an empty instruction that the optimiser may not move or drop.
    unsafe { std::arch::asm!("", options(nomem, nostack, preserves_flags)) }
}
