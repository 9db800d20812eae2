//! A set-up, and a closure instead of an operation.
//~ `.setup(..)` without `.operation(..)`
use mallory::{Heap, Refused, Sweep};

fn main() {
    Sweep::new("it").setup(|_| Ok::<_, Refused>(vec![1])).run(|_: &Heap| Ok::<_, Refused>(()));
}
