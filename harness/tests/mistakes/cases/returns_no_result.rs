//! A closure that returns something else than a `Result`.
//~ E0308
use mallory::Sweep;

fn main() {
    Sweep::new("it").run(|_| 3).assert_clean();
}
