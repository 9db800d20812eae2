//! An operation on nothing.
//~ `.operation(..)` without `.setup(..)`
//~ make the object first: `.setup(|heap| ..).operation(|object| ..)`
use mallory::{Refused, Sweep};

fn main() {
    Sweep::new("it").operation(|list: &mut Vec<u8>| Ok::<_, Refused>(list.len())).assert_clean();
}
