//! Adapters: what a heap looks like to code that knows somebody else's allocator trait.
#![allow(unsafe_code)]

/// Makes a heap an `Allocator` of one version of allocator-api2: their traits are alike, and yet
/// different traits.
#[cfg(any(feature = "allocator-api2", feature = "allocator-api2-04"))]
macro_rules! heap_is_an_allocator_of {
    ($version:ident) => {
        use std::alloc::Layout;
        use std::ptr::NonNull;

        use $version::alloc::{AllocError, Allocator};

        use crate::heap::Heap;
        use crate::port::{Port, Refused};

        fn answer(block: Result<NonNull<[u8]>, Refused>) -> Result<NonNull<[u8]>, AllocError> {
            block.map_err(|Refused| AllocError)
        }

        // SAFETY: clones of a heap are the same heap; a block stays valid until it is freed, resized or
        // reclaimed; `Port`, which the heap keeps, promises the rest.
        unsafe impl Allocator for Heap {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                answer(self.alloc(layout))
            }

            #[inline(always)]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                answer(self.alloc_zeroed(layout))
            }

            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's obligations are the port's.
                unsafe { self.free(block, layout) }
            }

            #[inline(always)]
            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's obligations are the port's.
                answer(unsafe { Port::grow(self, block, old, new) })
            }

            #[inline(always)]
            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's obligations are the port's.
                answer(unsafe { Heap::grow_zeroed(self, block, old, new) })
            }

            #[inline(always)]
            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's obligations are the port's.
                answer(unsafe { Port::shrink(self, block, old, new) })
            }
        }
    };
}

#[cfg(feature = "allocator-api2")]
mod allocator_api2;
#[cfg(feature = "allocator-api2-04")]
mod allocator_api2_04;
