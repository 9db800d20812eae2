//! Not recovered: a table whose columns are filled side by side.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options, Report, Sweep};

use super::{Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::NotRecovered,
    wrong: "has filled the first column where there is no memory for the second",
    right: "has memory for both columns before it fills one",
    options: Options::new,
    planted: |sweep| run(sweep, planted),
    near_miss: |sweep| run(sweep, near_miss),
};

/// Objects, a row each.
#[derive(Debug)]
struct Table {
    ids: Vec<u32, Heap>,
    sizes: Vec<u64, Heap>,
}

fn open(heap: &Heap) -> Result<Table, Oom> {
    Ok(Table { ids: Vec::new_in(heap.clone()), sizes: Vec::new_in(heap.clone()) })
}

/// Adds a row, after an error with memory once more.
fn run(sweep: Sweep, add: fn(&mut Table, u32, u64) -> Result<(), Oom>) -> Report {
    let sweep = sweep.oom(|_: &Oom| true).observe(|table: &Table| format!("{table:?}"));
    sweep.setup(open).atomic().operation(|table| add(table, 17, 4096))
}

/// The bug: the row is half there when the error is answered.
fn planted(table: &mut Table, id: u32, size: u64) -> Result<(), Oom> {
    table.ids.try_reserve(1)?;
    table.ids.push(id);
    table.sizes.try_reserve(1)?;
    table.sizes.push(size);
    Ok(())
}

fn near_miss(table: &mut Table, id: u32, size: u64) -> Result<(), Oom> {
    table.ids.try_reserve(1)?;
    table.sizes.try_reserve(1)?;
    table.ids.push(id);
    table.sizes.push(size);
    Ok(())
}
