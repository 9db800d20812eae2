//! Under the global allocator, code that frees its memory in a random order but does the same
//! otherwise is not called nondeterministic: std's hash maps have random seeds.

use std::collections::{HashMap, TryReserveError};

use crate::sweep;
use mallory::Outcome;

/// Blocks of different sizes, which the map frees in an order that depends on its seeds.
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
    let report = sweep("map").oom(|_| true).observe(HashMap::len).run(|_| blocks());
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.requests > 40, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
}

#[test]
fn what_it_asks_for_may_depend_on_that_order() {
    let report = sweep("copy").oom(|_| true).observe(Vec::len).run(|_| {
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
    report.assert_clean();
    let coverage = report.coverage();
    assert!(coverage.complete && coverage.requests > 80, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), coverage.runs, "{report}");
    assert!(report.to_string().contains("a process of its own"), "{report}");
}
