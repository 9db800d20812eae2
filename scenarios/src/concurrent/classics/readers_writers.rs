//! Readers and writers: the first reader closes the room for writers, and the last one opens it.
//! Pierre-Jacques Courtois, Frans Heymans and David Parnas, Concurrent Control with "Readers" and
//! "Writers", 1971.
//!
//! The bug: each reader that leaves opens the room, so a writer gets in beside the other readers.

use super::Classic;
use super::shared::{BinarySemaphore, lock, together};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "readers-writers",
    about: "a reader that leaves lets a writer in beside the other readers",
    source: "Courtois, Heymans and Parnas, Concurrent Control with Readers and Writers, 1971",
    threads: 4,
    bug: || two_readers_and_a_writer(false),
    corrected: || two_readers_and_a_writer(true),
};

struct Room {
    readers: Mutex<usize>,
    is_open: BinarySemaphore,
    /// They are equal whenever no writer is in the room.
    pair: [AtomicUsize; 2],
}

fn two_readers_and_a_writer(counts: bool) {
    let is_open = BinarySemaphore::new(true);
    let room = Room { readers: Mutex::default(), is_open, pair: Default::default() };
    let read = together(&Arc::new(room), 3, move |room, number| {
        if number == 2 {
            room.write();
            return (1, 1);
        }
        room.read(counts)
    });
    assert!(read.iter().all(|(one, other)| one == other), "a reader met a writer: {read:?}");
}

impl Room {
    fn read(&self, counts: bool) -> (usize, usize) {
        let mut readers = lock(&self.readers);
        *readers += 1;
        if *readers == 1 {
            self.is_open.acquire();
        }
        drop(readers);
        let [one, other] = self.pair.each_ref().map(|value| value.load(Ordering::SeqCst));
        let mut readers = lock(&self.readers);
        *readers -= 1;
        if *readers == 0 || !counts {
            self.is_open.release();
        }
        (one, other)
    }

    fn write(&self) {
        self.is_open.acquire();
        self.pair.iter().for_each(|value| value.store(1, Ordering::SeqCst));
        self.is_open.release();
    }
}
