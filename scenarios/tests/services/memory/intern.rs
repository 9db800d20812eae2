//! The intern table keeps its promises: one copy of each string, reference counts, bounded memory,
//! and no change when memory runs out.

use std::collections::BTreeMap;

use mallory::{Heap, Options, Plan, Refused};
use mallory_scenarios::memory::intern::{Handle, InternTable};

fn text(table: &InternTable, handle: Handle) -> Option<Vec<u8>> {
    table.resolve(handle, <[u8]>::to_vec)
}

fn contents(table: &InternTable) -> BTreeMap<Vec<u8>, u32> {
    let mut all = BTreeMap::new();
    table.for_each(|bytes, references| *all.entry(bytes.to_vec()).or_default() += references);
    all
}

#[test]
fn equal_strings_share_a_copy() {
    let heap = Heap::new();
    let table = InternTable::new(&heap);
    let first = table.acquire("src/lib.rs").unwrap();
    let again = table.acquire(b"src/lib.rs").unwrap();
    let other = table.acquire("").unwrap();
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_eq!(text(&table, first).unwrap(), b"src/lib.rs");
    assert_eq!(text(&table, other).unwrap(), b"");
    let stats = table.stats();
    assert_eq!((stats.strings, stats.bytes), (2, 10));
    assert_eq!((stats.saved_strings, stats.saved_bytes), (1, 10));
}

#[test]
fn the_last_release_frees_and_a_stale_handle_finds_nothing() {
    let heap = Heap::new();
    let table = InternTable::new(&heap);
    let handle = table.acquire("a").unwrap();
    assert!(table.retain(handle));
    assert!(table.release(handle));
    assert!(table.is(handle, b"a"));
    assert!(table.release(handle));
    assert!(!table.release(handle) && !table.retain(handle));
    assert_eq!(text(&table, handle), None);
    let reborn = table.acquire("a").unwrap();
    assert_ne!(reborn, handle, "the slot is the same one, but older");
    assert_eq!(text(&table, handle), None);
    assert_eq!(contents(&table), BTreeMap::from([(b"a".to_vec(), 1)]));
}

#[test]
fn a_held_reference_goes_unless_it_is_kept() {
    let table = InternTable::new(&Heap::new());
    drop(table.hold("a").unwrap());
    assert_eq!(contents(&table), BTreeMap::new());
    let kept = table.hold("a").unwrap().keep();
    assert!(table.is(kept, b"a"));
}

#[test]
fn handles_are_ordered_by_their_strings() {
    let table = InternTable::new(&Heap::new());
    let words: Vec<String> = (0..50).map(|n| format!("{}", n * 7919 % 101)).collect();
    let mut handles: Vec<Handle> = words.iter().map(|w| table.acquire(w).unwrap()).collect();
    handles.sort_by(|left, right| table.compare(*left, *right));
    let mut sorted = words;
    sorted.sort();
    let found = handles.iter().map(|handle| text(&table, *handle).unwrap());
    assert!(found.eq(sorted.into_iter().map(String::into_bytes)));
}

#[test]
fn memory_is_steady_under_churn() {
    for bypass in [false, true] {
        let heap = Options::new().bypass(bypass).heap();
        let table = InternTable::new(&heap);
        let round = |from: u32| {
            let names = (from..from + 200).map(|n| format!("path/{n:06}"));
            let handles: Vec<Handle> = names.map(|name| table.acquire(name).unwrap()).collect();
            assert!(handles.into_iter().all(|handle| table.release(handle)));
        };
        // The same 4,000 names are acquired and released, 200 at a time.
        let cycle = || (0..20).for_each(|n| round(n * 200));
        (0..2).for_each(|_| cycle());
        let (live, peak) = (heap.live_bytes(), heap.peak_bytes());
        (0..10).for_each(|_| cycle());
        assert_eq!(heap.live_bytes(), live);
        assert_eq!(heap.peak_bytes(), peak);
        drop(table);
        assert_eq!(heap.live_bytes(), 0);
    }
}

#[test]
fn a_refused_acquisition_changes_nothing() {
    for bypass in [false, true] {
        let words: Vec<String> = (0..60).map(|n| format!("word {}", n % 40)).collect();
        for n in 1.. {
            let heap = Options::new().bypass(bypass).heap();
            let table = InternTable::new(&heap);
            heap.arm(Plan::nth(n));
            let mut failed = false;
            let mut expected = BTreeMap::new();
            for word in &words {
                if table.acquire(word) == Err(Refused) {
                    failed = true;
                    assert_eq!(contents(&table), expected, "after request {n} failed");
                    table.acquire(word).unwrap();
                }
                *expected.entry(word.clone().into_bytes()).or_default() += 1;
            }
            assert_eq!(contents(&table), expected);
            drop(table);
            assert_eq!(heap.live_bytes(), 0);
            if !failed {
                assert!(n > 40, "only {n} requests");
                break;
            }
        }
    }
}

#[test]
fn under_the_kill_switch_each_acquisition_has_its_own_copy() {
    let heap = Options::new().bypass(true).heap();
    let table = InternTable::new(&heap);
    let (first, second) = (table.acquire("a").unwrap(), table.acquire("a").unwrap());
    assert_ne!(first, second);
    assert!(table.compare(first, second).is_eq());
    assert_eq!(table.stats().saved_strings, 0);
    assert!(table.release(first));
    assert!(table.is(second, b"a"));
}

#[test]
fn threads_share_a_table() {
    let heap = Options::new().parallel().heap();
    let table = InternTable::new(&heap);
    let churn = |thread: usize| {
        for n in 0..300 {
            let name = format!("path {}", (n + thread) % 17);
            let handle = table.acquire(&name).unwrap();
            assert!(table.retain(handle));
            assert!(table.is(handle, name.as_bytes()));
            let other = table.acquire("other").unwrap();
            assert!(table.compare(handle, other).is_gt());
            assert!(table.compare(other, handle).is_lt());
            assert!(table.release(handle) && table.release(handle) && table.release(other));
        }
    };
    let churn = &churn;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || churn(thread));
        }
    });
    assert_eq!(contents(&table), BTreeMap::new());
    assert_eq!(table.stats().strings, 0);
    drop(table);
    assert_eq!(heap.live_bytes(), 0);
}
