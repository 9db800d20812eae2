//! std's `Vec` on a heap, which is stable for the `Vec` of allocator-api2 alone.
//~ allocator_api
use mallory::{Heap, Refused, Sweep};

fn main() {
    let list = |heap: &Heap| Ok::<_, Refused>(Vec::<u8, _>::new_in(heap.clone()).len());
    Sweep::new("it").run(list).assert_clean();
}
