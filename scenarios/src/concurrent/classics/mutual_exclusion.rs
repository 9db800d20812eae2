//! Mutual exclusion of two threads by plain loads and stores, each of them sequentially consistent.
//!
//! - Peterson: a thread raises its flag, gives the other the turn, and waits. The bug: it gives the
//!   turn first. Gary Peterson, Myths About the Mutual Exclusion Problem, 1981.
//! - Hyman: an algorithm that was published and is wrong: a thread that waits until the other's flag
//!   is down takes the turn afterwards, when that flag may be up again. The corrected one is
//!   Peterson's. Harris Hyman, Comments on a Problem in Concurrent Programming Control, 1966.
//! - The bakery: a thread draws a number that is larger than all others. The bug: nobody can see that
//!   a thread is about to do so. Leslie Lamport, A New Solution of Dijkstra's Concurrent Programming
//!   Problem, 1974.

use super::Classic;
use super::shared::{CriticalSection, together};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::thread;

pub(super) const PETERSON: Classic = Classic {
    name: "peterson-flag-order",
    about: "Peterson's algorithm with the turn given away before the flag is raised",
    source: "Peterson, Myths About the Mutual Exclusion Problem, 1981",
    threads: 3,
    bug: || both_enter(|door, me| door.enter_as_peterson(me, false), Door::leave),
    corrected: || both_enter(|door, me| door.enter_as_peterson(me, true), Door::leave),
};

pub(super) const HYMAN: Classic = Classic {
    name: "hyman-algorithm",
    about: "a thread takes the turn after it has seen that the other's flag is down",
    source: "Hyman, Comments on a Problem in Concurrent Programming Control, 1966",
    threads: 3,
    bug: || both_enter(Door::enter_as_hyman, Door::leave),
    corrected: || both_enter(|door, me| door.enter_as_peterson(me, true), Door::leave),
};

pub(super) const BAKERY: Classic = Classic {
    name: "bakery-choosing",
    about: "the bakery algorithm without the flags of those who draw a number",
    source: "Lamport, A New Solution of Dijkstra's Concurrent Programming Problem, 1974",
    threads: 3,
    bug: || both_enter(|door, me| door.enter_bakery(me, false), Door::leave_bakery),
    corrected: || both_enter(|door, me| door.enter_bakery(me, true), Door::leave_bakery),
};

/// What the algorithms keep, each of them a part of it.
#[derive(Default)]
struct Door {
    /// Raised by a thread that wants to enter.
    flags: [AtomicBool; 2],
    turn: AtomicUsize,
    /// Raised by a thread that draws a number.
    draws: [AtomicBool; 2],
    /// 0 if a thread has none.
    numbers: [AtomicUsize; 2],
    section: CriticalSection,
}

fn both_enter(enter: fn(&Door, usize), leave: fn(&Door, usize)) {
    let door = Arc::new(Door::default());
    together(&door, 2, move |door, me| {
        enter(door, me);
        door.section.visit();
        leave(door, me);
    });
    door.section.assert_exclusive();
}

/// Waits while the condition is true.
fn spin_while(condition: impl Fn() -> bool) {
    while condition() {
        thread::yield_now();
    }
}

impl Door {
    fn is_up(&self, thread: usize) -> bool {
        self.flags[thread].load(Ordering::SeqCst)
    }

    fn turn(&self) -> usize {
        self.turn.load(Ordering::SeqCst)
    }

    fn leave(&self, me: usize) {
        self.flags[me].store(false, Ordering::SeqCst);
    }

    fn enter_as_peterson(&self, me: usize, flag_first: bool) {
        let other = 1 - me;
        if flag_first {
            self.flags[me].store(true, Ordering::SeqCst);
            self.turn.store(other, Ordering::SeqCst);
        } else {
            self.turn.store(other, Ordering::SeqCst);
            self.flags[me].store(true, Ordering::SeqCst);
        }
        spin_while(|| self.is_up(other) && self.turn() == other);
    }

    fn enter_as_hyman(&self, me: usize) {
        self.flags[me].store(true, Ordering::SeqCst);
        while self.turn() != me {
            spin_while(|| self.is_up(1 - me));
            self.turn.store(me, Ordering::SeqCst);
        }
    }

    fn enter_bakery(&self, me: usize, shows_draw: bool) {
        let other = 1 - me;
        let number = |thread: usize| self.numbers[thread].load(Ordering::SeqCst);
        self.draws[me].store(shows_draw, Ordering::SeqCst);
        let mine = number(other) + 1;
        self.numbers[me].store(mine, Ordering::SeqCst);
        self.draws[me].store(false, Ordering::SeqCst);
        spin_while(|| self.draws[other].load(Ordering::SeqCst));
        spin_while(|| {
            let theirs = number(other);
            theirs != 0 && (theirs, other) < (mine, me)
        });
    }

    fn leave_bakery(&self, me: usize) {
        self.numbers[me].store(0, Ordering::SeqCst);
    }
}
