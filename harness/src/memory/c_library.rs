//! The C library's allocator, past everything that takes the place of `malloc`.
#![allow(unsafe_code)]

#[cfg(not(all(feature = "preload", target_os = "linux", target_env = "gnu")))]
pub(crate) use std::alloc::System as CLibrary;

#[cfg(all(feature = "preload", target_os = "linux", target_env = "gnu"))]
pub(crate) use self::glibc::CLibrary;

/// A block of at least 16 bytes' alignment from the C library, or null.
#[cfg(unix)]
#[inline(always)]
pub(crate) fn malloc(size: usize) -> *mut u8 {
    #[cfg(all(feature = "preload", target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes any size.
    return unsafe { glibc::__libc_malloc(size) }.cast();
    #[cfg(not(all(feature = "preload", target_os = "linux", target_env = "gnu")))]
    // SAFETY: takes any size.
    return unsafe { libc::malloc(size) }.cast();
}

/// Gives such a block back.
///
/// # Safety
/// - It came from [`malloc`] or from [`CLibrary`], and nobody uses it.
#[cfg(unix)]
#[inline(always)]
pub(crate) unsafe fn free(start: *mut u8) {
    #[cfg(all(feature = "preload", target_os = "linux", target_env = "gnu"))]
    // SAFETY: the caller's promise.
    return unsafe { glibc::__libc_free(start.cast()) };
    #[cfg(not(all(feature = "preload", target_os = "linux", target_env = "gnu")))]
    // SAFETY: the caller's promise.
    return unsafe { libc::free(start.cast()) };
}

#[cfg(all(feature = "preload", target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::alloc::{GlobalAlloc, Layout};

    use libc::c_void;

    unsafe extern "C" {
        pub(super) fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(start: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
        pub(super) fn __libc_free(start: *mut c_void);
    }

    /// The alignment of every block of `malloc`.
    const ALIGN: usize = 16;

    /// The C library's allocator, by the names that nothing takes the place of.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct CLibrary;

    // SAFETY: glibc's functions keep the contract: `malloc` aligns to 16, `memalign` to any power of
    // two, `free` takes the blocks of both, and `realloc` keeps an alignment of at most 16.
    unsafe impl GlobalAlloc for CLibrary {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: takes any size, and an alignment that is a power of two.
            unsafe {
                match layout.align() <= ALIGN {
                    true => __libc_malloc(layout.size()).cast(),
                    false => __libc_memalign(layout.align(), layout.size()).cast(),
                }
            }
        }

        #[inline]
        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if layout.align() <= ALIGN {
                // SAFETY: takes any numbers.
                return unsafe { __libc_calloc(1, layout.size()).cast() };
            }
            // SAFETY: the caller's promise; the block has the size that is zeroed.
            unsafe {
                let start = self.alloc(layout);
                if !start.is_null() {
                    start.write_bytes(0, layout.size());
                }
                start
            }
        }

        #[inline]
        unsafe fn dealloc(&self, start: *mut u8, _: Layout) {
            // SAFETY: the caller's promise.
            unsafe { __libc_free(start.cast()) }
        }

        unsafe fn realloc(&self, start: *mut u8, old: Layout, size: usize) -> *mut u8 {
            if old.align() <= ALIGN {
                // SAFETY: the caller's promise.
                return unsafe { __libc_realloc(start.cast(), size).cast() };
            }
            // SAFETY: the caller's promise: the size doesn't overflow when it is rounded up, and both
            // blocks have the bytes that are copied.
            unsafe {
                let new = Layout::from_size_align_unchecked(size, old.align());
                let fresh = self.alloc(new);
                if !fresh.is_null() {
                    fresh.copy_from_nonoverlapping(start, old.size().min(size));
                    self.dealloc(start, old);
                }
                fresh
            }
        }
    }
}
