//! A block of one heap freed through another. Both are named; of an arena's block inside a chunk
//! of the heap below, the innermost owner is the one that counts.

use crate::detect::block::BadFree;
use crate::detect::block::Block;
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;

/// A block of another heap that begins here and has just the layout given: also where a block of
/// the freeing heap begins at the same place, as an arena's chunk does.
pub(crate) fn exact(free: &BadFree<'_>) -> Option<Evidence> {
    of_another(free, |block| block.layout() == free.layout)
}

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    of_another(free, |_| true)
}

fn of_another(free: &BadFree<'_>, accept: impl Fn(&Block) -> bool) -> Option<Evidence> {
    let owner = free.blocks.owners(free.address).into_iter().find(|block| {
        block.address == free.address && !block.tainted && block.heap != free.heap && accept(block)
    })?;
    Some(
        Evidence::new(Kind::CrossAllocatorFree)
            .about(free.subject(&owner))
            .step(free.role, Moment::Event(free.event))
            .note(format!(
                "the block belongs to heap `{}`, and was freed through heap `{}`",
                free.name(owner.heap),
                free.name(free.heap)
            )),
    )
}
