//! The quarantine: freed blocks that are kept from the port for a while, oldest first.
//!
//! A freed block is poisoned. As long as it is in quarantine, a write into it is found when it
//! leaves: a use after free.

use std::cell::Cell;

use crate::heap::record::Record;

/// The largest number of blocks in quarantine. One more is a power of two, the ring's capacity.
/// A stray write into a freed block is seen if fewer blocks and fewer bytes than these two bounds
/// were freed after it.
pub(crate) const QUARANTINE_BLOCKS_MAX: usize = 1023;
pub(crate) const QUARANTINE_BYTES_MAX: usize = 256 << 10;

/// A freed block in quarantine, and the event at which it was freed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quarantined {
    pub(crate) record: Record,
    pub(crate) event: u64,
}

/// A ring of freed blocks, oldest first.
#[derive(Default)]
pub(crate) struct Quarantine {
    ring: Vec<Quarantined>,
    head: usize,
    len: usize,
    bytes: usize,
}

thread_local! {
    /// The allocated ring of an earlier run of this thread; its contents are stale.
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
        if let Some(place) = self.ring.get_mut(place) {
            *place = kept;
        }
        self.len += 1;
    }

    /// Whether the ring is allocated.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Allocates the ring: the quarantine's only allocation.
    #[cold]
    pub(crate) fn make_room(&mut self) {
        self.ring = SPARE.try_with(Cell::take).unwrap_or_default();
        self.ring.resize(QUARANTINE_BLOCKS_MAX + 1, Quarantined::default());
    }

    /// Keeps the ring for the thread's next run, if it is empty.
    pub(crate) fn recycle(&mut self) {
        if self.len == 0 && self.has_room() {
            let ring = std::mem::take(&mut self.ring);
            // On a thread that is ending the thread-local may be gone: then the ring is freed.
            let _ = SPARE.try_with(|spare| spare.set(ring));
        }
    }

    #[inline]
    fn place(&self, nth: usize) -> usize {
        (self.head + nth) & QUARANTINE_BLOCKS_MAX
    }

    /// Takes out the oldest block if a bound is exceeded. `size` reads the size of a record.
    #[inline]
    pub(crate) fn pop_surplus(&mut self, size: impl Fn(Record) -> usize) -> Option<Quarantined> {
        if self.len <= QUARANTINE_BLOCKS_MAX && self.bytes <= QUARANTINE_BYTES_MAX {
            return None;
        }
        self.pop(size)
    }

    /// Takes out the oldest block.
    #[inline]
    pub(crate) fn pop(&mut self, size: impl Fn(Record) -> usize) -> Option<Quarantined> {
        if self.len == 0 {
            return None;
        }
        let kept = *self.ring.get(self.head)?;
        self.head = self.place(1);
        self.len -= 1;
        self.bytes -= size(kept.record);
        Some(kept)
    }

    /// Takes out the oldest block of this heap.
    pub(crate) fn pop_heap(
        &mut self,
        heap: u16,
        size: impl Fn(Record) -> usize,
    ) -> Option<Quarantined> {
        let is_of_heap = |nth: &usize| self.ring[self.place(*nth)].record.heap() == heap;
        let nth = (0..self.len).find(is_of_heap)?;
        let kept = self.ring[self.place(nth)];
        // The older ones move up by one place; usually there are none.
        for nth in (0..nth).rev() {
            let (to, from) = (self.place(nth + 1), self.place(nth));
            self.ring[to] = self.ring[from];
        }
        self.head = self.place(1);
        self.len -= 1;
        self.bytes -= size(kept.record);
        Some(kept)
    }
}
