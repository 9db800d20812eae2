//! A block was freed twice. The finding shows the call sites of both frees, and of the allocation if
//! the block was allocated in the run.

use std::alloc::Layout;

use crate::detect::block::BadFree;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

/// The second free of a block that was not allocated in the run; `first` is the number of the first
/// one.
pub(crate) fn of_unknown(first: u64, event: u64, layout: Layout) -> Evidence {
    let bytes = count(layout.size() as u64, "byte");
    Evidence::new(Kind::DoubleFree)
        .step(Role::FirstFree, Moment::UnknownFree(first))
        .step(Role::SecondFree, Moment::Event(event))
        .note(format!("a block of {bytes} that was not allocated in this run"))
}

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let freed = free.blocks.freed_at(free.address)?;
    Some(
        Evidence::new(Kind::DoubleFree)
            .about(free.subject(&freed.block))
            .step(Role::FirstFree, Moment::Event(freed.event))
            .step(Role::SecondFree, Moment::Event(free.event)),
    )
}
