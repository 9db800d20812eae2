//! A string in a block of 256 bytes, with its length beside it, which is copied for a caller.
#![allow(unsafe_code)]

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use mallory::{Heap, Kind};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/short-length",
    kind: Kind::UninitRead,
    wrong: "keeps the length of a string of up to 256 bytes in one byte",
    right: "keeps the length of a string of up to 256 bytes in two bytes",
    planted: |sweep| pair::run(sweep, |heap| work(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| work(heap, near_miss)),
};

const BLOCK: usize = 256;

/// The string's block, and how long the string is.
struct Short {
    block: Box<[u8; BLOCK], Heap>,
    length: usize,
}

impl Short {
    /// Copies the string to the caller's memory.
    fn read(&self, to: &mut [std::mem::MaybeUninit<u8>]) {
        for (to, from) in to.iter_mut().zip(&self.block[..self.length]) {
            to.write(*from);
        }
    }
}

/// Stores a string of each length, copies it to memory of the caller, who knows how long it is, and
/// adds up its bytes.
fn work(heap: &Heap, stored: fn(usize) -> usize) -> Result<u32, Oom> {
    let mut sum = 0;
    for length in [255, BLOCK] {
        let block = Box::try_new_in([b's'; BLOCK], heap.clone())?;
        let short = Short { block, length: stored(length) };
        let mut copy: Vec<u8, _> = Vec::new_in(heap.clone());
        copy.try_reserve_exact(length)?;
        short.read(copy.spare_capacity_mut());
        // SAFETY: `read` has written that many bytes; but for the planted bug, whose bytes are
        // those that a heap gives to fresh memory.
        unsafe { copy.set_len(length) };
        sum += copy.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    }
    Ok(sum)
}

/// The bug: 256 doesn't fit in a byte, and becomes 0.
fn planted(length: usize) -> usize {
    usize::from(length as u8)
}

fn near_miss(length: usize) -> usize {
    usize::from(length as u16)
}
