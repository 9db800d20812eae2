//! The cost of a heap per pair of alloc and free, compared with the allocator below it and with other
//! tools.
//!
//! `cargo bench -p mallory --bench overhead`. All sides are measured in turn in one process, and the
//! median of many rounds is compared with that of the plain allocator. On a noisy machine rely on the
//! differences and ratios, not on single figures.
//!
//! With the word `threads` (`… --bench overhead -- threads`) the process has started a second thread
//! before, as a test runner's child processes have: calls of an armed global heap then take its run lock.
//! The sanitizers replace `malloc`, so their rows are `System` in a child process into which the runtime
//! of the C compiler is loaded. The checks of memory accesses in sanitized builds are not included.
#![allow(unsafe_code)]

mod rows;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;
use std::ptr::NonNull;
use std::time::Instant;

use mallory::{GlobalHeap, Heap, Options, Port, Refused};
use rows::median;

/// Not the process's allocator: its calls are measured directly, idle and armed.
static GLOBAL: GlobalHeap = GlobalHeap::system();

const ROUNDS: usize = 41;
const PAIRS: usize = 100_000;

/// One side of the comparison.
trait Side {
    fn alloc(&self, layout: Layout) -> *mut u8;
    fn free(&self, block: *mut u8, layout: Layout);
}

struct Global<A>(A);

impl<A: GlobalAlloc> Side for Global<A> {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no layout of this benchmark is empty.
        unsafe { self.0.alloc(layout) }
    }

    #[inline(always)]
    fn free(&self, block: *mut u8, layout: Layout) {
        // SAFETY: each block goes back once, with its own layout.
        unsafe { self.0.dealloc(block, layout) }
    }
}

/// The plain allocator as a user's own port.
struct PlainPort;

// SAFETY: every call goes to `System`, which keeps the contract of a port for layouts that are not
// empty, and a heap passes no empty layouts.
unsafe impl Port for PlainPort {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { System.alloc(layout) }).ok_or(Refused)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { System.dealloc(block.as_ptr(), layout) }
    }
}

/// The global heap.
struct GlobalSide;

impl Side for GlobalSide {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no layout of this benchmark is empty.
        unsafe { GLOBAL.alloc(layout) }
    }

    #[inline(always)]
    fn free(&self, block: *mut u8, layout: Layout) {
        // SAFETY: each block goes back once, with its own layout.
        unsafe { GLOBAL.dealloc(block, layout) }
    }
}

/// Measures the global heap while it is armed.
fn armed(options: Options, live: usize) -> f64 {
    GLOBAL.watch(options, || measure(&GlobalSide, live))
}

impl Side for Heap {
    #[inline(always)]
    fn alloc(&self, layout: Layout) -> *mut u8 {
        Port::alloc(self, layout).map_or(std::ptr::null_mut(), |block| block.cast().as_ptr())
    }

    #[inline(always)]
    fn free(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: each block goes back once, with its own layout.
            unsafe { Port::free(self, block, layout) }
        }
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a small layout")
}

/// Nanoseconds per pair, for one block of 64 bytes at a time.
fn hot(side: &impl Side) -> f64 {
    let layout = layout(64);
    let start = Instant::now();
    for _ in 0..PAIRS {
        let block = black_box(side.alloc(black_box(layout)));
        side.free(block, black_box(layout));
    }
    start.elapsed().as_nanos() as f64 / PAIRS as f64
}

/// Nanoseconds per pair, with `live` blocks of 16 to 512 bytes; each pair replaces one of them.
fn replacing(side: &impl Side, live: usize) -> f64 {
    let mut x = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let mut blocks: Vec<(*mut u8, Layout)> = (0..live)
        .map(|_| {
            let layout = layout(16 + (random() % 497) as usize);
            (side.alloc(layout), layout)
        })
        .collect();
    let start = Instant::now();
    for _ in 0..PAIRS {
        let draw = random();
        let place = (draw >> 32) as usize % live;
        let fresh = layout(16 + (draw % 497) as usize);
        let (block, old) = blocks[place];
        side.free(block, old);
        blocks[place] = (black_box(side.alloc(fresh)), fresh);
    }
    let pair = start.elapsed().as_nanos() as f64 / PAIRS as f64;
    for (block, layout) in blocks {
        side.free(block, layout);
    }
    pair
}

fn measure(side: &impl Side, live: usize) -> f64 {
    if live == 1 { hot(side) } else { replacing(side, live) }
}

const LIVE: [usize; 3] = [1, 1_000, 100_000];

/// The figures of `System` with a sanitizer's runtime in place of the C library's `malloc`; `None` if the
/// C compiler has no such runtime.
fn sanitized(library: &str) -> Option<Vec<f64>> {
    let output = Command::new("cc").arg(format!("-print-file-name={library}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // The compiler prints the bare name if it has no such file.
    let path = path.is_absolute().then_some(path)?;
    let mut child = Command::new(std::env::current_exe().ok()?);
    child.arg(SYSTEM_ONLY).env("LD_PRELOAD", path).env("LSAN_OPTIONS", "detect_leaks=0");
    let output = child.env("ASAN_OPTIONS", "detect_leaks=0").output().ok()?;
    let columns: Vec<f64> =
        String::from_utf8(output.stdout).ok()?.lines().flat_map(str::parse).collect();
    (output.status.success() && columns.len() == LIVE.len()).then_some(columns)
}

/// The argument that prints the figures of `System` alone, one per line.
const SYSTEM_ONLY: &str = "system-only";

fn main() {
    if std::env::args().any(|word| word == SYSTEM_ONLY) {
        for live in LIVE {
            let rounds = (0..ROUNDS).map(|_| measure(&Global(System), live)).collect();
            println!("{}", median(rounds));
        }
        return;
    }
    if std::env::args().any(|word| word == "threads") {
        let _ = std::thread::spawn(|| ()).join();
    }
    let profiler = dhat::Profiler::builder().testing().build();
    let names = [
        "System",
        "Mallory, ledger",
        "Mallory, all detectors",
        "over a port, ledger",
        "over a port, all",
        "GlobalHeap, idle",
        "GlobalHeap, ledger",
        "GlobalHeap, all",
        "stats_alloc",
        "mockalloc, idle",
        "dhat",
    ];
    println!("ns per alloc+free pair: the plain allocator, and what each other one adds");
    println!("{:<24} {:>12} {:>12} {:>12}", "", "one hot", "1,000 live", "100,000 live");
    let mut columns = Vec::new();
    for live in LIVE {
        let ledger = Options::new().ledger_only().heap();
        let all = Heap::new();
        let port_ledger = Options::new().ledger_only().heap_over(PlainPort);
        let port_all = Heap::over(PlainPort);
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        for _ in 0..ROUNDS {
            times[0].push(measure(&Global(System), live));
            times[1].push(measure(&ledger, live));
            times[2].push(measure(&all, live));
            times[3].push(measure(&port_ledger, live));
            times[4].push(measure(&port_all, live));
            times[5].push(measure(&GlobalSide, live));
            times[6].push(armed(Options::new().ledger_only(), live));
            times[7].push(armed(Options::new(), live));
            times[8].push(measure(&Global(stats_alloc::StatsAlloc::system()), live));
            times[9].push(measure(&Global(mockalloc::Mockalloc(System)), live));
            if times[10].len() < 3 {
                times[10].push(measure(&Global(dhat::Alloc), live));
            }
        }
        columns.push(times.into_iter().map(median).collect::<Vec<f64>>());
    }
    drop(profiler);
    for (side, name) in names.iter().enumerate() {
        let cell = |column: &Vec<f64>| match side {
            0 => format!("{:.1}", column[0]),
            _ => format!("{:+.1}", column[side] - column[0]),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        println!("{name:<24} {:>12} {:>12} {:>12}", cells[0], cells[1], cells[2]);
    }
    for (name, library) in [("AddressSanitizer", "libasan.so"), ("LeakSanitizer", "liblsan.so")] {
        match sanitized(library) {
            None => println!("{name:<24} the C compiler has no {library}"),
            Some(pairs) => {
                let cells: Vec<String> = (pairs.iter().zip(&columns))
                    .map(|(pair, column)| format!("{:+.1}", pair - column[0]))
                    .collect();
                println!("{name:<24} {:>12} {:>12} {:>12}", cells[0], cells[1], cells[2]);
            }
        }
    }
}
