//! Work-stealing deques: the owner takes tasks from the tail, a thief from the head. With one task
//! left, both are after the same one.
//!
//! - The THE protocol of Cilk: head, tail and a lock for conflicts. The bug: the owner looks at the
//!   head before it announces by the tail what it takes. Matteo Frigo, Charles Leiserson and Keith
//!   Randall, The Implementation of the Cilk-5 Multithreaded Language, 1998.
//! - The deque of Chase and Lev, here of a fixed size: the bug is that the owner takes the last task
//!   without a compare-and-swap of the head. David Chase and Yossi Lev, Dynamic Circular
//!   Work-Stealing Deque, 2005.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const THE: Classic = Classic {
    name: "work-stealing-the",
    about: "the owner of a deque looks for a thief before it says which task it takes",
    source: "Frigo, Leiserson and Randall, The Cilk-5 Multithreaded Language, 1998",
    threads: 3,
    bug: || own_and_steal(Deque::pop_unannounced, Deque::steal_with_lock),
    corrected: || own_and_steal(Deque::pop_announced, Deque::steal_with_lock),
};

pub(super) const CHASE_LEV: Classic = Classic {
    name: "work-stealing-chase-lev",
    about: "the owner of a deque takes the last task without a compare-and-swap",
    source: "Chase and Lev, Dynamic Circular Work-Stealing Deque, 2005",
    threads: 3,
    bug: || own_and_steal(|deque| deque.pop_without_lock(false), Deque::steal_without_lock),
    corrected: || own_and_steal(|deque| deque.pop_without_lock(true), Deque::steal_without_lock),
};

const TASKS: usize = 2;

/// Task `n` is at index `n`.
struct Deque {
    head: AtomicIsize,
    tail: AtomicIsize,
    conflicts: Mutex<()>,
    /// By task, how often it was done.
    done: [AtomicUsize; TASKS],
}

/// Takes a task, if there is one that it can get.
type Take = fn(&Deque) -> Option<isize>;

/// The owner takes tasks until there are none; a thief tries as often as there are tasks.
fn own_and_steal(pop: Take, steal: Take) {
    let deque = Arc::new(Deque {
        head: AtomicIsize::new(0),
        tail: AtomicIsize::new(TASKS as isize),
        conflicts: Mutex::new(()),
        done: Default::default(),
    });
    together(&deque, 2, move |deque, number| {
        let taken: Vec<isize> = match number {
            // Once more than there are tasks, as one may be taken twice.
            0 => (0..=TASKS).map_while(|_| pop(deque)).collect(),
            _ => (0..TASKS).filter_map(|_| steal(deque)).collect(),
        };
        for task in taken {
            deque.done[task as usize].fetch_add(1, Ordering::SeqCst);
        }
    });
    let done = deque.done.each_ref().map(|times| times.load(Ordering::SeqCst));
    assert_eq!(done, [1; TASKS], "each task is done once");
}

impl Deque {
    fn head(&self) -> isize {
        self.head.load(Ordering::SeqCst)
    }

    fn tail(&self) -> isize {
        self.tail.load(Ordering::SeqCst)
    }

    fn steal_with_lock(&self) -> Option<isize> {
        let _conflicts = lock(&self.conflicts);
        let head = self.head();
        self.head.store(head + 1, Ordering::SeqCst);
        if head + 1 > self.tail() {
            self.head.store(head, Ordering::SeqCst);
            return None;
        }
        Some(head)
    }

    fn pop_announced(&self) -> Option<isize> {
        let last = self.tail() - 1;
        self.tail.store(last, Ordering::SeqCst);
        if self.head() <= last {
            return Some(last);
        }
        // A thief may be after the same task: the lock decides.
        self.tail.store(last + 1, Ordering::SeqCst);
        let _conflicts = lock(&self.conflicts);
        self.pop_unannounced()
    }

    /// Right only under the lock.
    fn pop_unannounced(&self) -> Option<isize> {
        let last = self.tail() - 1;
        if self.head() > last {
            return None;
        }
        self.tail.store(last, Ordering::SeqCst);
        Some(last)
    }

    fn take_head(&self, head: isize) -> bool {
        self.head.compare_exchange(head, head + 1, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn steal_without_lock(&self) -> Option<isize> {
        let head = self.head();
        (head < self.tail() && self.take_head(head)).then_some(head)
    }

    fn pop_without_lock(&self, competes: bool) -> Option<isize> {
        let last = self.tail() - 1;
        self.tail.store(last, Ordering::SeqCst);
        let head = self.head();
        if head < last {
            return Some(last);
        }
        let is_mine = head == last && (!competes || self.take_head(head));
        self.tail.store(last + 1, Ordering::SeqCst);
        if is_mine && !competes {
            self.head.store(last + 1, Ordering::SeqCst);
        }
        is_mine.then_some(last)
    }
}
