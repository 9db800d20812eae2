//! Bytes before a block were written: its front guard is damaged.

use crate::detect::block::Damage;
use crate::report::evidence::{BlockInfo, Evidence, Moment, Role};
use crate::report::format::count;
use crate::report::kind::Kind;

pub(crate) fn check(damage: Damage, block: &BlockInfo, noticed: Option<u64>) -> Option<Evidence> {
    let far = damage.before? as u64;
    let evidence = Evidence::new(Kind::HeapBufferUnderflow)
        .about(block.clone())
        .note(format!("a write before the block: {} ahead of its start", count(far, "byte")));
    Some(match noticed {
        Some(event) => evidence.step(Role::Freed, Moment::Event(event)),
        None => evidence,
    })
}
