//! Allocators that hand out pieces of one block of the global allocator's.

use std::alloc::Layout;
use std::ptr::NonNull;

/// How large the block is.
const ROOM: usize = 1 << 14;

/// Allocates, fills, checks and frees in turn, and returns how many pieces were handed out and how
/// many were refused.
fn exercise(
    mut alloc: impl FnMut(Layout) -> Option<NonNull<u8>>,
    mut free: impl FnMut(NonNull<u8>, Layout),
) -> (usize, usize, bool) {
    let mut live: Vec<(NonNull<u8>, Layout, u8)> = Vec::new();
    let (mut given, mut refused, mut intact) = (0, 0, true);
    for step in 0..200_usize {
        let size = 1 + step * 37 % 300;
        let layout = Layout::from_size_align(size, 1 << (step % 6)).expect("a layout");
        match alloc(layout) {
            Some(piece) => {
                given += 1;
                // SAFETY: the piece has this size.
                unsafe { piece.write_bytes(step as u8, size) };
                live.push((piece, layout, step as u8));
            }
            None => refused += 1,
        }
        if step % 3 == 0 && !live.is_empty() {
            let (piece, layout, filled) = live.swap_remove(step % live.len());
            // SAFETY: the piece has this size and was filled.
            let bytes = unsafe { std::slice::from_raw_parts(piece.as_ptr(), layout.size()) };
            intact &= bytes.iter().all(|byte| *byte == filled);
            free(piece, layout);
        }
    }
    live.drain(..).for_each(|(piece, layout, _)| free(piece, layout));
    (given, refused, intact)
}

/// The block, aligned for every allocator.
fn room() -> Box<[u128]> {
    vec![0; ROOM / size_of::<u128>()].into_boxed_slice()
}

pub(super) fn buddy_system_allocator() -> (usize, usize, bool) {
    let mut room = room();
    let heap = std::cell::RefCell::new(buddy_system_allocator::Heap::<15>::new());
    // SAFETY: the block outlives the heap, and nothing else uses it.
    unsafe { heap.borrow_mut().init(room.as_mut_ptr() as usize, ROOM) };
    exercise(
        |layout| heap.borrow_mut().alloc(layout).ok(),
        // SAFETY: it was allocated from this heap with this layout.
        |piece, layout| unsafe { heap.borrow_mut().dealloc(piece, layout) },
    )
}

pub(super) fn linked_list_allocator() -> (usize, usize, bool) {
    let mut room = room();
    let heap = std::cell::RefCell::new(linked_list_allocator::Heap::empty());
    // SAFETY: the block outlives the heap, and nothing else uses it.
    unsafe { heap.borrow_mut().init(room.as_mut_ptr().cast(), ROOM) };
    exercise(
        |layout| heap.borrow_mut().allocate_first_fit(layout).ok(),
        // SAFETY: it was allocated from this heap with this layout.
        |piece, layout| unsafe { heap.borrow_mut().deallocate(piece, layout) },
    )
}

pub(super) fn rlsf() -> (usize, usize, bool) {
    let mut room = room();
    let heap = std::cell::RefCell::new(rlsf::Tlsf::<'_, u16, u16, 12, 16>::new());
    let block = NonNull::slice_from_raw_parts(NonNull::from(&mut *room).cast(), ROOM);
    // SAFETY: the block outlives the heap, and nothing else uses it.
    unsafe { heap.borrow_mut().insert_free_block_ptr(block) };
    exercise(
        |layout| heap.borrow_mut().allocate(layout),
        // SAFETY: it was allocated from this heap with this alignment.
        |piece, layout| unsafe { heap.borrow_mut().deallocate(piece, layout.align()) },
    )
}
