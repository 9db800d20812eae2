//! An address was freed that no heap of the run handed out, or that is inside a block.

use std::alloc::Layout;

use crate::detect::block::BadFree;
use crate::memory::preloaded::is_preloaded;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

pub(crate) fn check(free: &BadFree<'_>) -> Evidence {
    let evidence = Evidence::new(Kind::InvalidFree);
    let inside = free.blocks.owners(free.address).into_iter().find(|b| b.contains(free.address));
    let (evidence, note) = if let Some(block) = inside {
        let offset = free.address - block.address;
        (evidence.about(free.subject(&block)), format!("the address lies {offset} bytes into it"))
    } else if let Some(freed) = free.blocks.freed_around(free.address) {
        let offset = free.address - freed.block.address;
        let note = format!("the address lies {offset} bytes into it, and it was freed before");
        (evidence.about(free.subject(&freed.block)), note)
    } else {
        (evidence, "no heap of this run gave out this address".to_owned())
    };
    let evidence = evidence.step(free.role, Moment::Event(free.event)).note(note);
    if is_preloaded() {
        return evidence;
    }
    evidence.note(format!("freed through heap `{}`", free.name(free.heap)))
}

/// An address that can be no block's, under the global allocator, where blocks from before the run
/// are freed as well. `reason` says why.
pub(crate) fn wild(role: Role, event: u64, layout: Layout, reason: &str) -> Evidence {
    let evidence = Evidence::new(Kind::InvalidFree).step(role, Moment::Event(event)).note(reason);
    if is_preloaded() {
        // C's calls say nothing.
        return evidence;
    }
    let bytes = count(layout.size() as u64, "byte");
    evidence.note(format!("the call says {bytes} (align {})", layout.align()))
}
