//! A listener that leaves while messages are sent to it: it gives up its inbox, and reads what is there.

use mallory::{Heap, Kind};

use super::block::{Block, lock};
use super::pair::{RacyPair, SeenBy};
use crate::concurrent::join::join;
use crate::planted::pair::Oom;
use crate::sync::{Arc, Mutex};
use crate::thread;

pub(super) const PAIR: RacyPair = RacyPair {
    name: "racy/left-listener",
    kind: Kind::Leak,
    seen_by: SeenBy::Shuttle,
    needs_fault: false,
    preemptions: 1,
    wrong: "looks for the listener's inbox, and sends to it after it may have left",
    right: "looks for the listener's inbox and sends to it under one lock",
    planted: |heap| work(heap, planted),
    near_miss: |heap| work(heap, near_miss),
};

/// A place for one message.
type Inbox = Arc<Mutex<Option<Block>>>;
/// The list of listeners: one, as long as it listens.
type Registry = Mutex<Option<Inbox>>;

/// Sends a message; returns it if nobody listens.
type Send = fn(&Registry, Block) -> Option<Block>;

fn put(inbox: &Inbox, message: Block) -> Option<Block> {
    lock(inbox).replace(message)
}

fn work(heap: &Heap, send: Send) -> Result<usize, Oom> {
    let registry = Arc::new(Registry::new(Some(Inbox::default())));
    let message = Block::new(heap)?;
    let listener = {
        let registry = Arc::clone(&registry);
        thread::spawn(move || {
            let inbox = lock(&registry).take();
            inbox.and_then(|inbox| lock(&inbox).take())
        })
    };
    let unsent = send(&registry, message);
    let received = join(listener);
    unsent.into_iter().chain(received).for_each(|block| block.give_back(heap));
    Ok(1)
}

/// The bug: the listener may leave before the message is in its inbox, which nobody reads any more.
fn planted(registry: &Registry, message: Block) -> Option<Block> {
    let listener = lock(registry).clone();
    match &listener {
        Some(inbox) => put(inbox, message),
        None => Some(message),
    }
}

fn near_miss(registry: &Registry, message: Block) -> Option<Block> {
    let listener = lock(registry);
    match &*listener {
        Some(inbox) => put(inbox, message),
        None => Some(message),
    }
}
