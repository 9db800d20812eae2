//! The record of a block: the 16 bytes in which the ledger and the pool keep what they know of it.
//!
//! ```text
//!  low   | flags 2 | log2(align) 5 | heap 9 | address 48 |
//!  high  | block number 36 | size 28 |
//! ```

pub(crate) const ADDRESS_BITS: u32 = 48;

pub(crate) const HEAP_BITS: u32 = 9;

pub(crate) const SIZE_BITS: u32 = 28;

pub(crate) const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;

/// The smallest size that doesn't fit a record: the ledger keeps it in a side table.
pub(crate) const SIZE_SIDE: usize = SIZE_MASK as usize;

pub(crate) const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;

pub(crate) const FLAG_SHIFT: u32 = ADDRESS_BITS + HEAP_BITS + 5;

/// The block already has a finding (a bad free, an overwritten guard), so it is no leak as well.
pub(crate) const FLAG_TAINTED: u64 = 1 << FLAG_SHIFT;

/// The size is in the ledger's side table; the size bits hold its index there.
pub(crate) const FLAG_SIDE: u64 = 2 << FLAG_SHIFT;

/// The largest number of heaps of one run that can be alive at a time.
pub(crate) const HEAPS_MAX: usize = 1 << HEAP_BITS;

/// A block in 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Record {
    /// Overwrites the address word: the record is then no block's. The pool links its free blocks
    /// by this word.
    #[inline(always)]
    pub(crate) fn set_word(&mut self, word: u64) {
        self.low = word;
    }

    #[inline]
    pub(crate) fn word(self) -> u64 {
        self.low
    }

    /// The low word of an untainted block whose size fits the record.
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

    /// The size of a [plain](Self::is_plain) block.
    #[inline]
    pub(crate) fn small_size(self) -> usize {
        (self.high & SIZE_MASK) as usize
    }

    /// Whether the block is of this heap, aligned to at most 16, without flags, and of a size that
    /// fits the record: the fast path handles only such blocks.
    #[inline]
    pub(crate) fn is_plain(self, heap: u16) -> bool {
        // The flags are above the alignment, so any flag makes this larger than 4.
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
