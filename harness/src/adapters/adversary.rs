//! The adversarial heap: a port that does everything the contract permits and a friendly `malloc`
//! never does.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::port::{Port, Refused};
use crate::process::backtrace;
use crate::process::backtrace::Stack;
use crate::process::guard_pages;
use crate::process::guard_pages::GuardedBlock;
use crate::trace::mix;

/// Where the memory of a freed block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse {
    /// Back to the port below, which does as it likes.
    AsPort,
    /// To the next request of the same size and alignment: the same address, at once.
    AtOnce,
    /// To nobody, as long as there is room: no address comes twice.
    Never,
}

/// Where the page stands that nobody may touch. On systems without pages there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// No guard page.
    None,
    /// Right behind the block.
    After,
    /// Right before the block.
    Before,
}

/// Everything that the contract of a port permits and a friendly allocator never does: each mode
/// can be switched, and what is left to chance comes from one seed.
///
/// Put it below a sweep with [`Sweep::adversary`](crate::Sweep::adversary), or below anything
/// else with [`over`](Self::over).
///
/// ```
/// use mallory::adversary::Adversary;
/// use mallory::{SystemPort, conformance};
/// let adversary = Adversary::new();
/// conformance(|| adversary.over(SystemPort::new())).operations(500).run().assert_clean();
/// ```
#[derive(Clone, Debug)]
pub struct Adversary {
    seed: u64,
    moves: bool,
    tight: bool,
    slack: bool,
    rubbish: bool,
    refuses_shrinks: bool,
    reuse: Reuse,
    guard: Guard,
    /// Ports made so far: rubbish differs from each to the next in every bit.
    made: Arc<AtomicU64>,
}

impl Default for Adversary {
    fn default() -> Self {
        Adversary::new()
    }
}

impl Adversary {
    /// Every mode but refused shrinks, which would make most code fail (and which a sweep makes
    /// one by one): addresses come again at once, and guard pages stand behind blocks.
    #[must_use]
    pub fn new() -> Self {
        Adversary {
            moves: true,
            tight: true,
            slack: true,
            rubbish: true,
            reuse: Reuse::AtOnce,
            guard: Guard::After,
            ..Adversary::friendly()
        }
    }

    /// No mode at all, to switch on what is wanted.
    #[must_use]
    pub fn friendly() -> Self {
        Adversary {
            seed: 0,
            moves: false,
            tight: false,
            slack: false,
            rubbish: false,
            refuses_shrinks: false,
            reuse: Reuse::AsPort,
            guard: Guard::None,
            made: Arc::default(),
        }
    }

    /// The one number that all chance comes from. 0 unless given.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Every grow and shrink moves the block. With guard pages it does in any case.
    #[must_use]
    pub fn moves(mut self, on: bool) -> Self {
        self.moves = on;
        self
    }

    /// Blocks have exactly the alignment that was asked for, and never twice of it. Together with
    /// guard pages it is so for every other block, by the seed: bytes as many as the alignment may
    /// then lie between block and guard.
    #[must_use]
    pub fn tight(mut self, on: bool) -> Self {
        self.tight = on;
        self
    }

    /// Blocks are a little longer than asked for. Together with guard pages, one in four is.
    #[must_use]
    pub fn slack(mut self, on: bool) -> Self {
        self.slack = on;
        self
    }

    /// Blocks are full of rubbish when they come, and again when they go. It differs in every bit
    /// from one port to the next, so that a result that hangs on it shows.
    #[must_use]
    pub fn rubbish(mut self, on: bool) -> Self {
        self.rubbish = on;
        self
    }

    /// Every shrink is refused, as the contract allows.
    #[must_use]
    pub fn refuse_shrinks(mut self, on: bool) -> Self {
        self.refuses_shrinks = on;
        self
    }

    /// Where the memory of a freed block goes.
    #[must_use]
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Where guard pages stand. Whoever touches one dies at that instruction, and a sweep's report
    /// says which block it was and where it was asked for. A freed block that is not given back
    /// to the port below (see [`reuse`](Self::reuse)) is a guard as a whole.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// A port of this kind over another one.
    pub fn over<P: Port>(&self, port: P) -> Adversarial<P> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        Adversarial {
            port,
            modes: self.clone(),
            flip: if made.is_multiple_of(2) { 0 } else { u64::MAX },
            books: RefCell::default(),
        }
    }
}

/// Freed blocks that are kept at most: as many in each way as do no harm.
const AT_ONCE_MAX: usize = 256;
const NEVER_MAX: usize = 4096;
/// Bytes of freed blocks that are kept at most.
const KEPT_MAX: usize = 64 << 20;

/// A block, live or kept.
#[derive(Clone, Copy)]
struct AdversarySlot {
    base: usize,
    room: Layout,
    start: usize,
    length: usize,
    layout: Layout,
    /// The pages of the block without the guard, and the guard's.
    body: (usize, usize),
    guard: (usize, usize),
    number: u64,
    entry: Option<usize>,
}

#[derive(Default)]
struct Books {
    live: HashMap<usize, AdversarySlot>,
    /// Freed and not given back, the newest last.
    kept: VecDeque<AdversarySlot>,
    bytes: usize,
    /// Blocks so far; each keeps its number when it moves.
    blocks: u64,
}

/// A port over another one that does what [`Adversary`] says.
pub struct Adversarial<P: Port> {
    port: P,
    modes: Adversary,
    flip: u64,
    books: RefCell<Books>,
}

impl<P: Port> fmt::Debug for Adversarial<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adversarial").field("modes", &self.modes).finish_non_exhaustive()
    }
}

fn place(address: usize) -> Result<NonNull<u8>, Refused> {
    NonNull::new(address as *mut u8).ok_or(Refused)
}

/// Room for a block at the port below, and where in it the block stands.
struct Placement {
    room: Layout,
    length: usize,
    tight: bool,
}

impl<P: Port> Adversarial<P> {
    fn guards(&self) -> bool {
        self.modes.guard != Guard::None && cfg!(unix) && !cfg!(miri)
    }

    /// What chance says about a block.
    fn chance(&self, number: u64) -> u64 {
        mix(mix(self.modes.seed ^ 0x00AD_5EA5) ^ number)
    }

    fn plan(&self, layout: Layout, number: u64) -> Option<Placement> {
        let (size, align, chance) = (layout.size(), layout.align(), self.chance(number));
        let tight = self.modes.tight && (!self.guards() || chance & 1 == 1);
        let slack = self.modes.slack && (!self.guards() || chance & 6 == 6);
        let more = if slack { 1 + (chance >> 8) as usize % 16 } else { 0 };
        let length = size.checked_add(more)?;
        let shift = if tight { align } else { 0 };
        let body = length.checked_add(shift)?;
        let unit = if tight { align.checked_mul(2)? } else { align };
        let (size, unit) = if self.guards() {
            let page = guard_pages::page();
            let ahead = if self.modes.guard == Guard::Before { unit.max(page) } else { page };
            (body.checked_next_multiple_of(page)?.checked_add(ahead)?, unit.max(page))
        } else {
            (body.max(1), unit)
        };
        Some(Placement { room: Layout::from_size_align(size, unit).ok()?, length, tight })
    }

    /// Where a block stands in its room. The room is aligned to its unit.
    fn slot(&self, base: usize, plan: &Placement, layout: Layout, number: u64) -> AdversarySlot {
        let (align, end) = (layout.align(), base + plan.room.size());
        let shift = |start: usize, down: bool| match plan.tight && start.is_multiple_of(2 * align) {
            true if down => start - align,
            true => start + align,
            false => start,
        };
        let (body, guard, start) = match self.modes.guard {
            Guard::After if self.guards() => {
                let edge = end - guard_pages::page();
                let flush = (edge - plan.length) & !(align - 1);
                ((base, edge), (edge, end), shift(flush, true))
            }
            Guard::Before if self.guards() => {
                let first = base + plan.room.align();
                ((first, end), (first - guard_pages::page(), first), shift(first, false))
            }
            _ => ((end, end), (end, end), shift(base, false)),
        };
        let (room, length) = (plan.room, plan.length);
        AdversarySlot { base, room, start, length, layout, body, guard, number, entry: None }
    }

    /// A call stack for the board, where there is one.
    fn stack(&self) -> Option<Stack> {
        self.guards().then(backtrace::stack)
    }

    fn obtain(&self, layout: Layout, number: u64, zeroed: bool) -> Result<NonNull<[u8]>, Refused> {
        let again = (self.modes.reuse == Reuse::AtOnce).then(|| self.take_again(layout)).flatten();
        let mut slot = match again {
            Some(slot) => AdversarySlot { number, ..slot },
            None => {
                let plan = self.plan(layout, number).ok_or(Refused)?;
                let base = self.port.alloc(plan.room)?.cast::<u8>().as_ptr() as usize;
                let slot = self.slot(base, &plan, layout, number);
                // SAFETY: the guard's pages are in the room, which is this port's alone.
                if !unsafe { guard_pages::protect(slot.guard.0, slot.guard.1, false) } {
                    self.give_back(&slot);
                    return Err(Refused);
                }
                slot
            }
        };
        if let Some(stack) = self.stack() {
            let known = GuardedBlock {
                from: slot.body.0.min(slot.guard.0),
                to: slot.body.1.max(slot.guard.1),
                start: slot.start,
                size: layout.size(),
                align: layout.align(),
                number,
            };
            slot.entry = guard_pages::enter(&known, slot.entry, &stack);
        }
        let start = place(slot.start)?;
        if zeroed {
            // SAFETY: the slot is in its room, open, and nobody else's.
            unsafe { start.write_bytes(0, slot.length) }
        } else {
            self.soil(&slot, 0);
        }
        self.books.borrow_mut().live.insert(slot.start, slot);
        Ok(NonNull::slice_from_raw_parts(start, slot.length))
    }

    /// The newest freed block of just this layout.
    fn take_again(&self, layout: Layout) -> Option<AdversarySlot> {
        let mut books = self.books.borrow_mut();
        let nth = books.kept.iter().rposition(|slot| slot.layout == layout)?;
        let slot = books.kept.remove(nth)?;
        books.bytes -= slot.room.size();
        // SAFETY: the body's pages are in the room, which is this port's alone.
        let _ = unsafe { guard_pages::protect(slot.body.0, slot.body.1, true) };
        Some(slot)
    }

    /// Fills a block with rubbish.
    fn soil(&self, slot: &AdversarySlot, when: u64) {
        if !self.modes.rubbish {
            return;
        }
        let word = (mix(self.chance(slot.number) ^ when) ^ self.flip).to_ne_bytes();
        for at in 0..slot.length {
            // SAFETY: the slot is in its room, open, and nobody else's.
            unsafe { (slot.start as *mut u8).add(at).write(word[at % 8]) }
        }
    }

    fn dismiss(&self, block: NonNull<u8>) {
        let slot = self.books.borrow_mut().live.remove(&(block.as_ptr() as usize));
        // One that was never handed out is no business of anybody below.
        let Some(slot) = slot else { return };
        self.soil(&slot, 1);
        if self.modes.reuse == Reuse::AsPort {
            self.give_back(&slot);
            return;
        }
        if let (Some(entry), Some(stack)) = (slot.entry, self.stack()) {
            guard_pages::retire(entry, &stack);
        }
        // SAFETY: the body's pages are in the room, which is this port's alone again.
        let _ = unsafe { guard_pages::protect(slot.body.0, slot.body.1, false) };
        let surplus = {
            let mut books = self.books.borrow_mut();
            books.kept.push_back(slot);
            books.bytes += slot.room.size();
            let at_once = self.modes.reuse == Reuse::AtOnce;
            let most = if at_once { AT_ONCE_MAX } else { NEVER_MAX };
            let mut surplus = Vec::new();
            while books.kept.len() > most || books.bytes > KEPT_MAX {
                let Some(oldest) = books.kept.pop_front() else { break };
                books.bytes -= oldest.room.size();
                surplus.push(oldest);
            }
            surplus
        };
        surplus.iter().for_each(|slot| self.give_back(slot));
    }

    /// Hands a room back to the port below.
    fn give_back(&self, slot: &AdversarySlot) {
        self.open(slot);
        if let Ok(base) = place(slot.base) {
            // SAFETY: the room came from this port with this layout, and nothing in it is in use.
            unsafe { self.port.free(base, slot.room) }
        }
    }

    /// Makes all of a room usable, and forgets whose it was.
    fn open(&self, slot: &AdversarySlot) {
        if let Some(entry) = slot.entry {
            guard_pages::leave(entry);
        }
        for (from, to) in [slot.guard, slot.body] {
            // SAFETY: pages of the room, which is this port's alone.
            let _ = unsafe { guard_pages::protect(from, to, true) };
        }
    }

    fn number(&self) -> u64 {
        self.books.borrow().blocks + 1
    }

    /// A fresh block, unless there is none: then its number is the next one's.
    fn fresh(&self, layout: Layout, zeroed: bool) -> Result<NonNull<[u8]>, Refused> {
        let block = self.obtain(layout, self.number(), zeroed)?;
        self.books.borrow_mut().blocks += 1;
        Ok(block)
    }

    /// Another size of a block: elsewhere, unless it may stay and fits.
    ///
    /// # Safety
    /// - `block` is alive and of this port, and `old` fits it.
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let slot = self.books.borrow().live.get(&(block.as_ptr() as usize)).copied();
        let slot = slot.ok_or(Refused)?;
        let stays = slot.length >= new.size() && slot.start.is_multiple_of(new.align());
        if stays && !self.modes.moves && !self.guards() {
            return Ok(NonNull::slice_from_raw_parts(block, slot.length));
        }
        let fresh = self.obtain(new, slot.number, false)?;
        // SAFETY: both blocks are alive and disjoint, and at least as long as the smaller size.
        unsafe {
            let common = old.size().min(new.size());
            fresh.cast::<u8>().copy_from_nonoverlapping(block, common);
        }
        self.dismiss(block);
        Ok(fresh)
    }
}

// SAFETY: a block stands in a room of its own from the port below, aligned as asked; it is in the
// books until it is freed; a refused resize touched nothing; nothing here unwinds as long as the
// port below doesn't.
unsafe impl<P: Port> Port for Adversarial<P> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.fresh(layout, false)
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.fresh(layout, true)
    }

    unsafe fn free(&self, block: NonNull<u8>, _: Layout) {
        self.dismiss(block);
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's promise.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if self.modes.refuses_shrinks {
            return Err(Refused);
        }
        // SAFETY: the caller's promise.
        unsafe { self.resize(block, old, new) }
    }
}

impl<P: Port> Drop for Adversarial<P> {
    fn drop(&mut self) {
        let books = std::mem::take(&mut *self.books.borrow_mut());
        books.kept.iter().for_each(|slot| self.give_back(slot));
        // What is still alive stays where it is, and loses its guard with its port.
        books.live.values().for_each(|slot| self.open(slot));
    }
}
