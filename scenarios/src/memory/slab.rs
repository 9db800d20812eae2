//! The slab: small blocks of four sizes, cut from superblocks, and used again as soon as they are
//! freed.
//!
//! ```text
//!  superblock  | older, blocks used | block | block | block | never used yet …  |
//!              0                    bin's size              ^ used            64 KiB
//! ```
//!
//! A slab serves one thread (it is `Send`, not `Sync`): a thread that needs one makes its own. A
//! block goes back to the slab that it came from. Freeing a block that is in none of the slab's
//! superblocks, such as a block of another thread's slab, changes nothing and is counted.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use mallory::{Heap, Port, Refused};

use super::direct::Direct;
use super::source::{MAX_ALIGN, Source};

/// The sizes of blocks. Requests for more, or for a larger alignment, go straight to the port.
pub const BINS: [usize; 4] = [32, 64, 128, 256];

/// What is allocated from the port at a time, for one bin.
pub const SUPERBLOCK: usize = 64 << 10;

/// A block's place is a multiple of its bin's size, and so is aligned to it.
const LAYOUT: Layout = match Layout::from_size_align(SUPERBLOCK, BINS[BINS.len() - 1]) {
    Ok(layout) => layout,
    Err(_) => panic!("a superblock has a layout"),
};

/// The header of a superblock, in the place of its first block.
struct Superblock {
    older: Option<NonNull<Superblock>>,
    /// Bytes that have been handed out at least once, this header included.
    used: Cell<usize>,
}

const _: () = assert!(size_of::<Superblock>() <= BINS[0] && BINS[0].is_multiple_of(MAX_ALIGN));

/// A free block: it contains the link to the next one.
struct Free {
    next: Option<NonNull<Free>>,
}

/// The blocks of one size.
#[derive(Default)]
struct Bin {
    free: Cell<Option<NonNull<Free>>>,
    newest: Cell<Option<NonNull<Superblock>>>,
}

/// A slab over a port.
///
/// Superblocks are kept until the slab is dropped.
pub struct Slab<P: Port> {
    source: Source<P>,
    bins: [Bin; BINS.len()],
    /// Blocks that are too large for a bin; under the kill switch all blocks.
    singles: Direct,
    /// The kill switch.
    direct: bool,
    strangers: Cell<usize>,
}

// SAFETY: the superblocks that the pointers lead to belong to this value alone, as a `Vec`'s buffer
// does. It stays not `Sync`: its cells are unguarded.
unsafe impl<P: Port + Send> Send for Slab<P> {}

impl<P: Port> Slab<P> {
    /// A slab over this port; takes no memory yet.
    #[must_use]
    pub fn new(port: P) -> Self {
        Slab::made(port, false)
    }

    /// A slab under the kill switch: every allocation and every free goes straight to the port.
    /// Otherwise it behaves the same.
    #[must_use]
    pub fn direct(port: P) -> Self {
        Slab::made(port, true)
    }

    fn made(port: P, direct: bool) -> Self {
        let source = Source::new(port, usize::MAX);
        let (bins, singles) = Default::default();
        Slab { source, bins, singles, direct, strangers: Cell::new(0) }
    }

    /// Sets the most bytes that may be allocated from the port at once; without it there is no limit.
    #[must_use]
    pub fn capped(mut self, bytes: usize) -> Self {
        self.source.cap = bytes;
        self
    }

    /// Wipes memory as soon as it is freed: for secrets.
    #[must_use]
    pub fn zero_on_free(mut self) -> Self {
        self.source.zero_on_free = true;
        self
    }

    /// Bytes currently allocated from the port, including free blocks and headers.
    #[must_use]
    pub fn held(&self) -> usize {
        self.source.held()
    }

    /// The most that [`held`](Self::held) has been.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.source.peak()
    }

    /// How many calls were refused because their block, of a bin's size, is not of this slab.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.strangers.get()
    }

    /// A block of bytes, aligned to [`MAX_ALIGN`].
    ///
    /// # Errors
    /// [`Refused`] if there is no memory.
    pub fn bytes(&self, size: usize) -> Result<Piece<'_, P>, Refused> {
        self.bytes_aligned(size, MAX_ALIGN)
    }

    /// A block of bytes, aligned to `align`.
    ///
    /// # Errors
    /// [`Refused`] if there is no memory, and for an alignment that is not a power of two.
    pub fn bytes_aligned(&self, size: usize, align: usize) -> Result<Piece<'_, P>, Refused> {
        let layout = Layout::from_size_align(size, align).map_err(|_| Refused)?;
        Ok(Piece { slab: self, start: self.place(layout)?, layout })
    }

    /// The bin whose blocks fit this layout.
    fn bin(&self, layout: Layout) -> Option<usize> {
        let least = layout.size().max(layout.align());
        BINS.iter().position(|size| least <= *size).filter(|_| !self.direct)
    }

    fn place(&self, layout: Layout) -> Result<NonNull<u8>, Refused> {
        match self.bin(layout) {
            Some(bin) => self.take(bin),
            None => self.singles.alloc(&self.source, layout),
        }
    }

    /// A block of a bin: one that was used before, or the next of the newest superblock.
    fn take(&self, bin: usize) -> Result<NonNull<u8>, Refused> {
        let Bin { free, newest } = &self.bins[bin];
        if let Some(block) = free.get() {
            // SAFETY: blocks in the list are nobody's, and were written when they came into it.
            free.set(unsafe { block.read() }.next);
            return Ok(block.cast());
        }
        let full = |superblock: &NonNull<Superblock>| {
            // SAFETY: superblocks in the list are alive, and their headers are written before.
            unsafe { superblock.as_ref() }.used.get() + BINS[bin] > SUPERBLOCK
        };
        let superblock = match newest.get().filter(|newest| !full(newest)) {
            Some(superblock) => superblock,
            None => self.add_superblock(bin)?,
        };
        // SAFETY: as above.
        let used = &unsafe { superblock.as_ref() }.used;
        let start = used.replace(used.get() + BINS[bin]);
        // SAFETY: a block of this size begins there inside the superblock: it is not full.
        Ok(unsafe { superblock.cast::<u8>().add(start) })
    }

    fn add_superblock(&self, bin: usize) -> Result<NonNull<Superblock>, Refused> {
        let newest = &self.bins[bin].newest;
        let superblock = self.source.take(LAYOUT)?.cast::<Superblock>();
        let header = Superblock { older: newest.get(), used: Cell::new(BINS[bin]) };
        // SAFETY: it was just taken, and is long enough and aligned for a header.
        unsafe { superblock.write(header) };
        newest.set(Some(superblock));
        Ok(superblock)
    }

    /// The block that begins at this address, if one of this bin was ever handed out there. It is
    /// reached from the superblock, so that neighbours' memory may be touched from it, and nothing
    /// is read that isn't this slab's.
    fn find(&self, bin: usize, block: NonNull<u8>) -> Option<NonNull<u8>> {
        let mut next = self.bins[bin].newest.get();
        while let Some(superblock) = next {
            // SAFETY: superblocks in the list are alive, and their headers are written before.
            let Superblock { older, used } = unsafe { superblock.as_ref() };
            let offset = block.addr().get().wrapping_sub(superblock.addr().get());
            if offset < used.get() {
                if offset < BINS[bin] || !offset.is_multiple_of(BINS[bin]) {
                    break;
                }
                // SAFETY: the offset is inside the superblock (just compared).
                return Some(unsafe { superblock.cast::<u8>().add(offset) });
            }
            next = *older;
        }
        self.strangers.set(self.strangers.get() + 1);
        None
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// - `block` is alive, and `layout` fits it;
    /// - it is of this slab, or of another one and of a bin's size;
    /// - it is not used afterwards.
    unsafe fn put(&self, block: NonNull<u8>, layout: Layout) {
        let Some(bin) = self.bin(layout) else {
            // SAFETY: `alloc` returns just the size asked for, so the layout is the block's own;
            // the rest is the caller's promise.
            return unsafe { self.singles.free(&self.source, block, layout) };
        };
        if let Some(block) = self.find(bin, block) {
            let free = &self.bins[bin].free;
            // SAFETY: the block is of this size (`find`), and its user frees it.
            unsafe { self.source.wipe(block, BINS[bin]) };
            // SAFETY: as above; a block is long enough, and aligned for the link.
            unsafe { block.cast().write(Free { next: free.get() }) };
            free.set(Some(block.cast()));
        }
    }

    /// Grows or shrinks a block: in place, or by allocating, copying and freeing.
    ///
    /// # Safety
    /// - `block` is alive, and `old` fits it;
    /// - it is of this slab, or of another one and of a bin's size.
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let (from, to) = (self.bin(old), self.bin(new));
        if let Some(bin) = from {
            let block = self.find(bin, block).ok_or(Refused)?;
            if to == from {
                let tail = old.size().saturating_sub(new.size());
                // SAFETY: the tail is inside the block, and its user frees it.
                unsafe { self.source.wipe(block.add(old.size() - tail), tail) };
                return Ok(NonNull::slice_from_raw_parts(block, new.size()));
            }
        }
        let fresh = self.place(new)?;
        // SAFETY: both blocks are alive and disjoint, and at least as long as the smaller size;
        // `old` fits `block` (the caller's promise), which is of this slab (found above).
        unsafe {
            fresh.copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.put(block, old);
        }
        Ok(NonNull::slice_from_raw_parts(fresh, new.size()))
    }
}

// SAFETY: blocks are disjoint parts of superblocks, or allocations of their own; each is at a
// multiple of its bin's size, which is at least its alignment; a resize that finds no room leaves
// the old block as it is; a slab has no clones; nothing here unwinds.
unsafe impl<P: Port> Port for Slab<P> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        Ok(NonNull::slice_from_raw_parts(self.place(layout)?, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.put(block, layout) }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.resize(block, old, new) }
    }
}

impl<P: Port> Drop for Slab<P> {
    fn drop(&mut self) {
        // SAFETY: the slab is going; who took a block promised not to use it longer than that.
        unsafe { self.singles.free_all(&self.source) };
        for bin in &self.bins {
            let mut next = bin.newest.take();
            while let Some(superblock) = next {
                // SAFETY: the superblock is alive: the list was taken out, and is walked once.
                next = unsafe { superblock.as_ref() }.older;
                // SAFETY: it was taken of the source with this layout, and nobody uses its blocks:
                // as above.
                unsafe { self.source.give(superblock.cast(), LAYOUT) };
            }
        }
    }
}

/// A block of a slab, given back when this is dropped.
pub struct Piece<'s, P: Port> {
    slab: &'s Slab<P>,
    start: NonNull<u8>,
    layout: Layout,
}

impl<P: Port> Deref for Piece<'_, P> {
    type Target = [MaybeUninit<u8>];

    fn deref(&self) -> &[MaybeUninit<u8>] {
        let block = NonNull::slice_from_raw_parts(self.start.cast(), self.layout.size());
        // SAFETY: the block is that long, and this one's until it is dropped.
        unsafe { block.as_ref() }
    }
}

impl<P: Port> DerefMut for Piece<'_, P> {
    fn deref_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let mut block = NonNull::slice_from_raw_parts(self.start.cast(), self.layout.size());
        // SAFETY: as in `deref`, and it is borrowed exclusively.
        unsafe { block.as_mut() }
    }
}

impl<P: Port> Drop for Piece<'_, P> {
    fn drop(&mut self) {
        // SAFETY: it came from this slab with this layout, and goes once.
        unsafe { self.slab.put(self.start, self.layout) };
    }
}

/// The present thread's slab over `heap`, watched as a heap named `slab`: a block that another
/// thread frees stays as it is, and is reported as `wrong-thread`.
///
/// Under the kill switch ([`Heap::bypass`]) it passes every allocation straight to `heap`.
///
/// ```
/// use allocator_api2::boxed::Box;
/// use mallory_scenarios::memory::slab_over;
/// let slab = slab_over(&mallory::Heap::new());
/// let pair = Box::try_new_in(("peak-bytes", 48_211), slab).expect("there is memory");
/// # assert_eq!(pair.1, 48_211);
/// ```
#[must_use]
pub fn slab_over(heap: &Heap) -> Heap {
    let slab = if heap.bypass() { Slab::direct(heap.clone()) } else { Slab::new(heap.clone()) };
    heap.confine("slab", slab)
}
