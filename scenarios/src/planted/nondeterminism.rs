//! Nondeterminism: batches that learn from each other how much room they need. What was learned is
//! kept outside of the process, so that runs differ however they are made.

use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Nondeterminism,
    wrong: "learns from reserved room, and so reserves more with every batch",
    right: "learns from used room, and so reserves the same for equal batches",
    options: Options::new,
    planted: |sweep| {
        Learned::get();
        pair::run(sweep, planted)
    },
    near_miss: |sweep| {
        Learned::get();
        pair::run(sweep, near_miss)
    },
};

const OBJECTS: u32 = 20;
/// Reserved beyond what was learned from the last batch.
const SLACK: usize = 12;

/// What was learned from the last batch: a message in a socket that all processes share.
struct Learned {
    reader: UnixDatagram,
    writer: UnixDatagram,
}

impl Learned {
    /// The one of the program, which is made when this is first called.
    fn get() -> &'static Learned {
        static LEARNED: OnceLock<Learned> = OnceLock::new();
        LEARNED.get_or_init(|| {
            let (reader, writer) = UnixDatagram::pair().expect("a pair of sockets");
            let learned = Learned { reader, writer };
            learned.put(0);
            learned
        })
    }

    fn take(&self) -> usize {
        let mut bytes = [0; size_of::<usize>()];
        self.reader.recv(&mut bytes).expect("a message");
        usize::from_ne_bytes(bytes)
    }

    fn put(&self, room: usize) {
        self.writer.send(&room.to_ne_bytes()).expect("room for a message");
    }
}

/// The bug: what was reserved includes the slack already.
fn planted(heap: &Heap) -> Result<u32, Oom> {
    fill(heap, Vec::capacity)
}

fn near_miss(heap: &Heap) -> Result<u32, Oom> {
    fill(heap, Vec::len)
}

/// Fills a batch, and learns from it for the next one.
fn fill(heap: &Heap, learn: fn(&Vec<u32, Heap>) -> usize) -> Result<u32, Oom> {
    let learned = Learned::get();
    let known = learned.take();
    let batch = batch(heap, known + SLACK);
    learned.put(batch.as_ref().map_or(known, learn));
    batch.map(|batch| batch.iter().sum())
}

fn batch(heap: &Heap, room: usize) -> Result<Vec<u32, Heap>, Oom> {
    let mut batch = Vec::new_in(heap.clone());
    batch.try_reserve_exact(room)?;
    for object in 0..OBJECTS {
        batch.try_reserve(1)?;
        batch.push(object);
    }
    Ok(batch)
}
