//! The memory of the harness's own tables: the system's, or in a preloaded library that of a region
//! apart.
#![allow(unsafe_code)]

#[cfg(not(feature = "preload"))]
pub(crate) use std::alloc::System as OwnMemory;

#[cfg(feature = "preload")]
pub(crate) use self::region::region;
#[cfg(feature = "preload")]
pub use self::region::{OwnMemory, move_apart};

#[cfg(feature = "preload")]
mod region {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::UnsafeCell;
    use std::hint::spin_loop;
    use std::ops::Range;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use dlmalloc::Dlmalloc;

    /// How much address space the region takes, of which only what is used becomes memory; less where
    /// the system refuses it.
    const SIZES: [usize; 3] = [1 << 36, 1 << 32, 1 << 28];

    /// The allocator of the harness's own tables, and of all that the library itself requests.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct OwnMemory;

    /// Whether the region serves requests.
    static IS_APART: AtomicBool = AtomicBool::new(false);
    /// The region, and the end of the part that is in use.
    static START: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);
    static USED: AtomicUsize = AtomicUsize::new(0);

    /// From here on requests are served from a region apart. Blocks that the system has served are
    /// given back to it.
    pub fn move_apart() {
        IS_APART.store(true, Ordering::Release);
    }

    /// The addresses of the region that are in use.
    pub(crate) fn region() -> Range<usize> {
        START.load(Ordering::Relaxed)..USED.load(Ordering::Relaxed)
    }

    /// Cuts pieces off the region. Nothing is given back to the system.
    struct Pieces;

    impl Pieces {
        /// Takes address space. Only called under the lock.
        fn reserve() {
            for size in SIZES {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                // SAFETY: new address space, which touches no memory of anybody's.
                let start = unsafe {
                    libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0)
                };
                if start != libc::MAP_FAILED {
                    START.store(start as usize, Ordering::Relaxed);
                    USED.store(start as usize, Ordering::Relaxed);
                    END.store(start as usize + size, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    // SAFETY: each piece is new memory of the region, readable and writable, of the size that is
    // returned.
    unsafe impl dlmalloc::Allocator for Pieces {
        fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
            const REFUSED: (*mut u8, usize, u32) = (std::ptr::null_mut(), 0, 0);
            if START.load(Ordering::Relaxed) == 0 {
                Pieces::reserve();
            }
            // Few large pieces: each costs a call of the system.
            let size = size.next_multiple_of(1 << 20);
            let start = USED.load(Ordering::Relaxed);
            if END.load(Ordering::Relaxed) - start < size {
                return REFUSED;
            }
            // SAFETY: a part of the region that nobody uses yet.
            let made = unsafe {
                libc::mprotect(start as *mut _, size, libc::PROT_READ | libc::PROT_WRITE)
            };
            if made != 0 {
                return REFUSED;
            }
            USED.store(start + size, Ordering::Relaxed);
            (start as *mut u8, size, 0)
        }

        fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
            std::ptr::null_mut()
        }

        fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
            false
        }

        fn free(&self, _: *mut u8, _: usize) -> bool {
            false
        }

        fn can_release_part(&self, _: u32) -> bool {
            false
        }

        fn allocates_zeros(&self) -> bool {
            true
        }

        fn page_size(&self) -> usize {
            4096
        }
    }

    /// The allocator over the region, and its lock.
    struct Region {
        is_locked: AtomicBool,
        blocks: UnsafeCell<Dlmalloc<Pieces>>,
    }

    // SAFETY: `blocks` is used under the lock only.
    unsafe impl Sync for Region {}

    static REGION: Region = Region {
        is_locked: AtomicBool::new(false),
        blocks: UnsafeCell::new(Dlmalloc::new_with_allocator(Pieces)),
    };

    impl Region {
        fn with<R>(&self, work: impl FnOnce(&mut Dlmalloc<Pieces>) -> R) -> R {
            while self.is_locked.swap(true, Ordering::Acquire) {
                spin_loop();
            }
            // SAFETY: this thread holds the lock, and `work` is a call of `dlmalloc`, which doesn't
            // come back here.
            let result = work(unsafe { &mut *self.blocks.get() });
            self.is_locked.store(false, Ordering::Release);
            result
        }

        fn holds(start: *mut u8) -> bool {
            let first = START.load(Ordering::Relaxed);
            first != 0 && (first..END.load(Ordering::Relaxed)).contains(&(start as usize))
        }
    }

    // SAFETY: blocks come from the system or from `dlmalloc`, which both keep the contract, and go back
    // to where they came from, which their address tells.
    unsafe impl GlobalAlloc for OwnMemory {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if !IS_APART.load(Ordering::Relaxed) {
                // SAFETY: the caller's promise.
                return unsafe { System.alloc(layout) };
            }
            // SAFETY: the caller's promise.
            REGION.with(|blocks| unsafe { blocks.malloc(layout.size(), layout.align()) })
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            if !IS_APART.load(Ordering::Relaxed) {
                // SAFETY: the caller's promise.
                return unsafe { System.alloc_zeroed(layout) };
            }
            // SAFETY: the caller's promise.
            REGION.with(|blocks| unsafe { blocks.calloc(layout.size(), layout.align()) })
        }

        unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
            if !Region::holds(start) {
                // SAFETY: the caller's promise; a block of the system's.
                return unsafe { System.dealloc(start, layout) };
            }
            // SAFETY: the caller's promise; a block of the region.
            REGION.with(|blocks| unsafe { blocks.free(start, layout.size(), layout.align()) })
        }

        unsafe fn realloc(&self, start: *mut u8, old: Layout, size: usize) -> *mut u8 {
            if !Region::holds(start) {
                // SAFETY: the caller's promise; a block of the system's.
                return unsafe { System.realloc(start, old, size) };
            }
            // SAFETY: the caller's promise; a block of the region.
            REGION.with(|blocks| unsafe { blocks.realloc(start, old.size(), old.align(), size) })
        }
    }
}
