//! The bounded buffer: a monitor with room for one item.
//!
//! - `if` instead of `while`: a notified consumer takes it for granted that there is an item, but
//!   another consumer took it in between. Butler Lampson and David Redell, Experience with Processes
//!   and Monitors in Mesa, 1980.
//! - The wrong kind is woken: producers and consumers wait on one condition variable, and a
//!   notification for one thread reaches one that can't use it. Brian Goetz and others, Java
//!   Concurrency in Practice, 2006 (hijacked signals).

use super::Classic;
use super::shared::{lock, together, wait, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const IF: Classic = Classic {
    name: "bounded-buffer-if",
    about: "a consumer checks for an item before it waits, and not again after it",
    source: "Lampson and Redell, Experience with Processes and Monitors in Mesa, 1980",
    threads: 4,
    bug: || one_producer_and_two_consumers(Buffer::take_after_if),
    corrected: || one_producer_and_two_consumers(Buffer::take_after_while),
};

pub(super) const WRONG_KIND: Classic = Classic {
    name: "bounded-buffer-wrong-kind",
    about: "producers and consumers wait on one condition variable, and one of them is notified",
    source: "Goetz and others, Java Concurrency in Practice, 2006",
    threads: 5,
    bug: || two_producers_and_two_consumers([0, 0]),
    corrected: || two_producers_and_two_consumers([0, 1]),
};

#[derive(Default)]
struct Buffer {
    item: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Buffer {
    fn put(&self, item: usize) {
        *wait_while(&self.changed, lock(&self.item), Option::is_some) = Some(item);
        self.changed.notify_all();
    }

    fn take_after_if(&self) -> usize {
        let mut place = lock(&self.item);
        if place.is_none() {
            place = wait(&self.changed, place);
        }
        let item = place.take().expect("a notified consumer finds an item");
        self.changed.notify_all();
        item
    }

    fn take_after_while(&self) -> usize {
        let mut place = wait_while(&self.changed, lock(&self.item), Option::is_none);
        let item = place.take().expect("there is an item");
        self.changed.notify_all();
        item
    }
}

fn one_producer_and_two_consumers(take: fn(&Buffer) -> usize) {
    let buffer = Arc::new(Buffer::default());
    let taken = together(&buffer, 3, move |buffer, number| {
        if number != 0 {
            return take(buffer);
        }
        buffer.put(1);
        buffer.put(2);
        0
    });
    assert_eq!(taken.iter().sum::<usize>(), 3, "each item is taken once");
}

/// A buffer whose producers and consumers may wait on different condition variables.
#[derive(Default)]
struct TwoConditions {
    item: Mutex<Option<usize>>,
    changed: [Condvar; 2],
}

/// The places in `changed` of the condition that producers wait on, and of the consumers' one.
fn two_producers_and_two_consumers([empty, full]: [usize; 2]) {
    let buffer = Arc::new(TwoConditions::default());
    let taken = together(&buffer, 4, move |buffer, number| {
        let [empty, full] = [&buffer.changed[empty], &buffer.changed[full]];
        if number >= 2 {
            let mut place = wait_while(full, lock(&buffer.item), Option::is_none);
            let item = place.take().expect("there is an item");
            empty.notify_one();
            return item;
        }
        *wait_while(empty, lock(&buffer.item), Option::is_some) = Some(number + 1);
        full.notify_one();
        0
    });
    assert_eq!(taken.iter().sum::<usize>(), 1 + 2, "each item is taken once");
}
