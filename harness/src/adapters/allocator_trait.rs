//! Adapters between a heap or a port and an `Allocator` trait. They are macros, since
//! allocator-api2 0.2, allocator-api2 0.4 and std have three different traits with the same
//! methods.
#![allow(unsafe_code)]

/// Implements one version of allocator-api2's `Allocator` for `Heap`.
#[cfg(any(feature = "allocator-api2", feature = "allocator-api2-04"))]
macro_rules! heap_is_an_allocator_of {
    ($version:ident) => {
        use std::alloc::Layout;
        use std::ptr::NonNull;

        use $version::alloc::{AllocError, Allocator};

        use crate::heap::Heap;
        use crate::port::{Port, Refused};

        fn convert(result: Result<NonNull<[u8]>, Refused>) -> Result<NonNull<[u8]>, AllocError> {
            result.map_err(|Refused| AllocError)
        }

        // SAFETY: clones of a heap are the same heap; a block stays valid until it is freed,
        // resized or reclaimed; the contract of `Port`, which the heap keeps, promises the rest.
        unsafe impl Allocator for Heap {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                convert(self.alloc(layout))
            }

            #[inline(always)]
            fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
                convert(self.alloc_zeroed(layout))
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
                convert(unsafe { Port::grow(self, block, old, new) })
            }

            #[inline(always)]
            unsafe fn grow_zeroed(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's obligations are the port's.
                convert(unsafe { Heap::grow_zeroed(self, block, old, new) })
            }

            #[inline(always)]
            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Result<NonNull<[u8]>, AllocError> {
                // SAFETY: the caller's obligations are the port's.
                convert(unsafe { Port::shrink(self, block, old, new) })
            }
        }
    };
}

/// Defines a newtype that makes an allocator of one `Allocator` trait a port.
#[cfg(any(feature = "allocator-api2", feature = "allocator-api2-04", mallory_std_allocator))]
macro_rules! port_of_an_allocator {
    ($(#[$docs:meta])* $name:ident, $($allocator:tt)+) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name<A>(
            /// The allocator.
            pub A,
        );

        // SAFETY: the contract of `Allocator` is the port's: fitting layouts are the same, a failed
        // resize leaves the old block, and clones own each other's blocks.
        unsafe impl<A: $($allocator)+> crate::port::Port for $name<A> {
            #[inline]
            fn alloc(
                &self,
                layout: std::alloc::Layout,
            ) -> Result<std::ptr::NonNull<[u8]>, crate::port::Refused> {
                self.0.allocate(layout).map_err(|_| crate::port::Refused)
            }

            #[inline]
            fn alloc_zeroed(
                &self,
                layout: std::alloc::Layout,
            ) -> Result<std::ptr::NonNull<[u8]>, crate::port::Refused> {
                self.0.allocate_zeroed(layout).map_err(|_| crate::port::Refused)
            }

            #[inline]
            unsafe fn free(&self, block: std::ptr::NonNull<u8>, layout: std::alloc::Layout) {
                // SAFETY: the caller's obligations are the allocator's.
                unsafe { self.0.deallocate(block, layout) }
            }

            #[inline]
            unsafe fn grow(
                &self,
                block: std::ptr::NonNull<u8>,
                old: std::alloc::Layout,
                new: std::alloc::Layout,
            ) -> Result<std::ptr::NonNull<[u8]>, crate::port::Refused> {
                // SAFETY: the caller's obligations are the allocator's.
                unsafe { self.0.grow(block, old, new) }.map_err(|_| crate::port::Refused)
            }

            #[inline]
            unsafe fn shrink(
                &self,
                block: std::ptr::NonNull<u8>,
                old: std::alloc::Layout,
                new: std::alloc::Layout,
            ) -> Result<std::ptr::NonNull<[u8]>, crate::port::Refused> {
                // SAFETY: the caller's obligations are the allocator's.
                unsafe { self.0.shrink(block, old, new) }.map_err(|_| crate::port::Refused)
            }
        }
    };
}
