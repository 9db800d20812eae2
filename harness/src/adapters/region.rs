//! A fixed-region allocator of embedded code as a port: it is used exclusively, and knows neither
//! a trait nor resizes.
#![allow(unsafe_code)]

use std::alloc::{Layout, System};
use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::port::{Port, Refused};

/// How such allocators name a block: a [`NonNull<u8>`], or a pointer that is null where there is
/// none.
pub trait Start: Sized {
    #[doc(hidden)]
    fn of(block: NonNull<u8>) -> Self;
}

impl Start for NonNull<u8> {
    fn of(block: NonNull<u8>) -> Self {
        block
    }
}

impl Start for *mut u8 {
    fn of(block: NonNull<u8>) -> Self {
        block.as_ptr()
    }
}

/// How such allocators answer a request: an `Option`, a `Result`, or a pointer that may be null.
pub trait Granted {
    #[doc(hidden)]
    fn granted(self) -> Option<NonNull<u8>>;
}

impl Granted for Option<NonNull<u8>> {
    fn granted(self) -> Option<NonNull<u8>> {
        self
    }
}

impl<E> Granted for Result<NonNull<u8>, E> {
    fn granted(self) -> Option<NonNull<u8>> {
        self.ok()
    }
}

impl Granted for *mut u8 {
    fn granted(self) -> Option<NonNull<u8>> {
        NonNull::new(self)
    }
}

/// A fixed-region allocator as a [`Port`]: a heap with `&mut self` functions that take and give
/// blocks, as embedded code has them behind its lock.
///
/// `B` is how it names a block that is given back, `R` how it answers a request. The functions are
/// handed in by their names, `unsafe` ones as well, so the caller writes none: that they are an
/// allocator's is believed, as it is of whoever implements `GlobalAlloc`, and
/// [`conformance`](crate::conformance) finds out.
///
/// ```
/// use std::alloc::Layout;
/// use std::mem::MaybeUninit;
/// use std::ptr::NonNull;
/// use mallory::adapters::RegionPort;
/// use mallory::conformance;
///
/// /// Cuts blocks off its memory, and takes back the last one only.
/// struct Heap {
///     rest: &'static mut [MaybeUninit<u8>],
/// }
///
/// impl Heap {
///     fn new(rest: &'static mut [MaybeUninit<u8>]) -> Heap {
///         Heap { rest }
///     }
///
///     fn alloc(&mut self, layout: Layout) -> Option<NonNull<u8>> {
///         let skip = self.rest.as_ptr().align_offset(layout.align());
///         let (block, rest) =
///             std::mem::take(&mut self.rest).split_at_mut_checked(skip.checked_add(layout.size())?)?;
///         self.rest = rest;
///         NonNull::new(block[skip..].as_mut_ptr().cast())
///     }
///
///     unsafe fn dealloc(&mut self, _: NonNull<u8>, _: Layout) {}
/// }
///
/// let port = || RegionPort::new(1 << 20, Heap::new, Heap::alloc, Heap::dealloc);
/// conformance(port).max_size(256).run().assert_clean();
/// ```
pub struct RegionPort<A, B = NonNull<u8>, R = Option<NonNull<u8>>> {
    heap: RefCell<A>,
    take: unsafe fn(&mut A, Layout) -> R,
    give: unsafe fn(&mut A, B, Layout),
}

/// The largest alignment of a region: where in it aligned blocks fit is then the same each time.
const ALIGN_MAX: usize = 1 << 20;

/// Memory for ever, full of what nobody wrote: an allocator that believes it to be zero shows.
fn region(bytes: usize) -> &'static mut [MaybeUninit<u8>] {
    let align = bytes.clamp(1, ALIGN_MAX).next_power_of_two();
    let layout = Layout::from_size_align(bytes.max(1), align).ok();
    // SAFETY: not empty.
    let start = layout.map(|layout| unsafe { std::alloc::GlobalAlloc::alloc(&System, layout) });
    let start = start.and_then(NonNull::new).unwrap_or_else(|| {
        panic!("there is no memory for a region of {bytes} bytes: ask for a smaller one")
    });
    // SAFETY: so many bytes, just allocated, nobody else's, and never given back.
    unsafe {
        start.write_bytes(0xA5, bytes);
        NonNull::slice_from_raw_parts(start.cast(), bytes).as_mut()
    }
}

impl<A, B: Start, R: Granted> RegionPort<A, B, R> {
    /// Over so many bytes, aligned to as much: `make` makes the heap of them, `take` takes a block
    /// from it, `give` gives one back.
    ///
    /// The bytes are never freed, since nobody knows how long the heap uses them: a port for
    /// tests.
    ///
    /// # Panics
    /// Where the system has not so many bytes.
    pub fn new(
        bytes: usize,
        make: impl FnOnce(&'static mut [MaybeUninit<u8>]) -> A,
        take: unsafe fn(&mut A, Layout) -> R,
        give: unsafe fn(&mut A, B, Layout),
    ) -> Self {
        RegionPort { heap: RefCell::new(make(region(bytes))), take, give }
    }
}

impl<A: fmt::Debug, B, R> fmt::Debug for RegionPort<A, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionPort").field(&self.heap).finish()
    }
}

/// Such allocators need not know empty blocks: one byte gives them an address of their own.
fn some(layout: Layout) -> Result<Layout, Refused> {
    Layout::from_size_align(layout.size().max(1), layout.align()).map_err(|_| Refused)
}

// SAFETY: the allocator's own promise, for sizes above zero, to which all are raised, in and out
// alike; every block is exactly as long as it was asked for, so that is the only layout that fits.
// Zeroes and resizes are made of these two.
unsafe impl<A, B: Start, R: Granted> Port for RegionPort<A, B, R> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let mut heap = self.heap.try_borrow_mut().map_err(|_| Refused)?;
        // SAFETY: the heap's own function, used exclusively, and the size is not zero.
        let start = unsafe { (self.take)(&mut heap, some(layout)?) }.granted().ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        if let (Ok(mut heap), Ok(layout)) = (self.heap.try_borrow_mut(), some(layout)) {
            // SAFETY: the caller hands in a live block, which was made with this layout.
            unsafe { (self.give)(&mut heap, B::of(block), layout) }
        }
    }
}
