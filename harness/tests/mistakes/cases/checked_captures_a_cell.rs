//! The same of a closure that is only checked.
//~ this closure captures something that only one thread may use
use mallory::Sweep;

fn main() {
    let runs = std::cell::RefCell::new(0);
    Sweep::new("it").check(|_| *runs.borrow_mut() += 1).assert_clean();
}
