//! Frees through one wrong pointer are one finding; blocks that no run has allocated may be freed, but
//! not twice.
#![allow(unsafe_code, reason = "blocks are freed wrongly on purpose")]

use std::alloc::dealloc;
use std::hint::black_box;

use crate::common::{kinds, layout, only};
use crate::detectors::by_hand;
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
    assert!(text.matches("bad_frees::of_malloc").count() >= 2, "both frees have a site: {text}");
    // No address is given out again in a run, so forty blocks have forty addresses.
    sweep("malloc").allow_aborts(1).run(|_| of_malloc(40, 1)).assert_clean();
}

#[test]
fn several_bad_frees_of_one_block_are_one_finding_with_a_count() {
    // SAFETY: stays inside of the block, and is none where it is freed.
    let three = |block: *mut u8| unsafe {
        (0..3).for_each(|nth| dealloc(block.add(8 * (1 + nth % 2)), layout(48, 8)));
        block
    };
    let report = sweep("three").run(|_| by_hand(three, layout(64, 8)));
    assert_eq!(only(&report).kind(), Kind::InvalidFree);
    assert!(report.to_string().contains("1 block, 64 bytes (align 8), heap `main`, 3 times"));

    // SAFETY: none, the block is freed twice here and once by the caller.
    let four = |block: *mut u8| unsafe {
        (0..3).for_each(|_| dealloc(block, layout(64, 8)));
        std::ptr::null_mut()
    };
    let report = sweep("four").run(|_| by_hand(four, layout(64, 8)));
    assert_eq!(only(&report).kind(), Kind::DoubleFree, "{report}");
    assert!(report.to_string().contains("1 block, 64 bytes (align 8), heap `main`, 2 times"));
}
