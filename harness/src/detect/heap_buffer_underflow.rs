//! Bytes before a block were overwritten: its front guard is damaged.

use crate::detect::block::Damage;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

/// `freed` is the event of the block's free, if that is when the guards were checked.
pub(crate) fn check(damage: Damage, block: &BlockInfo, freed: Option<u64>) -> Option<Evidence> {
    let distance = damage.before? as u64;
    let evidence = Evidence::new(Kind::HeapBufferUnderflow)
        .about(block.clone())
        .note(format!("a write before the block: {} ahead of its start", count(distance, "byte")));
    Some(match freed {
        Some(event) => evidence.step(Role::Freed, Moment::Event(event)),
        None => evidence,
    })
}
