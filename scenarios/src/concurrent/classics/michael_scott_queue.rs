//! A queue without locks: a list with a dummy at its head, and compare-and-swap at both ends. Maged
//! Michael and Michael Scott, Simple, Fast, and Practical Non-Blocking and Blocking Concurrent Queue
//! Algorithms, 1996.
//!
//! The bug: a thread reads the value of the node that it takes after the swap of the head. Then
//! another thread may already have taken the next one, and have reused this node for another value.
//! Nodes are indices, so nothing is freed. They are few, and none of them returns to the same place,
//! so the tags of the published algorithm are not needed.

use super::Classic;
use super::shared::together;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "michael-scott-queue",
    about: "a thread reads the value of a node that is free for reuse",
    source: "Michael and Scott, Simple, Fast, and Practical Queue Algorithms, 1996",
    threads: 3,
    bug: || take_beside_reuse(Queue::take_then_read),
    corrected: || take_beside_reuse(Queue::read_then_take),
};

const NODES: usize = 4;
/// The end of the list.
const NONE: usize = NODES;

struct Queue {
    /// The dummy: the first value is in the node after it.
    head: AtomicUsize,
    /// The last node, or the one before it.
    tail: AtomicUsize,
    next: [AtomicUsize; NODES],
    values: [AtomicUsize; NODES],
}

/// Takes a value, and with it the node that was the dummy before.
type Take = fn(&Queue) -> Option<(usize, usize)>;

/// Each thread takes a value; one of them puts another into the node that it has got free.
fn take_beside_reuse(take: Take) {
    let queue = Arc::new(Queue {
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(3),
        next: [1, 2, 3, NONE].map(AtomicUsize::new),
        values: [0, 1, 2, 3].map(AtomicUsize::new),
    });
    let taken = together(&queue, 2, move |queue, number| {
        let taken = take(queue);
        if let (1, Some((_, node))) = (number, taken) {
            queue.put(node, 4);
        }
        taken
    });
    let left = (0..=NODES).map_while(|_| take(&queue));
    let taken = taken.into_iter().flatten().chain(left);
    let mut values: Vec<usize> = taken.map(|(value, _)| value).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2, 3, 4], "each value is taken once");
}

fn swap(place: &AtomicUsize, old: usize, new: usize) -> bool {
    place.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
}

impl Queue {
    fn put(&self, node: usize, value: usize) {
        self.values[node].store(value, Ordering::SeqCst);
        self.next[node].store(NONE, Ordering::SeqCst);
        loop {
            let tail = self.tail.load(Ordering::SeqCst);
            let next = self.next[tail].load(Ordering::SeqCst);
            if next != NONE {
                // Another thread has put a node there, and not yet moved the tail.
                swap(&self.tail, tail, next);
            } else if swap(&self.next[tail], NONE, node) {
                swap(&self.tail, tail, node);
                return;
            }
        }
    }

    fn first(&self) -> Option<(usize, usize)> {
        loop {
            let head = self.head.load(Ordering::SeqCst);
            let next = self.next[head].load(Ordering::SeqCst);
            // What was read is of no use if the dummy was taken in between.
            if self.head.load(Ordering::SeqCst) == head {
                return (next != NONE).then_some((head, next));
            }
        }
    }

    fn read_then_take(&self) -> Option<(usize, usize)> {
        loop {
            let (head, next) = self.first()?;
            let value = self.values[next].load(Ordering::SeqCst);
            if swap(&self.head, head, next) {
                return Some((value, head));
            }
        }
    }

    fn take_then_read(&self) -> Option<(usize, usize)> {
        loop {
            let (head, next) = self.first()?;
            if swap(&self.head, head, next) {
                return Some((self.values[next].load(Ordering::SeqCst), head));
            }
        }
    }
}
