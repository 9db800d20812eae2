//! What is right compiles.
use std::cell::Cell;

use mallory::{GlobalHeap, Heap, Refused, Sweep};

static HEAP: GlobalHeap = GlobalHeap::system();

struct Plain(u8);

fn main() {
    let runs = Cell::new(0);
    let counted = |_: &Heap| {
        runs.set(runs.get() + 1);
        Ok::<_, Refused>(Plain(3))
    };
    let sweep = Sweep::new("it").oom(|_: &Refused| true).observe(|plain: &Plain| plain.0);
    sweep.run_local(counted).assert_clean();
    let sweep = Sweep::new("it").global(&HEAP).setup(|_| Ok::<_, Refused>(vec![1]));
    sweep.atomic().operation(|list| Ok::<_, Refused>(list.len())).assert_clean();
    Sweep::new("it").check(|_| {}).assert_clean();
}
