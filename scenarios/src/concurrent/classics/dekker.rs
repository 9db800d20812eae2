//! Dekker's algorithm: two threads raise a flag each, and if both are up, the turn says which one
//! is lowered for a while. Edsger Dijkstra, Cooperating Sequential Processes, 1965, which ascribes
//! it to Theodorus Dekker. Here waiting threads sleep on a condition variable.
//!
//! The bug: there is no turn. Both threads raise their flag, and each waits for the other to lower
//! it.

use super::Classic;
use super::shared::{CriticalSection, lock, together, wait, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "dekker-turn",
    about: "two threads raise their flag and wait until the other's is down",
    source: "Dijkstra, Cooperating Sequential Processes, 1965",
    threads: 3,
    bug: || both_enter(Door::enter_without_turn),
    corrected: || both_enter(Door::enter),
};

#[derive(Default)]
struct Flags {
    are_up: [bool; 2],
    turn: usize,
}

#[derive(Default)]
struct Door {
    flags: Mutex<Flags>,
    changed: Condvar,
    section: CriticalSection,
}

fn both_enter(enter: fn(&Door, usize)) {
    let door = Arc::new(Door::default());
    together(&door, 2, move |door, me| {
        enter(door, me);
        door.section.visit();
        door.set(me, false);
    });
    door.section.assert_exclusive();
}

impl Door {
    /// Raises the flag, or lowers it and gives the turn away.
    fn set(&self, me: usize, is_up: bool) {
        let mut flags = lock(&self.flags);
        flags.are_up[me] = is_up;
        if !is_up {
            flags.turn = 1 - me;
        }
        self.changed.notify_all();
    }

    fn enter_without_turn(&self, me: usize) {
        self.set(me, true);
        drop(wait_while(&self.changed, lock(&self.flags), |flags| flags.are_up[1 - me]));
    }

    fn enter(&self, me: usize) {
        let other = 1 - me;
        self.set(me, true);
        let mut flags = lock(&self.flags);
        while flags.are_up[other] {
            if flags.turn == me {
                flags = wait(&self.changed, flags);
                continue;
            }
            flags.are_up[me] = false;
            self.changed.notify_all();
            flags = wait_while(&self.changed, flags, |flags| flags.turn == other);
            flags.are_up[me] = true;
        }
    }
}
