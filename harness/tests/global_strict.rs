//! A global heap over an allocator that takes a block back only as it was asked for: whatever
//! route a block takes, it comes back whole.
#![allow(unsafe_code, reason = "an allocator is made and used by hand")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Oom, kinds, layout};
use mallory::{GlobalHeap, Options, Plan, Sweep};

/// Writes each block's layout before it, and compares.
struct Strict {
    wrong: AtomicUsize,
    live: AtomicUsize,
}

const MARK: usize = 0x5EED_B10C;

impl Strict {
    /// Room for the note, so that the block stays aligned; and the layout with it.
    fn noted(layout: Layout) -> (usize, Layout) {
        let room = layout.align().max(32);
        let whole = Layout::from_size_align(layout.size() + room, layout.align().max(8));
        (room, whole.expect("small enough"))
    }
}

// SAFETY: blocks are the system's, with room before them.
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
        // SAFETY: the note is there, if the block is one of this allocator's.
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

/// One test at a time: a process that is forked beside a run in the same process inherits it.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

static STRICT: GlobalHeap<Strict> =
    GlobalHeap::over(Strict { wrong: AtomicUsize::new(0), live: AtomicUsize::new(0) });

fn wrong() -> usize {
    STRICT.inside().wrong.load(Ordering::Relaxed)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end) as usize
    }
}

/// Blocks of one hand, filled with what tells them apart.
#[derive(Default)]
struct Blocks(Vec<(usize, Layout, u8)>);

impl Blocks {
    fn check((start, layout, byte): (usize, Layout, u8), size: usize) {
        let start = start as *const u8;
        // SAFETY: the block is alive, and filled this far.
        let bytes = unsafe { std::slice::from_raw_parts(start, size.min(layout.size())) };
        assert!(bytes.iter().all(|found| *found == byte), "contents are kept");
    }

    /// So many random calls.
    fn work(&mut self, random: &mut Random, calls: usize) {
        for _ in 0..calls {
            let fill = |start: *mut u8, layout: Layout, byte: u8| {
                // SAFETY: the block is alive and so long.
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
                    self.give_back(place);
                }
                _ => {}
            }
        }
    }

    fn give_back(&mut self, place: usize) {
        let block = self.0.swap_remove(place);
        Blocks::check(block, usize::MAX);
        // SAFETY: the block is alive and has this layout.
        unsafe { STRICT.dealloc(block.0 as *mut u8, block.1) }
    }

    fn empty(&mut self) {
        (0..self.0.len()).rev().for_each(|place| self.give_back(place));
    }
}

fn ways() -> [Options; 5] {
    let new = Options::new;
    [
        new(),
        new().ledger_only(),
        new().ledger_only().moving(false),
        new().ledger_only().moving(false).wipe_on_free().histogram(),
        new().wipe_on_free().budget(10_000_000),
    ]
}

/// Blocks go from before the run into it, through it, and out of it.
#[test]
fn every_block_comes_back_as_it_was_asked_for() {
    let _turn = turn();
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let mut blocks = Blocks::default();
    for options in ways().iter().cycle().take(10) {
        blocks.work(&mut random, 3000);
        STRICT.watch(options.clone(), || blocks.work(&mut random, 5000));
        blocks.work(&mut random, 3000);
        assert_eq!(wrong(), 0, "{options:?}");
    }
    STRICT.watch(Options::new(), || blocks.empty());
    // Others of this file's tests may hold some.
    assert_eq!(wrong(), 0);
}

#[test]
fn with_several_threads_as_well() {
    let _turn = turn();
    for options in ways() {
        std::thread::scope(|scope| {
            // Some threads don't care whether a run goes on.
            for seed in 1..3 {
                scope.spawn(move || {
                    let mut blocks = Blocks::default();
                    blocks.work(&mut Random(seed), 20_000);
                    blocks.empty();
                });
            }
            let mut kept = Blocks::default();
            for turn in 0..5 {
                let blocks = STRICT.watch(options.clone(), || {
                    let hand = |seed: u64| {
                        let mut blocks = Blocks::default();
                        blocks.work(&mut Random(seed), 3000);
                        blocks
                    };
                    let hands: Vec<_> = std::thread::scope(|scope| {
                        let hands = [11, 12].map(|seed| scope.spawn(move || hand(seed + turn)));
                        hands.map(|hand| hand.join().expect("no panic")).into()
                    });
                    hands
                });
                kept.0.extend(blocks.into_iter().flat_map(|blocks| blocks.0));
            }
            kept.empty();
        });
        assert_eq!(wrong(), 0, "{options:?}");
    }
}

#[test]
fn in_a_sweep_with_faults_as_well() {
    let _turn = turn();
    for options in ways() {
        let plan = Plan::seeded(1, 10);
        let report = Sweep::new("strict").global(&STRICT).options(options).plan(plan).run(|_| {
            let mut blocks = Blocks::default();
            blocks.work(&mut Random(99), 4000);
            blocks.empty();
            if wrong() == 0 { Ok(()) } else { Err(Oom) }
        });
        assert_eq!(kinds(&report), [], "{report}");
        assert!(report.error().is_none(), "{report}");
    }
}

/// The strict allocator notices: else it would have nothing to say about the above.
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
