//! Under the global allocator, code that does the same each time but for the order in which it
//! gives memory back is not called nondeterministic: a map of std's has random seeds.

use std::collections::{HashMap, TryReserveError};

use mallory::{Kind, Outcome, Sweep};

#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

/// Blocks of different sizes, which the map gives back in the order of its seeds.
fn blocks() -> Result<HashMap<usize, Vec<u8>>, TryReserveError> {
    let mut blocks = HashMap::new();
    for size in 1..=40 {
        let mut block = Vec::new();
        block.try_reserve_exact(size)?;
        blocks.try_reserve(1)?;
        blocks.insert(size, block);
    }
    Ok(blocks)
}

#[test]
fn a_map_may_give_back_in_any_order() {
    let report =
        Sweep::new("map").global(&HEAP).oom(|_| true).observe(HashMap::len).run(|_| blocks());
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.requests > 40, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
}

#[test]
fn what_it_asks_for_has_an_order() {
    let report = Sweep::new("copy").global(&HEAP).oom(|_| true).observe(Vec::len).run(|_| {
        let blocks = blocks()?;
        let mut copies = Vec::new();
        copies.try_reserve_exact(blocks.len())?;
        for block in blocks.values() {
            let mut copy = Vec::<u8>::new();
            copy.try_reserve_exact(block.capacity())?;
            copies.push(copy);
        }
        Ok::<_, TryReserveError>(copies)
    });
    let kinds: Vec<Kind> = report.findings().iter().map(mallory::Finding::kind).collect();
    assert_eq!(kinds, [Kind::Nondeterminism], "{report}");
    assert!(report.to_string().contains(" alloc of "), "{report}");
    assert!(!report.to_string().contains("sites unavailable"), "{report}");
}
