//! A linked list without locks: nodes are inserted and removed by a compare-and-swap of the reference
//! before them. Timothy Harris, A Pragmatic Implementation of Non-Blocking Linked Lists, 2001.
//!
//! The bug: a node is inserted behind one that is being removed, and is removed with it. The
//! corrected list first marks the reference of the node that it removes, so nothing can be inserted
//! there. Nodes are indices, so nothing is freed.

use super::Classic;
use super::shared::together;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "linked-list-removal",
    about: "a node is inserted behind one that is removed at the same time",
    source: "Harris, A Pragmatic Implementation of Non-Blocking Linked Lists, 2001",
    threads: 3,
    bug: || insert_beside_removal(List::remove_unmarked),
    corrected: || insert_beside_removal(List::remove_marked),
};

/// The list is 0, 1, 3 at first: node 1 is removed, and node 2 is inserted before node 3.
const NODES: usize = 4;
/// The end of the list.
const NONE: usize = NODES;
/// Added to the reference of a node that is removed.
const MARK: usize = 8;

struct List {
    /// By node, the one after it.
    next: [AtomicUsize; NODES],
}

fn insert_beside_removal(remove: fn(&List)) {
    let list = Arc::new(List { next: [1, 3, NONE, NONE].map(AtomicUsize::new) });
    together(&list, 2, move |list, number| if number == 0 { list.insert() } else { remove(list) });
    let next = |node: &usize| list.next.get(*node).map(|next| next.load(Ordering::SeqCst) % MARK);
    let nodes: Vec<usize> = std::iter::successors(Some(0), next).take(NODES + 1).collect();
    assert_eq!(nodes, [0, 2, 3, NONE], "one node is removed, and the other is there");
}

impl List {
    fn next(&self, node: usize) -> usize {
        self.next[node].load(Ordering::SeqCst)
    }

    fn swap(&self, node: usize, old: usize, new: usize) -> bool {
        self.next[node].compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Inserts node 2 before node 3, and completes the removal of node 1 if it is marked.
    fn insert(&self) {
        loop {
            let (mut before, mut after) = (0, self.next(0));
            if after == 1 {
                (before, after) = (1, self.next(1));
            }
            if after >= MARK {
                self.swap(0, 1, after - MARK);
                continue;
            }
            self.next[2].store(after, Ordering::SeqCst);
            if self.swap(before, after, 2) {
                return;
            }
        }
    }

    fn remove_unmarked(&self) {
        self.swap(0, 1, self.next(1));
    }

    fn remove_marked(&self) {
        let mut after = self.next(1);
        while !self.swap(1, after, after + MARK) {
            after = self.next(1);
        }
        // If this fails, the other thread has completed it.
        self.swap(0, 1, after);
    }
}
