//! The metadata store of the LFS server with a block for each text, and with all texts in an arena:
//! which takes less memory, time and requests?
//!
//! `cargo bench -p mallory-scenarios --bench store`. Three loads: a store is filled; a filled store
//! has its objects replaced by others again and again, which an arena gives nothing back for; and a
//! filled store is dropped. The memory is what the store takes from `malloc`: as requested, and with
//! `malloc`'s own rounding and headers. The time is what these
//! requests and frees take on `malloc` alone, where they are played back and the blocks are filled;
//! the rest, such as hashing, is the same for both. The best round counts. On a noisy machine rely on the ratios.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::collections::HashMap;
use std::hint::black_box;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mallory::{Heap, Options, Port, Refused, SystemPort};
use mallory_scenarios::services::lfs_batch::Oid;
use mallory_scenarios::services::lfs_batch::fields::{ArenaFields, Fields, HeapFields};
use mallory_scenarios::services::lfs_batch::store::{MemoryStore, Store, StoreChange};

/// The objects of a filled store.
const OBJECTS: usize = 20_000;
/// The objects of a batch request.
const BATCH: usize = 100;
/// How often all objects of a store are replaced by others.
const TURNS: usize = 10;
const ROUNDS: usize = 7;

const TYPES: [&str; 5] = [
    "application/octet-stream",
    "image/png",
    "font/otf; charset=\"utf-8\"",
    "model/gltf-binary",
    "audio/x-wav",
];

/// What a store took from `malloc`.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    frees: AtomicUsize,
    requested: AtomicUsize,
    requested_peak: AtomicUsize,
    taken: AtomicUsize,
    taken_peak: AtomicUsize,
    /// What was called, to be played back.
    calls: Mutex<Vec<Call>>,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    Request(usize, Layout),
    Free(usize),
}

impl Counts {
    fn push(&self, call: Call) {
        self.calls.lock().expect("nobody panics").push(call);
    }
}

/// The system's allocator, which counts.
struct Counting {
    counts: Arc<Counts>,
    system: SystemPort,
}

/// The bytes of a block with what `malloc` rounds it up to, and with the length before it.
fn taken(block: NonNull<u8>) -> usize {
    // SAFETY: the block is alive and was allocated by `malloc`.
    unsafe { libc::malloc_usable_size(block.as_ptr().cast()) + size_of::<usize>() }
}

// SAFETY: every call goes to `SystemPort`, which keeps the contract; counting doesn't unwind.
unsafe impl Port for Counting {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        let block = self.system.alloc(layout)?;
        let add = |bytes: usize, sum: &AtomicUsize, peak: &AtomicUsize| {
            let sum = sum.fetch_add(bytes, Ordering::Relaxed) + bytes;
            peak.fetch_max(sum, Ordering::Relaxed);
        };
        let counts = &*self.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        counts.push(Call::Request(block.addr().get(), layout));
        add(layout.size(), &counts.requested, &counts.requested_peak);
        add(taken(block.cast()), &counts.taken, &counts.taken_peak);
        Ok(block)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        self.counts.frees.fetch_add(1, Ordering::Relaxed);
        self.counts.push(Call::Free(block.addr().get()));
        self.counts.requested.fetch_sub(layout.size(), Ordering::Relaxed);
        self.counts.taken.fetch_sub(taken(block), Ordering::Relaxed);
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.system.free(block, layout) }
    }
}

/// An object as clients announce and upload it.
struct Upload {
    oid: Oid,
    reference: String,
    content_type: Option<&'static str>,
}

fn uploads() -> Vec<Upload> {
    let upload = |n: usize| Upload {
        oid: Oid::of(&n.to_le_bytes()),
        // A push of some batches goes to one branch. Every fourth object has no type.
        reference: format!("refs/heads/feature/{:x}", (n / 400).wrapping_mul(0x9E37_79B9)),
        content_type: (!n.is_multiple_of(4)).then(|| TYPES[n % TYPES.len()]),
    };
    (0..OBJECTS * (TURNS + 1)).map(upload).collect()
}

/// Announces the objects, a batch at a time, and uploads each; those in `gone` are removed before.
fn push(store: &mut impl Store, scratch: &Heap, new: &[Upload], gone: &[Upload]) {
    let mut commit = |changes: &[StoreChange<'_>]| {
        store.commit(scratch, changes).expect("there is memory");
    };
    for upload in gone {
        commit(&[StoreChange::Remove(upload.oid)]);
    }
    for batch in new.chunks(BATCH) {
        let announced = batch.iter().map(|Upload { oid, reference, .. }| {
            let reference = Some(reference.as_str());
            StoreChange::Announce { oid: *oid, size: 1, reference }
        });
        commit(&announced.collect::<Vec<_>>());
        for &Upload { oid, content_type, .. } in batch {
            commit(&[StoreChange::Receive { oid, content_type }]);
        }
    }
}

/// Replaces all objects, turn by turn, a batch at a time.
fn replace(store: &mut impl Store, scratch: &Heap, uploads: &[Upload]) {
    let batches: Vec<_> = uploads.chunks(BATCH).collect();
    for (gone, new) in batches.iter().zip(&batches[OBJECTS / BATCH..]) {
        push(store, scratch, new, gone);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Load {
    Fill,
    Replace,
    Drop,
}

#[derive(Clone, Copy)]
struct Figures {
    requested: usize,
    taken: usize,
    requests: usize,
    frees: usize,
    /// The calls that were made before the load.
    first: usize,
    time: Duration,
}

/// One round of a load, on a heap over the port that has these counts.
fn round<F: Fields>(load: Load, uploads: &[Upload], heap: &Heap, counts: &Counts) -> Figures {
    let calls = || [&counts.requests, &counts.frees].map(|count| count.load(Ordering::Relaxed));
    let scratch = Options::new().ledger_only().heap();
    let mut before = calls();
    let mut store = MemoryStore::<F>::with_fields(heap);
    push(&mut store, &scratch, &uploads[..OBJECTS], &[]);
    if load != Load::Fill {
        before = calls();
    }
    if load == Load::Replace {
        replace(&mut store, &scratch, uploads);
    }
    // A store that is filled or replaced is dropped after the count.
    let store = Some(store).filter(|_| load != Load::Drop);
    let [requests, frees] = calls();
    drop(store);
    Figures {
        requested: counts.requested_peak.load(Ordering::Relaxed),
        taken: counts.taken_peak.load(Ordering::Relaxed),
        requests: requests - before[0],
        frees: frees - before[1],
        first: before[0] + before[1],
        time: Duration::ZERO,
    }
}

/// Runs the load on a port that counts, and plays its calls back.
fn measure<F: Fields>(load: Load, uploads: &[Upload]) -> Figures {
    let counts = Arc::new(Counts::default());
    let port = Counting { counts: Arc::clone(&counts), system: SystemPort::new() };
    let heap = Options::new().ledger_only().heap_over(port);
    let figures = round::<F>(load, uploads, &heap, &counts);
    let calls = counts.calls.lock().expect("nobody panics");
    let timed = figures.first..figures.first + figures.requests + figures.frees;
    let rounds = (0..ROUNDS).map(|_| play(&calls, timed.clone(), &SystemPort::new()));
    Figures { time: rounds.min().unwrap_or_default(), ..figures }
}

/// How long these of the calls take, if all of them are made.
fn play(calls: &[Call], timed: Range<usize>, port: &dyn Port) -> Duration {
    let mut live = HashMap::new();
    // Which block a call is about is looked up before.
    let mut slots = 0..;
    let steps: Vec<_> = calls
        .iter()
        .filter_map(|call| match *call {
            Call::Request(start, layout) => {
                let slot = slots.next()?;
                live.insert(start, (slot, layout));
                Some((slot, layout, true))
            }
            Call::Free(start) => live.remove(&start).map(|(slot, layout)| (slot, layout, false)),
        })
        .collect();
    let mut blocks: Vec<Option<NonNull<u8>>> = vec![None; calls.len()];
    let mut play = |steps: &[(usize, Layout, bool)]| {
        for &(slot, layout, is_request) in steps {
            if is_request {
                let block = port.alloc(layout).expect("there is memory").cast::<u8>();
                // SAFETY: the block is alive, and of this size.
                unsafe { block.write_bytes(1, layout.size()) };
                blocks[slot] = Some(black_box(block));
            } else if let Some(block) = blocks[slot].take() {
                // SAFETY: it was handed out with this layout, and goes once.
                unsafe { port.free(block, layout) };
            }
        }
    };
    let Range { start: first, end } = timed;
    play(&steps[..first]);
    let start = Instant::now();
    play(&steps[first..end]);
    let time = start.elapsed();
    play(&steps[end..]);
    time
}

fn main() {
    let uploads = uploads();
    println!("{OBJECTS} objects");
    println!(
        "{:<22} {:<6} {:>11} {:>11} {:>9} {:>9} {:>8}",
        "load", "texts", "peak", "of malloc", "requests", "frees", "ms"
    );
    let replaced = format!("replace all, {TURNS} times");
    for (load, name) in [(Load::Fill, "fill"), (Load::Replace, &*replaced), (Load::Drop, "drop")] {
        let heap = measure::<HeapFields>(load, &uploads);
        let arena = measure::<ArenaFields>(load, &uploads);
        let [heap, arena] = [heap, arena].map(|of| {
            let time = of.time.as_secs_f64() * 1000.0;
            let counts = [of.requested, of.taken, of.requests, of.frees];
            (counts.map(|count| count as f64), time)
        });
        for (texts, ([peak, taken, requests, frees], ms)) in [("heap", heap), ("arena", arena)] {
            println!(
                "{name:<22} {texts:<6} {peak:>11} {taken:>11} {requests:>9} {frees:>9} {ms:>8.2}"
            );
        }
        let ratio = |arena: f64, heap: f64| match heap {
            0.0 => "–".to_owned(),
            _ => format!("{:.3}×", arena / heap),
        };
        let [peak, taken, requests, frees] = [0, 1, 2, 3].map(|n| ratio(arena.0[n], heap.0[n]));
        let time = ratio(arena.1, heap.1);
        println!("{:<22} ratio  {peak:>11} {taken:>11} {requests:>9} {frees:>9} {time:>8}", "");
    }
}
