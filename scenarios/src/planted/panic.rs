//! Panic: a histogram of line lengths.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Panic,
    wrong: "expects that there is always memory for a small table",
    right: "returns an error if there is no memory for the small table",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const TEXT: &str = "one\ntwo\nthree\nfour\n\nfive";

/// A table of zeroes.
fn table(heap: &Heap, len: usize) -> Result<Vec<u32, Heap>, Oom> {
    let mut table = Vec::new_in(heap.clone());
    table.try_reserve_exact(len)?;
    table.resize(len, 0);
    Ok(table)
}

/// The bug: small requests fail as large ones do.
fn planted(heap: &Heap) -> Result<Vec<u32, Heap>, Oom> {
    let longest = TEXT.lines().map(str::len).max().unwrap_or(0);
    let mut counts = table(heap, longest + 1).expect("a table this small fits");
    TEXT.lines().for_each(|line| counts[line.len()] += 1);
    Ok(counts)
}

fn near_miss(heap: &Heap) -> Result<Vec<u32, Heap>, Oom> {
    let longest = TEXT.lines().map(str::len).max().unwrap_or(0);
    let mut counts = table(heap, longest + 1)?;
    TEXT.lines().for_each(|line| counts[line.len()] += 1);
    Ok(counts)
}
