//! The `mallory` command over this repository's scenarios.

use std::process::ExitCode;

/// Watches the crates of the feature `foreign`, which allocate globally.
#[cfg(feature = "foreign")]
#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system();

fn main() -> ExitCode {
    #[cfg_attr(not(feature = "foreign"), expect(unused_mut, reason = "nothing is added"))]
    let mut scenarios = mallory_scenarios::scenarios();
    #[cfg(feature = "foreign")]
    scenarios.extend(mallory_scenarios::foreign::scenarios(&HEAP));
    mallory::cli::main_with_exec(&scenarios, mallory_preload::LIBRARY)
}
