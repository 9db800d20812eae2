//! The arena keeps its promises: alignment, cap, growth in place, reset, wiping, and no leak on any
//! path.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use allocator_api2::vec::Vec;
use mallory::{Heap, Options, Plan, Port, Refused, SystemPort};
use mallory_scenarios::memory::MAX_ALIGN;
use mallory_scenarios::memory::arena::{Arena, with_arena};
use mallory_scenarios::memory::bytes::{try_extend, try_push};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// An arena over a heap, and one under the kill switch.
fn both(cap: usize) -> [(Heap, Arena<Heap>); 2] {
    let (bump, direct) = (Heap::new(), Heap::new());
    [(bump.clone(), Arena::new(bump, cap)), (direct.clone(), Arena::direct(direct, cap))]
}

#[test]
fn blocks_are_aligned_and_disjoint() {
    for (_, arena) in both(1 << 20) {
        let mut blocks = std::vec::Vec::new();
        for round in 0..200_usize {
            let (size, align) = (round % 97, 1 << (round % 9));
            let block = arena.bytes_aligned(size, align).unwrap();
            assert!(block.as_ptr().addr().is_multiple_of(align));
            block.fill(MaybeUninit::new(round as u8));
            blocks.push((round as u8, block));
        }
        assert!(arena.bytes(1).unwrap().as_ptr().addr().is_multiple_of(MAX_ALIGN));
        assert!(arena.bytes_aligned(1, 3).is_err());
        for (round, block) in blocks {
            // SAFETY: every byte was filled above.
            let intact = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() } == round;
            assert!(block.iter().all(intact));
        }
    }
}

#[test]
fn the_cap_is_kept() {
    for (heap, arena) in both(10_000) {
        assert!(arena.bytes(10_001).is_err());
        assert!(arena.bytes(usize::MAX).is_err());
        assert!(arena.bytes_aligned(1, 1 << 62).is_err());
        let mut got = 0;
        while arena.bytes(100).is_ok() {
            got += 100;
        }
        assert!(got > 6_000, "only {got} of 10,000 bytes were usable");
        assert!(arena.peak() <= arena.cap());
        assert_eq!(heap.live_bytes(), arena.held());
    }
}

#[test]
fn chunks_grow_geometrically() {
    let heap = Heap::new();
    let arena = Arena::new(heap.clone(), 1 << 30);
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    heap.arm(Plan::when(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        false
    }));
    for _ in 0..10_000 {
        arena.bytes(100).unwrap();
    }
    assert!(requests.load(Ordering::Relaxed) <= 9, "{requests:?} chunks for a megabyte");
}

#[test]
fn reset_gives_all_back_but_the_newest_chunk() {
    for (heap, mut arena) in both(1 << 20) {
        let mut steady = None;
        for _ in 0..5 {
            for _ in 0..1_000 {
                arena.bytes(100).unwrap();
            }
            arena.reset();
            let left = heap.live_bytes();
            assert_eq!(left, arena.held());
            if let Some(before) = steady.replace(left) {
                assert!(left <= before * 2, "{before} bytes after a reset, then {left}");
            }
        }
        drop(arena);
        assert_eq!(heap.live_bytes(), 0);
    }
}

#[test]
fn the_last_block_is_resized_in_place_and_others_move() {
    let arena = Arena::new(SystemPort::new(), 1 << 20);
    let (small, large) = (layout(100, 8), layout(200, 8));
    let first = arena.alloc(small).unwrap().cast::<u8>();
    // SAFETY: each pointer below is alive and used with the layout it has just then.
    unsafe {
        first.write_bytes(7, 100);
        let grown = arena.grow(first, small, large).unwrap().cast::<u8>();
        assert_eq!(grown, first);
        let shrunk = arena.shrink(first, large, small).unwrap().cast::<u8>();
        assert_eq!(shrunk, first);
        let second = arena.alloc(small).unwrap().cast::<u8>();
        let moved = arena.grow(first, small, large).unwrap().cast::<u8>();
        assert_ne!(moved, first);
        assert!((0..100).all(|offset| moved.add(offset).read() == 7));
        arena.free(moved, large);
        assert_eq!(arena.alloc(small).unwrap().cast::<u8>(), moved, "the last block's room");
        arena.free(second, small);
        // A stricter alignment moves a block that isn't aligned to it.
        let odd = arena.alloc(layout(3, 1)).unwrap().cast::<u8>();
        let one = arena.alloc(layout(3, 1)).unwrap().cast::<u8>();
        assert_eq!(odd.addr().get() + 3, one.addr().get());
        let strict = arena.grow(one, layout(3, 1), layout(64, 64)).unwrap().cast::<u8>();
        assert!(strict.addr().get().is_multiple_of(64));
    }
}

#[test]
fn a_block_of_no_bytes_has_an_address_of_its_own() {
    for (_, arena) in both(1 << 20) {
        let nothing = layout(0, 1);
        let first = arena.alloc(nothing).unwrap().cast::<u8>();
        let second = arena.alloc(nothing).unwrap().cast::<u8>();
        assert_ne!(first, second);
        // SAFETY: both are alive and of this layout.
        unsafe {
            arena.free(first, nothing);
            arena.free(second, nothing);
        }
    }
}

/// A port that reads each block before it is freed.
struct Inspector {
    dirty: Arc<AtomicUsize>,
}

// SAFETY: all is passed to `SystemPort`; a block that is given back is only read.
unsafe impl Port for Inspector {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        SystemPort::new().alloc_zeroed(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block is initialised (it began as zeroes) and alive for its whole size.
        let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
        if bytes.iter().any(|byte| *byte != 0) {
            self.dirty.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: `SystemPort` has no state but its counters, so any of them frees it.
        unsafe { SystemPort::new().free(block, layout) };
    }
}

#[test]
fn zero_on_free_wipes_what_goes_back() {
    for direct in [false, true] {
        for zero in [false, true] {
            let dirty = Arc::new(AtomicUsize::new(0));
            let port = Inspector { dirty: dirty.clone() };
            let arena =
                if direct { Arena::direct(port, 1 << 20) } else { Arena::new(port, 1 << 20) };
            let mut arena = if zero { arena.zero_on_free() } else { arena };
            for _ in 0..100 {
                arena.bytes(100).unwrap().fill(MaybeUninit::new(0xaa));
            }
            arena.reset();
            arena.bytes(10_000).unwrap().fill(MaybeUninit::new(0xaa));
            drop(arena);
            assert_eq!(dirty.load(Ordering::Relaxed) == 0, zero);
        }
    }
}

#[test]
fn zero_on_free_wipes_what_stays() {
    let mut arena = Arena::new(SystemPort::new(), 1 << 20).zero_on_free();
    let secret = layout(32, 16);
    let block = arena.alloc(secret).unwrap().cast::<u8>();
    // SAFETY: the block is alive until it is freed; its bytes stay inside the arena's chunk, whose
    // memory is initialised where it was written or wiped.
    unsafe {
        block.write_bytes(0xaa, 32);
        arena.shrink(block, secret, layout(16, 16)).unwrap();
        assert!((16..32).all(|offset| block.add(offset).read() == 0));
        arena.free(block, layout(16, 16));
        assert!((0..16).all(|offset| block.add(offset).read() == 0));
        arena.alloc(secret).unwrap().cast::<u8>().write_bytes(0xaa, 32);
    }
    arena.reset();
    // SAFETY: as above: the newest chunk is kept by a reset.
    assert!((0..32).all(|offset| unsafe { block.add(offset).read() } == 0));
}

/// Uses an arena as a service does.
fn use_it(arena: &Heap) -> Result<usize, Refused> {
    let mut rows: Vec<Vec<u8, &Heap>, &Heap> = Vec::new_in(arena);
    for row in 0..20_u8 {
        let mut bytes = Vec::new_in(arena);
        for _ in 0..row {
            try_extend(&mut bytes, &[row; 9])?;
        }
        try_push(&mut rows, bytes)?;
    }
    Ok(rows.iter().map(|row| row.len()).sum())
}

#[test]
fn with_arena_frees_on_every_path() {
    for bypass in [false, true] {
        let heap = Options::new().bypass(bypass).heap();
        assert_eq!(with_arena(&heap, 1 << 20, use_it), Ok(190 * 9));
        assert_eq!(heap.live_bytes(), 0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            with_arena(&heap, 1 << 20, |arena| {
                use_it(arena).unwrap();
                std::panic::resume_unwind(Box::new("out"))
            })
        }));
        assert!(unwound.is_err());
        assert_eq!(heap.live_bytes(), 0);
        let mut refused = 0;
        for n in 1.. {
            heap.arm(Plan::nth(n));
            let result = with_arena(&heap, 1 << 20, use_it);
            heap.disarm();
            assert_eq!(heap.live_bytes(), 0, "after request {n} failed");
            match result {
                Ok(sum) => {
                    assert_eq!(sum, 190 * 9);
                    break;
                }
                Err(Refused) => refused += 1,
            }
        }
        assert!(refused > 50, "each arena allocation is a request: {refused}");
    }
}
