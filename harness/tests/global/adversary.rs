//! The adversarial heap below the global allocator: code that knows nothing of heaps and works on a
//! friendly `malloc` runs into guard pages and rubbish, and blocks that outlive a run do no harm.
#![allow(unsafe_code, reason = "the planted bugs are wrong unsafe code")]

use std::collections::TryReserveError;
use std::hint::black_box;
use std::sync::Mutex;

use crate::common::{bytes, only};
use crate::sweep;
use mallory::adversary::{Adversary, Reuse};
use mallory::{Kind, Report};

type Body = fn() -> Result<u64, TryReserveError>;

fn friendly(body: Body) -> Report {
    sweep("friendly").quick().run(|_| body())
}

fn adversarial(modes: Adversary, body: Body) -> Report {
    sweep("adversarial").adversary(modes).run(|_| body())
}

/// Reads the byte at this offset of a block of 24 bytes, which is alive or freed.
fn byte(at: usize, alive: bool) -> Result<u64, TryReserveError> {
    let mut block = bytes(24)?;
    block.resize(24, 1);
    let start = block.as_ptr();
    let kept = alive.then_some(block);
    // SAFETY: none if the block is freed or the offset is beyond its end: the planted bugs.
    let byte = unsafe { black_box(start).add(at).read_volatile() };
    drop(kept);
    // Its value may be rubbish: only the access matters.
    black_box(byte);
    Ok(0)
}

/// The body is clean on `malloc`, and dies with these modes; the text contains `said`.
#[track_caller]
fn dies(modes: Adversary, body: Body, kind: Kind, said: &str) {
    friendly(body).assert_clean();
    let report = adversarial(modes, body);
    assert_eq!(only(&report).kind(), kind, "{report}");
    assert!(report.to_string().contains(said), "{report}");
}

#[test]
fn a_read_past_the_end_dies_at_the_guard_page() {
    let flush = Adversary::new().tight(false);
    adversarial(flush.clone(), || byte(23, true)).assert_clean();
    dies(
        flush,
        || byte(24, true),
        Kind::HeapBufferOverflow,
        "1 byte past the end of a1 (24 bytes, align 1)",
    );
}

#[test]
fn a_read_after_free_dies_as_well() {
    let modes = Adversary::new().reuse(Reuse::Never);
    adversarial(modes.clone(), || byte(3, true)).assert_clean();
    dies(
        modes,
        || byte(3, false),
        Kind::UseAfterFree,
        "byte 3 of a1 (24 bytes, align 1), which was freed",
    );
}

static LAST: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Leaves a block behind, and frees the block of the previous run.
fn replace() -> Result<u64, TryReserveError> {
    let next = bytes(100)?;
    let last = LAST.lock().map(|mut last| last.replace(next));
    Ok(last.map_or(0, |last| last.map_or(0, |last| last.len() as u64)))
}

#[test]
fn a_block_that_outlives_its_run_is_freed_in_the_next_and_does_no_harm() {
    for modes in [Adversary::new(), Adversary::friendly().tight(true)] {
        let report = adversarial(modes, replace);
        assert_eq!(report.findings().len(), 0, "{report}");
        assert!(report.coverage().complete && report.coverage().requests == 1, "{report}");
    }
}
