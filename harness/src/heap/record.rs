//! The record of a block: 16 bytes in which the ledger and the pool keep what they know of it.

pub(crate) const ADDRESS_BITS: u32 = 48;

pub(crate) const HEAP_BITS: u32 = 9;

pub(crate) const SIZE_BITS: u32 = 28;

pub(crate) const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;

/// Sizes from here on don't fit a record.
pub(crate) const SIZE_SIDE: usize = SIZE_MASK as usize;

pub(crate) const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

pub(crate) const FLAG_SHIFT: u32 = ADDRESS_BITS + HEAP_BITS + 5;

/// The block met a bad free or was written over: it has its finding, and is no leak as well.
pub(crate) const FLAG_TAINTED: u64 = 1 << FLAG_SHIFT;

/// The size stands in the side table, at the index that stands in the size's place.
pub(crate) const FLAG_SIDE: u64 = 2 << FLAG_SHIFT;

/// Heaps that can be alive in one run at a time.
pub(crate) const HEAPS_MAX: usize = 1 << HEAP_BITS;

/// A block in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Record {
    /// Overwrites what makes it the record of a block.
    #[inline(always)]
    pub(crate) fn set_word(&mut self, word: u64) {
        self.low = word;
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.low
    }

    #[inline]
    pub(crate) fn key(address: usize, heap: u16, align: usize) -> u64 {
        (address as u64 & ADDRESS_MASK)
            | (heap as u64) << ADDRESS_BITS
            | (align.trailing_zeros() as u64) << (ADDRESS_BITS + HEAP_BITS)
    }

    #[inline]
    pub(crate) fn address(self) -> usize {
        (self.low & ADDRESS_MASK) as usize
    }

    /// The size, of a block that is [`plain`](Self::is_plain).
    #[inline]
    pub(crate) fn small_size(self) -> usize {
        (self.high & SIZE_MASK) as usize
    }

    /// Whether the block is of this heap, aligned to at most 16, without any flag, and of a size
    /// that stands in the record: what the quick routes deal with.
    #[inline]
    pub(crate) fn is_plain(self, heap: u16) -> bool {
        let align = self.low >> (ADDRESS_BITS + HEAP_BITS);
        self.heap() == heap && align <= 4
    }

    #[inline]
    pub(crate) fn heap(self) -> u16 {
        (self.low >> ADDRESS_BITS) as u16 & (HEAPS_MAX as u16 - 1)
    }

    pub(crate) fn align(self) -> usize {
        1 << (self.low >> (ADDRESS_BITS + HEAP_BITS) & 31)
    }
}
