//! A circular buffer without locks for one sender and one receiver. Leslie Lamport, Proving the
//! Correctness of Multiprocess Programs, 1977; a program of this name is in Paul Thomson, Alastair
//! Donaldson and Adam Betts, SCTBench, 2014.
//!
//! The bug: the sender counts an item before it is in its slot, so the receiver gets what was there.

use super::Classic;
use super::shared::together;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

pub(super) const CLASSIC: Classic = Classic {
    name: "circular-buffer",
    about: "an item is counted as sent before it is in its slot",
    source: "Lamport, Proving the Correctness of Multiprocess Programs, 1977",
    threads: 3,
    bug: || send_and_receive(Buffer::count_then_write),
    corrected: || send_and_receive(Buffer::write_then_count),
};

const SLOTS: usize = 2;
const ITEMS: usize = 3;

#[derive(Default)]
struct Buffer {
    slots: [AtomicUsize; SLOTS],
    sent: AtomicUsize,
    received: AtomicUsize,
}

/// Sends this item as the one with this number.
type Put = fn(&Buffer, usize, usize);

/// Each side tries as often as there are items, and doesn't wait if the buffer is full or empty.
fn send_and_receive(put: Put) {
    let buffer = Arc::new(Buffer::default());
    let items = together(&buffer, 2, move |buffer, side| {
        let try_once = |attempt| match side {
            0 => buffer.send(attempt + 1, put),
            _ => buffer.receive(),
        };
        (0..ITEMS).filter_map(try_once).collect::<Vec<usize>>()
    });
    let [sent, mut received] = <[Vec<usize>; 2]>::try_from(items).expect("two threads");
    received.extend((0..SLOTS).map_while(|_| buffer.receive()));
    assert_eq!(received, sent, "what is received is what was sent");
}

impl Buffer {
    /// Sends an item, and returns it, if there is room.
    fn send(&self, item: usize, put: Put) -> Option<usize> {
        let sent = self.sent.load(Ordering::SeqCst);
        (sent - self.received.load(Ordering::SeqCst) < SLOTS).then(|| {
            put(self, sent, item);
            item
        })
    }

    fn count_then_write(&self, number: usize, item: usize) {
        self.sent.store(number + 1, Ordering::SeqCst);
        self.slots[number % SLOTS].store(item, Ordering::SeqCst);
    }

    fn write_then_count(&self, number: usize, item: usize) {
        self.slots[number % SLOTS].store(item, Ordering::SeqCst);
        self.sent.store(number + 1, Ordering::SeqCst);
    }

    fn receive(&self) -> Option<usize> {
        let received = self.received.load(Ordering::SeqCst);
        (received < self.sent.load(Ordering::SeqCst)).then(|| {
            let item = self.slots[received % SLOTS].load(Ordering::SeqCst);
            self.received.store(received + 1, Ordering::SeqCst);
            item
        })
    }
}
