//! A closure that takes no heap.
//~ E0593
use mallory::{Refused, Sweep};

fn main() {
    Sweep::new("it").run(|| Ok::<_, Refused>(())).assert_clean();
}
