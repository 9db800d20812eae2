//! A block was freed with another size or alignment than it was requested with.

use crate::detect::block::{BadFree, Block};
use crate::memory::form::Form;
use crate::memory::preloaded::is_preloaded;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let block = free.blocks.live_at(free.address, free.heap)?;
    Some(
        Evidence::new(Kind::LayoutMismatch)
            .about(free.subject(&block))
            .step(free.role, Moment::Event(free.event))
            .note(note(free, &block)),
    )
}

fn note(free: &BadFree<'_>, block: &Block) -> String {
    let (given, recorded) = (free.layout.size(), block.size);
    // There the alignment is a form, which is another detector's.
    if is_preloaded() && Form::of(block.align).is_some() {
        return format!("size given {given}, size recorded {recorded}");
    }
    let (given_align, align) = (free.layout.align(), block.align);
    format!(
        "layout given {given} (align {given_align}), layout recorded {recorded} (align {align})"
    )
}
