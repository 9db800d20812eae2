//! A token ring: four stations pass a value on, each of which copies the value of the one before it.
//! Edsger Dijkstra, Self-stabilizing Systems in Spite of Distributed Control, 1974; the program is
//! that of Paul Thomson, Alastair Donaldson and Adam Betts, SCTBench, 2014.
//!
//! The bug: a station locks the ring, but does not wait for its turn.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "token-ring",
    about: "four stations copy the value of the station before, whoever is first",
    source: "Thomson, Donaldson and Betts, SCTBench, 2014",
    threads: 5,
    bug: || pass_on(false),
    corrected: || pass_on(true),
};

const STATIONS: usize = 4;

#[derive(Default)]
struct Ring {
    state: Mutex<Stations>,
    passed: Condvar,
}

#[derive(Default)]
struct Stations {
    values: [usize; STATIONS],
    /// The number of stations that have had their turn.
    turn: usize,
}

fn pass_on(takes_turns: bool) {
    let ring = Arc::new(Ring::default());
    together(&ring, STATIONS, move |ring, number| {
        let is_early = |stations: &Stations| takes_turns && stations.turn != number;
        let mut stations = wait_while(&ring.passed, lock(&ring.state), is_early);
        let before = stations.values[(number + STATIONS - 1) % STATIONS];
        // The first station makes the new value.
        stations.values[number] = if number == 0 { before + 1 } else { before };
        stations.turn += 1;
        ring.passed.notify_all();
    });
    assert_eq!(lock(&ring.state).values, [1; STATIONS], "the value has gone around");
}
