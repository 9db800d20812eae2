//! Blocks that no run has allocated may be freed, but not twice.
#![allow(unsafe_code, reason = "a block is freed twice on purpose")]

use std::alloc::dealloc;
use std::hint::black_box;

use crate::common::{kinds, layout};
use crate::sweep;
use mallory::{Kind, Refused};

/// Frees blocks of C's `malloc`, which the system's allocator takes, each of them as often as said.
fn of_malloc(blocks: usize, frees: usize) -> Result<(), Refused> {
    for _ in 0..blocks {
        // SAFETY: a size that is not 0; where the bug is planted it is freed twice.
        unsafe {
            let block = libc::malloc(48);
            for _ in 0..frees {
                dealloc(black_box(block).cast(), layout(48, 8));
            }
        }
    }
    black_box(Box::new(1_u64));
    Ok(())
}

#[test]
fn a_block_that_no_run_allocated_may_be_freed_once() {
    let report = sweep("malloc").allow_aborts(1).run(|_| of_malloc(1, 2));
    assert_eq!(kinds(&report), [Kind::DoubleFree], "{report}");
    let text = report.to_string();
    assert!(
        text.matches("unknown_frees::of_malloc").count() >= 2,
        "both frees have a site: {text}"
    );
    // No address is given out again in a run, so forty blocks have forty addresses.
    sweep("malloc").allow_aborts(1).run(|_| of_malloc(40, 1)).assert_clean();
}
