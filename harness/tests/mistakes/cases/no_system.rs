//! A script of operations on a type that is no system.
//~ `Queue` is no system under test
//~ the documentation of `mallory::system` has a whole one
use mallory::Sweep;

struct Queue;

fn main() {
    Sweep::new("it").script::<Queue>(&[]).assert_clean();
}
