//! A first sweep, as a program: fails each request of a small function, once and for good.
//! `cargo run --example first` finds nothing; `cargo run --example first leak` finds the planted bug,
//! and prints the line that replays it.

use std::process::ExitCode;

use allocator_api2::collections::TryReserveError;
use allocator_api2::vec::Vec;
use mallory::{Heap, Sweep};

/// Takes two blocks. With the planted bug the first one is lost if there is no memory for the second.
fn pair(heap: &Heap, leaks: bool) -> Result<usize, TryReserveError> {
    let mut first = Vec::<u8, _>::new_in(heap.clone());
    first.try_reserve(16)?;
    let mut second = Vec::<u8, _>::new_in(heap.clone());
    if let Err(error) = second.try_reserve(32) {
        if leaks {
            std::mem::forget(first);
        }
        return Err(error);
    }
    Ok(first.capacity() + second.capacity())
}

fn main() -> ExitCode {
    let leaks = std::env::args().nth(1).is_some_and(|word| word == "leak");
    let report = Sweep::new("pair").run(|heap| pair(heap, leaks));
    print!("{report}");
    ExitCode::from(report.exit_code())
}
