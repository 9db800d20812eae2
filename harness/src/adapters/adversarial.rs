//! The port that [`Adversary`](crate::adversary::Adversary) configures: every block is in a *room*,
//! a block of the port below that has space for slack, an odd alignment and guard pages.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;

use crate::port::{Port, Refused};
use crate::process::backtrace::{self, Stack};
use crate::process::guard_pages::{self, GuardedBlock};
use crate::trace::mix;

/// What happens to the memory of a freed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reuse {
    /// It is given back to the port below.
    AsPort,
    /// The next request of the same size and alignment gets it: the same address, at once.
    AtOnce,
    /// Nobody gets it, as long as there is room: no address is used twice.
    Never,
}

/// Where the page is that nobody may touch. There is none on systems other than Unix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guard {
    /// No guard page.
    None,
    /// Directly behind the block.
    After,
    /// Directly before the block.
    Before,
}

/// What the port does; documented at the methods of [`Adversary`](crate::adversary::Adversary).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    pub(crate) seed: u64,
    pub(crate) moves: bool,
    pub(crate) tight: bool,
    pub(crate) slack: bool,
    pub(crate) rubbish: bool,
    pub(crate) refuses_shrinks: bool,
    pub(crate) reuse: Reuse,
    pub(crate) guard: Guard,
}

impl Modes {
    /// Every mode off.
    pub(crate) const FRIENDLY: Modes = Modes {
        seed: 0,
        moves: false,
        tight: false,
        slack: false,
        rubbish: false,
        refuses_shrinks: false,
        reuse: Reuse::AsPort,
        guard: Guard::None,
    };
}

/// The largest numbers of freed blocks that are kept, for either way of reuse.
const AT_ONCE_MAX: usize = 256;
const NEVER_MAX: usize = 4096;
/// The largest sum of bytes of freed blocks that are kept.
const KEPT_MAX: usize = 64 << 20;

/// A block, live or freed and kept.
#[derive(Clone, Copy)]
struct AdversarySlot {
    /// The room: its start and its layout.
    base: usize,
    room: Layout,
    /// The block in it, with its slack.
    start: usize,
    length: usize,
    /// The layout that was requested.
    layout: Layout,
    /// The range of the block's pages, and that of its guard. Both are empty without guard pages.
    body: (usize, usize),
    guard: (usize, usize),
    number: u64,
    /// The block's entry in the process's list of guarded blocks.
    entry: Option<usize>,
}

#[derive(Default)]
struct Books {
    live: BTreeMap<usize, AdversarySlot>,
    /// Freed and not given back, the newest last.
    kept: VecDeque<AdversarySlot>,
    /// The bytes of the rooms in `kept`.
    bytes: usize,
    /// The number of blocks so far. A block keeps its number when it moves.
    blocks: u64,
}

/// A port over another one that does what an [`Adversary`](crate::adversary::Adversary) says.
pub struct Adversarial<P: Port> {
    port: P,
    modes: Modes,
    /// Zero, or all ones to invert the rubbish.
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

/// How a block will be placed in a room.
struct Placement {
    room: Layout,
    length: usize,
    tight: bool,
}

impl<P: Port> Adversarial<P> {
    pub(crate) fn new(port: P, modes: Modes, flips: bool) -> Self {
        let flip = if flips { u64::MAX } else { 0 };
        Adversarial { port, modes, flip, books: RefCell::default() }
    }

    fn guards(&self) -> bool {
        self.modes.guard != Guard::None && cfg!(unix) && !cfg!(miri)
    }

    /// The random bits of a block.
    fn random_bits(&self, number: u64) -> u64 {
        mix(mix(self.modes.seed ^ 0x00AD_5EA5) ^ number)
    }

    /// Chooses the room's layout and how the block is placed in it.
    fn plan(&self, layout: Layout, number: u64) -> Option<Placement> {
        let (size, align, bits) = (layout.size(), layout.align(), self.random_bits(number));
        let tight = self.modes.tight && (!self.guards() || bits & 1 == 1);
        let slack = self.modes.slack && (!self.guards() || bits & 6 == 6);
        let more = if slack { 1 + (bits >> 8) as usize % 16 } else { 0 };
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

    /// The block in its room, which begins at `base`.
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

    /// A call stack for the list of guarded blocks, if there are guard pages.
    fn stack(&self) -> Option<Stack> {
        self.guards().then(backtrace::stack)
    }

    /// A block with this number, from a kept room or a new one.
    fn obtain(&self, layout: Layout, number: u64, zeroed: bool) -> Result<NonNull<[u8]>, Refused> {
        let again = (self.modes.reuse == Reuse::AtOnce).then(|| self.take_kept(layout)).flatten();
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
            self.fill_with_rubbish(&slot, 0);
        }
        self.books.borrow_mut().live.insert(slot.start, slot);
        Ok(NonNull::slice_from_raw_parts(start, slot.length))
    }

    /// Takes out the newest freed block with exactly this layout.
    fn take_kept(&self, layout: Layout) -> Option<AdversarySlot> {
        let mut books = self.books.borrow_mut();
        let nth = books.kept.iter().rposition(|slot| slot.layout == layout)?;
        let slot = books.kept.remove(nth)?;
        books.bytes -= slot.room.size();
        // SAFETY: the body's pages are in the room, which is this port's alone.
        let _ = unsafe { guard_pages::protect(slot.body.0, slot.body.1, true) };
        Some(slot)
    }

    /// Fills a block with rubbish. `salt` makes that of a free differ from that of an allocation.
    fn fill_with_rubbish(&self, slot: &AdversarySlot, salt: u64) {
        if !self.modes.rubbish {
            return;
        }
        let word = (mix(self.random_bits(slot.number) ^ salt) ^ self.flip).to_ne_bytes();
        for at in 0..slot.length {
            // SAFETY: the slot is in its room, open, and nobody else's.
            unsafe { (slot.start as *mut u8).add(at).write(word[at % 8]) }
        }
    }

    /// Frees a block, in the way that the mode of reuse says.
    fn dismiss(&self, block: NonNull<u8>) {
        let slot = self.books.borrow_mut().live.remove(&(block.as_ptr() as usize));
        // A block that was never handed out isn't freed in the port below.
        let Some(slot) = slot else { return };
        self.fill_with_rubbish(&slot, 1);
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

    /// Makes all of a room accessible, and removes it from the list of guarded blocks.
    fn open(&self, slot: &AdversarySlot) {
        if let Some(entry) = slot.entry {
            guard_pages::leave(entry);
        }
        for (from, to) in [slot.guard, slot.body] {
            // SAFETY: pages of the room, which is this port's alone.
            let _ = unsafe { guard_pages::protect(from, to, true) };
        }
    }

    fn next_number(&self) -> u64 {
        self.books.borrow().blocks + 1
    }

    /// A fresh block. A refused request uses up no number.
    fn fresh(&self, layout: Layout, zeroed: bool) -> Result<NonNull<[u8]>, Refused> {
        let block = self.obtain(layout, self.next_number(), zeroed)?;
        self.books.borrow_mut().blocks += 1;
        Ok(block)
    }

    /// Resizes a block. It moves, unless it may stay where it is and fits there.
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

// SAFETY: a block is in a room of its own from the port below, aligned as requested; it is in the
// books until it is freed; a refused resize touches nothing; nothing here unwinds as long as the
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
        // Live blocks stay where they are, and lose their guards.
        books.live.values().for_each(|slot| self.open(slot));
    }
}
