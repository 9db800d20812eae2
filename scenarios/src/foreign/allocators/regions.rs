//! Allocators over a fixed region, for embedded programs: the region is filled until a request is
//! refused, and what is freed has to be available again.
#![allow(unsafe_code, reason = "most of them get their region through unsafe functions")]

use std::alloc::{GlobalAlloc, Layout};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use buddy_alloc::{BuddyAllocParam, FastAllocParam, NonThreadsafeAlloc};
use good_memory_allocator::{
    DEFAULT_ALIGNMENT_SUB_BINS_AMOUNT, DEFAULT_SMALLBINS_AMOUNT, SpinLockedAllocator,
};
use mallory::adapters::{GlobalPort, RegionPort, StaticPort};
use mallory::{Port, Refused, conformance};

use super::allocator::{Allocator, Known, Shows, Trial, TrialReport, run_trial};

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
                // SAFETY: the region is leaked, and only this heap uses it.
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
                // SAFETY: the region is leaked, and only this heap uses it.
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
            // SAFETY: the region is leaked, and only this heap uses it.
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
            // SAFETY: the region is leaked, and only this heap uses it.
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
        known: &[GOOD_MEMORY_GROWS],
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
        run: |what| alone("buddy-alloc-16", || MaxAlign(16, buddies()), what),
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
        reason: "The same bug, caught by an overflow check.",
    },
    GOOD_MEMORY_GROWS,
];

const GOOD_MEMORY_GROWS: Known = Known {
    shows: Shows::Checked,
    promise: "a call comes back",
    sequence: "a1 = alloc 0 align 1\ngrow a1 to max align 1",
    reason: "A bug of the package. `Allocator::realloc` rounds the new size up and passes it to \
             `Layout::from_size_align_unchecked` without a check, although no layout may be longer \
             than `isize::MAX`: undefined behaviour. Builds with checks abort; others refuse the \
             request.",
};

const GOOD_MEMORY_WRAPS: &str = "A bug of the package. `Allocator::can_alloc_unaligned` rounds the \
     end of a chunk down to the alignment. If the alignment is larger than every address of the \
     region, the result is address 0; subtracting the header's size then wraps to the end of the \
     address space, which passes for enough room and is written to. On a microcontroller, whose \
     addresses are small, a much smaller alignment is enough. The second row excludes such \
     alignments.";

const BUDDY_ALLOC: &[Known] = &[Known {
    shows: Shows::Always,
    promise: "a block is aligned as asked",
    sequence: "a1 = alloc 0 align 128",
    reason: "A bug of the package. `NonThreadsafeAlloc::alloc` reads the layout's size but never \
             its alignment: blocks are only aligned to the size of a leaf, which is 64 bytes here \
             and 16 at least. The second row excludes alignments above 16.",
}];

fn good_memory(name: &str, align: usize, what: Trial) -> TrialReport {
    type Heap = SpinLockedAllocator<DEFAULT_SMALLBINS_AMOUNT, DEFAULT_ALIGNMENT_SUB_BINS_AMOUNT>;
    // SAFETY: the region is leaked, and only this heap uses it, and the heap never moves.
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

fn alone<P: Port>(name: &str, port: impl Fn() -> P, what: Trial) -> TrialReport {
    run_trial(conformance(port).name(name.replace('_', "-")).fixed(BYTES), what)
}

/// An allocator that is a static in embedded code: some keep pointers into themselves.
fn shared<A: GlobalAlloc + Sync + 'static>(
    name: &str,
    align: usize,
    empty: impl Fn() -> A,
    init: impl Fn(&A, usize),
    what: Trial,
) -> TrialReport {
    let port = || {
        let heap: &A = Box::leak(Box::new(empty()));
        init(heap, room());
        MaxAlign(align, StaticPort(heap))
    };
    run_trial(conformance(port).name(name).fixed(BYTES).threads(3), what)
}

/// Refuses larger alignments, to test what is behind a bug that nearly every sequence runs into.
struct MaxAlign<P>(usize, P);

// SAFETY: it only refuses more than the port inside, which keeps the contract as far as it does.
unsafe impl<P: Port> Port for MaxAlign<P> {
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

/// A leaked region. It is aligned to its size, so aligned blocks fit at the same places each time.
fn room() -> usize {
    #[repr(align(262144))]
    struct Room(#[expect(dead_code, reason = "it is used by its address")] [u8; BYTES]);
    Box::leak(Box::<Room>::new_uninit()).as_mut_ptr().expose_provenance()
}
