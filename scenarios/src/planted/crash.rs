//! Crash: a device's mailbox, written through a pointer that a C-like allocator answered.
#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::{NonNull, null_mut};

use mallory::{Heap, Kind, Options, Port};

use super::{Oom, Pair};

pub(super) const PAIR: Pair = Pair {
    kind: Kind::Crash,
    wrong: "writes a field of a mailbox without looking whether there is one",
    right: "looks whether there is a mailbox",
    options: Options::new,
    planted: |sweep| super::run(sweep, planted),
    near_miss: |sweep| super::run(sweep, near_miss),
};

const MAILBOX: Layout = Layout::new::<[u32; 16]>();
/// The field that wakes the device, in words from the start.
const DOORBELL: usize = 8;

/// As C's `malloc` has it: null where there is no memory.
fn new_mailbox(heap: &Heap) -> *mut u32 {
    heap.alloc_zeroed(MAILBOX).map_or(null_mut(), |block| block.cast().as_ptr())
}

fn free_mailbox(heap: &Heap, mailbox: *mut u32) {
    if let Some(mailbox) = NonNull::new(mailbox) {
        // SAFETY: `new_mailbox` allocated it with this layout.
        unsafe { heap.free(mailbox.cast(), MAILBOX) };
    }
}

/// The bug: null is a pointer as well.
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
