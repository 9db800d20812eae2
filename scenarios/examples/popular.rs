//! Prints the table of `FOREIGN.md`: sweeps every subject of the groups `foreign` and `popular`.

#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

fn main() {
    print!("{}", mallory_scenarios::foreign::table::table(&HEAP));
}
