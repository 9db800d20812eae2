//! Cigarette smokers: an agent puts two of three ingredients on the table, the smoker who has the
//! third takes them, and the agent waits until that one has smoked. Suhas Patil, Limitations and
//! Capabilities of Dijkstra's Semaphore Primitives for Coordination Among Processes, 1971.
//!
//! The bug: a smoker takes one ingredient and then the other. If the wrong one has taken the first,
//! nobody can smoke. The corrected ones take both or none.

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "cigarette-smokers",
    about: "three smokers take two of three ingredients one after the other",
    source: "Patil, Limitations and Capabilities of Dijkstra's Semaphore Primitives, 1971",
    threads: 5,
    bug: || smoke(Table::take_each),
    corrected: || smoke(Table::take_both),
};

const SMOKERS: usize = 3;

#[derive(Default)]
struct Table {
    state: Mutex<Smoking>,
    changed: Condvar,
}

#[derive(Default)]
struct Smoking {
    /// By ingredient, whether it is on the table.
    is_there: [bool; SMOKERS],
    /// How often somebody has smoked.
    smoked: usize,
}

/// The ingredients that a smoker doesn't have.
fn needed(smoker: usize) -> [usize; 2] {
    [(smoker + 1) % SMOKERS, (smoker + 2) % SMOKERS]
}

/// Each smoker smokes once.
fn smoke(take: fn(&Table, [usize; 2])) {
    let table = Arc::new(Table::default());
    together(&table, SMOKERS + 1, move |table, number| {
        if number == SMOKERS {
            return (0..SMOKERS).for_each(|round| table.offer(round));
        }
        take(table, needed(number));
        lock(&table.state).smoked += 1;
        table.changed.notify_all();
    });
}

impl Table {
    /// Puts what one smoker needs on the table, after the earlier ones have smoked.
    fn offer(&self, smoker: usize) {
        let mut state = wait_while(&self.changed, lock(&self.state), |state| state.smoked < smoker);
        for ingredient in needed(smoker) {
            state.is_there[ingredient] = true;
        }
        self.changed.notify_all();
    }

    /// Waits until all of these ingredients are there, and takes them.
    fn take(&self, wanted: &[usize]) {
        let lacks = |state: &Smoking| wanted.iter().any(|one| !state.is_there[*one]);
        let mut state = wait_while(&self.changed, lock(&self.state), lacks);
        for ingredient in wanted {
            state.is_there[*ingredient] = false;
        }
    }

    fn take_each(&self, both: [usize; 2]) {
        both.chunks(1).for_each(|one| self.take(one));
    }

    fn take_both(&self, both: [usize; 2]) {
        self.take(&both);
    }
}
