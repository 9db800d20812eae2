//! A block of one heap was freed through another. Both are named. For an arena's block inside a
//! chunk of the heap below, the innermost heap is the owner.

use crate::detect::block::{BadFree, Block};
use crate::report::evidence::{Evidence, Moment};
use crate::report::kind::Kind;

/// A block of another heap begins here and has exactly the given layout. This also holds if a block
/// of the freeing heap begins at the same address, as an arena's chunk may.
pub(crate) fn exact(free: &BadFree<'_>) -> Option<Evidence> {
    of_another(free, |block| block.layout() == free.layout)
}

/// A block of another heap begins here.
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
