//! Abort: a diff's changed lines, gathered in a vector.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Abort,
    wrong: "pushes onto a vector, which aborts if it can't grow",
    right: "reserves before it pushes",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const OLD: &str = "a\nb\nc\nd\ne\nf";
const NEW: &str = "a\nB\nC\nD\nE\nF";

/// The bug: `push` is infallible, so it ends the process.
fn planted(heap: &Heap) -> Result<Vec<usize, Heap>, Oom> {
    let mut changed = Vec::new_in(heap.clone());
    for (number, (old, new)) in (1..).zip(OLD.lines().zip(NEW.lines())) {
        if old != new {
            changed.push(number);
        }
    }
    Ok(changed)
}

fn near_miss(heap: &Heap) -> Result<Vec<usize, Heap>, Oom> {
    let mut changed = Vec::new_in(heap.clone());
    for (number, (old, new)) in (1..).zip(OLD.lines().zip(NEW.lines())) {
        if old != new {
            changed.try_reserve(1)?;
            changed.push(number);
        }
    }
    Ok(changed)
}
