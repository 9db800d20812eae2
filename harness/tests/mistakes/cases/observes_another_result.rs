//! A choice of what is compared that takes another type than the object. The compiler points at it.
//~ E0631
//~ .observe(|text: &String| text.len())
use mallory::{Refused, Sweep};

fn main() {
    let sweep = Sweep::new("it").observe(|text: &String| text.len()).setup(|_| Ok::<_, Refused>(3_u8));
    sweep.operation(|number: &mut u8| Ok::<_, Refused>(*number)).assert_clean();
}
