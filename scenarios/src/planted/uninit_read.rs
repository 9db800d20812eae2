//! Uninitialised read: a set of page numbers as a bitmap, which is counted before every page is in
//! it.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::UninitRead,
    wrong: "counts the pages in a bitmap that was never cleared",
    right: "clears the bitmap before it is used",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const WORDS: usize = 6;
const BITMAP: Layout = Layout::new::<[u64; WORDS]>();
const PAGES: [usize; 3] = [2, 71, 300];

struct Bitmap<'a> {
    heap: &'a Heap,
    words: NonNull<u64>,
}

impl Bitmap<'_> {
    fn add(&mut self, page: usize) {
        let word = page / 64;
        assert!(word < WORDS, "no such page");
        // SAFETY: the word is in the bitmap, which is all numbers, so any contents are valid.
        unsafe { *self.words.as_ptr().add(word) |= 1 << (page % 64) };
    }

    fn count(&self) -> u32 {
        // SAFETY: as above; in `planted` nobody may have written the words before.
        let words = (0..WORDS).map(|word| unsafe { self.words.as_ptr().add(word).read_volatile() });
        words.map(u64::count_ones).sum()
    }
}

impl Drop for Bitmap<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated from this heap with this layout.
        unsafe { self.heap.free(self.words.cast(), BITMAP) };
    }
}

fn count_pages(mut bitmap: Bitmap<'_>) -> Result<u32, Oom> {
    PAGES.iter().for_each(|page| bitmap.add(*page));
    Ok(bitmap.count())
}

/// The bug: fresh memory holds anything.
fn planted(heap: &Heap) -> Result<u32, Oom> {
    let words = heap.alloc(BITMAP)?.cast();
    count_pages(Bitmap { heap, words })
}

fn near_miss(heap: &Heap) -> Result<u32, Oom> {
    let words = heap.alloc_zeroed(BITMAP)?.cast();
    count_pages(Bitmap { heap, words })
}
