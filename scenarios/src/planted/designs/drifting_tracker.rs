//! A tracker of allocations: a counter of live bytes, and a list of what is live.

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/drifting-tracker",
    kind: Kind::SilentWrong,
    wrong: "counts an allocation that it has no memory to remember, and can't count it down",
    right: "remembers an allocation before it counts it",
    planted: |sweep| pair::run(sweep, |heap| work(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| work(heap, near_miss)),
};

struct Tracker {
    live: usize,
    /// What is live: a number that names it, and its size.
    blocks: Vec<(usize, usize), Heap>,
}

impl Tracker {
    fn untrack(&mut self, name: usize) {
        if let Some(place) = self.blocks.iter().position(|(known, _)| *known == name) {
            let (_, size) = self.blocks.swap_remove(place);
            self.live -= size;
        }
    }
}

/// Tracks three buffers, and then nothing; returns the live bytes that the tracker still counts.
fn work(
    heap: &Heap,
    track: fn(&mut Tracker, usize, usize) -> Result<(), Oom>,
) -> Result<usize, Oom> {
    let mut tracker = Tracker { live: 0, blocks: Vec::new_in(heap.clone()) };
    for (name, size) in [4096, 256, 64].into_iter().enumerate() {
        track(&mut tracker, name, size)?;
    }
    (0..3).for_each(|name| tracker.untrack(name));
    Ok(tracker.live)
}

/// The bug: the error of the list is dropped, and the counter has gone up.
fn planted(tracker: &mut Tracker, name: usize, size: usize) -> Result<(), Oom> {
    tracker.live += size;
    let known = tracker.blocks.try_reserve(1).is_ok();
    tracker.blocks.extend(known.then_some((name, size)));
    Ok(())
}

fn near_miss(tracker: &mut Tracker, name: usize, size: usize) -> Result<(), Oom> {
    tracker.blocks.try_reserve(1)?;
    tracker.live += size;
    tracker.blocks.push((name, size));
    Ok(())
}
