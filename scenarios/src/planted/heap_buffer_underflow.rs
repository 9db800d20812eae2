//! Heap-buffer underflow: names that carry their length in the byte before their text.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port, Refused};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::HeapBufferUnderflow,
    wrong: "writes a name's length into the byte before its block",
    right: "begins the name's text behind the byte of its length",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const NAME: &str = "origin/main";
/// Where the text begins in the block of a name.
const TEXT: usize = 1;

/// Writes a name of at most 255 bytes: its text here, and its length in the byte before.
///
/// # Safety
/// - `text` has room for the name, and there is a byte before it.
unsafe fn write_name(text: NonNull<u8>, name: &str) {
    // SAFETY: the caller has made room.
    unsafe {
        text.sub(TEXT).write(name.len() as u8);
        text.copy_from(NonNull::from(name).cast(), name.len());
    }
}

/// The bug: the text begins at the block's first byte, which is the length's place.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let layout = Layout::array::<u8>(TEXT + NAME.len()).map_err(|_| Refused)?;
    let block: NonNull<u8> = heap.alloc(layout)?.cast();
    // SAFETY: text and length lie in the block; in `planted` the length lies before it.
    unsafe { write_name(block, NAME) };
    // SAFETY: it came from this heap with this layout.
    unsafe { heap.free(block, layout) };
    Ok(layout.size())
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let layout = Layout::array::<u8>(TEXT + NAME.len()).map_err(|_| Refused)?;
    let block: NonNull<u8> = heap.alloc(layout)?.cast();
    // SAFETY: text and length lie in the block; in `planted` the length lies before it.
    unsafe { write_name(block.add(TEXT), NAME) };
    // SAFETY: it came from this heap with this layout.
    unsafe { heap.free(block, layout) };
    Ok(layout.size())
}
