//! Bugs of published designs for memory management: the code that a design document shows, made again
//! as small subjects. Each has its near miss beside it, which differs by three lines at most.
//!
//! The parts of `crate::memory` and the services are what these designs should have been.

mod context_guard;
mod drifting_tracker;
mod lost_block;
mod lost_slot;
mod short_length;
mod stale_vector;
mod untracked_buffer;

use mallory::{Kind, Report, Scenario, Sweep};

/// A bug of a design, and its near miss.
#[derive(Clone, Copy, Debug)]
pub struct DesignPair {
    /// The bug's name; the near miss's has `-near-miss` behind it.
    pub name: &'static str,
    /// What it has to be reported as.
    pub kind: Kind,
    /// What is wrong with it.
    pub wrong: &'static str,
    /// What the near miss does instead.
    pub right: &'static str,
    /// Sweeps the bug.
    pub planted: fn(Sweep) -> Report,
    /// Sweeps the near miss.
    pub near_miss: fn(Sweep) -> Report,
}

/// Every pair: first those of pools and contexts, then those of a container runtime.
pub const PAIRS: [DesignPair; 7] = [
    context_guard::PAIR,
    stale_vector::PAIR,
    lost_slot::PAIR,
    drifting_tracker::PAIR,
    untracked_buffer::PAIR,
    short_length::PAIR,
    lost_block::PAIR,
];

impl DesignPair {
    /// The near miss's name.
    #[must_use]
    pub fn near_miss_name(&self) -> String {
        format!("{}-near-miss", self.name)
    }
}

/// The bugs and their near misses, as the command line has them.
pub(super) fn scenarios() -> impl Iterator<Item = Scenario> {
    let scenario =
        |name, about, run: fn(Sweep) -> Report| Scenario::new(name, about, run).group("planted");
    PAIRS.into_iter().flat_map(move |pair| {
        [
            scenario(pair.name.to_owned(), pair.wrong, pair.planted),
            scenario(pair.near_miss_name(), pair.right, pair.near_miss),
        ]
    })
}
