//! A classifier of errors that never occur.
//~ E0271
use mallory::{Heap, Refused, Sweep};

fn subject(_: &Heap) -> Result<u8, Refused> {
    Err(Refused)
}

fn main() {
    Sweep::new("it").oom(|_: &String| true).run(subject).assert_clean();
}
