//! A global heap that is no static.
//~ E0597
use mallory::{GlobalHeap, Refused, Sweep};

fn main() {
    let heap = GlobalHeap::system();
    Sweep::new("it").global(&heap).run(|_| Ok::<_, Refused>(())).assert_clean();
}
