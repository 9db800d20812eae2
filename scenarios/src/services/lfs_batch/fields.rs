//! How a store in memory keeps the texts of its objects' fields: each in a block of its own, or
//! one after another in the chunks of an arena. `scenarios/MEMORY.md` compares the two.

use std::fmt::Debug;

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use crate::memory::bytes::{refused, try_copy, try_push, try_with_capacity};

/// Where the texts of a [`MemoryStore`](super::store::MemoryStore) are.
pub trait Fields: Debug {
    /// The name of the system whose store keeps its texts like this.
    const SYSTEM: &'static str;

    /// What an object keeps of a text.
    type Text: Debug;

    /// No texts yet; takes no memory.
    fn new(heap: &Heap) -> Self;

    /// Copies all texts, in their order, or none of them.
    ///
    /// # Errors
    /// Out of memory.
    fn take<'t, 's>(
        &mut self,
        texts: impl ExactSizeIterator<Item = Option<&'t str>> + Clone,
        scratch: &'s Heap,
    ) -> Result<Vec<Option<Self::Text>, &'s Heap>, Refused>;

    /// Lends a text that was taken here.
    fn lend<'f>(&'f self, text: &'f Self::Text) -> &'f str;
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("copied from a str")
}

/// A block for each text. It is freed when the object's field is replaced or the object is removed.
#[derive(Debug)]
pub struct HeapFields {
    heap: Heap,
}

impl Fields for HeapFields {
    const SYSTEM: &'static str = "lfs-batch";

    type Text = Vec<u8, Heap>;

    fn new(heap: &Heap) -> Self {
        HeapFields { heap: heap.clone() }
    }

    fn take<'t, 's>(
        &mut self,
        texts: impl ExactSizeIterator<Item = Option<&'t str>> + Clone,
        scratch: &'s Heap,
    ) -> Result<Vec<Option<Self::Text>, &'s Heap>, Refused> {
        let mut copies = try_with_capacity(texts.len(), scratch)?;
        for text in texts {
            let copy = text.map(|text| try_copy(text.as_bytes(), self.heap.clone())).transpose()?;
            try_push(&mut copies, copy)?;
        }
        Ok(copies)
    }

    fn lend<'f>(&'f self, text: &'f Self::Text) -> &'f str {
        utf8(text)
    }
}

/// The room of an arena's first chunk. Each further one has twice the room of the last, or what the
/// texts of a commit need, if that is more.
const FIRST_CHUNK: usize = 1 << 10;

/// No chunk has more room than this, unless the texts of one commit need it.
const LARGEST_CHUNK: usize = 64 << 10;

/// All texts in the chunks of an arena, which are freed together with the store. Nothing is freed
/// before: a text whose field is replaced, or whose object is removed, keeps its place.
#[derive(Debug)]
pub struct ArenaFields {
    /// Texts are added to the last one. A chunk never grows, so no text is ever moved.
    chunks: Vec<Vec<u8, Heap>, Heap>,
}

/// The place of a text in its arena.
#[derive(Clone, Copy, Debug)]
pub struct TextPlace {
    chunk: u32,
    start: u32,
    length: u32,
}

impl ArenaFields {
    /// Makes sure that texts of this many bytes in all fit into the last chunk.
    fn reserve(&mut self, bytes: usize) -> Result<(), Refused> {
        let (used, room) = self.chunks.last().map_or((0, 0), |it| (it.len(), it.capacity()));
        if !self.chunks.is_empty() && bytes <= room - used {
            return Ok(());
        }
        let room = (2 * room).clamp(FIRST_CHUNK, LARGEST_CHUNK).max(bytes);
        // Places are kept as `u32`: nothing beyond is taken.
        u32::try_from(room.max(self.chunks.len())).map_err(refused)?;
        let chunk = try_with_capacity(room, self.chunks.allocator().clone())?;
        try_push(&mut self.chunks, chunk)
    }
}

impl Fields for ArenaFields {
    const SYSTEM: &'static str = "lfs-batch-arena";

    type Text = TextPlace;

    fn new(heap: &Heap) -> Self {
        ArenaFields { chunks: Vec::new_in(heap.clone()) }
    }

    fn take<'t, 's>(
        &mut self,
        texts: impl ExactSizeIterator<Item = Option<&'t str>> + Clone,
        scratch: &'s Heap,
    ) -> Result<Vec<Option<Self::Text>, &'s Heap>, Refused> {
        let mut places = try_with_capacity(texts.len(), scratch)?;
        if texts.clone().any(|text| text.is_some()) {
            self.reserve(texts.clone().flatten().map(str::len).sum())?;
        }
        // From here on there is room for everything: a text that is copied is never taken back.
        let number = self.chunks.len().saturating_sub(1) as u32;
        for text in texts {
            let place = text.zip(self.chunks.last_mut()).map(|(text, chunk)| {
                let start = chunk.len() as u32;
                chunk.extend_from_slice(text.as_bytes());
                TextPlace { chunk: number, start, length: text.len() as u32 }
            });
            try_push(&mut places, place)?;
        }
        Ok(places)
    }

    fn lend<'f>(&'f self, text: &'f Self::Text) -> &'f str {
        let start = text.start as usize;
        utf8(&self.chunks[text.chunk as usize][start..start + text.length as usize])
    }
}

#[cfg(test)]
mod tests {
    use mallory::Plan;

    use super::*;

    /// Takes these texts, and returns them as they are lent.
    fn round_trip<F: Fields>(fields: &mut F, texts: &[Option<&str>], scratch: &Heap) {
        let taken = fields.take(texts.iter().copied(), scratch).unwrap();
        let lent = taken.iter().map(|text| text.as_ref().map(|text| fields.lend(text)));
        assert!(lent.eq(texts.iter().copied()), "{texts:?}");
    }

    #[test]
    fn texts_are_lent_as_they_were_taken() {
        fn check<F: Fields>() {
            let (heap, scratch) = (Heap::new(), Heap::new());
            let mut fields = F::new(&heap);
            let long = "ü".repeat(LARGEST_CHUNK);
            let last = "x".repeat(FIRST_CHUNK);
            round_trip(&mut fields, &[], &scratch);
            round_trip(&mut fields, &[None], &scratch);
            round_trip(&mut fields, &[Some("")], &scratch);
            round_trip(&mut fields, &[Some("main"), None, Some(""), Some("é")], &scratch);
            round_trip(&mut fields, &[Some(&last), Some(&long), Some("main")], &scratch);
            round_trip(&mut fields, &[Some("after")], &scratch);
            drop(fields);
            assert_eq!((heap.live_bytes(), heap.found()), (0, 0), "{}", F::SYSTEM);
        }
        check::<HeapFields>();
        check::<ArenaFields>();
    }

    #[test]
    fn an_arena_takes_all_texts_or_none() {
        let (heap, scratch) = (Heap::new(), Heap::new());
        let mut fields = ArenaFields::new(&heap);
        let first = fields.take([Some("main")].into_iter(), &scratch).unwrap();
        let long = "x".repeat(2 * FIRST_CHUNK);
        heap.arm(Plan::from(1));
        let refused = fields.take([Some("small"), Some(&*long)].into_iter(), &scratch);
        assert_eq!(refused.map(drop), Err(Refused));
        heap.disarm();
        assert_eq!((fields.chunks.len(), fields.chunks[0].len()), (1, 4), "it keeps a part");
        assert_eq!(first[0].as_ref().map(|text| fields.lend(text)), Some("main"));
    }

    #[test]
    fn no_chunk_grows() {
        let (heap, scratch) = (Heap::new(), Heap::new());
        let mut fields = ArenaFields::new(&heap);
        let text = "x".repeat(FIRST_CHUNK / 2 + 1);
        fields.take([Some("main")].into_iter(), &scratch).unwrap();
        fields.take([Some(&*text), Some(&*text)].into_iter(), &scratch).unwrap();
        let rooms = fields.chunks.iter().map(Vec::capacity);
        assert!(rooms.eq([FIRST_CHUNK, 2 * FIRST_CHUNK]));
    }

    #[test]
    fn an_arena_asks_for_chunks_and_the_other_for_every_text() {
        fn blocks<F: Fields>() -> usize {
            let (heap, scratch) = (Heap::new(), Heap::new());
            let mut fields = F::new(&heap);
            let mut kept = std::vec::Vec::new();
            let mut grown = 0;
            for _ in 0..100 {
                let before = heap.live_bytes();
                let text = [Some("refs/heads/main")].into_iter();
                kept.push(fields.take(text, &scratch).unwrap());
                grown += usize::from(heap.live_bytes() != before);
            }
            grown
        }
        assert_eq!(blocks::<HeapFields>(), 100);
        // 1,500 bytes: a chunk of 1 KiB, and one of 2 KiB.
        assert_eq!(blocks::<ArenaFields>(), 2);
    }
}
