//! A queue between a publisher and a subscriber, which is closed while they run. Brian Goetz and
//! others, Java Concurrency in Practice, 2006 (an unreliable way to shut a logging service down).
//!
//! The bug: the publisher checks that the queue is open, and then puts its item there. In between the
//! queue may be closed, and the subscriber, who has drained it, may have stopped: the item is lost.

use std::collections::VecDeque;

use super::Classic;
use super::shared::{lock, together, wait_while};
use crate::sync::{Arc, Condvar, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "publish-subscribe",
    about: "the last item is published after the queue was closed and drained",
    source: "Goetz and others, Java Concurrency in Practice, 2006",
    threads: 4,
    bug: || publish_and_close(Topic::send_after_check),
    corrected: || publish_and_close(Topic::send_with_check),
};

const ITEMS: usize = 2;

#[derive(Default)]
struct Queue {
    items: VecDeque<usize>,
    is_closed: bool,
}

#[derive(Default)]
struct Topic {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Sends an item; returns whether it was accepted.
type Send = fn(&Topic, usize) -> bool;

fn publish_and_close(send: Send) {
    let topic = Arc::new(Topic::default());
    let counts = together(&topic, 3, move |topic, number| match number {
        0 => (0..ITEMS).take_while(|item| send(topic, *item)).count(),
        1 => topic.close(),
        _ => topic.receive(),
    });
    assert_eq!(counts[2], counts[0], "an item that was accepted is lost");
}

impl Topic {
    fn send_after_check(&self, item: usize) -> bool {
        let is_open = !lock(&self.queue).is_closed;
        if is_open {
            lock(&self.queue).items.push_back(item);
            self.changed.notify_one();
        }
        is_open
    }

    fn send_with_check(&self, item: usize) -> bool {
        let mut queue = lock(&self.queue);
        if !queue.is_closed {
            queue.items.push_back(item);
            self.changed.notify_one();
        }
        !queue.is_closed
    }

    /// Returns how many items the closing thread sent or received: none.
    fn close(&self) -> usize {
        lock(&self.queue).is_closed = true;
        self.changed.notify_one();
        0
    }

    /// Returns how many items were received.
    fn receive(&self) -> usize {
        let mut received = 0;
        loop {
            let is_idle = |queue: &Queue| queue.items.is_empty() && !queue.is_closed;
            let mut queue = wait_while(&self.changed, lock(&self.queue), is_idle);
            let Some(item) = queue.items.pop_front() else { return received };
            assert_eq!(item, received, "items are in order");
            received += 1;
        }
    }
}
