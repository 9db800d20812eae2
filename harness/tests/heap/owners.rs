//! Several heaps in one run: to which heap a block belongs, and what happens to the blocks of a heap
//! that is dropped.
#![allow(unsafe_code, reason = "blocks are freed through the wrong heap on purpose")]

use crate::common::ports::Bump;
use crate::common::{Oom, Owned, kinds, layout, only, the};
use mallory::{Finding, Heap, Kind, Options, Port, Sweep};

/// Allocates a block from one heap and frees it through another.
fn misplace(from: &Heap, to: &Heap) -> Result<(), Oom> {
    let block = Owned::new(from, 40)?;
    let (start, layout) = (block.start(), block.layout());
    block.lose();
    // SAFETY: none if the heaps differ: then the free is refused.
    unsafe { to.free(start, layout) };
    Ok(())
}

fn belongs(finding: &Finding, owner: &str, freed_by: &str) {
    let text = finding.to_string();
    let said = format!("belongs to heap `{owner}`, and was freed through heap `{freed_by}`");
    assert_eq!(finding.kind(), Kind::CrossAllocatorFree);
    assert!(text.contains(&said), "{text}");
    assert!(text.contains("misplace"), "the call sites are named: {text}");
}

#[test]
fn a_block_freed_through_another_named_heap_names_both() {
    let report = Sweep::new("two").run(|heap| misplace(&heap.named("left"), &heap.named("right")));
    belongs(only(&report), "left", "right");
    let back = Sweep::new("two").run(|heap| misplace(&heap.named("left"), heap));
    belongs(only(&back), "left", "main");
}

#[test]
fn a_block_that_was_refused_has_one_finding_however_often_it_is_freed() {
    let refused = |free: fn(&Heap, &Owned)| {
        Sweep::new("refused").run(move |heap| {
            let block = Owned::new(heap, 40)?;
            free(heap, &block);
            free(heap, &block);
            block.lose();
            Ok::<_, Oom>(())
        })
    };
    let elsewhere = |heap: &Heap, block: &Owned| {
        // SAFETY: none, it is another heap, which refuses the block.
        unsafe { heap.named("other").free(block.start(), block.layout()) }
    };
    let inside = |heap: &Heap, block: &Owned| {
        // SAFETY: none, the address is inside a block. The heap refuses it.
        unsafe { heap.free(block.start().add(8), block.layout()) }
    };
    let resized = |heap: &Heap, block: &Owned| {
        // SAFETY: none, it is another layout. The heap refuses it.
        unsafe { heap.free(block.start(), layout(48, 8)) }
    };
    type Free = (fn(&Heap, &Owned), Kind);
    let frees: [Free; 3] = [
        (elsewhere, Kind::CrossAllocatorFree),
        (inside, Kind::InvalidFree),
        (resized, Kind::LayoutMismatch),
    ];
    for (free, kind) in frees {
        assert_eq!(kinds(&refused(free)), [kind]);
    }
}

#[test]
fn clones_of_a_heap_are_that_heap() {
    Sweep::new("clones")
        .run(|heap| {
            let left = heap.named("left");
            misplace(&left, &left.clone())?;
            misplace(heap, &heap.clone())
        })
        .assert_clean();
}

#[test]
fn declared_aliases_may_free_each_others_blocks() {
    Sweep::new("aliases")
        .run(|heap| {
            let (left, right) = (heap.named("left"), heap.named("right"));
            left.alias(&right);
            misplace(&left, &right)?;
            misplace(&right, &left)
        })
        .assert_clean();
    let third = Sweep::new("aliases").run(|heap| {
        let (left, right) = (heap.named("left"), heap.named("right"));
        left.alias(&right);
        misplace(&left, heap)
    });
    belongs(only(&third), "left", "main");
}

#[test]
fn an_arenas_block_freed_through_the_heap_below_names_the_arena() {
    let report = Sweep::new("inner").run(|heap| {
        let arena = heap.wrap("arena", Bump::new(heap));
        // The first block starts at the address of its chunk: the innermost owner counts.
        misplace(&arena, heap)
    });
    belongs(the(&report, Kind::CrossAllocatorFree), "arena", "main");
    let outer =
        Sweep::new("outer").run(|heap| misplace(heap, &heap.wrap("arena", Bump::new(heap))));
    belongs(the(&outer, Kind::CrossAllocatorFree), "main", "arena");
}

#[test]
fn an_arenas_first_block_is_found_without_guards_too() {
    let report = Sweep::new("inner").options(Options::new().ledger_only()).run(|heap| {
        let arena = heap.wrap("arena", Bump::new(heap));
        misplace(&arena, heap)
    });
    belongs(the(&report, Kind::CrossAllocatorFree), "arena", "main");
}

#[test]
fn an_arenas_bytes_are_counted_once() {
    let heap = Heap::new();
    let arena = heap.wrap("arena", Bump::new(&heap));
    let block = Owned::new(&arena, 100).expect("there is memory");
    assert_eq!(heap.live_bytes(), Bump::CHUNK);
    drop(block);
    drop(arena);
    assert_eq!((heap.live_bytes(), heap.peak_bytes()), (0, Bump::CHUNK));
}

#[test]
fn what_an_arena_takes_back_at_once_is_no_leak() {
    let report = Sweep::new("reset").run(|heap| {
        let arena = heap.wrap("arena", Bump::new(heap));
        for _ in 0..3 {
            for _ in 0..20 {
                Owned::new(&arena, 100)?.lose();
            }
            // SAFETY: the blocks are leaked, so nobody uses them.
            unsafe { arena.reclaim() };
        }
        Owned::new(&arena, 100)?.lose();
        Ok::<_, Oom>(())
    });
    report.assert_clean();
}

#[test]
fn an_overflow_inside_an_arena_is_seen_when_it_is_taken_back() {
    let report = Sweep::new("arena-overflow").run(|heap| {
        let arena = heap.wrap("arena", Bump::new(heap));
        let start = Owned::new(&arena, 20)?.lose();
        // SAFETY: none, this is the byte behind a block. It lies in the chunk, in a red zone.
        unsafe { start.add(20).write(1) };
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&report).kind(), Kind::HeapBufferOverflow);
}

#[test]
fn a_heap_may_go_before_its_blocks_and_they_are_leaks() {
    let report = Sweep::new("orphans").run(|heap| {
        let left = heap.named("left");
        Owned::new(&left, 24)?.lose();
        drop(left);
        Owned::new(heap, 16).map(drop)
    });
    let leak = only(&report).to_string();
    assert!(leak.contains("1 block, 24 bytes (align 8), heap `left`"), "{leak}");
}

#[test]
fn a_heaps_quarantine_is_emptied_before_its_port_goes() {
    let report = Sweep::new("emptied").run(|heap| {
        let arena = heap.wrap("arena", Bump::new(heap));
        let block = Owned::new(&arena, 64)?;
        let start = block.start();
        drop(block);
        // SAFETY: none, the block is freed. It is still in quarantine.
        unsafe { start.write(1) };
        drop(arena);
        (0..3000).try_for_each(|_| Owned::new(heap, 16).map(drop))?;
        Ok::<_, Oom>(())
    });
    assert_eq!(kinds(&report), [Kind::UseAfterFree], "{report}");
}

#[test]
fn thousands_of_heaps_may_come_and_go_in_one_run() {
    let report = Sweep::new("many").limit(4).run(|heap| {
        for _ in 0..3000 {
            let (left, right) = (heap.named("left"), heap.named("right"));
            let arena = left.wrap("arena", Bump::new(&left));
            drop((Owned::new(&left, 8)?, Owned::new(&right, 8)?, Owned::new(&arena, 8)?));
        }
        Ok::<_, Oom>(())
    });
    assert_eq!(report.coverage().requests, 3000 * 4);
    report.assert_clean();
}

#[test]
fn a_heap_outlives_the_first_one_of_its_run() {
    let first = Heap::new();
    let left = first.named("left");
    drop(first);
    let block = Owned::new(&left, 100).expect("there is memory");
    assert_eq!((left.live_bytes(), left.name()), (100, "left"));
    drop(left);
    drop(block);
}
