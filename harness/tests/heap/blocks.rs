//! The heap as its users see it: collections work on it, and blocks have the size, alignment and
//! contents that were requested.
#![allow(unsafe_code, reason = "stray writes are made on purpose")]

use crate::common::ports::Recorder;
use crate::common::{Oom, Owned, layout, only, the};
use allocator_api2::vec::Vec;
use hashbrown::{DefaultHashBuilder, HashMap};
use mallory::{Heap, Kind, Options, Port, Sweep};

type Map = HashMap<u64, u64, DefaultHashBuilder, Heap>;

fn squares(heap: &Heap) -> Result<u64, Oom> {
    let mut map: Map = HashMap::new_in(heap.clone());
    for n in 0..100 {
        map.try_reserve(1)?;
        map.insert(n, n * n);
    }
    Ok(map.values().sum())
}

#[test]
fn a_hash_map_of_hashbrown_stands_on_a_heap() {
    let heap = Heap::new();
    assert_eq!(squares(&heap), Ok(328_350));
    assert_eq!(heap.live_bytes(), 0);
    assert!(heap.peak_bytes() > 1600);
    Sweep::new("map").run(squares).assert_clean();
}

#[test]
fn a_vec_of_allocator_api2_stands_on_a_heap() {
    let list = |heap: &Heap| {
        let mut list = Vec::new_in(heap.clone());
        for n in 0..100_u64 {
            list.try_reserve(1)?;
            list.push(n);
        }
        Ok::<_, Oom>(list.iter().sum::<u64>())
    };
    let report = Sweep::new("list").run(list);
    report.assert_clean();
    assert_eq!(report.peak_bytes(), 1024, "128 numbers, in the run that grows in place");
}

#[cfg(feature = "allocator-api2-04")]
#[test]
fn a_vec_of_the_next_allocator_api2_stands_on_a_heap_too() {
    use allocator_api2_04::vec::Vec;
    let list = |heap: &Heap| {
        let mut list = Vec::new_in(heap.clone());
        for n in 0..100_u64 {
            list.try_reserve(1).map_err(|_| Oom)?;
            list.push(n);
        }
        Ok::<_, Oom>(list.iter().sum::<u64>())
    };
    let report = Sweep::new("list").run(list);
    assert!(report.coverage().requests > 1);
    report.assert_clean();
}

/// With and without red zones, growing by a move and as the port does it.
fn all_modes() -> [Options; 4] {
    let options = Options::new;
    [
        options(),
        options().moving(false),
        options().ledger_only(),
        options().ledger_only().moving(false),
    ]
}

#[test]
fn blocks_are_aligned_and_writable_over_their_whole_length() {
    for options in all_modes() {
        let heap = options.heap();
        let mut blocks = std::vec::Vec::new();
        for align in (0..=16).map(|log| 1 << log) {
            for size in [0, 1, 15, 16, 17, 100, 5000] {
                let mut block = Owned::aligned(&heap, size, align).expect("there is memory");
                assert_eq!(block.start().as_ptr() as usize % align, 0, "{size} bytes, {align}");
                block.fill();
                blocks.push(block);
            }
        }
        for block in &mut blocks {
            assert!(block.is_filled(block.layout().size()), "{:?}", block.layout());
        }
        blocks.clear();
        assert_eq!(heap.live_bytes(), 0);
    }
}

#[test]
fn zero_sized_blocks_have_addresses_of_their_own() {
    for options in all_modes() {
        let heap = options.heap();
        let blocks: Result<std::vec::Vec<Owned>, _> =
            (0..100).map(|_| Owned::new(&heap, 0)).collect();
        let mut addresses: std::vec::Vec<_> =
            blocks.iter().flatten().map(|block| block.start()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 100);
        assert_eq!(heap.live_bytes(), 0);
    }
    let lost = Sweep::new("nothing").run(|heap| Owned::new(heap, 0).map(|block| _ = block.lose()));
    assert!(only(&lost).to_string().contains("1 block, 0 bytes"), "{lost}");
}

#[test]
fn zeroed_means_zero_though_the_memory_was_used_before() {
    for options in all_modes() {
        let heap = options.heap();
        for _ in 0..3 {
            let mut used = Owned::new(&heap, 4000).expect("there is memory");
            used.fill();
            drop(used);
            let mut block = Owned::zeroed(&heap, 4000).expect("there is memory");
            assert!(block.bytes().iter().all(|byte| *byte == 0));
            block.fill();
        }
    }
}

#[test]
fn growing_with_zeroes_keeps_the_old_bytes_and_zeroes_the_new() {
    use allocator_api2::alloc::Allocator;
    for options in all_modes() {
        let heap = options.heap();
        let (old, new) = (layout(100, 8), layout(3000, 8));
        let block = Allocator::allocate(&heap, old).expect("there is memory").cast::<u8>();
        // SAFETY: the block is alive and as long as each layout says in turn.
        unsafe {
            block.write_bytes(9, 100);
            let grown = Allocator::grow_zeroed(&heap, block, old, new).expect("there is memory");
            let bytes = grown.as_ref();
            assert_eq!(bytes.len(), 3000);
            assert!(bytes[..100].iter().all(|byte| *byte == 9));
            assert!(bytes[100..].iter().all(|byte| *byte == 0));
            Allocator::deallocate(&heap, grown.cast(), new);
        }
    }
}

#[test]
fn growing_and_shrinking_keep_the_contents_also_to_another_alignment() {
    for options in all_modes() {
        let heap = options.heap();
        for (align, new_align) in [(1, 1), (8, 8), (8, 4096), (4096, 8), (1, 64)] {
            let mut block = Owned::aligned(&heap, 300, align).expect("there is memory");
            block.fill();
            block.change(layout(5000, new_align)).expect("there is memory");
            assert!(block.is_filled(300), "grown from {align} to {new_align}");
            assert_eq!(block.start().as_ptr() as usize % new_align, 0);
            block.fill();
            block.change(layout(40, align)).expect("there is memory");
            assert!(block.is_filled(40), "shrunk from {new_align} to {align}");
            assert_eq!(block.start().as_ptr() as usize % align, 0);
        }
        assert_eq!(heap.live_bytes(), 0);
    }
}

/// A block leaves the quarantine after this number of later frees.
const QUARANTINE: usize = 1024;

fn write_after_free(heap: &Heap, frees_between: usize) -> Result<(), Oom> {
    let block = Owned::new(heap, 64)?;
    let start = block.start();
    drop(block);
    (0..frees_between).try_for_each(|_| Owned::new(heap, 32).map(drop))?;
    if frees_between < QUARANTINE {
        // SAFETY: none, the block is freed. It is in quarantine, so nothing else is damaged.
        unsafe { start.add(5).write(1) }
    }
    (0..2 * QUARANTINE).try_for_each(|_| Owned::new(heap, 32).map(drop))?;
    Ok(())
}

#[test]
fn a_write_into_a_freed_block_shows_when_it_leaves_the_quarantine() {
    let limited = || Sweep::new("stale").quick().limit(1);
    let report = limited().run(|heap| write_after_free(heap, 10));
    assert_eq!(only(&report).kind(), Kind::UseAfterFree);
    assert!(only(&report).to_string().contains("5 bytes into it"), "{report}");
    limited().run(|heap| write_after_free(heap, QUARANTINE)).assert_clean();
    let off = || limited().options(Options::new().without(Kind::UseAfterFree));
    off().run(|heap| write_after_free(heap, 10)).assert_clean();
}

#[test]
fn guards_can_be_looked_at_on_demand() {
    let undone_overflow = |heap: &Heap, check: bool| {
        let block = Owned::new(heap, 24)?;
        // SAFETY: none, this is the first byte behind a block. It belongs to a red zone, and is
        // restored.
        unsafe {
            let behind = block.start().add(24);
            let guard = behind.read();
            behind.write(!guard);
            if check {
                heap.check();
                heap.check();
            }
            behind.write(guard);
        }
        Ok::<_, Oom>(())
    };
    Sweep::new("unseen").quick().run(|heap| undone_overflow(heap, false)).assert_clean();
    let report = Sweep::new("seen").quick().run(|heap| undone_overflow(heap, true));
    let overflow = only(&report);
    assert_eq!(overflow.kind(), Kind::HeapBufferOverflow);
    assert!(overflow.to_string().contains("1 byte past its end"), "{report}");
    assert!(
        overflow.to_string().contains("1 block, 24 bytes"),
        "seen twice, reported once: {report}"
    );
}

fn secrets_that_reach_the_port(options: Options) -> usize {
    const SECRET: &[u8] = b"correct horse battery staple";
    let recorder = Recorder::default();
    let freed = recorder.freed.clone();
    let heap = options.heap_over(recorder);
    let mut block = Owned::new(&heap, 2 * SECRET.len()).expect("there is memory");
    block.bytes()[..SECRET.len()].copy_from_slice(SECRET);
    block.resize(4 * SECRET.len()).expect("there is memory");
    block.resize(SECRET.len()).expect("there is memory");
    drop(block);
    drop(heap);
    let freed = freed.lock().expect("nobody panics with it");
    assert_eq!(freed.len(), 3, "the port frees each block");
    let holds = |bytes: &&std::vec::Vec<u8>| bytes.windows(SECRET.len()).any(|part| part == SECRET);
    freed.iter().filter(holds).count()
}

#[test]
fn wiping_leaves_nothing_for_the_port_to_see() {
    assert_eq!(
        secrets_that_reach_the_port(Options::new().ledger_only()),
        3,
        "without wiping they are kept"
    );
    assert_eq!(secrets_that_reach_the_port(Options::new().ledger_only().wipe_on_free()), 0);
    assert_eq!(secrets_that_reach_the_port(Options::new().wipe_on_free()), 0);
}

#[test]
fn a_budget_warns_from_eighty_percent_and_accuses_above_it() {
    let peak = |budget, peak| {
        Sweep::new("budget")
            .options(Options::new().budget(budget))
            .run(move |heap| Owned::new(heap, peak).map(drop))
    };
    let below = peak(1000, 799);
    below.assert_clean();
    assert!(!below.to_string().contains("warning"), "{below}");
    let warned = peak(1000, 800);
    warned.assert_clean();
    assert!(warned.to_string().contains("peak of 800 bytes is 80 % of the budget"), "{warned}");
    peak(1000, 1000).assert_clean();
    let over = the(&peak(1000, 1001), Kind::OverBudget).to_string();
    assert!(over.contains("1 byte over the budget of 1,000 bytes"), "{over}");
}

#[test]
fn a_histogram_tells_the_sizes_of_the_requests() {
    let sizes = |heap: &Heap| {
        (0..90).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
        (0..9).try_for_each(|_| Owned::new(heap, 200).map(drop))?;
        Owned::new(heap, 5000).map(drop)
    };
    let off = Sweep::new("sizes").run(sizes);
    assert!(!off.to_string().contains("p50"), "{off}");
    let on = Sweep::new("sizes").options(Options::new().histogram()).run(sizes);
    let said = "sizes: p50 ≤ 31, p90 ≤ 31, p99 ≤ 255 bytes, of 100 requests";
    assert!(on.to_string().contains(said), "{on}");
}

#[test]
fn a_size_that_no_address_space_holds_is_refused() {
    for options in all_modes() {
        let heap = options.heap();
        assert!(heap.alloc(layout(isize::MAX as usize - 7, 8)).is_err());
        assert!(heap.alloc(layout(isize::MAX as usize - 65_535, 65_536)).is_err());
        assert_eq!((heap.live_bytes(), heap.peak_bytes()), (0, 0));
    }
}
