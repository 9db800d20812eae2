//! Double free: a ring buffer that moves into a larger one when it is full.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port, Refused};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::DoubleFree,
    wrong: "frees a ring's slots if they can't grow, and again when the ring is dropped",
    right: "leaves the slots to the ring's drop if they can't grow",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

/// A queue of numbers in slots that are reused in a circle.
struct Ring {
    heap: Heap,
    slots: NonNull<u64>,
    layout: Layout,
    capacity: usize,
    head: usize,
    len: usize,
}

impl Ring {
    fn with_slots(heap: &Heap, capacity: usize) -> Result<Ring, Oom> {
        let layout = Layout::array::<u64>(capacity).map_err(|_| Refused)?;
        let slots = heap.alloc(layout)?.cast();
        Ok(Ring { heap: heap.clone(), slots, layout, capacity, head: 0, len: 0 })
    }

    fn is_full(&self) -> bool {
        self.len == self.capacity
    }

    fn push(&mut self, number: u64) {
        assert!(!self.is_full(), "the ring is full");
        let place = (self.head + self.len) % self.capacity;
        // SAFETY: `place` is below the capacity that the slots were allocated with.
        unsafe { self.slots.add(place).write(number) };
        self.len += 1;
    }

    fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: `head` is below the capacity, and the slot was written by `push`.
        let number = unsafe { self.slots.add(self.head).read() };
        self.head = (self.head + 1) % self.capacity;
        Some(number)
    }

    fn release(&mut self) {
        // SAFETY: the slots came from this heap with this layout; in `planted` they may have been
        // given back before, which is the bug.
        unsafe { self.heap.free(self.slots.cast(), self.layout) };
        self.len = 0;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.release();
    }
}

/// The bug: dropping the ring on the error path frees its slots already.
fn planted(heap: &Heap) -> Result<u64, Oom> {
    let mut ring = Ring::with_slots(heap, 4)?;
    for number in 0..10 {
        if ring.is_full() {
            let larger = Ring::with_slots(heap, 2 * ring.capacity);
            let mut larger = larger.inspect_err(|_| ring.release())?;
            while let Some(number) = ring.pop() {
                larger.push(number);
            }
            ring = larger;
        }
        ring.push(number);
    }
    Ok(std::iter::from_fn(|| ring.pop()).sum())
}

fn near_miss(heap: &Heap) -> Result<u64, Oom> {
    let mut ring = Ring::with_slots(heap, 4)?;
    for number in 0..10 {
        if ring.is_full() {
            let mut larger = Ring::with_slots(heap, 2 * ring.capacity)?;
            while let Some(number) = ring.pop() {
                larger.push(number);
            }
            ring = larger;
        }
        ring.push(number);
    }
    Ok(std::iter::from_fn(|| ring.pop()).sum())
}
