//! Guard bytes around a block, and poison in a freed one: the bytes that a stray write damages.
//!
//! ```text
//!  port's block
//!  ├── front guard ──┬── the subject's block ──┬─ rear guard ─┤
//!  │ max(align, 16)  │ size, exactly as asked  │      16      │
//!  └ B6 B6 … B6 B6   └ DB DB … once it is freed └ B6 … B6
//! ```
//!
//! Guards are checked when a block is freed, on demand and at the end of a run. Of a front guard
//! only the 64 bytes next to the block are painted. A freed block is poisoned and kept from the
//! port for a while (see `quarantine`). A write into it is found when it leaves the quarantine.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use crate::detect::block::Damage;

const GUARD: u8 = 0xB6;
const POISON: u8 = 0xDB;
const WHOLE: u128 = u128::from_ne_bytes([GUARD; 16]);
const REAR: usize = 16;
const FRONT_MIN: usize = 16;
const FRONT_PAINTED_MAX: usize = 64;

/// The offset of the subject's block in the port's block.
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
/// - `start` is `front(align)` bytes into a writable block of the [`padded`] layout for `size` and
///   `align`.
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

/// Compares the guards of a block with what [`paint`] wrote.
///
/// # Safety
/// - `start` was painted with this size and alignment, and its memory is still the heap's.
#[inline]
pub(crate) unsafe fn damage(start: NonNull<u8>, size: usize, align: usize) -> Damage {
    let painted = front(align).min(FRONT_PAINTED_MAX);
    // SAFETY: `paint` wrote exactly these bytes, so they are mapped and initialised.
    let (before, behind) = unsafe {
        (
            std::slice::from_raw_parts(start.as_ptr().sub(painted), painted),
            std::slice::from_raw_parts(start.as_ptr().add(size), REAR),
        )
    };
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
        before: before.iter().rev().position(hit).map(|distance| distance + 1),
        behind: behind.iter().position(hit),
    }
}

/// Fills a freed block with poison, or with zeroes if its contents are secret (`wipe`).
///
/// # Safety
/// - `size` bytes from `start` are writable, and nobody uses them.
#[inline]
pub(crate) unsafe fn poison(start: NonNull<u8>, size: usize, wipe: bool) {
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(if wipe { 0 } else { POISON }, size) }
}

/// Overwrites a block with zeroes by volatile writes, which the optimiser may not remove.
///
/// # Safety
/// - `size` bytes from `start` are writable, and nobody uses them.
pub(crate) unsafe fn wipe(start: NonNull<u8>, size: usize) {
    for offset in 0..size {
        // SAFETY: the caller's promise.
        unsafe { start.add(offset).write_volatile(0) }
    }
}

/// Whether every byte of a freed block still is what [`poison`] wrote.
///
/// # Safety
/// - `start` was poisoned with this size and `wipe`, and its memory is still the heap's.
#[inline]
pub(crate) unsafe fn is_unwritten(start: NonNull<u8>, size: usize, wipe: bool) -> bool {
    let poison = if wipe { 0 } else { POISON };
    // SAFETY: `poison` wrote exactly these bytes, so they are mapped and initialised.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), size) };
    match bytes.first_chunk::<16>() {
        // All bytes are alike if each is like the one 16 before it. Comparing the block with itself
        // in this way is the C library's `memcmp`, which is faster than a loop here.
        Some(first) => *first == [poison; 16] && bytes[16..] == bytes[..size - 16],
        None => bytes.iter().all(|byte| *byte == poison),
    }
}

/// The offset of the first byte of a freed block that was overwritten.
///
/// # Safety
/// - As for [`is_unwritten`].
#[inline]
pub(crate) unsafe fn written(start: NonNull<u8>, size: usize, wipe: bool) -> Option<usize> {
    // SAFETY: the caller's promise.
    if unsafe { is_unwritten(start, size, wipe) } {
        return None;
    }
    let poison = if wipe { 0 } else { POISON };
    // SAFETY: as in `is_unwritten`.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), size) };
    bytes.iter().position(|byte| *byte != poison)
}

/// The length of either guard of a block that is aligned to at most 16.
pub(crate) const LEAD: usize = FRONT_MIN;
const _: () = assert!(FRONT_MIN == REAR);

/// The bytes that both guards of such a block take together.
pub(crate) const QUICK_ROOM: usize = FRONT_MIN + REAR;

/// [`paint`] for a block that is aligned to at most 16. Returns the start of the subject's block.
///
/// # Safety
/// - `size + QUICK_ROOM` bytes from `base` are writable.
#[inline(always)]
pub(crate) unsafe fn paint_quickly(base: NonNull<u8>, size: usize) -> NonNull<u8> {
    // SAFETY: the caller's promise.
    unsafe {
        base.cast::<u128>().write_unaligned(WHOLE);
        base.add(FRONT_MIN + size).cast::<u128>().write_unaligned(WHOLE);
        base.add(FRONT_MIN)
    }
}

/// Whether both guards of a block that is aligned to at most 16 are undamaged.
///
/// # Safety
/// - `start` was painted with this size, and its memory is still the heap's.
#[inline(always)]
pub(crate) unsafe fn is_whole(start: NonNull<u8>, size: usize) -> bool {
    // SAFETY: `paint` wrote at least 16 bytes on either side.
    unsafe {
        start.sub(FRONT_MIN).cast::<u128>().read_unaligned() == WHOLE
            && start.add(size).cast::<u128>().read_unaligned() == WHOLE
    }
}

/// The start of the port's block around a subject's block that is aligned to at most 16.
///
/// # Safety
/// - `start` was returned by [`paint_quickly`], or was painted with such an alignment.
#[inline(always)]
pub(crate) unsafe fn base_of(start: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: the front guard of such a block is `FRONT_MIN` bytes long.
    unsafe { start.sub(FRONT_MIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A painted block of `size` bytes, aligned to `align`, and the memory that it is in.
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
