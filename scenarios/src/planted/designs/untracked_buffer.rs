//! An operation that registers what it allocates, to free it if a later step fails.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Port};

use super::DesignPair;
use crate::planted::pair::{self, Oom};

pub(super) const PAIR: DesignPair = DesignPair {
    name: "planted/untracked-buffer",
    kind: Kind::Leak,
    wrong: "loses a buffer that it has no memory to register",
    right: "makes room to register a buffer before it allocates one",
    planted: |sweep| pair::run(sweep, |heap| work(heap, planted)),
    near_miss: |sweep| pair::run(sweep, |heap| work(heap, near_miss)),
};

const BUFFER: Layout = Layout::new::<[u8; 1024]>();

/// What is freed, newest first, when an operation ends.
struct ErrorContext<'h> {
    heap: &'h Heap,
    buffers: Vec<NonNull<u8>, Heap>,
}

impl ErrorContext<'_> {
    fn track(&mut self, buffer: NonNull<u8>) -> Result<(), Oom> {
        self.buffers.try_reserve(1)?;
        self.buffers.push(buffer);
        Ok(())
    }
}

impl Drop for ErrorContext<'_> {
    fn drop(&mut self) {
        while let Some(buffer) = self.buffers.pop() {
            // SAFETY: it was allocated by this heap with this layout, and is freed once.
            unsafe { self.heap.free(buffer, BUFFER) };
        }
    }
}

/// An operation that needs several buffers.
fn work(heap: &Heap, allocate: fn(&mut ErrorContext<'_>) -> Result<(), Oom>) -> Result<usize, Oom> {
    let mut context = ErrorContext { heap, buffers: Vec::new_in(heap.clone()) };
    for _ in 0..6 {
        allocate(&mut context)?;
    }
    Ok(context.buffers.len())
}

/// The bug: if it can't be registered, the buffer has no owner.
fn planted(context: &mut ErrorContext<'_>) -> Result<(), Oom> {
    let buffer = context.heap.alloc(BUFFER)?.cast();
    context.track(buffer)
}

fn near_miss(context: &mut ErrorContext<'_>) -> Result<(), Oom> {
    context.buffers.try_reserve(1)?;
    let buffer = context.heap.alloc(BUFFER)?.cast();
    context.track(buffer)
}
