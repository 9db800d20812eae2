//! A block freed that had been freed before: three steps, each with its place.

use super::BadFree;
use crate::evidence::{Evidence, Moment, Role};
use crate::kind::Kind;

pub(super) fn check(free: &BadFree<'_>) -> Option<Evidence> {
    let freed = free.ledger.freed_at(free.address)?;
    Some(
        Evidence::new(Kind::DoubleFree)
            .about(free.subject(&freed.block))
            .step(Role::FirstFree, Moment::Event(freed.event))
            .step(Role::SecondFree, Moment::Event(free.event)),
    )
}
