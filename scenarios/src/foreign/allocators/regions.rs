//! Allocators over a fixed region, of the embedded world: it is filled up until they refuse, and
//! what is given back has to be there again.
#![allow(unsafe_code, reason = "most of them are given their region by unsafe functions")]

use std::alloc::{GlobalAlloc, Layout};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use buddy_alloc::{BuddyAllocParam, FastAllocParam, NonThreadsafeAlloc};
use good_memory_allocator::{
    DEFAULT_ALIGNMENT_SUB_BINS_AMOUNT, DEFAULT_SMALLBINS_AMOUNT, SpinLockedAllocator,
};
use mallory::adapters::{GlobalPort, RegionPort, StaticPort};
use mallory::{Port, Refused, conformance};

use super::{Allocator, Known, Shows, Told, What, held_to};

/// How large the region is.
const BYTES: usize = 256 << 10;

pub(super) const ALL: [Allocator; 10] = [
    Allocator {
        package: "linked_list_allocator",
        name: "Heap",
        kind: "region, first fit in a list",
        through: "`RegionPort`",
        how: "one thread",
        run: |what| {
            use linked_list_allocator::Heap;
            let port = || {
                RegionPort::new(BYTES, Heap::from_slice, Heap::allocate_first_fit, Heap::deallocate)
            };
            alone("linked_list_allocator", port, what)
        },
        known: &[],
    },
    Allocator {
        package: "buddy_system_allocator",
        name: "Heap<32>",
        kind: "region, buddies",
        through: "`RegionPort`",
        how: "one thread",
        run: |what| {
            use buddy_system_allocator::Heap;
            let make = |memory: &'static mut [MaybeUninit<u8>]| {
                let mut heap = Heap::<32>::new();
                // SAFETY: the region is this heap's alone, for ever.
                unsafe { heap.init(memory.as_mut_ptr() as usize, memory.len()) }
                heap
            };
            let port = || RegionPort::new(BYTES, make, Heap::alloc, Heap::dealloc);
            alone("buddy_system_allocator", port, what)
        },
        known: &[],
    },
    Allocator {
        package: "rlsf",
        name: "Tlsf",
        kind: "region, two-level segregated fit",
        through: "`RegionPort`",
        how: "one thread",
        run: |what| {
            let port = || RegionPort::new(BYTES, tlsf, Tlsf::allocate, give_tlsf);
            alone("rlsf", port, what)
        },
        known: &[],
    },
    Allocator {
        package: "talc",
        name: "Talc",
        kind: "region, binned free lists",
        through: "`RegionPort`",
        how: "one thread",
        run: |what| {
            use talc::{DefaultBinning, base::Talc, source::Manual};
            let make = |memory: &'static mut [MaybeUninit<u8>]| {
                let mut talc = Talc::<Manual, DefaultBinning>::new(Manual);
                // SAFETY: the region is this heap's alone, for ever.
                unsafe { talc.claim(memory.as_mut_ptr().cast(), memory.len()) };
                talc
            };
            let port = || RegionPort::new(BYTES, make, Talc::allocate, Talc::deallocate);
            alone("talc", port, what)
        },
        known: &[],
    },
    Allocator {
        package: "embedded-alloc",
        name: "LlffHeap",
        kind: "region, first fit in a list",
        through: "`StaticPort`",
        how: "3 threads",
        run: |what| {
            use embedded_alloc::LlffHeap;
            // SAFETY: the region is this heap's alone, for ever.
            let init = |heap: &LlffHeap, start| unsafe { heap.init(start, BYTES) };
            shared("embedded-alloc-llff", usize::MAX, LlffHeap::empty, init, what)
        },
        known: &[],
    },
    Allocator {
        package: "embedded-alloc",
        name: "TlsfHeap",
        kind: "region, two-level segregated fit",
        through: "`StaticPort`",
        how: "3 threads",
        run: |what| {
            use embedded_alloc::TlsfHeap;
            // SAFETY: the region is this heap's alone, for ever.
            let init = |heap: &TlsfHeap, start| unsafe { heap.init(start, BYTES) };
            shared("embedded-alloc-tlsf", usize::MAX, TlsfHeap::empty, init, what)
        },
        known: &[],
    },
    Allocator {
        package: "good_memory_allocator",
        name: "SpinLockedAllocator",
        kind: "region, bins by size and alignment",
        through: "`StaticPort`",
        how: "3 threads",
        run: |what| good_memory("good-memory-allocator", usize::MAX, what),
        known: GOOD_MEMORY,
    },
    Allocator {
        package: "good_memory_allocator",
        name: "SpinLockedAllocator",
        kind: "region, bins by size and alignment",
        through: "`StaticPort`",
        how: "3 threads; alignments up to 65,536",
        run: |what| good_memory("good-memory-allocator-64k", 64 << 10, what),
        known: &[],
    },
    Allocator {
        package: "buddy-alloc",
        name: "NonThreadsafeAlloc",
        kind: "region, buddies and small blocks apart",
        through: "`GlobalPort`",
        how: "one thread",
        run: |what| alone("buddy-alloc", buddies, what),
        known: BUDDY_ALLOC,
    },
    Allocator {
        package: "buddy-alloc",
        name: "NonThreadsafeAlloc",
        kind: "region, buddies and small blocks apart",
        through: "`GlobalPort`",
        how: "one thread; alignments up to 16",
        run: |what| alone("buddy-alloc-16", || UpTo(16, buddies()), what),
        known: &[],
    },
];

const GOOD_MEMORY: &[Known] = &[
    Known {
        shows: Shows::Unchecked,
        promise: "a call comes back",
        sequence: "a1 = alloc 0 align 1\ngrow a1 to 0 align 140737488355328",
        reason: GOOD_MEMORY_WRAPS,
    },
    Known {
        shows: Shows::Checked,
        promise: "nothing unwinds",
        sequence: "a1 = alloc 0 align 1\ngrow a1 to 0 align 140737488355328",
        reason: "The same, where it is checked.",
    },
];

const GOOD_MEMORY_WRAPS: &str = "Its own fault. `Allocator::can_alloc_unaligned` rounds the end of a chunk down to the alignment, \
     which comes to address 0 where the alignment is larger than any address of the region, and \
     takes the header's size off that: it wraps to the end of all addresses, passes for room \
     enough, and is written to. On a microcontroller, whose addresses are small, much smaller \
     alignments do. The second row keeps those away from it.";

const BUDDY_ALLOC: &[Known] = &[Known {
    shows: Shows::Always,
    promise: "a block is aligned as asked",
    sequence: "a1 = alloc 0 align 128",
    reason: "Its own fault. `NonThreadsafeAlloc::alloc` reads the layout's size and never its \
             alignment; what blocks happen to be aligned to is the size of a leaf, 64 bytes here \
             and 16 at least. The second row keeps alignments above 16 away from it.",
}];

fn good_memory(name: &str, align: usize, what: What) -> Told {
    type Heap = SpinLockedAllocator<DEFAULT_SMALLBINS_AMOUNT, DEFAULT_ALIGNMENT_SUB_BINS_AMOUNT>;
    // SAFETY: the region is this heap's alone, for ever, and the heap never moves.
    let init = |heap: &Heap, start| unsafe { heap.init(start, BYTES) };
    shared(name, align, Heap::empty, init, what)
}

fn buddies() -> GlobalPort<NonThreadsafeAlloc> {
    let (start, small) = (room() as *const u8, BYTES / 4);
    GlobalPort(NonThreadsafeAlloc::new(
        FastAllocParam::new(start, small),
        BuddyAllocParam::new(start.wrapping_add(small), BYTES - small, 64),
    ))
}

type Tlsf = rlsf::Tlsf<'static, u32, u32, 20, 32>;

fn tlsf(memory: &'static mut [MaybeUninit<u8>]) -> Tlsf {
    let mut tlsf = Tlsf::new();
    let _ = tlsf.insert_free_block(memory);
    tlsf
}

/// # Safety
/// - `block` is alive, from this heap, and of this layout.
unsafe fn give_tlsf(tlsf: &mut Tlsf, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller's promise.
    unsafe { tlsf.deallocate(block, layout.align()) }
}

fn alone<P: Port>(name: &str, port: impl Fn() -> P, what: What) -> Told {
    held_to(conformance(port).name(name.replace('_', "-")).fixed(BYTES), what)
}

/// One that is a static in embedded code: some keep pointers into themselves.
fn shared<A: GlobalAlloc + Sync + 'static>(
    name: &str,
    align: usize,
    empty: impl Fn() -> A,
    init: impl Fn(&A, usize),
    what: What,
) -> Told {
    let port = || {
        let heap: &A = Box::leak(Box::new(empty()));
        init(heap, room());
        UpTo(align, StaticPort(heap))
    };
    held_to(conformance(port).name(name).fixed(BYTES).threads(3), what)
}

/// Refuses alignments above this, and lets the rest through: what there is behind a flaw that
/// nearly every sequence meets.
struct UpTo<P>(usize, P);

// SAFETY: it only refuses more than the port inside, which keeps the contract as far as it does.
unsafe impl<P: Port> Port for UpTo<P> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        if layout.align() > self.0 { Err(Refused) } else { self.1.alloc(layout) }
    }

    fn alloc_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        if layout.align() > self.0 { Err(Refused) } else { self.1.alloc_zeroed(layout) }
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.1.free(block, layout) }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if new.align() > self.0 {
            return Err(Refused);
        }
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.1.grow(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        if new.align() > self.0 {
            return Err(Refused);
        }
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.1.shrink(block, old, new) }
    }
}

/// A region for ever; where in it aligned blocks fit is the same each time.
fn room() -> usize {
    #[repr(align(262144))]
    struct Room(#[expect(dead_code, reason = "it is used by its address")] [u8; BYTES]);
    Box::leak(Box::<Room>::new_uninit()).as_mut_ptr().expose_provenance()
}
