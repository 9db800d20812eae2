//! A closure that captures what only one thread may use.
//~ this closure captures something that only one thread may use
//~ `.run_local(..)` takes any closure
use std::cell::Cell;
use std::rc::Rc;

use mallory::{Refused, Sweep};

fn main() {
    let runs = Rc::new(Cell::new(0));
    let counted = |_: &mallory::Heap| {
        runs.set(runs.get() + 1);
        Ok::<_, Refused>(())
    };
    Sweep::new("it").run(counted).assert_clean();
}
