//! The slab keeps its promises: bins, alignment, reuse, wiping. A block of another slab or of
//! another thread is refused without damage.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::thread;

use allocator_api2::alloc::AllocError;
use allocator_api2::boxed::Box;
use mallory::{
    Heap, Kind, Options, Outcome, Plan, Port, Refused, Report, Sweep, SystemPort, conformance,
};
use mallory_scenarios::memory::MAX_ALIGN;
use mallory_scenarios::memory::slab::{BINS, SUPERBLOCK, Slab, slab_over};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// A slab over a heap, and one under the kill switch.
fn both() -> [(Heap, Slab<Heap>); 2] {
    let (binned, direct) = (Heap::new(), Heap::new());
    [(binned.clone(), Slab::new(binned)), (direct.clone(), Slab::direct(direct))]
}

#[test]
fn it_keeps_the_contract_of_a_port() {
    let held = |slab: &Slab<SystemPort>| slab.held();
    conformance(|| Slab::new(SystemPort::new())).name("slab").held(held).run().assert_clean();
    // Most sizes and alignments in bins, and moves between them.
    let small = conformance(|| Slab::new(SystemPort::new())).name("slab").seed(1);
    small.max_size(300).max_align(512).held(held).run().assert_clean();
    conformance(|| Slab::direct(SystemPort::new())).held(held).run().assert_clean();
    conformance(|| Slab::new(SystemPort::new()).zero_on_free()).run().assert_clean();
    conformance(|| slab_over(&Heap::new())).operations(2048).clones(2).run().assert_clean();
}

#[test]
fn a_size_is_served_by_the_smallest_bin_that_holds_it() {
    let slab = Slab::new(SystemPort::new());
    for (bin, size) in BINS.into_iter().enumerate() {
        let least = if bin == 0 { 0 } else { BINS[bin - 1] + 1 };
        let before = slab.held();
        let (first, second) = (slab.bytes(least).unwrap(), slab.bytes(size).unwrap());
        assert_eq!(slab.held(), before + SUPERBLOCK, "bin {size}");
        assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), size);
        assert_eq!((first.len(), second.len()), (least, size));
    }
    let held = slab.held();
    let large = slab.bytes(BINS[3] + 1).unwrap();
    assert!((held + BINS[3]..held + 2 * BINS[3]).contains(&slab.held()), "straight from the port");
    drop(large);
    assert_eq!(slab.held(), held);
}

#[test]
fn blocks_are_aligned_and_disjoint() {
    for (_, slab) in both() {
        let mut blocks = Vec::new();
        for round in 0..600_usize {
            let (size, align) = (round % 300, 1 << (round % 11));
            let mut block = slab.bytes_aligned(size, align).unwrap();
            assert!(block.as_ptr().addr().is_multiple_of(align));
            block.fill(MaybeUninit::new(round as u8));
            blocks.push((round as u8, block));
        }
        assert!(slab.bytes(1).unwrap().as_ptr().addr().is_multiple_of(MAX_ALIGN));
        assert!(slab.bytes_aligned(1, 3).is_err());
        assert!(slab.bytes(usize::MAX).is_err());
        for (round, block) in blocks {
            // SAFETY: every byte was filled above.
            let intact = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() } == round;
            assert!(block.iter().all(intact));
        }
    }
}

#[test]
fn a_freed_block_is_the_next_one_of_its_size() {
    let heap = Heap::new();
    let slab = Slab::new(heap.clone());
    let kept = slab.bytes(32).unwrap();
    let (first, second) = (slab.bytes(32).unwrap(), slab.bytes(17).unwrap());
    let (one, two) = (first.as_ptr(), second.as_ptr());
    drop(first);
    drop(second);
    let again = [slab.bytes(20).unwrap(), slab.bytes(1).unwrap()];
    assert_eq!([again[0].as_ptr(), again[1].as_ptr()], [two, one]);
    assert_ne!(kept.as_ptr(), one);
    drop((kept, again));
    // However often blocks are allocated and freed, memory stays bounded.
    let held = slab.held();
    for round in 0..10_000 {
        let pair = [slab.bytes(round % 33).unwrap(), slab.bytes(round % 31).unwrap()];
        assert_ne!(pair[0].as_ptr(), pair[1].as_ptr());
    }
    assert_eq!((slab.held(), slab.peak()), (held, held));
    drop(slab);
    assert_eq!(heap.live_bytes(), 0);
}

#[test]
fn a_superblock_is_used_up_before_the_next_one_is_taken() {
    for size in BINS {
        let heap = Heap::new();
        let slab = Slab::new(heap.clone());
        let room = SUPERBLOCK / size - 1;
        let blocks: Vec<_> = (0..room).map(|_| slab.bytes(size).unwrap()).collect();
        assert_eq!(slab.held(), SUPERBLOCK);
        let places: BTreeSet<usize> = blocks.iter().map(|block| block.as_ptr().addr()).collect();
        assert_eq!(places.len(), room);
        let one_more = slab.bytes(size).unwrap();
        assert_eq!(slab.held(), 2 * SUPERBLOCK);
        drop((blocks, one_more));
        assert_eq!(heap.live_bytes(), 2 * SUPERBLOCK);
        drop(slab);
        assert_eq!(heap.live_bytes(), 0);
    }
}

#[test]
fn a_block_is_resized_in_its_bin_and_moves_between_bins() {
    let slab = Slab::new(SystemPort::new());
    let start = slab.alloc(layout(40, 8)).unwrap().cast::<u8>();
    // SAFETY: each pointer below is alive and used with the layout it has just then.
    unsafe {
        start.write_bytes(7, 40);
        assert_eq!(slab.grow(start, layout(40, 8), layout(64, 8)).unwrap().cast(), start);
        assert_eq!(slab.shrink(start, layout(64, 8), layout(33, 8)).unwrap().cast(), start);
        assert_eq!(slab.grow(start, layout(33, 8), layout(40, 64)).unwrap().cast(), start);
        let moved = slab.grow(start, layout(40, 64), layout(65, 8)).unwrap().cast::<u8>();
        assert_ne!(moved, start);
        let large = slab.grow(moved, layout(65, 8), layout(1000, 8)).unwrap().cast::<u8>();
        let small = slab.shrink(large, layout(1000, 8), layout(33, 8)).unwrap().cast::<u8>();
        assert!((0..33).all(|offset| small.add(offset).read() == 7));
        assert_eq!(small, start, "its place was free again");
        slab.free(small, layout(33, 8));
    }
    assert_eq!((slab.held(), slab.strangers()), (2 * SUPERBLOCK, 0));
}

#[test]
fn a_refused_superblock_changes_nothing() {
    let heap = Heap::new();
    let slab = Slab::new(heap.clone());
    let block = slab.alloc(layout(32, 8)).unwrap().cast::<u8>();
    // SAFETY: the block is alive with this layout until it is freed.
    unsafe {
        block.write_bytes(7, 32);
        heap.arm(Plan::from(1));
        assert_eq!(slab.grow(block, layout(32, 8), layout(33, 8)), Err(Refused));
        assert!(slab.bytes(33).is_err() && slab.bytes(32).is_ok());
        assert!((0..32).all(|offset| block.add(offset).read() == 7));
        heap.disarm();
        slab.free(block, layout(32, 8));
    }
    assert!(slab.bytes(33).is_ok());
}

#[test]
fn zero_on_free_wipes_a_block_but_for_the_link_in_it() {
    for zero in [false, true] {
        let slab = Slab::new(SystemPort::new());
        let slab = if zero { slab.zero_on_free() } else { slab };
        let all = layout(64, 8);
        let block = slab.alloc(all).unwrap().cast::<u8>();
        let dirty = |from: usize| {
            // SAFETY: superblocks stay until the slab goes, and these bytes were written below.
            (from..64).filter(|offset| unsafe { block.add(*offset).read() } == 0xaa).count()
        };
        // SAFETY: the block is alive and of this layout until it is freed.
        unsafe {
            block.write_bytes(0xaa, 64);
            slab.shrink(block, all, layout(40, 8)).unwrap();
            assert_eq!(dirty(0), if zero { 40 } else { 64 });
            slab.free(block, layout(40, 8));
        }
        assert_eq!(dirty(8), if zero { 0 } else { 56 });
    }
}

#[test]
fn a_block_of_another_slab_is_refused_and_stays_as_it_is() {
    let (mine, theirs) = (Slab::new(SystemPort::new()), Slab::new(SystemPort::new()));
    let (used, block) = (layout(48, 8), theirs.alloc(layout(48, 8)).unwrap().cast::<u8>());
    let own = mine.alloc(used).unwrap().cast::<u8>();
    // SAFETY: `block` is alive, with this layout; the slab that it is not of has to refuse it, as
    // it has to refuse the middle of a block and one that it never handed out.
    unsafe {
        block.write_bytes(7, 48);
        mine.free(block, used);
        assert_eq!(mine.grow(block, used, layout(60, 8)), Err(Refused));
        mine.free(own.add(8), used);
        mine.free(own.add(64), used);
        assert_eq!((mine.strangers(), theirs.strangers()), (4, 0));
        assert!((0..48).all(|offset| block.add(offset).read() == 7));
        let next = mine.alloc(used).unwrap().cast::<u8>();
        assert_eq!(next, own.add(64), "the next that was never used, and nothing of another's");
        theirs.free(block, used);
        assert_eq!(theirs.alloc(used).unwrap().cast::<u8>(), block);
    }
}

/// Allocates a block of a slab, has another thread free it, and goes on using the slab.
fn freed_elsewhere(heap: &Heap) -> Result<[u64; 2], AllocError> {
    let slab = slab_over(heap);
    let first = Box::try_new_in(1_u64, slab.clone())?;
    let start: NonNull<u64> = NonNull::from(&*first);
    thread::scope(|scope| scope.spawn(move || drop(first)).join()).expect("it doesn't panic");
    // The first block is still allocated.
    let second = Box::try_new_in(2_u64, slab)?;
    assert_ne!(NonNull::from(&*second), start);
    // SAFETY: the free was refused, so the block is still what it was.
    Ok([unsafe { start.read() }, *second])
}

fn wrong_thread(options: Options) -> Report {
    let report = Sweep::new("slab").options(options).run(freed_elsewhere);
    let kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.kind()).collect();
    assert_eq!(kinds, [Kind::WrongThread], "{report}");
    report
}

#[test]
fn a_free_on_another_thread_is_refused_and_reported() {
    for bypass in [false, true] {
        for options in [Options::new(), Options::new().parallel()] {
            let report = wrong_thread(options.bypass(bypass)).to_string();
            let free = "free of 8 bytes (align 8) on heap `slab` from a thread";
            assert!(report.contains(free), "{report}");
        }
    }
}

#[test]
fn a_request_on_another_thread_is_refused_and_reported() {
    let heap = Options::new().parallel().heap();
    let slab = slab_over(&heap);
    let elsewhere = |heap: &Heap| {
        thread::scope(|scope| scope.spawn(|| heap.alloc(layout(8, 8)).is_ok()).join().unwrap())
    };
    assert!(elsewhere(&heap), "the heap below is for all");
    assert!(!elsewhere(&slab), "the slab is not");
    assert!(slab.alloc(layout(8, 8)).is_ok());
}

/// Allocates values of different sizes from a slab.
fn churn(heap: &Heap) -> Result<u64, AllocError> {
    let slab = slab_over(heap);
    let mut sum = 0;
    for round in 0..4 {
        let pair = Box::try_new_in((round, 1_u64), slab.clone())?;
        let array = Box::try_new_in([round; 9], slab.clone())?;
        sum += pair.0 + pair.1 + array.iter().sum::<u64>();
    }
    Ok(sum)
}

#[test]
fn a_sweep_counts_each_block_of_a_slab() {
    for (bypass, requests) in [(false, 10), (true, 16)] {
        let report = Sweep::new("slab").options(Options::new().bypass(bypass)).run(churn);
        report.assert_clean();
        assert_eq!(report.coverage().requests, requests, "{report}");
        assert_eq!(report.outcomes(Outcome::Propagated), 2 * requests, "{report}");
    }
}
