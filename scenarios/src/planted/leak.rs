//! Leak: a batch that stages records of two blocks each, a head and a body.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Leak,
    wrong: "loses a record's head if there is no memory for its body",
    right: "frees the head if there is no memory for the body",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const RECORDS: usize = 3;
const HEAD: Layout = Layout::new::<[u64; 12]>();
const BODY: Layout = Layout::new::<[u8; 256]>();

/// A record on its way to disk.
struct Record<'a> {
    heap: &'a Heap,
    head: NonNull<u8>,
    body: NonNull<u8>,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        give_back(self.heap, self.head, HEAD);
        give_back(self.heap, self.body, BODY);
    }
}

fn give_back(heap: &Heap, block: NonNull<u8>, layout: Layout) {
    // SAFETY: heads and bodies come from this heap with these layouts, and each is given back by
    // the one who holds it last.
    unsafe { heap.free(block, layout) }
}

/// The bug: a head that is not in a record yet has no owner when `?` returns.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let mut batch = Vec::new_in(heap.clone());
    batch.try_reserve_exact(RECORDS)?;
    for _ in 0..RECORDS {
        let head = heap.alloc(HEAD)?.cast();
        let body = heap.alloc(BODY)?.cast();
        batch.push(Record { heap, head, body });
    }
    Ok(batch.len())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let mut batch = Vec::new_in(heap.clone());
    batch.try_reserve_exact(RECORDS)?;
    for _ in 0..RECORDS {
        let head = heap.alloc(HEAD)?.cast();
        let body = heap.alloc(BODY).inspect_err(|_| give_back(heap, head, HEAD))?.cast();
        batch.push(Record { heap, head, body });
    }
    Ok(batch.len())
}
