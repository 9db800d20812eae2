//! A block was freed twice. The finding shows three steps with their call sites: the allocation and
//! both frees.

use crate::detect::block::BadFree;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;

pub(crate) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let freed = free.blocks.freed_at(free.address)?;
    Some(
        Evidence::new(Kind::DoubleFree)
            .about(free.subject(&freed.block))
            .step(Role::FirstFree, Moment::Event(freed.event))
            .step(Role::SecondFree, Moment::Event(free.event)),
    )
}
