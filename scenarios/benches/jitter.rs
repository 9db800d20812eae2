//! The jitter of small allocations: how long the slow ones take, from the slab, from a heap and from
//! the system's allocator.
//!
//! `cargo bench -p mallory-scenarios --bench jitter`. Each side runs the same mixed load: blocks are
//! freed and replaced at random, and one in eight has up to 16 KiB, which no slab has a bin for.
//! Timed is each replacement of a block of up to 256 bytes by another: a free, a request and a write
//! to the new block, less the time of reading the clock. A figure is the median of what the rounds,
//! in which the sides take turns, have at this percentile, and its ratio to the system's allocator.
//! On a noisy machine rely on the ratios.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::ptr::NonNull;
use std::time::Instant;

use mallory::{Heap, Options, Port, Refused, SystemPort};
use mallory_scenarios::memory::Slab;

const ROUNDS: usize = 9;
/// The replacements of a round.
const REPLACEMENTS: usize = 200_000;
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The system's allocator without counters.
struct Plain;

// SAFETY: every call goes to `System`, which keeps the contract for layouts that are not empty, and
// no layout of this benchmark is.
unsafe impl Port for Plain {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the layout is not empty.
        let block = NonNull::new(unsafe { System.alloc(layout) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(block, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { System.dealloc(block.as_ptr(), layout) }
    }
}

/// The size of the next block: nearly always a small one.
fn size(rng: &mut fastrand::Rng) -> usize {
    if rng.u8(..8) == 0 { rng.usize(257..=16 << 10) } else { rng.usize(1..=256) }
}

fn take(port: &dyn Port, size: usize) -> (NonNull<u8>, Layout) {
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    let block = port.alloc(layout).expect("there is memory").cast::<u8>();
    // SAFETY: the block is alive, and at least one byte long.
    unsafe { block.write(1) };
    (block, layout)
}

/// What the clock itself adds to a measurement.
fn clock() -> u64 {
    let mut times: Vec<u64> =
        (0..100_000).map(|_| Instant::now().elapsed().as_nanos() as u64).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// The percentiles of one round, in nanoseconds.
fn round(port: &dyn Port, live: usize, clock: u64) -> [u64; 4] {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut blocks: Vec<_> = (0..live).map(|_| take(port, size(&mut rng))).collect();
    let mut times = Vec::with_capacity(REPLACEMENTS);
    for _ in 0..REPLACEMENTS {
        let (size, place) = (size(&mut rng), rng.usize(..live));
        let (block, layout) = blocks[place];
        let start = Instant::now();
        // SAFETY: it was handed out with this layout, and another one takes its place.
        unsafe { port.free(block, layout) };
        blocks[place] = black_box(take(port, size));
        let time = start.elapsed().as_nanos() as u64;
        if layout.size().max(size) <= 256 {
            times.push(time.saturating_sub(clock));
        }
    }
    for (block, layout) in blocks {
        // SAFETY: as above; nobody uses it any more.
        unsafe { port.free(block, layout) };
    }
    times.sort_unstable();
    PERCENTILES.map(|(_, share)| times[(times.len() as f64 * share) as usize])
}

/// A side: its name, and what makes a fresh allocator of it.
type Side = (&'static str, fn() -> Box<dyn Port>);

const SIDES: [Side; 4] = [
    ("system", || Box::new(Plain)),
    ("slab", || Box::new(Slab::new(SystemPort::new()))),
    ("heap, ledger only", || Box::new(Options::new().ledger_only().heap())),
    ("heap", || Box::new(Heap::new())),
];

fn main() {
    let clock = clock();
    println!("nanoseconds of a free and a request of up to 256 bytes, less {clock} of the clock");
    for live in [1_000, 20_000] {
        let rounds: Vec<_> =
            (0..ROUNDS).map(|_| SIDES.map(|(_, make)| round(&*make(), live, clock))).collect();
        let figure = |side: usize, percentile: usize| {
            let mut figures: Vec<u64> =
                rounds.iter().map(|round| round[side][percentile]).collect();
            figures.sort_unstable();
            figures[ROUNDS / 2]
        };
        print!("\n{:<20}", format!("{live} live blocks"));
        PERCENTILES.iter().for_each(|(name, _)| print!(" {name:>16}"));
        println!(" {:>14}", "p99.9 − p50");
        for (side, (name, _)) in SIDES.iter().enumerate() {
            print!("{name:<20}");
            for percentile in 0..PERCENTILES.len() {
                let (own, system) = (figure(side, percentile), figure(0, percentile));
                let cell = format!("{own} {:>7}", ratio(own, system));
                print!(" {cell:>16}");
            }
            let spread = |side: usize| figure(side, 3) - figure(side, 0);
            let cell = format!("{} {:>7}", spread(side), ratio(spread(side), spread(0)));
            println!(" {cell:>14}");
        }
    }
}

fn ratio(own: u64, system: u64) -> String {
    format!("{:.2}×", own as f64 / system.max(1) as f64)
}
