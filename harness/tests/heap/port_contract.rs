//! Ports that break the contract are reported by the heap above them, and the same port without the
//! flaw is not.
#![allow(unsafe_code, reason = "a port is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::common::{Oom, Owned, kinds, only};
use mallory::{Kind, Options, Port, Refused, Sweep};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    Misaligned,
    TooSmall,
    Twice,
}

/// A port with at most one flaw, which affects the third block.
struct Flawed {
    flaw: Flaw,
    made: Cell<usize>,
    last: Cell<Option<NonNull<u8>>>,
}

impl Flawed {
    fn new(flaw: Flaw) -> Flawed {
        Flawed { flaw, made: Cell::new(0), last: Cell::new(None) }
    }

    /// Longer than any request, so that a block may start a little later.
    fn slab(layout: Layout) -> Layout {
        crate::common::layout(64 << 10, layout.align())
    }
}

// SAFETY: the last block is only an address, which is not dereferenced.
unsafe impl Send for Flawed {}

// SAFETY: none if there is a flaw, which the heap detects. Blocks of a flawed port are leaked.
unsafe impl Port for Flawed {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        self.made.set(self.made.get() + 1);
        // SAFETY: a slab is not empty.
        let start = NonNull::new(unsafe { System.alloc(Flawed::slab(layout)) }).ok_or(Refused)?;
        let last = self.last.replace(Some(start));
        let flaw = if self.made.get() == 3 { self.flaw } else { Flaw::None };
        let (start, size) = match flaw {
            Flaw::None => (start, layout.size()),
            // SAFETY: the slab is longer than a block and one byte.
            Flaw::Misaligned => (unsafe { start.add(1) }, layout.size()),
            Flaw::TooSmall => (start, layout.size() - 1),
            Flaw::Twice => (last.unwrap_or(start), layout.size()),
        };
        Ok(NonNull::slice_from_raw_parts(start, size))
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        if self.flaw == Flaw::None {
            // SAFETY: without a flaw, `alloc` made every block with this layout.
            unsafe { System.dealloc(block.as_ptr(), Flawed::slab(layout)) }
        }
    }
}

fn three_blocks(flaw: Flaw, options: Options) -> mallory::Report {
    Sweep::new("flawed").options(options).port(move || Flawed::new(flaw)).run(|heap| {
        let first = Owned::new(heap, 40)?;
        let second = Owned::new(heap, 40)?;
        // The flaw refuses it or returns it a second time; neither is the subject's mistake.
        if let Ok(third) = Owned::new(heap, 40) {
            let twice = third.start() == second.start();
            if twice {
                third.lose()
            } else {
                third.start()
            };
        }
        drop((first, second));
        Ok::<_, Oom>(())
    })
}

/// The flaw is the only finding, and its text contains this.
fn broken(flaw: Flaw, said: &str) {
    for options in [Options::new(), Options::new().ledger_only()] {
        let report = three_blocks(flaw, options.clone());
        let finding = only(&report);
        assert_eq!(finding.kind(), Kind::PortContract);
        assert!(finding.to_string().contains(said), "{report}");
        assert_eq!(report.exit_code(), 1);
        let off = options.without(Kind::PortContract);
        assert_eq!(kinds(&three_blocks(flaw, off)), []);
    }
}

#[test]
fn a_misaligned_block_is_reported_and_never_reaches_the_subject() {
    broken(Flaw::Misaligned, "not aligned to 8");
}

#[test]
fn a_block_that_is_too_small_is_reported_and_never_reaches_the_subject() {
    broken(Flaw::TooSmall, "bytes long");
}

#[test]
fn a_block_handed_out_twice_is_reported() {
    broken(Flaw::Twice, "the address of a2, which is alive");
}

#[test]
fn a_port_without_a_flaw_is_not_accused() {
    for options in [Options::new(), Options::new().ledger_only()] {
        three_blocks(Flaw::None, options).assert_clean();
    }
}

/// A port whose `grow` is flawed, in the one mode in which a heap calls it.
struct Growing(Flawed);

// SAFETY: as for the port inside.
unsafe impl Port for Growing {
    fn alloc(&self, layout: Layout) -> Result<NonNull<[u8]>, Refused> {
        // All blocks are counted together, and the third one is the grown one.
        self.0.alloc(layout)
    }

    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's obligations are passed on unchanged.
        unsafe { self.0.free(block, layout) }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, Refused> {
        let fresh = self.0.alloc(new)?;
        // SAFETY: both blocks are alive, in slabs of their own, and longer than the old size.
        unsafe {
            block.copy_to_nonoverlapping(fresh.cast(), old.size());
            self.0.free(block, old);
        }
        Ok(fresh)
    }
}

fn grow_the_third(flaw: Flaw) -> mallory::Report {
    let as_the_port_likes = Options::new().ledger_only().moving(false);
    Sweep::new("growing").options(as_the_port_likes).port(move || Growing(Flawed::new(flaw))).run(
        |heap| {
            let mut block = Owned::new(heap, 40)?;
            drop(Owned::new(heap, 40)?);
            block.fill();
            block.resize(80)?;
            assert!(block.is_filled(40) && (block.start().as_ptr() as usize).is_multiple_of(8));
            Ok::<_, Oom>(())
        },
    )
}

#[test]
fn a_grown_block_that_breaks_the_contract_is_reported_too() {
    for (flaw, said) in [(Flaw::Misaligned, "not aligned to 8"), (Flaw::TooSmall, "79 bytes long")]
    {
        let report = grow_the_third(flaw);
        assert_eq!(only(&report).kind(), Kind::PortContract);
        assert!(report.to_string().contains(said), "{report}");
    }
    grow_the_third(Flaw::None).assert_clean();
}
