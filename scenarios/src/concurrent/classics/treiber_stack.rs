//! A stack without locks: the top is changed by compare-and-swap. R. Kent Treiber, Systems
//! Programming: Coping with Parallelism, 1986.
//!
//! The bug is ABA: a thread that pops reads the top and the node below it. Before it swaps them,
//! another thread pops both and pushes the first one again. The top is what it was, so the swap
//! succeeds, and the second node is on the stack although the other thread has it. The corrected one
//! counts the changes of the top in a tag beside it. Nodes are indices, so nothing is freed.

use super::Classic;
use super::shared::together;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "treiber-stack-aba",
    about: "a node is popped and pushed again while another thread pops it",
    source: "Treiber, Systems Programming: Coping with Parallelism, 1986",
    threads: 3,
    bug: || pop_beside_reuse(0),
    corrected: || pop_beside_reuse(TAG),
};

const NODES: usize = 3;
/// The end of the stack.
const NONE: usize = 255;
/// The tag is in the bits above those of the node.
const TAG: usize = 256;

struct Stack {
    /// A node and a tag.
    top: AtomicUsize,
    /// By node, the one below it.
    below: [AtomicUsize; NODES],
    /// What each change adds to the tag.
    step: usize,
}

fn pop_beside_reuse(step: usize) {
    let below = [1, 2, NONE].map(AtomicUsize::new);
    let stack = Arc::new(Stack { top: AtomicUsize::new(0), below, step });
    let popped = together(&stack, 2, |stack, number| {
        let first = stack.pop();
        if number == 0 {
            return first;
        }
        let second = stack.pop();
        first.into_iter().for_each(|node| stack.push(node));
        second
    });
    // Once more than there are nodes, as one may be there twice.
    let left = (0..=NODES).map_while(|_| stack.pop());
    let mut all: Vec<usize> = popped.into_iter().flatten().chain(left).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2], "each node is on the stack or with one thread");
}

impl Stack {
    fn set_top(&self, old: usize, node: usize) -> bool {
        let new = (old - old % TAG).wrapping_add(self.step) + node;
        self.top.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn pop(&self) -> Option<usize> {
        loop {
            let top = self.top.load(Ordering::SeqCst);
            let node = top % TAG;
            let below = self.below.get(node)?.load(Ordering::SeqCst);
            if self.set_top(top, below) {
                return Some(node);
            }
        }
    }

    fn push(&self, node: usize) {
        loop {
            let top = self.top.load(Ordering::SeqCst);
            self.below[node].store(top % TAG, Ordering::SeqCst);
            if self.set_top(top, node) {
                return;
            }
        }
    }
}
