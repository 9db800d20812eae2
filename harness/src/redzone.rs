//! Guard bytes, poison and quarantine: what a stray write leaves its mark in.
//!
//! ```text
//!  port's block
//!  ├── front guard ──┬── the subject's block ──┬─ rear guard ─┤
//!  │ max(align, 16)  │ size, just as asked for │      16      │
//!  └ B6 B6 … B6 B6   └ DB DB … once it is freed └ B6 … B6
//! ```
//!
//! Guards are checked when a block is freed, on demand and at the end of a run; of a front guard
//! only the 64 bytes next to the block are painted. A freed block is poisoned and kept from the
//! port for a while; a write into it shows when it leaves the quarantine.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::VecDeque;
use std::ptr::NonNull;

use crate::ledger::Block;

const GUARD: u8 = 0xB6;
const POISON: u8 = 0xDB;
const REAR: usize = 16;
const FRONT_MIN: usize = 16;
const FRONT_PAINTED_MAX: usize = 64;

/// The bounds of the quarantine: a stray write is seen as long as fewer than so many blocks and
/// bytes were freed after the block it hits.
const QUARANTINE_BLOCKS_MAX: usize = 1024;
const QUARANTINE_BYTES_MAX: usize = 256 << 10;

/// Where the subject's block begins inside the port's.
#[inline]
pub(crate) fn front(align: usize) -> usize {
    align.max(FRONT_MIN)
}

/// The layout to ask the port for, with room for the guards.
#[inline]
pub(crate) fn padded(layout: Layout) -> Option<Layout> {
    let align = front(layout.align());
    let size = layout.size().checked_add(align + REAR)?;
    Layout::from_size_align(size, align).ok()
}

/// Paints the guards around a block.
///
/// # Safety
/// - `start` is `front(align)` bytes into a writable block of the `padded` layout, whose subject's
///   part is `size` bytes long.
#[inline]
pub(crate) unsafe fn paint(start: NonNull<u8>, size: usize, align: usize) {
    let painted = front(align).min(FRONT_PAINTED_MAX);
    // SAFETY: the padded layout has `front(align) >= painted` bytes before `start` and `REAR`
    // bytes after the block.
    unsafe {
        start.sub(painted).write_bytes(GUARD, painted);
        start.add(size).write_bytes(GUARD, REAR);
    }
}

/// How far from the block's edge the first overwritten guard byte lies, before it and behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) before: Option<usize>,
    pub(crate) behind: Option<usize>,
}

/// Reads the guards of a block.
///
/// # Safety
/// - `start` was painted with this size and alignment, and its memory is still the heap's.
#[inline]
pub(crate) unsafe fn damage(start: NonNull<u8>, size: usize, align: usize) -> Damage {
    let painted = front(align).min(FRONT_PAINTED_MAX);
    // SAFETY: `paint` wrote just these bytes, so they are there and initialised.
    let (before, behind) = unsafe {
        (
            std::slice::from_raw_parts(start.as_ptr().sub(painted), painted),
            std::slice::from_raw_parts(start.as_ptr().add(size), REAR),
        )
    };
    const WHOLE: u128 = u128::from_ne_bytes([GUARD; 16]);
    let intact = |bytes: &[u8]| {
        bytes.chunks_exact(16).all(|chunk| {
            chunk.try_into().is_ok_and(|chunk: [u8; 16]| u128::from_ne_bytes(chunk) == WHOLE)
        })
    };
    if intact(before) && intact(behind) {
        return Damage::default();
    }
    let hit = |byte: &u8| *byte != GUARD;
    Damage {
        before: before.iter().rev().position(hit).map(|far| far + 1),
        behind: behind.iter().position(hit),
    }
}

/// Fills a freed block with poison, or with zeroes where its contents are secret.
///
/// # Safety
/// - `size` bytes from `start` are writable, and nobody uses them any more.
#[inline]
pub(crate) unsafe fn poison(start: NonNull<u8>, size: usize, wipe: bool) {
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(if wipe { 0 } else { POISON }, size) }
}

/// Overwrites a block with zeroes in a way that the optimiser has to keep.
///
/// # Safety
/// - `size` bytes from `start` are writable, and nobody uses them any more.
pub(crate) unsafe fn wipe(start: NonNull<u8>, size: usize) {
    for offset in 0..size {
        // SAFETY: the caller's promise.
        unsafe { start.add(offset).write_volatile(0) }
    }
}

/// The offset of the first byte of a freed block that was written.
///
/// # Safety
/// - `start` was poisoned with this size and `wipe`, and its memory is still the heap's.
#[inline]
pub(crate) unsafe fn written(start: NonNull<u8>, size: usize, wipe: bool) -> Option<usize> {
    let poison = if wipe { 0 } else { POISON };
    // SAFETY: `poison` wrote just these bytes, so they are there and initialised.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), size) };
    let whole = u128::from_ne_bytes([poison; 16]);
    let (chunks, rest) = bytes.as_chunks::<16>();
    if chunks.iter().all(|chunk| u128::from_ne_bytes(*chunk) == whole)
        && rest.iter().all(|byte| *byte == poison)
    {
        return None;
    }
    bytes.iter().position(|byte| *byte != poison)
}

/// A freed block that is kept from the port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) block: Block,
    pub(crate) event: u64,
}

/// Freed blocks on their way back to the port, oldest first.
#[derive(Default)]
pub(crate) struct Quarantine {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Quarantine {
    #[inline]
    pub(crate) fn push(&mut self, kept: Kept) {
        self.bytes += kept.block.size;
        self.kept.push_back(kept);
    }

    /// The block whose time is up, if any.
    #[inline]
    pub(crate) fn pop_surplus(&mut self) -> Option<Kept> {
        if self.kept.len() <= QUARANTINE_BLOCKS_MAX && self.bytes <= QUARANTINE_BYTES_MAX {
            return None;
        }
        self.pop()
    }

    pub(crate) fn pop(&mut self) -> Option<Kept> {
        let kept = self.kept.pop_front()?;
        self.bytes -= kept.block.size;
        Some(kept)
    }

    /// A block of this heap, if one is left.
    pub(crate) fn pop_heap(&mut self, heap: u16) -> Option<Kept> {
        let place = self.kept.iter().position(|kept| kept.block.heap == heap)?;
        let kept = self.kept.remove(place)?;
        self.bytes -= kept.block.size;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A painted block of `size` bytes, aligned to `align`, in memory of its own.
    fn painted(size: usize, align: usize) -> (Vec<u128>, NonNull<u8>) {
        let mut memory = vec![0_u128; (size + 4 * align + 64) / 16 + 8];
        let base = NonNull::new(memory.as_mut_ptr().cast::<u8>()).expect("not null");
        let offset = base.as_ptr().align_offset(align) + front(align);
        // SAFETY: the memory has room for two alignments, both guards and the block.
        let start = unsafe { base.add(offset) };
        // SAFETY: as above.
        unsafe { paint(start, size, align) };
        (memory, start)
    }

    #[test]
    fn one_stray_byte_on_either_side_is_seen_and_placed() {
        for (size, align) in [(0, 1), (1, 1), (24, 8), (33, 64), (100, 16)] {
            let (_memory, start) = painted(size, align);
            // SAFETY: painted above; the writes stay inside the painted memory.
            unsafe {
                start.write_bytes(7, size);
                assert_eq!(damage(start, size, align), Damage::default());
                start.add(size + 2).write(7);
                assert_eq!(damage(start, size, align).behind, Some(2));
                start.sub(3).write(7);
                assert_eq!(damage(start, size, align).before, Some(3));
            }
        }
    }

    #[test]
    fn a_write_into_poison_is_seen_and_placed() {
        for (size, at) in [(1, 0), (40, 39), (64, 17)] {
            let (_memory, start) = painted(size, 8);
            // SAFETY: painted above; the writes stay inside the block.
            unsafe {
                poison(start, size, false);
                assert_eq!(written(start, size, false), None);
                start.add(at).write(0);
                assert_eq!(written(start, size, false), Some(at));
            }
        }
    }
}
