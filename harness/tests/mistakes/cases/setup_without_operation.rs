//! A set-up on which nothing is done.
//~ `.setup(..)` without `.operation(..)`
//~ say what is swept on the object: `.setup(|heap| ..).operation(|object| ..)`
use mallory::{Refused, Sweep};

fn main() {
    Sweep::new("it").setup(|_| Ok::<_, Refused>(vec![1])).assert_clean();
}
