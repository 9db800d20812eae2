//! Invalid free: a settings line that is copied into a block and parsed.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::InvalidFree,
    wrong: "frees a line at the position up to which it was read",
    right: "frees the line at its start",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const TEXT: [u8; 24] = *b"    core.compression = 9";
const LINE: Layout = Layout::new::<[u8; 24]>();

/// A block of its own with the line's text in it.
fn read_line(heap: &Heap) -> Result<NonNull<u8>, Oom> {
    let line: NonNull<u8> = heap.alloc(LINE)?.cast();
    // SAFETY: the block was just allocated with the text's layout.
    unsafe { line.cast().write(TEXT) };
    Ok(line)
}

/// The bug: `at` was advanced before the line is freed through it.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let line = read_line(heap)?;
    let (mut at, mut indent) = (line, 0);
    // SAFETY: the text ends with a 9, so the walk ends inside of the block.
    while unsafe { at.read() } == b' ' {
        // SAFETY: as above.
        at = unsafe { at.add(1) };
        indent += 1;
    }
    // SAFETY: none: this is no block's address any more.
    unsafe { heap.free(at, LINE) };
    Ok(indent)
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let line = read_line(heap)?;
    let (mut at, mut indent) = (line, 0);
    // SAFETY: the text ends with a 9, so the walk ends inside of the block.
    while unsafe { at.read() } == b' ' {
        // SAFETY: as above.
        at = unsafe { at.add(1) };
        indent += 1;
    }
    // SAFETY: `read_line` allocated it with this layout.
    unsafe { heap.free(line, LINE) };
    Ok(indent)
}
