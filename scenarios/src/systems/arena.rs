//! The system `arena`: containers in short-lived arenas, modelled by plain vectors.

use std::fmt::Debug;

use allocator_api2::vec::Vec;
use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use crate::memory::bytes::{refused, try_extend};
use crate::memory::with_arena;

/// The most that an arena holds here.
const CAP: usize = 256 << 10;

/// One operation: what is done in one arena, from its creation to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Fills lists of these lengths in an arena, each with its number. They grow in turns. Keeps
    /// the sum of all bytes.
    Fill {
        /// The final length of each list.
        lengths: std::vec::Vec<u8>,
        /// By how many bytes a list grows in one turn.
        turn: u8,
    },
    /// The same, but halves every second list before the sum is computed.
    Shrink {
        /// The final length of each list.
        lengths: std::vec::Vec<u8>,
    },
    /// Asks for more than the arena's cap: always refused, but not an out-of-memory error.
    TooMuch,
    /// Keeps this in memory of its own.
    Keep(std::vec::Vec<u8>),
}

/// What an operation returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The sum of all bytes.
    Sum(u64),
    /// It was refused, as it has to be.
    Refused,
    /// It is kept.
    Kept,
}

/// The system: what it keeps outlives every arena.
pub struct Arenas {
    heap: Heap,
    sums: Vec<u64, Heap>,
    kept: Vec<u8, Heap>,
}

/// The sums so far, and what is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Sums.
    pub sums: std::vec::Vec<u64>,
    /// Bytes.
    pub kept: std::vec::Vec<u8>,
}

/// The sum of all bytes: each byte of a list is the list's number.
fn sum(lengths: &[u8]) -> u64 {
    (0..).zip(lengths).map(|(number, length)| (number % 251) * u64::from(*length)).sum()
}

fn fill(arena: &Heap, lengths: &[u8], turn: usize, shrinks: bool) -> Result<u64, Refused> {
    let mut lists = Vec::new_in(arena);
    lists.try_reserve(lengths.len()).map_err(refused)?;
    for _ in lengths {
        lists.push(Vec::new_in(arena));
    }
    // In turns, so that only the last list can grow in place.
    let mut grows = true;
    while grows {
        grows = false;
        for (number, (list, length)) in lists.iter_mut().zip(lengths).enumerate() {
            let more = usize::from(*length).saturating_sub(list.len()).min(turn);
            try_extend(list, &[(number % 251) as u8; 256][..more])?;
            grows |= more != 0;
        }
    }
    if shrinks {
        for list in lists.iter_mut().step_by(2) {
            list.truncate(list.len() / 2);
            let mut rest = Vec::new_in(arena);
            try_extend(&mut rest, list)?;
            *list = rest;
        }
    }
    Ok(lists.iter().flatten().map(|byte| u64::from(*byte)).sum())
}

impl System for Arenas {
    const NAME: &'static str = "arena";

    type Op = Op;
    type Reply = Reply;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        let (sums, kept) = (Vec::new_in(heap.clone()), Vec::new_in(heap.clone()));
        Ok(Arenas { heap: heap.clone(), sums, kept })
    }

    fn apply(&mut self, op: &Op, _: &World<'_>) -> Result<Reply, Refused> {
        let (lengths, turn, shrinks) = match op {
            Op::Fill { lengths, turn } => (lengths, usize::from(*turn).max(1), false),
            Op::Shrink { lengths } => (lengths, 16, true),
            Op::TooMuch => {
                let asked = with_arena(&self.heap, CAP, |arena| {
                    Vec::<u8, _>::new_in(arena).try_reserve(CAP + 1).is_err()
                });
                return if asked { Ok(Reply::Refused) } else { Ok(Reply::Kept) };
            }
            Op::Keep(bytes) => {
                try_extend(&mut self.kept, bytes)?;
                return Ok(Reply::Kept);
            }
        };
        let most = &lengths[..lengths.len().min(64)];
        self.sums.try_reserve(1).map_err(refused)?;
        let sum = with_arena(&self.heap, CAP, |arena| fill(arena, most, turn, shrinks))?;
        self.sums.push(sum);
        Ok(Reply::Sum(sum))
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        Model { sums: self.sums.to_vec(), kept: self.kept.to_vec() }
    }

    fn model(model: &mut Model, op: &Op, _: &World<'_>) -> impl Debug {
        let lengths: std::vec::Vec<u8> = match op {
            Op::Fill { lengths, .. } => lengths.iter().take(64).copied().collect(),
            Op::Shrink { lengths } => {
                let kept = |(nth, length): (usize, &u8)| {
                    if nth % 2 == 0 { *length / 2 } else { *length }
                };
                lengths.iter().take(64).enumerate().map(kept).collect()
            }
            Op::TooMuch => return Reply::Refused,
            Op::Keep(bytes) => {
                model.kept.extend(bytes);
                return Reply::Kept;
            }
        };
        let sum = sum(&lengths);
        model.sums.push(sum);
        Reply::Sum(sum)
    }
}
