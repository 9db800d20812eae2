//! What the tests share: an error, a block that frees itself, and helpers for reports.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(unsafe_code, reason = "blocks are allocated and freed by hand")]

pub(crate) mod again;
pub(crate) mod build;
pub(crate) mod ports;
pub(crate) mod shared;

use std::alloc::Layout;
use std::ptr::NonNull;

use mallory::{Finding, Heap, Kind, Outcome, Port, Refused, Report};

/// Memory ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oom;

impl From<Refused> for Oom {
    fn from(_: Refused) -> Oom {
        Oom
    }
}

impl From<allocator_api2::collections::TryReserveError> for Oom {
    fn from(_: allocator_api2::collections::TryReserveError) -> Oom {
        Oom
    }
}

impl From<hashbrown::TryReserveError> for Oom {
    fn from(_: hashbrown::TryReserveError) -> Oom {
        Oom
    }
}

/// A layout whose alignment is known to be valid.
pub(crate) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a power of two")
}

/// A block that is freed when it is dropped.
pub(crate) struct Owned {
    heap: Heap,
    start: NonNull<u8>,
    layout: Layout,
    lost: bool,
}

impl Owned {
    pub(crate) fn new(heap: &Heap, size: usize) -> Result<Owned, Refused> {
        Owned::aligned(heap, size, 8)
    }

    pub(crate) fn aligned(heap: &Heap, size: usize, align: usize) -> Result<Owned, Refused> {
        let layout = layout(size, align);
        let start = heap.alloc(layout)?.cast();
        Ok(Owned { heap: heap.clone(), start, layout, lost: false })
    }

    pub(crate) fn zeroed(heap: &Heap, size: usize) -> Result<Owned, Refused> {
        let layout = layout(size, 8);
        let start = heap.alloc_zeroed(layout)?.cast();
        Ok(Owned { heap: heap.clone(), start, layout, lost: false })
    }

    /// Makes it larger or smaller. If that fails, the block stays as it was.
    pub(crate) fn resize(&mut self, size: usize) -> Result<(), Refused> {
        self.change(layout(size, self.layout.align()))
    }

    /// As `resize`, and also changes the alignment.
    pub(crate) fn change(&mut self, new: Layout) -> Result<(), Refused> {
        // SAFETY: the block is alive and has this layout; each direction has its operation.
        let fresh = unsafe {
            if new.size() >= self.layout.size() {
                self.heap.grow(self.start, self.layout, new)?
            } else {
                self.heap.shrink(self.start, self.layout, new)?
            }
        };
        (self.start, self.layout) = (fresh.cast(), new);
        Ok(())
    }

    pub(crate) fn heap(&self) -> Heap {
        self.heap.clone()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes, which must have been written before they are read.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is alive, has this length, and is borrowed with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }

    /// Writes bytes that depend on their position, so that a wrong copy is noticed.
    pub(crate) fn fill(&mut self) {
        for (place, byte) in self.bytes().iter_mut().enumerate() {
            *byte = pattern(place);
        }
    }

    /// Whether the first bytes are still as `fill` wrote them.
    pub(crate) fn is_filled(&mut self, bytes: usize) -> bool {
        self.bytes()[..bytes].iter().enumerate().all(|(place, byte)| *byte == pattern(place))
    }

    /// Leaks the block.
    pub(crate) fn lose(mut self) -> NonNull<u8> {
        self.lost = true;
        self.start
    }
}

fn pattern(place: usize) -> u8 {
    (place * 7 + 3) as u8
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.lost {
            // SAFETY: the block is alive and has this layout.
            unsafe { self.heap.free(self.start, self.layout) }
        }
    }
}

/// A block that is sent to another thread.
pub(crate) struct Sent(pub(crate) Owned);

// SAFETY: the block is used by one thread at a time; its heap is `Send`.
unsafe impl Send for Sent {}

/// The only finding of a report.
#[track_caller]
pub(crate) fn only(report: &Report) -> &Finding {
    match report.findings() {
        [finding] => finding,
        _ => panic!("expected one finding:\n{report}"),
    }
}

/// The only finding of this kind.
#[track_caller]
pub(crate) fn the(report: &Report, kind: Kind) -> &Finding {
    let mut fitting = report.findings().iter().filter(|finding| finding.kind() == kind);
    match (fitting.next(), fitting.next()) {
        (Some(finding), None) => finding,
        _ => panic!("expected one {kind}:\n{report}"),
    }
}

/// The kinds of a report's findings, in its order.
pub(crate) fn kinds(report: &Report) -> Vec<Kind> {
    report.findings().iter().map(Finding::kind).collect()
}

/// The message of a report that only tells of the caller's mistake.
#[track_caller]
pub(crate) fn mistake(report: &Report) -> String {
    assert_eq!(report.exit_code(), 2, "expected a mistake of the caller's:\n{report}");
    report.error().expect("exit code 2 is always explained by an error").to_string()
}

/// The outcomes that occurred, and how often.
pub(crate) fn outcomes(report: &Report) -> Vec<(Outcome, u64)> {
    Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, report.outcomes(outcome)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// A list of `size` bytes, or an error.
pub(crate) fn bytes(size: usize) -> Result<Vec<u8>, std::collections::TryReserveError> {
    let mut list = Vec::new();
    list.try_reserve_exact(size)?;
    list.resize(size, 7);
    Ok(std::hint::black_box(list))
}

/// Copies a value bit by bit, although it is not `Copy`: a mistake that unsafe code may make.
pub(crate) trait CloneBits {
    fn clone_bits(&self) -> Self;
}

impl CloneBits for std::mem::ManuallyDrop<Vec<u8>> {
    fn clone_bits(&self) -> Self {
        // SAFETY: none. This is the planted mistake.
        unsafe { std::ptr::read(self) }
    }
}

/// A small generator of random numbers (xorshift): the same numbers for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> usize {
        (self.next() % end) as usize
    }
}
