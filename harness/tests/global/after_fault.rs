//! Memory errors that only a failed request leads to: the process may die of them much later, and
//! the report names the access all the same.
#![allow(unsafe_code, reason = "these bugs write where they may not")]

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;

use crate::common::kinds;
use crate::sweep;
use mallory::{Kind, Report};

const ROOM: Layout = Layout::new::<[u8; 64]>();
const SHORT: Layout = Layout::new::<[u8; 16]>();

/// Allocates room, falls back to a shorter block if there is none, and fills `length` bytes of it.
fn fill(length: usize, checks: bool) {
    // SAFETY: the layouts have sizes; writing more than the block has is the planted bug.
    unsafe {
        let (block, layout) = match alloc(ROOM) {
            room if !room.is_null() => (room, ROOM),
            _ => (alloc(SHORT), SHORT),
        };
        if block.is_null() {
            return;
        }
        let behind = Box::new([7_u64; 2]);
        let length = if checks { length.min(layout.size()) } else { length };
        for at in 0..length {
            black_box(block).add(at).write_volatile(0xEE);
        }
        dealloc(block, layout);
        black_box(behind);
    }
}

fn swept(length: usize, checks: bool) -> Report {
    sweep("short").allow_aborts(1).run(|_| {
        fill(length, checks);
        Ok::<_, String>(())
    })
}

#[test]
fn an_overflow_of_any_length_is_an_overflow() {
    for length in [17, 24, 33, 64, 100] {
        let report = swept(length, false);
        let all = kinds(&report);
        assert!(all.contains(&Kind::HeapBufferOverflow), "{length}: {report}");
        assert!(!all.contains(&Kind::Crash), "{length}: {report}");
        assert_eq!(report.to_string(), swept(length, false).to_string());
        swept(length, true).assert_clean();
    }
}

/// Far beyond the block, where nothing is mapped.
#[test]
fn a_write_that_is_the_death_names_the_block() {
    let report = swept(1 << 24, false);
    assert!(kinds(&report).contains(&Kind::HeapBufferOverflow), "{report}");
    assert!(report.to_string().contains("after_fault::fill"), "{report}");
}

#[inline(never)]
fn free_twice() {
    // SAFETY: none, the block is freed twice: the planted bug.
    unsafe {
        let block = alloc(SHORT);
        if !block.is_null() {
            dealloc(black_box(block), SHORT);
            dealloc(black_box(block), SHORT);
        }
    }
}

#[test]
fn what_a_run_showed_before_it_died_has_its_call_sites() {
    let report = sweep("dies").run(|_| {
        let mut room: Vec<u8> = Vec::new();
        if room.try_reserve(64).is_err() {
            free_twice();
            std::process::abort();
        }
        Ok::<_, String>(())
    });
    assert_eq!(kinds(&report), [Kind::DoubleFree, Kind::Abort], "{report}");
    let text = report.findings()[0].to_string();
    assert_eq!(text.matches("after_fault::free_twice").count(), 3, "{text}");
}
