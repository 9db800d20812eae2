//! Crash: a device's mailbox, written through the pointer that a C-like allocator returned.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::{NonNull, null_mut};

use mallory::{Heap, Kind, Options, Port};

use super::pair::{self, Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Crash,
    wrong: "writes a field of a mailbox without checking for null",
    right: "checks the mailbox for null",
    options: Options::new,
    planted: |sweep| pair::run(sweep, planted),
    near_miss: |sweep| pair::run(sweep, near_miss),
};

const MAILBOX: Layout = Layout::new::<[u32; 16]>();
/// The field that wakes the device, in words from the start.
const DOORBELL: usize = 8;

/// Like C's `malloc`: null if there is no memory.
fn new_mailbox(heap: &Heap) -> *mut u32 {
    heap.alloc_zeroed(MAILBOX).map_or(null_mut(), |block| block.cast().as_ptr())
}

fn free_mailbox(heap: &Heap, mailbox: *mut u32) {
    if let Some(mailbox) = NonNull::new(mailbox) {
        // SAFETY: `new_mailbox` allocated it with this layout.
        unsafe { heap.free(mailbox.cast(), MAILBOX) };
    }
}

/// The bug: the pointer may be null.
fn planted(heap: &Heap) -> Result<u32, Oom> {
    let mailbox = new_mailbox(heap);
    let doorbell = mailbox.wrapping_add(DOORBELL);
    // SAFETY: the field lies in the mailbox; in `planted` there may be none.
    let rung = unsafe {
        doorbell.write_volatile(1);
        doorbell.read_volatile()
    };
    free_mailbox(heap, mailbox);
    Ok(rung)
}

fn near_miss(heap: &Heap) -> Result<u32, Oom> {
    let mailbox = new_mailbox(heap);
    if mailbox.is_null() {
        return Err(Oom);
    }
    let doorbell = mailbox.wrapping_add(DOORBELL);
    // SAFETY: the field lies in the mailbox; in `planted` there may be none.
    let rung = unsafe {
        doorbell.write_volatile(1);
        doorbell.read_volatile()
    };
    free_mailbox(heap, mailbox);
    Ok(rung)
}
