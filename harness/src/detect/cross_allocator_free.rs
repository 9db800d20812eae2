//! A block of one heap freed through another. Both are named; of an arena's block inside a chunk
//! of the heap below, the innermost owner is the one that counts.

use super::BadFree;
use crate::evidence::{Evidence, Moment};
use crate::finding::Kind;

pub(super) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let owner =
        free.ledger.owners(free.address).into_iter().find(|block| {
            block.address == free.address && !block.tainted && block.heap != free.heap
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
