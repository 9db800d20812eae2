//! A closure that is only checked, and returns neither nothing nor a `Result`.
//~ a closure that is only checked returns `()` or a `Result`, not
//~ end it with `;`
use mallory::Sweep;

fn main() {
    Sweep::new("it").check(|_| 3_u8).assert_clean();
}
