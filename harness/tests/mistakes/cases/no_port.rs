//! A port that is none, but an allocator of another kind.
//~ `std::alloc::System` is no allocator that Mallory can call
//~ `GlobalPort` for a `GlobalAlloc`
use mallory::{Refused, Sweep};

fn main() {
    Sweep::new("it").port(|| std::alloc::System).run(|_| Ok::<_, Refused>(())).assert_clean();
}
