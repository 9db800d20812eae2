//! An object that can't be compared.
//~ `List` can't be compared with the fault-free run's
use mallory::{Refused, Sweep};

struct List;

fn main() {
    Sweep::new("it").setup(|_| Ok(List)).operation(|_: &mut List| Ok::<_, Refused>(())).assert_clean();
}
