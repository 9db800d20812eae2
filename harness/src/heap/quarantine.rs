//! The quarantine: freed blocks on their way back to the port, oldest first, in a ring.

use crate::heap::record::Record;
use std::cell::Cell;

/// A freed block that is kept from the port, and the event at which it was freed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quarantined {
    pub(crate) record: Record,
    pub(crate) event: u64,
}

/// Freed blocks on their way back to the port, oldest first: a ring.
#[derive(Default)]
pub(crate) struct Quarantine {
    kept: Vec<Quarantined>,
    head: usize,
    len: usize,
    bytes: usize,
}

thread_local! {
    /// A ring that was made: what stands in it nobody reads again.
    static SPARE: Cell<Vec<Quarantined>> = const { Cell::new(Vec::new()) };
}

impl Quarantine {
    #[inline]
    pub(crate) fn push(&mut self, kept: Quarantined, size: usize) {
        if !self.has_room() {
            self.make_room();
        }
        self.bytes += size;
        let place = self.place(self.len);
        if let Some(place) = self.kept.get_mut(place) {
            *place = kept;
        }
        self.len += 1;
    }

    /// Whether the ring was made.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Makes the ring: the only memory that it ever asks for.
    #[cold]
    pub(crate) fn make_room(&mut self) {
        self.kept = SPARE.try_with(Cell::take).unwrap_or_default();
        self.kept.resize(QUARANTINE_BLOCKS_MAX + 1, Quarantined::default());
    }

    /// Keeps the ring for the thread's next run, if it is empty.
    pub(crate) fn recycle(&mut self) {
        if self.len == 0 && self.has_room() {
            let ring = std::mem::take(&mut self.kept);
            // A thread that is ending keeps nothing.
            let _ = SPARE.try_with(|kept| kept.set(ring));
        }
    }

    #[inline]
    fn place(&self, nth: usize) -> usize {
        (self.head + nth) & QUARANTINE_BLOCKS_MAX
    }

    /// The block whose time is up, if any; `size` tells sizes.
    #[inline]
    pub(crate) fn pop_surplus(&mut self, size: impl Fn(Record) -> usize) -> Option<Quarantined> {
        if self.len <= QUARANTINE_BLOCKS_MAX && self.bytes <= QUARANTINE_BYTES_MAX {
            return None;
        }
        self.pop(size)
    }

    #[inline]
    pub(crate) fn pop(&mut self, size: impl Fn(Record) -> usize) -> Option<Quarantined> {
        if self.len == 0 {
            return None;
        }
        let kept = *self.kept.get(self.head)?;
        self.head = self.place(1);
        self.len -= 1;
        self.bytes -= size(kept.record);
        Some(kept)
    }

    /// A block of this heap, if one is left.
    pub(crate) fn pop_heap(
        &mut self,
        heap: u16,
        size: impl Fn(Record) -> usize,
    ) -> Option<Quarantined> {
        let is_its = |nth: &usize| self.kept[self.place(*nth)].record.heap() == heap;
        let nth = (0..self.len).find(is_its)?;
        let kept = self.kept[self.place(nth)];
        // Those before it move up: mostly there are none.
        for nth in (0..nth).rev() {
            let (to, from) = (self.place(nth + 1), self.place(nth));
            self.kept[to] = self.kept[from];
        }
        self.head = self.place(1);
        self.len -= 1;
        self.bytes -= size(kept.record);
        Some(kept)
    }
}

/// The bounds of the quarantine: a stray write is seen as long as fewer than so many blocks and
/// bytes were freed after the block it hits. With one more, the blocks fill a ring of a power of two.
pub(crate) const QUARANTINE_BLOCKS_MAX: usize = 1023;

pub(crate) const QUARANTINE_BYTES_MAX: usize = 256 << 10;
