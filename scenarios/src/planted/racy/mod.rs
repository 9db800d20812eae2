//! Planted bugs that need several threads, some of them a failed request as well, each beside its
//! near miss.
//!
//! They are explored, not swept, with the feature of the model checker that can see them.

mod block;
mod cleanup;
mod count;
mod leak;
mod left_listener;
mod lock_order;
mod pair;
mod publication;
mod try_lock;
mod window;

use mallory::{Heap, Scenario};

use super::pair::Oom;

pub use pair::{RacyPair, SeenBy};

/// Every pair: first those that need only an order of threads, then those that need a failed
/// request.
pub const PAIRS: [RacyPair; 8] = [
    count::PAIR,
    publication::PAIR,
    lock_order::PAIR,
    try_lock::PAIR,
    left_listener::PAIR,
    leak::PAIR,
    window::PAIR,
    cleanup::PAIR,
];

/// The bugs and their near misses, as the command line has them: the group `racy`.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let scenario = |name: String, about, run: fn(&Heap) -> Result<usize, Oom>| {
        Scenario::threads(name, about, move |explore| explore.oom(|_: &Oom| true).run(run))
            .group("racy")
    };
    let both = |pair: &RacyPair| {
        [
            scenario(pair.name.to_owned(), pair.wrong, pair.planted),
            scenario(pair.near_miss_name(), pair.right, pair.near_miss),
        ]
    };
    PAIRS.iter().flat_map(both).collect()
}
