//! Not recovered: a table whose columns are filled side by side.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options, Report, Sweep};

use super::pair::{Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::NotRecovered,
    wrong: "has filled the first column when there is no memory for the second",
    right: "reserves memory for both columns before it fills one",
    options: Options::new,
    planted: |sweep| run(sweep, planted),
    near_miss: |sweep| run(sweep, near_miss),
};

/// Objects, one in each row.
#[derive(Debug)]
struct Table {
    ids: Vec<u32, Heap>,
    sizes: Vec<u64, Heap>,
}

fn open(heap: &Heap) -> Result<Table, Oom> {
    Ok(Table { ids: Vec::new_in(heap.clone()), sizes: Vec::new_in(heap.clone()) })
}

/// Adds a row; after an error it tries once more, with memory.
fn run(sweep: Sweep, add: fn(&mut Table, u32, u64) -> Result<(), Oom>) -> Report {
    let sweep = sweep.oom(|_: &Oom| true).observe(|table: &Table| format!("{table:?}"));
    sweep.setup(open).atomic().operation(|table| add(table, 17, 4096))
}

/// The bug: half of the row is there when the error is returned.
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
