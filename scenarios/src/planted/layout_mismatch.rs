//! Layout mismatch: a string builder that trims its buffer when it is done.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port, Refused};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::LayoutMismatch,
    wrong: "treats a buffer as trimmed although trimming it failed",
    right: "treats the buffer as trimmed only if that succeeded",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const WORDS: [&str; 3] = ["refs/", "heads/", "main"];

/// A buffer that text is appended to.
struct Builder<'a> {
    heap: &'a Heap,
    start: NonNull<u8>,
    layout: Layout,
    len: usize,
}

impl<'a> Builder<'a> {
    fn with_capacity(heap: &'a Heap, capacity: usize) -> Result<Self, Oom> {
        let layout = Layout::array::<u8>(capacity).map_err(|_| Refused)?;
        Ok(Builder { heap, start: heap.alloc(layout)?.cast(), layout, len: 0 })
    }

    fn append(&mut self, text: &str) {
        assert!(self.len + text.len() <= self.layout.size(), "the text is longer than the buffer");
        // SAFETY: there is room behind `len`, as was just seen, and the heap doesn't own `text`.
        unsafe { self.start.add(self.len).copy_from(NonNull::from(text).cast(), text.len()) };
        self.len += text.len();
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        // SAFETY: the buffer came from this heap; in `planted` the layout may be one that it never
        // got, which is the bug.
        unsafe { self.heap.free(self.start, self.layout) }
    }
}

/// The bug: a failed shrink leaves the block and its layout as they were.
fn planted(heap: &Heap) -> Result<usize, Oom> {
    let mut name = Builder::with_capacity(heap, 64)?;
    WORDS.iter().for_each(|word| name.append(word));
    let trimmed = Layout::array::<u8>(name.len).map_err(|_| Refused)?;
    // SAFETY: the block and its layout belong together, and the new one is not larger.
    if let Ok(start) = unsafe { heap.shrink(name.start, name.layout, trimmed) } {
        name.start = start.cast();
    }
    name.layout = trimmed;
    Ok(name.len)
}

fn near_miss(heap: &Heap) -> Result<usize, Oom> {
    let mut name = Builder::with_capacity(heap, 64)?;
    WORDS.iter().for_each(|word| name.append(word));
    let trimmed = Layout::array::<u8>(name.len).map_err(|_| Refused)?;
    // SAFETY: the block and its layout belong together, and the new one is not larger.
    if let Ok(start) = unsafe { heap.shrink(name.start, name.layout, trimmed) } {
        name.start = start.cast();
        name.layout = trimmed;
    }
    Ok(name.len)
}
