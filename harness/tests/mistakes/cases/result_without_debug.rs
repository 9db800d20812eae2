//! A result that can't be compared.
//~ `Plain` can't be compared with the fault-free run's
//~ derive `Debug` for `Plain`; or choose a part that has it, by `.observe(|result: &Plain| ..)`
use mallory::{Refused, Sweep};

struct Plain;

fn main() {
    Sweep::new("it").run(|_| Ok::<_, Refused>(Plain)).assert_clean();
}
