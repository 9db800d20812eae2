//! The light switch: the first of a group locks a room for its group, and the last one unlocks it.
//! Allen Downey, The Little Book of Semaphores, 2008; as a deadlock it is the program `carter01` of
//! Paul Thomson, Alastair Donaldson and Adam Betts, SCTBench, 2014.
//!
//! The bug: the two groups count their members under one lock. The first of one group waits for the
//! room with that lock held, so nobody of the other group can leave.

use super::Classic;
use super::shared::{BinarySemaphore, lock, together};
use crate::sync::{Arc, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "light-switch",
    about: "two groups that use a room in turns count their members under one lock",
    source: "Thomson, Donaldson and Betts, SCTBench, 2014",
    threads: 3,
    bug: || two_groups([0, 0]),
    corrected: || two_groups([0, 1]),
};

struct House {
    room: BinarySemaphore,
    /// Both count the members of a group.
    counts: [Mutex<[usize; 2]>; 2],
}

/// Which lock each group counts under.
fn two_groups(locks: [usize; 2]) {
    let house = House { room: BinarySemaphore::new(true), counts: Default::default() };
    together(&Arc::new(house), 2, move |house, group| {
        let count = || lock(&house.counts[locks[group]]);
        let mut members = count();
        members[group] += 1;
        if members[group] == 1 {
            house.room.acquire();
        }
        drop(members);
        let mut members = count();
        members[group] -= 1;
        if members[group] == 0 {
            house.room.release();
        }
    });
}
