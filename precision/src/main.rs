//! Popular crates, swept as they are: Mallory must find nothing wrong with them. `table` prints the
//! table of README.md; anything else is the `mallory` command line over the same subjects.

mod subject;
mod subjects;
mod table;
mod version;

use std::process::ExitCode;

/// Watches the crates, which allocate globally.
#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["table"] => {
            print!("{}", table::table(&HEAP));
            ExitCode::SUCCESS
        }
        _ => {
            let scenarios: Vec<_> =
                subjects::all().into_iter().map(|subject| subject.scenario(&HEAP)).collect();
            mallory::cli::main(&scenarios)
        }
    }
}
