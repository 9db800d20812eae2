//! A fixed-region allocator of embedded code as a port. Such an allocator implements no trait, is
//! used by `&mut self`, and has no resizes.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::RefCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::adapters::region_memory::guarded_region;
use crate::port::{Port, Refused};

/// How such an allocator takes a block to free: as a [`NonNull<u8>`] or as a pointer.
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

/// How such an allocator returns a block: as an `Option`, a `Result`, or a pointer that may be
/// null.
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

/// A fixed-region allocator as a [`Port`]: a heap with `&mut self` functions that allocate and
/// free, as embedded code keeps it inside a lock.
///
/// `B` is the type of a block that is freed, `R` the result of a request. The functions are passed
/// by name, `unsafe` ones as well, so no `unsafe` code has to be written. The port trusts them to
/// be an allocator's, as `GlobalAlloc` trusts its implementors, and
/// [`conformance`](crate::conformance()) tests it.
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
///             std::mem::take(&mut
///             self.rest).split_at_mut_checked(skip.checked_add(layout.size())?)?;
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

impl<A, B: Start, R: Granted> RegionPort<A, B, R> {
    /// A port over a [`guarded_region`] of `bytes` bytes. `make` makes the allocator of the region,
    /// `take` allocates a block, `give` frees one.
    ///
    /// The region is never freed, since nobody knows how long the allocator uses it: the port is
    /// for tests.
    ///
    /// # Panics
    /// If the system has no memory for the region.
    pub fn new(
        bytes: usize,
        make: impl FnOnce(&'static mut [MaybeUninit<u8>]) -> A,
        take: unsafe fn(&mut A, Layout) -> R,
        give: unsafe fn(&mut A, B, Layout),
    ) -> Self {
        RegionPort { heap: RefCell::new(make(guarded_region(bytes))), take, give }
    }
}

impl<A: fmt::Debug, B, R> fmt::Debug for RegionPort<A, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionPort").field(&self.heap).finish()
    }
}

/// Such allocators need not support blocks of zero bytes: one byte gives them an address of their
/// own.
fn non_empty(layout: Layout) -> Result<Layout, Refused> {
    Layout::from_size_align(layout.size().max(1), layout.align()).map_err(|_| Refused)
}

// SAFETY: the allocator's own promise for sizes above zero; sizes of zero are raised to one, for
// requests and frees alike. Every block is exactly as long as requested, so only its own layout
// fits it. The trait's other methods are made of these two.
unsafe impl<A, B: Start, R: Granted> Port for RegionPort<A, B, R> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let mut heap = self.heap.try_borrow_mut().map_err(|_| Refused)?;
        // SAFETY: the heap's own function, used exclusively, and the size is not zero.
        let start =
            unsafe { (self.take)(&mut heap, non_empty(layout)?) }.granted().ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        if let (Ok(mut heap), Ok(layout)) = (self.heap.try_borrow_mut(), non_empty(layout)) {
            // SAFETY: a live block (the caller's promise), made with this layout.
            unsafe { (self.give)(&mut heap, B::of(block), layout) }
        }
    }
}
