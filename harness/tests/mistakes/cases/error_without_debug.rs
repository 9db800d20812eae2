//! An error that can't be printed.
//~ `Oom` doesn't implement `Debug`
use mallory::Sweep;

struct Oom;

fn main() {
    Sweep::new("it").run(|_| Ok::<_, Oom>(())).assert_clean();
}
