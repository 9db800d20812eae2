//! Pools of blocks of one size: short strings, and buffers for input and output.

use std::fmt;
use std::ops::Deref;

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::bytes::{Bytes, refused, try_copy};
use super::pool::{Pool, PoolStats, Pooled, Reusable};

/// Strings of at most this length share the blocks of a [`StringPool`].
pub const STRING_BLOCK: usize = 256;
/// The most blocks that a [`StringPool`] keeps.
pub const STRING_BLOCKS: usize = 1024;
/// The size of a [`Buffer`].
pub const BUFFER_BYTES: usize = 4096;

/// The memory of one short string.
#[derive(Debug)]
pub struct StringBlock(Box<[u8; STRING_BLOCK], Heap>);

impl Reusable for StringBlock {
    /// A string says how long it is, so what lies behind it is never read.
    fn reset(&mut self) -> bool {
        true
    }
}

/// A pool of strings: those of up to [`STRING_BLOCK`] bytes are in blocks that are used again, longer
/// ones come straight from the heap and go back to it. Shared with its clones.
#[derive(Clone, Debug)]
pub struct StringPool {
    blocks: Pool<StringBlock>,
    heap: Heap,
}

/// A string of a pool; its block goes back when this is dropped.
pub enum PoolString {
    /// In a block of the pool.
    Short {
        /// The block.
        block: Pooled<StringBlock>,
        /// How many of its bytes are the string: all of them, at most.
        length: usize,
    },
    /// In memory of its own.
    Long(Vec<u8, Heap>),
}

impl StringPool {
    /// An empty pool on this heap; takes no memory yet.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        StringPool { blocks: Pool::new(heap, STRING_BLOCKS), heap: heap.clone() }
    }

    /// A copy of these bytes.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn copy(&self, text: &[u8]) -> Result<PoolString, Refused> {
        if text.len() > STRING_BLOCK {
            return try_copy(text, self.heap.clone()).map(PoolString::Long);
        }
        let mut block = self.blocks.take_or(|heap| {
            Box::try_new_in([0; STRING_BLOCK], heap.clone()).map(StringBlock).map_err(refused)
        })?;
        block.0[..text.len()].copy_from_slice(text);
        Ok(PoolString::Short { block, length: text.len() })
    }

    /// Frees the blocks that are not used, but for this many; returns how many it freed.
    pub fn trim(&self, left: usize) -> usize {
        self.blocks.trim(left)
    }

    /// What became of the blocks.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.blocks.stats()
    }
}

impl Deref for PoolString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            PoolString::Short { block, length } => &block.0[..*length],
            PoolString::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for PoolString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(&**self).fmt(f)
    }
}

/// A buffer of [`BUFFER_BYTES`] that is filled from its beginning.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8; BUFFER_BYTES], Heap>,
    length: usize,
}

impl Buffer {
    /// Appends as many of these bytes as there is room for; returns a view of the others.
    #[must_use]
    pub fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(BUFFER_BYTES - self.length));
        self.bytes[self.length..][..now.len()].copy_from_slice(now);
        self.length += now.len();
        later
    }
}

impl Deref for Buffer {
    type Target = [u8];

    /// What was filled in.
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Reusable for Buffer {
    fn reset(&mut self) -> bool {
        self.length = 0;
        true
    }
}

impl Pool<Buffer> {
    /// An empty buffer.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn take(&self) -> Result<Pooled<Buffer>, Refused> {
        self.take_or(|heap| {
            let bytes = Box::try_new_in([0; BUFFER_BYTES], heap.clone()).map_err(refused)?;
            Ok(Buffer { bytes, length: 0 })
        })
    }
}
