//! A global heap over an allocator that checks the layout of every free: before, during and after a
//! run, each block is freed with the layout that it was allocated with. The heap is called by hand:
//! this test program's own memory comes from the system.
#![allow(unsafe_code, reason = "an allocator is implemented and called by hand")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::again::alone;
use crate::common::{Oom, Random, kinds, layout};
use mallory::{GlobalHeap, Options, Plan, Sweep};

/// Writes each block's layout in front of it, and compares it with the layout of the free.
struct Strict {
    wrong: AtomicUsize,
    live: AtomicUsize,
}

const MARK: usize = 0x5EED_B10C;

impl Strict {
    /// The room for the note, which keeps the block aligned; and the layout that includes it.
    fn noted(layout: Layout) -> (usize, Layout) {
        let room = layout.align().max(32);
        let whole = Layout::from_size_align(layout.size() + room, layout.align().max(8));
        (room, whole.expect("small enough"))
    }
}

// SAFETY: blocks are the system's, with room in front of them.
unsafe impl GlobalAlloc for Strict {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (room, whole) = Strict::noted(layout);
        // SAFETY: the layout is not empty, and has room for a note of three words.
        unsafe {
            let base = System.alloc(whole);
            if base.is_null() {
                return base;
            }
            self.live.fetch_add(1, Ordering::Relaxed);
            let note = base.add(room).cast::<usize>().sub(3);
            note.cast::<[usize; 3]>().write_unaligned([layout.size(), layout.align(), MARK]);
            base.add(room)
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        let (room, whole) = Strict::noted(layout);
        // SAFETY: a block of this allocator has the note in front of it.
        unsafe {
            let note = start.cast::<usize>().sub(3).cast::<[usize; 3]>();
            if note.read_unaligned() != [layout.size(), layout.align(), MARK] {
                self.wrong.fetch_add(1, Ordering::Relaxed);
                return;
            }
            note.write_unaligned([0; 3]);
            self.live.fetch_sub(1, Ordering::Relaxed);
            System.dealloc(start.sub(room), whole);
        }
    }
}

static STRICT: GlobalHeap<Strict> =
    GlobalHeap::over(Strict { wrong: AtomicUsize::new(0), live: AtomicUsize::new(0) });

fn wrong() -> usize {
    STRICT.inside().wrong.load(Ordering::Relaxed)
}

/// The blocks of one thread, each filled with a byte of its own.
#[derive(Default)]
struct Blocks(Vec<(usize, Layout, u8)>);

impl Blocks {
    fn check((start, layout, byte): (usize, Layout, u8), size: usize) {
        let start = start as *const u8;
        // SAFETY: the block is alive, and its first `size` bytes were written.
        let bytes = unsafe { std::slice::from_raw_parts(start, size.min(layout.size())) };
        assert!(bytes.iter().all(|found| *found == byte), "the contents are kept");
    }

    /// Makes `calls` random calls.
    fn work(&mut self, random: &mut Random, calls: usize) {
        for _ in 0..calls {
            let fill = |start: *mut u8, layout: Layout, byte: u8| {
                // SAFETY: the block is alive and has this length.
                unsafe { start.write_bytes(byte, layout.size()) }
                (start as usize, layout, byte)
            };
            let byte = random.below(250) as u8 + 1;
            let fresh = layout(1 + random.below(600), 1 << random.below(9));
            match random.below(8) {
                0..=1 => {
                    // SAFETY: the layout is not empty.
                    let start = unsafe { STRICT.alloc(fresh) };
                    if !start.is_null() {
                        self.0.push(fill(start, fresh, byte));
                    }
                }
                2 => {
                    // SAFETY: the layout is not empty.
                    let start = unsafe { STRICT.alloc_zeroed(fresh) };
                    if !start.is_null() {
                        Blocks::check((start as usize, fresh, 0), fresh.size());
                        self.0.push(fill(start, fresh, byte));
                    }
                }
                3..=4 if !self.0.is_empty() => {
                    let place = random.below(self.0.len() as u64);
                    let (start, old, kept) = self.0[place];
                    // SAFETY: the block is alive and has this layout.
                    let moved = unsafe { STRICT.realloc(start as *mut u8, old, fresh.size()) };
                    if !moved.is_null() {
                        let new = layout(fresh.size(), old.align());
                        Blocks::check((moved as usize, new, kept), old.size());
                        self.0[place] = fill(moved, new, byte);
                    }
                }
                _ if !self.0.is_empty() => {
                    let place = random.below(self.0.len() as u64);
                    self.free(place);
                }
                _ => {}
            }
        }
    }

    fn free(&mut self, place: usize) {
        let block = self.0.swap_remove(place);
        Blocks::check(block, usize::MAX);
        // SAFETY: the block is alive and has this layout.
        unsafe { STRICT.dealloc(block.0 as *mut u8, block.1) }
    }

    fn free_all(&mut self) {
        (0..self.0.len()).rev().for_each(|place| self.free(place));
    }
}

/// Each set of options changes the route that a block takes.
fn all_options() -> [Options; 5] {
    let new = Options::new;
    [
        new(),
        new().ledger_only(),
        new().ledger_only().moving(false),
        new().ledger_only().moving(false).wipe_on_free().histogram(),
        new().wipe_on_free().budget(10_000_000),
    ]
}

// A run in this process, which children of other tests would inherit: hence `alone`.

/// Blocks are allocated before, during and after a run, and freed in another of these phases.
#[test]
fn every_block_comes_back_as_it_was_asked_for() {
    alone(every_block_comes_back_as_it_was_asked_for, blocks_cross_runs);
}

fn blocks_cross_runs() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut blocks = Blocks::default();
    for options in all_options().iter().cycle().take(10) {
        blocks.work(&mut random, 3000);
        STRICT.watch(options.clone(), || blocks.work(&mut random, 5000));
        blocks.work(&mut random, 3000);
        assert_eq!(wrong(), 0, "{options:?}");
    }
    STRICT.watch(Options::new(), || blocks.free_all());
    assert_eq!(wrong(), 0);
}

#[test]
fn with_several_threads_as_well() {
    alone(with_several_threads_as_well, threads_cross_runs);
}

fn threads_cross_runs() {
    for options in all_options() {
        std::thread::scope(|scope| {
            // These threads go on whether there is a run or not.
            for seed in 1..3 {
                scope.spawn(move || {
                    let mut blocks = Blocks::default();
                    blocks.work(&mut Random(seed), 20_000);
                    blocks.free_all();
                });
            }
            let mut kept = Blocks::default();
            for turn in 0..5 {
                let blocks = STRICT.watch(options.clone(), || {
                    let work = |seed: u64| {
                        let mut blocks = Blocks::default();
                        blocks.work(&mut Random(seed), 3000);
                        blocks
                    };
                    let worked: Vec<_> = std::thread::scope(|scope| {
                        let threads = [11, 12].map(|seed| scope.spawn(move || work(seed + turn)));
                        threads.map(|thread| thread.join().expect("no panic")).into()
                    });
                    worked
                });
                kept.0.extend(blocks.into_iter().flat_map(|blocks| blocks.0));
            }
            kept.free_all();
        });
        assert_eq!(wrong(), 0, "{options:?}");
    }
}

#[test]
fn in_a_sweep_with_faults_as_well() {
    for options in all_options() {
        let plan = Plan::seeded(1, 10);
        let report = Sweep::new("strict").global(&STRICT).options(options).plan(plan).run(|_| {
            let mut blocks = Blocks::default();
            blocks.work(&mut Random(99), 4000);
            blocks.free_all();
            if wrong() == 0 { Ok(()) } else { Err(Oom) }
        });
        assert_eq!(kinds(&report), [], "{report}");
        assert!(report.error().is_none(), "{report}");
    }
}

/// The strict allocator does notice a wrong layout; otherwise the tests above would prove nothing.
#[test]
fn the_allocator_inside_is_strict() {
    static ALONE: Strict = Strict { wrong: AtomicUsize::new(0), live: AtomicUsize::new(0) };
    // SAFETY: the layout differs on purpose, and the block is not touched then.
    unsafe {
        let block = ALONE.alloc(layout(64, 8));
        ALONE.dealloc(block, layout(64, 16));
        ALONE.dealloc(block, layout(48, 8));
        assert_eq!(ALONE.wrong.load(Ordering::Relaxed), 2);
        ALONE.dealloc(block, layout(64, 8));
    }
    assert_eq!(ALONE.live.load(Ordering::Relaxed), 0);
}
