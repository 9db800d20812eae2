//! Absorbed: path names that are folded once and remembered, in a scenario that is strict.

use hashbrown::{DefaultHashBuilder, HashMap};
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Absorbed,
    wrong: "stops remembering if there is no memory, though it promised to report that",
    right: "returns an error if it can't remember",
    options: Options::new,
    planted: |sweep| pair::run(sweep.strict(), planted),
    near_miss: |sweep| pair::run(sweep.strict(), near_miss),
};

const PATHS: [&str; 4] = ["SRC/Lib.rs", "README", "SRC/Lib.rs", "README"];

/// What has been folded before.
type Memory = HashMap<&'static str, u64, DefaultHashBuilder, Heap>;

/// A number that is the same for paths that differ in case only.
fn fold(path: &str) -> u64 {
    path.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte.to_ascii_lowercase()))
}

/// The bug: each path may be folded many times, and no error says so.
fn planted(heap: &Heap) -> Result<u64, Oom> {
    let mut memory = Memory::with_hasher_in(DefaultHashBuilder::default(), heap.clone());
    let mut sum = 0_u64;
    for path in PATHS {
        let folded = memory.get(path).copied().unwrap_or_else(|| fold(path));
        if memory.try_reserve(1).is_ok() {
            memory.insert(path, folded);
        }
        sum = sum.wrapping_add(folded);
    }
    Ok(sum)
}

fn near_miss(heap: &Heap) -> Result<u64, Oom> {
    let mut memory = Memory::with_hasher_in(DefaultHashBuilder::default(), heap.clone());
    let mut sum = 0_u64;
    for path in PATHS {
        let folded = memory.get(path).copied().unwrap_or_else(|| fold(path));
        memory.try_reserve(1)?;
        memory.insert(path, folded);
        sum = sum.wrapping_add(folded);
    }
    Ok(sum)
}
