//! An address was freed that no heap of the run handed out, or that is inside a block.

use crate::detect::block::BadFree;
use crate::report::evidence::{Evidence, Moment};
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
    evidence
        .step(free.role, Moment::Event(free.event))
        .note(note)
        .note(format!("freed through heap `{}`", free.name(free.heap)))
}
