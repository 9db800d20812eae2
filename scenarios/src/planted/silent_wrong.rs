//! Silent wrong: a log that is searched for its warnings.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::SilentWrong,
    wrong: "leaves warnings out of its result if there is no memory for them",
    right: "returns an error if there is no memory for a warning",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const LOG: &str = "\
info: 12 objects
warn: 3 dangling
info: repacked
warn: 1 unreachable
warn: 2 too large
warn: clock is behind
warn: no reflog
info: done";

fn is_warning(line: &&str) -> bool {
    line.starts_with("warn: ")
}

/// The bug: a warning that can't be kept is dropped, and the result doesn't say so.
fn planted(heap: &Heap) -> Result<Vec<&'static str, Heap>, Oom> {
    let mut warnings = Vec::new_in(heap.clone());
    for line in LOG.lines().filter(is_warning) {
        if warnings.try_reserve(1).is_ok() {
            warnings.push(line);
        }
    }
    Ok(warnings)
}

fn near_miss(heap: &Heap) -> Result<Vec<&'static str, Heap>, Oom> {
    let mut warnings = Vec::new_in(heap.clone());
    for line in LOG.lines().filter(is_warning) {
        warnings.try_reserve(1)?;
        warnings.push(line);
    }
    Ok(warnings)
}
