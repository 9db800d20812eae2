//! Blocks as C code and unsafe code have them: with pointers that outlive them, and accesses that
//! nothing checks.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Port};

use crate::planted::Oom;

/// A pointer to a block's first byte. It may outlive the block: that is one of the bugs.
#[derive(Clone, Copy)]
pub(super) struct Pointer(NonNull<u8>);

impl Pointer {
    /// The byte at this offset.
    pub(super) fn get(self, at: usize) -> u8 {
        // SAFETY: planted bugs read where they may not; a corrected twin stays within its block.
        unsafe { self.0.as_ptr().wrapping_add(at).read_volatile() }
    }

    /// Writes a byte at this offset.
    pub(super) fn set(self, at: usize, byte: u8) {
        // SAFETY: as in `get`.
        unsafe { self.0.as_ptr().wrapping_add(at).write_volatile(byte) }
    }

    /// The pointer this far before it.
    pub(super) fn before(self, by: usize) -> Pointer {
        Pointer(NonNull::new(self.0.as_ptr().wrapping_sub(by)).unwrap_or(self.0))
    }

    /// The pointer this far behind it.
    pub(super) fn after(self, by: usize) -> Pointer {
        Pointer(NonNull::new(self.0.as_ptr().wrapping_add(by)).unwrap_or(self.0))
    }

    /// Copies bytes to an offset.
    pub(super) fn put(self, at: usize, bytes: &[u8]) {
        bytes.iter().enumerate().for_each(|(nth, byte)| self.set(at + nth, *byte));
    }

    /// The sum of the bytes in a range: what is made of bytes that are read.
    pub(super) fn sum(self, range: std::ops::Range<usize>) -> u64 {
        range.map(|at| u64::from(self.get(at))).sum()
    }
}

/// A block and who frees it.
pub(super) struct Block {
    heap: Heap,
    start: NonNull<u8>,
    layout: Layout,
}

impl Block {
    /// A block of this many bytes, which nobody has written yet.
    pub(super) fn new(heap: &Heap, size: usize) -> Result<Block, Oom> {
        let layout = Layout::array::<u8>(size).map_err(|_| Oom)?;
        Ok(Block { heap: heap.clone(), start: heap.alloc(layout)?.cast(), layout })
    }

    /// A block of zeroes.
    pub(super) fn zeroed(heap: &Heap, size: usize) -> Result<Block, Oom> {
        let block = Block::new(heap, size)?;
        (0..size).for_each(|at| block.pointer().set(at, 0));
        Ok(block)
    }

    /// A block that holds these bytes.
    pub(super) fn of(heap: &Heap, bytes: &[u8]) -> Result<Block, Oom> {
        let block = Block::new(heap, bytes.len())?;
        block.pointer().put(0, bytes);
        Ok(block)
    }

    pub(super) fn pointer(&self) -> Pointer {
        Pointer(self.start)
    }

    pub(super) fn len(&self) -> usize {
        self.layout.size()
    }

    /// A second owner of the same block. Each frees it: that is one of the bugs.
    pub(super) fn second_owner(&self) -> Block {
        Block { heap: self.heap.clone(), start: self.start, layout: self.layout }
    }

    /// An owner of what lies behind this pointer, as if a block began there.
    pub(super) fn owner_of(&self, pointer: Pointer) -> Block {
        Block { heap: self.heap.clone(), start: pointer.0, layout: self.layout }
    }

    /// Makes room for more bytes. The block may move.
    pub(super) fn grow(&mut self, size: usize) -> Result<(), Oom> {
        let mut larger = Block::new(&self.heap, size)?;
        (0..self.len().min(size)).for_each(|at| larger.pointer().set(at, self.pointer().get(at)));
        std::mem::swap(self, &mut larger);
        Ok(())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the owner has not freed it before, but in planted bugs.
        unsafe { self.heap.free(self.start, self.layout) };
    }
}
