//! Over budget: an index is built from rows and printed on a page.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::OverBudget,
    wrong: "keeps the rows until the page is printed, which needs only the index",
    right: "drops the rows once the index is made",
    options: || Options::new().budget(4096),
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const ROWS: usize = 128;
const PAGE: usize = 2048;

/// A key and its value.
type Row = (u64, u64);

/// The rows, unsorted.
fn read_rows(heap: &Heap) -> Result<Vec<Row, Heap>, Oom> {
    let mut rows = Vec::new_in(heap.clone());
    rows.try_reserve_exact(ROWS)?;
    rows.extend((0..ROWS as u64).map(|row| (row * 37 % 101, row)));
    Ok(rows)
}

/// The numbers of the rows, sorted by key.
fn make_index(rows: &Vec<Row, Heap>) -> Result<Vec<u32, Heap>, Oom> {
    let mut index = Vec::new_in(rows.allocator().clone());
    index.try_reserve_exact(rows.len())?;
    index.extend(0..rows.len() as u32);
    index.sort_unstable_by_key(|row| rows[*row as usize]);
    Ok(index)
}

/// The page: a byte for each entry of the index.
fn print(index: &Vec<u32, Heap>) -> Result<Vec<u8, Heap>, Oom> {
    let mut page = Vec::new_in(index.allocator().clone());
    page.try_reserve_exact(PAGE)?;
    page.extend(index.iter().map(|row| *row as u8));
    Ok(page)
}

/// The bug: the rows are still alive beside the page, although nothing reads them any more.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let rows = read_rows(heap)?;
    let index = make_index(&rows)?;
    let page = print(&index)?;
    Ok(page.len())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let rows = read_rows(heap)?;
    let index = make_index(&rows)?;
    drop(rows);
    let page = print(&index)?;
    Ok(page.len())
}
