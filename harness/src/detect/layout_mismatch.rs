//! A block was freed with another size or alignment than it was requested with.

use crate::detect::block::BadFree;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let block = free.blocks.live_at(free.address, free.heap)?;
    Some(
        Evidence::new(Kind::LayoutMismatch)
            .about(free.subject(&block))
            .step(free.role, Moment::Event(free.event))
            .note(format!(
                "layout given {} (align {}), layout recorded {} (align {})",
                free.layout.size(),
                free.layout.align(),
                block.size,
                block.align
            )),
    )
}
