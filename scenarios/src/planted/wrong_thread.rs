//! Wrong thread: a record whose checksum is computed by another thread.

use std::panic::resume_unwind;
use std::thread;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::WrongThread,
    wrong: "moves a record to a thread that its heap doesn't belong to, where it is dropped",
    right: "lends the record to the thread",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

/// Adler-32.
fn checksum(record: &[u8]) -> u32 {
    let add = |(a, b), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = record.iter().fold((1, 0), add);
    b << 16 | a
}

/// The bug: the record is moved into the thread, and so dropped there.
fn planted(heap: &Heap) -> Result<u32, Oom> {
    let text = b"tree 8e7b0c2f parent 1a9d44e0";
    let mut record = Vec::new_in(heap.clone());
    record.try_reserve_exact(text.len())?;
    record.extend_from_slice(text);
    let sum = thread::scope(|threads| threads.spawn(move || checksum(&record)).join());
    Ok(sum.unwrap_or_else(|panic| resume_unwind(panic)))
}

fn near_miss(heap: &Heap) -> Result<u32, Oom> {
    let text = b"tree 8e7b0c2f parent 1a9d44e0";
    let mut record = Vec::new_in(heap.clone());
    record.try_reserve_exact(text.len())?;
    record.extend_from_slice(text);
    let sum = thread::scope(|threads| threads.spawn(|| checksum(&record)).join());
    Ok(sum.unwrap_or_else(|panic| resume_unwind(panic)))
}
