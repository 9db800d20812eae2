//! The system `regions`: an arena or a slab that has a cap, is emptied and used again, and wipes what
//! it gives back. The model knows only what every region has to do: the blocks of a round keep what
//! was written into them, nothing goes back unwiped, and no more is held than the cap allows.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Port, Refused, System};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::refused;
use crate::memory::{Arena, Slab};

/// Which memory part is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Part {
    /// An arena, which is reset after each round.
    Arena,
    /// A slab, whose blocks are all freed after each round.
    Slab,
}

/// One operation: what is done with one region, from its creation to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Fills blocks of four times these lengths, each with its number; empties the region, and fills
    /// them once more. Keeps the sum of all bytes. At most sixteen blocks.
    Rounds {
        /// Of what.
        part: Part,
        /// Whether freed memory is wiped.
        wipes: bool,
        /// The lengths.
        lengths: std::vec::Vec<u8>,
    },
    /// Asks a region with this cap for blocks of 200 bytes until it refuses one.
    Capped {
        /// Of what.
        part: Part,
        /// The cap in KiB, modulo 129.
        kib: u8,
    },
}

/// What an operation returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The sum of all bytes.
    Sum(u64),
    /// The region refused a block, and never held more than its cap.
    Full,
    /// How many blocks went back to the heap unwiped.
    Unwiped(usize),
    /// It held so much.
    Beyond(usize),
    /// The second round of a slab asked the heap for more than the first one.
    Grew,
}

/// The system: it keeps the sums.
pub struct Regions {
    heap: Heap,
    sums: Vec<u64, Heap>,
}

/// The most blocks of a round.
const BLOCKS: usize = 16;
/// The cap of a region whose blocks all fit.
const ROOMY: usize = 1 << 20;

/// A heap, and how it was used.
struct Watch<'a> {
    heap: &'a Heap,
    /// Whether what comes back has to be zeroes.
    wipes: bool,
    unwiped: &'a Cell<usize>,
    refused: &'a Cell<bool>,
}

// SAFETY: it forwards each call to a heap, which keeps the contract of a port.
unsafe impl Port for Watch<'_> {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.heap.alloc(layout).inspect_err(|_| self.refused.set(true))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        if self.wipes {
            // SAFETY: the block is alive and this long; a region that wipes has written all of it.
            let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), layout.size()) };
            let is_wiped = bytes.iter().all(|byte| *byte == 0);
            self.unwiped.set(self.unwiped.get() + usize::from(!is_wiped));
        }
        // SAFETY: the caller's promise, passed on unchanged.
        unsafe { self.heap.free(block, layout) };
    }
}

/// Writes the same byte everywhere.
fn filled(block: &mut [MaybeUninit<u8>], with: u8) -> &mut [u8] {
    block.fill(MaybeUninit::new(with));
    // SAFETY: every byte was just written.
    unsafe { &mut *(std::ptr::from_mut(block) as *mut [u8]) }
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// The sizes of the blocks of a round, each with its number.
fn blocks(lengths: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    (1..).zip(lengths.iter().take(BLOCKS).map(|length| usize::from(*length) * 4))
}

/// Fills blocks of an arena, and returns the sum of what is in them when all are there.
fn round_of_arena(arena: &Arena<Watch<'_>>, lengths: &[u8]) -> Result<u64, Refused> {
    let mut held: [&[u8]; BLOCKS] = [&[]; BLOCKS];
    for (place, (number, size)) in held.iter_mut().zip(blocks(lengths)) {
        *place = filled(arena.bytes(size)?, number);
    }
    Ok(held.iter().map(|bytes| sum(bytes)).sum())
}

/// The same with blocks of a slab.
fn round_of_slab(slab: &Slab<Watch<'_>>, lengths: &[u8]) -> Result<u64, Refused> {
    let mut held = [const { None }; BLOCKS];
    for (place, (number, size)) in held.iter_mut().zip(blocks(lengths)) {
        let piece = place.insert(slab.bytes(size)?);
        filled(piece, number);
    }
    let of_all = held.iter().flatten().map(|piece| {
        // SAFETY: `filled` has written every byte of it.
        piece.iter().map(|byte| u64::from(unsafe { byte.assume_init() })).sum::<u64>()
    });
    Ok(of_all.sum())
}

impl Regions {
    fn arena<'a>(&self, watch: Watch<'a>, cap: usize) -> Arena<Watch<'a>> {
        let wipes = watch.wipes;
        let arena = match self.heap.bypass() {
            true => Arena::direct(watch, cap),
            false => Arena::new(watch, cap),
        };
        if wipes { arena.zero_on_free() } else { arena }
    }

    fn slab<'a>(&self, watch: Watch<'a>, cap: usize) -> Slab<Watch<'a>> {
        let wipes = watch.wipes;
        let slab = if self.heap.bypass() { Slab::direct(watch) } else { Slab::new(watch) };
        let slab = slab.capped(cap);
        if wipes { slab.zero_on_free() } else { slab }
    }

    fn rounds(&self, part: Part, wipes: bool, lengths: &[u8]) -> Result<Reply, Refused> {
        let (unwiped, refused) = (Cell::new(0), Cell::new(false));
        let watch = Watch { heap: &self.heap, wipes, unwiped: &unwiped, refused: &refused };
        let (sum, grew) = match part {
            Part::Arena => {
                let mut arena = self.arena(watch, ROOMY);
                let first = round_of_arena(&arena, lengths)?;
                arena.reset();
                (first + round_of_arena(&arena, lengths)?, false)
            }
            Part::Slab => {
                let slab = self.slab(watch, ROOMY);
                let first = round_of_slab(&slab, lengths)?;
                let peak = slab.peak();
                (first + round_of_slab(&slab, lengths)?, slab.peak() != peak)
            }
        };
        Ok(match unwiped.get() {
            0 if grew => Reply::Grew,
            0 => Reply::Sum(sum),
            blocks => Reply::Unwiped(blocks),
        })
    }

    fn capped(&self, part: Part, kib: u8) -> Result<Reply, Refused> {
        let cap = usize::from(kib % 129) << 10;
        let (unwiped, refused) = (Cell::new(0), Cell::new(false));
        let watch = Watch { heap: &self.heap, wipes: true, unwiped: &unwiped, refused: &refused };
        let peak = match part {
            Part::Arena => {
                let arena = self.arena(watch, cap);
                while arena.bytes(200).is_ok() {}
                arena.peak()
            }
            Part::Slab => {
                let slab = self.slab(watch, cap);
                // Pieces free themselves: they are kept until the end, each in the one before.
                fill_slab(&slab);
                slab.peak()
            }
        };
        if refused.get() {
            // The heap did, and not the cap.
            return Err(Refused);
        }
        Ok(match unwiped.get() {
            0 if peak > cap => Reply::Beyond(peak),
            0 => Reply::Full,
            blocks => Reply::Unwiped(blocks),
        })
    }
}

/// Holds one block more in each call, until there is none.
fn fill_slab(slab: &Slab<Watch<'_>>) {
    if let Ok(piece) = slab.bytes(200) {
        fill_slab(slab);
        drop(piece);
    }
}

impl System for Regions {
    const NAME: &'static str = "regions";

    type Op = Op;
    type Reply = Reply;
    type Error = Refused;
    /// The sums so far.
    type Model = std::vec::Vec<u64>;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        Ok(Regions { heap: heap.clone(), sums: Vec::new_in(heap.clone()) })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Reply, Refused> {
        match op {
            Op::Rounds { part, wipes, lengths } => {
                self.sums.try_reserve(1).map_err(refused)?;
                let reply = self.rounds(*part, *wipes, lengths)?;
                if let Reply::Sum(sum) = reply {
                    self.sums.push(sum);
                }
                Ok(reply)
            }
            Op::Capped { part, kib } => self.capped(*part, *kib),
        }
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Self::Model {
        self.sums.to_vec()
    }

    fn model(model: &mut Self::Model, op: &Op, _: &World<'_>) -> impl Debug {
        let Op::Rounds { lengths, .. } = op else { return Reply::Full };
        let of_round: u64 = (1..=16_u64).zip(lengths).map(|(n, l)| n * 4 * u64::from(*l)).sum();
        model.push(2 * of_round);
        Reply::Sum(2 * of_round)
    }
}
