//! Pools lend and take back: nothing comes back that a later user can see, nothing is allocated on
//! the way back, and the statistics add up.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mallory::{Heap, Options, Plan};
use mallory_scenarios::memory::blocks::{BUFFER_BYTES, STRING_BLOCK, STRING_BLOCKS};
use mallory_scenarios::memory::bytes::{try_extend, try_push};
use mallory_scenarios::memory::pool::KEPT_BYTES;
use mallory_scenarios::memory::{Buffer, MapPool, Pool, PoolStats, Reusable, StringPool, VecPool};

/// What came is what is still there or went.
fn adds_up(stats: PoolStats) {
    let PoolStats { hits, misses, returned, dropped, lent, .. } = stats;
    assert_eq!(hits + misses, returned + dropped + lent, "{stats:?}");
    assert!(stats.idle <= returned && lent <= stats.high_water, "{stats:?}");
}

#[test]
fn a_vector_is_lent_again_empty_and_with_its_memory() {
    let heap = Heap::new();
    let pool = VecPool::<u32>::new(&heap, 2);
    let mut first = pool.take().unwrap();
    try_extend(&mut first, &[1, 2, 3]).unwrap();
    let place = first.as_ptr();
    drop(first);
    // Another object would need memory.
    heap.arm(Plan::from(1));
    let again = pool.take().unwrap();
    assert!(again.is_empty() && again.as_ptr() == place && again.capacity() >= 3);
    drop(again);
    heap.disarm();
    let stats = pool.stats();
    assert_eq!((stats.hits, stats.misses, stats.returned, stats.idle), (1, 1, 2, 1));
    adds_up(stats);
    drop(pool);
    assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
}

#[test]
fn a_map_is_lent_again_empty() {
    let heap = Heap::new();
    let pool = MapPool::<u32, u32>::new(&heap, 2);
    let mut first = pool.take().unwrap();
    first.try_reserve(1).unwrap();
    first.insert(1, 2);
    drop(first);
    let again = pool.take().unwrap();
    assert!(again.is_empty() && again.capacity() >= 1);
}

#[test]
fn coming_back_needs_no_memory_however_many_are_lent() {
    let heap = Heap::new();
    for cap in [0, 1, 3, 100] {
        let pool = VecPool::<u8>::new(&heap, cap);
        let lent: Vec<_> = (0..10).map(|_| pool.take().unwrap()).collect();
        heap.arm(Plan::from(1));
        drop(lent);
        heap.disarm();
        let stats = pool.stats();
        assert_eq!((stats.returned, stats.dropped), (cap.min(10), 10 - cap.min(10)));
        assert_eq!((stats.high_water, stats.lent, stats.idle), (10, 0, cap.min(10)));
        adds_up(stats);
    }
}

#[test]
fn one_that_is_dropped_by_a_panic_comes_back() {
    let heap = Heap::new();
    let pool = VecPool::<u8>::new(&heap, 2);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut lent = pool.take().unwrap();
        try_push(&mut lent, 1).unwrap();
        panic!("in the middle of it");
    }));
    assert!(caught.is_err());
    assert_eq!((pool.stats().idle, pool.stats().lent), (1, 0));
    assert!(pool.take().unwrap().is_empty());
}

#[test]
fn a_refused_taking_changes_nothing() {
    let heap = Heap::new();
    for n in [1, 2] {
        let pool = Pool::<Buffer>::new(&heap, 4);
        heap.arm(Plan::nth(n));
        assert!(pool.take().is_err());
        heap.disarm();
        assert_eq!(pool.stats(), PoolStats::default());
        drop(pool.take().unwrap());
        adds_up(pool.stats());
    }
}

#[test]
fn one_that_grew_large_is_freed() {
    let heap = Heap::new();
    let pool = VecPool::<u8>::new(&heap, 2);
    let mut lent = pool.take().unwrap();
    lent.try_reserve_exact(KEPT_BYTES + 1).unwrap();
    drop(lent);
    assert_eq!((pool.stats().dropped, pool.stats().idle), (1, 0));
    assert!(heap.live_bytes() < 1024);
}

#[test]
fn a_trim_frees_what_waits_and_keeps_the_places_of_what_is_lent() {
    let heap = Heap::new();
    let pool = Pool::<Buffer>::new(&heap, 4);
    let lent: Vec<_> = (0..4).map(|_| pool.take().unwrap()).collect();
    drop(pool.take().unwrap());
    drop(lent);
    let lent = [pool.take().unwrap(), pool.take().unwrap()];
    let before = heap.live_bytes();
    assert_eq!(pool.trim(0), 2);
    assert!(before - heap.live_bytes() >= 2 * BUFFER_BYTES);
    heap.arm(Plan::from(1));
    drop(lent);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn under_the_kill_switch_nothing_is_kept() {
    let heap = Options::new().bypass(true).heap();
    let pool = Pool::<Buffer>::new(&heap, 4);
    for _ in 0..3 {
        drop(pool.take().unwrap());
        assert_eq!(heap.live_bytes(), 0);
    }
    assert_eq!((pool.stats().misses, pool.stats().dropped), (3, 3));
}

#[test]
fn short_strings_share_blocks_and_long_ones_do_not() {
    let heap = Heap::new();
    let pool = StringPool::new(&heap);
    for length in [0, 1, STRING_BLOCK - 1, STRING_BLOCK, STRING_BLOCK + 1, 5000] {
        let text = vec![b'x'; length];
        let string = pool.copy(&text).unwrap();
        assert_eq!(*string, *text);
        assert_eq!(pool.stats().lent, usize::from(length <= STRING_BLOCK), "{length} bytes");
    }
    assert_eq!((pool.stats().misses, pool.stats().hits), (1, 3));
    // The block was full, and what was in it doesn't show.
    assert_eq!(*pool.copy(b"ab").unwrap(), *b"ab");
    let many: Vec<_> = (0..STRING_BLOCKS + 5).map(|_| pool.copy(b"name").unwrap()).collect();
    drop(many);
    assert_eq!((pool.stats().idle, pool.stats().dropped), (STRING_BLOCKS, 5));
    assert_eq!(pool.trim(0), STRING_BLOCKS);
}

#[test]
fn a_buffer_is_filled_to_its_end() {
    let pool = Pool::<Buffer>::new(&Heap::new(), 1);
    let mut buffer = pool.take().unwrap();
    assert_eq!(buffer.fill(b"head"), b"");
    let rest = vec![7; BUFFER_BYTES];
    assert_eq!(buffer.fill(&rest).len(), 4);
    assert_eq!(buffer.fill(b"more"), b"more");
    assert_eq!((buffer.len(), &buffer[..4]), (BUFFER_BYTES, &b"head"[..]));
    assert!(buffer.reset() && buffer.is_empty());
}

#[test]
fn threads_share_a_pool() {
    let heap = Options::new().parallel().heap();
    let pool = VecPool::<usize>::new(&heap, 3);
    std::thread::scope(|scope| {
        for mine in 1..=4 {
            let pool = pool.clone();
            scope.spawn(move || {
                for _ in 0..200 {
                    let mut lent = pool.take().unwrap();
                    assert!(lent.is_empty(), "the last user's values are gone");
                    try_extend(&mut lent, &[mine; 8]).unwrap();
                    assert!(lent.iter().all(|value| *value == mine));
                }
            });
        }
    });
    let stats = pool.stats();
    adds_up(stats);
    assert_eq!((stats.hits + stats.misses, stats.lent), (800, 0));
    drop(pool);
    assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
}
